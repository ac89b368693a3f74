// HTML from template literals: what is filled in is text, and escaped, unless it is HTML itself.

/** A piece of HTML. */
export interface Html {
  readonly html: string;
}

type Filling = Html | string | number | undefined | readonly Filling[];

/** Markup that is already written, such as an SVG file. */
export function markup(text: string): Html {
  return { html: text };
}

/** Joins the pieces; lists follow one another, undefined is nothing. */
export function html(parts: TemplateStringsArray, ...fillings: readonly Filling[]): Html {
  return { html: parts.reduce((text, part, i) => text + written(fillings[i - 1]) + part) };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function written(filling: Filling): string {
  if (filling === undefined) return '';
  if (typeof filling === 'object') return 'html' in filling ? filling.html : filling.map(written).join('');
  return String(filling).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
