// Elements of pages, this one and that of the benchmark. Text goes in as text, never as markup.

/** The element of index.html with this id. */
export function byId<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`internal: index.html must have a ${kind.name} #${id}.`);
  return found;
}

/** An element with a class and its contents. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...contents: (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...contents);
  return made;
}

/** Terms and what they are. */
export function facts(pairs: readonly (readonly [term: string, fact: string])[]): HTMLElement[] {
  return pairs.map(([term, fact]) => element('div', '', element('dt', '', term), element('dd', '', fact)));
}
