// Made-up desktops as HTML pages: windows with tables, settings, files, charts, mail, code and calendars, in themes and fonts.
// Everything on them is text or has a name, so that the browser knows where each thing is.
import { base, en, Faker } from '@faker-js/faker';
import { facesOf, type Material, GENERATED_SCREEN as SCREEN } from './material.ts';

/** Icons that are buttons of windows, by file; the name is what a reader would call it. */
const BUTTONS = [
  ...[
    'search',
    'gear',
    'bell',
    'trash',
    'download',
    'upload',
    'printer',
    'star',
    'heart',
    'lock',
    'camera',
    'cart',
  ],
  ...[
    'envelope',
    'calendar',
    'clock',
    'folder',
    'cloud',
    'globe',
    'map',
    'mic',
    'music-note',
    'pencil',
    'pin',
    'play',
  ],
  ...[
    'question',
    'reply',
    'save',
    'scissors',
    'share',
    'shield',
    'tag',
    'telephone',
    'trophy',
    'truck',
    'wifi',
    'wrench',
  ],
];

const escaped = (text: string): string => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

const times = (count: number, make: (i: number) => string): string =>
  Array.from({ length: Math.max(1, Math.floor(count)) }, (_, i) => make(i)).join('');

/** A text that answers a question about its window; others of the same kind are confused with it. */
type Fact = (question: string, kind: string, answer: string | number) => string;

/** What draws the content of a window. */
type Content = (faker: Faker, rows: number, material: Material, fact: Fact) => string;

const table: Content = (faker, rows, _, fact) => {
  const headings = ['Number', 'Product', 'Stock', 'Price', 'Changed'];
  const cells = (): string[] => {
    const number = faker.string.alphanumeric({ length: 6, casing: 'upper' });
    const values = [
      faker.commerce.productName(),
      faker.number.int({ min: 100, max: 999 }),
      faker.commerce.price(),
      faker.date.past({ years: 9 }).toISOString().slice(0, 10),
    ];
    const asked = values.map((value, i) =>
      fact(`what stands under ${headings[i + 1]} in the row of ${number}`, headings[i + 1], value),
    );
    return [escaped(number), ...asked];
  };
  const row = (tag: string, words: readonly string[]): string =>
    `<tr>${words.map((word) => `<${tag}>${word}</${tag}>`).join('')}</tr>`;
  return `<table>${row('th', headings)}${times(rows, () => row('td', cells()))}</table>`;
};

const settings: Content = (faker, rows, _, fact) =>
  times(rows, (i) => {
    const name = `${faker.hacker.ingverb()} ${faker.hacker.noun()} ${i + 1}`;
    const id = `${faker.string.alphanumeric(8)}${i}`;
    const control = faker.helpers.arrayElement([
      () => `<input id="${id}" type="checkbox" ${faker.datatype.boolean() ? 'checked' : ''}>`,
      () => `<input id="${id}" value="${escaped(faker.word.noun())}">`,
      () =>
        `<span id="${id}">${fact(`what is ${name} set to`, 'setting', faker.string.alphanumeric(5))}</span>`,
    ])();
    return `<div class="row"><label for="${id}">${escaped(name)}</label>${control}</div>`;
  });

const files: Content = (faker, rows, { icon }, fact) => {
  const file = (): string => {
    const name = faker.system.fileName();
    const drawing = icon(
      faker.helpers.arrayElement(['file-earmark', 'folder', 'image', 'file-earmark-zip', 'film']),
    );
    const size = fact(
      `how many kilobytes has the file ${name}`,
      'size',
      faker.number.int({ min: 100, max: 999 }),
    );
    return `<div class="file"><span class="large">${drawing}</span><br>${escaped(name)}<br>${size} kB</div>`;
  };
  return `<div class="files">${times(3 * rows, file)}</div>`;
};

const chart: Content = (faker, rows, _, fact) => {
  const bar = (): string => {
    const [name, value] = [faker.location.city(), faker.number.int({ min: 10, max: 99 })];
    const asked = fact(`what percentage stands beside ${name}`, 'percentage', value);
    return `<div class="row"><span class="name">${escaped(name)}</span><span class="bar" style="width: ${value / 2}%"></span><span>${asked} %</span></div>`;
  };
  return `<h3>${escaped(faker.company.catchPhrase())}</h3>${times(Math.min(9, rows - 2), bar)}`;
};

const mail: Content = (faker, rows, _, fact) =>
  times(rows / 2, () => {
    const name = faker.person.fullName();
    const time = `${faker.number.int({ min: 10, max: 23 })}:${faker.number.int({ min: 10, max: 59 })}`;
    return `<div class="mail"><b>${escaped(name)}</b> <i>${fact(`at what time did ${name} write`, 'time', time)}</i><br><span>${escaped(faker.hacker.phrase())}</span></div>`;
  });

const code: Content = (faker, rows, _, fact) =>
  `<pre>${times(rows, (i) => {
    const [name, other] = [faker.hacker.noun(), faker.hacker.verb()].map((word) => word.replace(/\W/g, '_'));
    const asked = (value: number | string): string =>
      fact(`which value stands in line ${i + 1}`, 'value', value);
    const line = faker.helpers.arrayElement([
      () => `let ${name} = ${asked(faker.number.int({ min: 1000, max: 9999 }))};`,
      () => `if (${name} &gt; ${asked(faker.number.int({ min: 1000, max: 9999 }))}) ${other}(${name});`,
      () => `// ${escaped(faker.hacker.phrase().slice(0, 50))}`,
      () => `${other}("${asked(faker.string.hexadecimal({ length: 8, prefix: '' }))}");`,
    ])();
    return `${String(i + 1).padStart(3)}  ${line}\n`;
  })}</pre>`;

const month: Content = (faker, rows, _, fact) => {
  const day = (i: number): string => {
    const event = faker.datatype.boolean(0.3)
      ? `<br><span class="event">${fact(`what is noted on day ${i + 1}`, 'note', faker.word.noun())}</span>`
      : '';
    return `<td>${i + 1}${event}</td>`;
  };
  const week = (i: number): string =>
    `<tr>${times(7, (j) => (7 * i + j < 30 ? day(7 * i + j) : '<td></td>'))}</tr>`;
  return `<h3>${faker.date.month()} ${faker.number.int({ min: 1990, max: 2040 })}</h3><table>${times(Math.min(5, Math.max(2, rows / 2)), week)}</table>`;
};

const CONTENTS: readonly Content[] = [table, settings, files, chart, mail, code, month];

/** One desktop as HTML. */
export function interfacePage(seed: number, material: Material): string {
  const faker = new Faker({ locale: [en, base], seed });
  // Dates are those of the seed too.
  faker.setDefaultRefDate('2026-01-01T00:00:00.000Z');
  const [columns, rows] = faker.helpers.arrayElement([
    [2, 2],
    [3, 2],
    [3, 3],
    [4, 3],
  ] as const);
  const [width, height] = [SCREEN.width / columns, (SCREEN.height - 40) / rows];
  const { icon } = material;
  const fonts = material.fonts.screen;
  const used = faker.helpers.arrayElements([...fonts], Math.min(3, fonts.length));
  const windows = Array.from({ length: columns * rows }, (_, i) => {
    const [back, surface, text, line, accent] = faker.helpers.arrayElement([...material.themes]);
    // Capital letters of 5 to 22 pixels, of nearly half the windows so small that they are just read.
    const size = faker.datatype.boolean(0.45)
      ? faker.number.int({ min: 14, max: 18 }) / 2
      : faker.number.int({ min: 10, max: 30 });
    const content = faker.helpers.arrayElement([...CONTENTS]);
    const company = faker.company.name();
    const [x, y] = [(i % columns) * width, Math.floor(i / columns) * height];
    const buttons = faker.helpers
      .arrayElements(BUTTONS, 6)
      .map((name) => `<button aria-label="${name.replaceAll('-', ' ')}">${icon(name)}</button>`);
    const [w, h] = [
      width - faker.number.int({ min: 12, max: 200 }),
      height - faker.number.int({ min: 12, max: 140 }),
    ];
    const fact: Fact = (question, kind, answer) => {
      const asked = `In the window of ${company}: ${question}?`;
      return `<span data-question="${escaped(asked)}" data-kind="${i} ${kind}">${escaped(String(answer))}</span>`;
    };
    const lines = Math.floor((h - 4 * size) / (2.1 * size));
    return `<section style="left: ${x + 6}px; top: ${y + 6}px; width: ${w}px; height: ${h}px; font: ${size}px '${faker.helpers.arrayElement(used).name}'; --back: ${back}; --surface: ${surface}; --text: ${text}; --line: ${line}; --accent: ${accent}">
<header><b>${escaped(company)}</b> ${buttons.join('')}</header><div class="content">${content(faker, lines, material, fact)}</div></section>`;
  });
  const version = faker.system.semver();
  const badge = faker.number.int({ min: 10, max: 99 });
  const status = `<footer>Version ${version} <span class="badge">${badge}</span> RAM ${faker.number.int({ min: 10, max: 99 })} % · ${faker.location.timeZone()}</footer>`;
  return `<!doctype html><meta charset="utf-8"><title>${escaped(faker.company.buzzPhrase())}</title><style>
${facesOf(used)}
body { margin: 0; background: ${faker.color.rgb()}; width: ${SCREEN.width}px; height: ${SCREEN.height}px; overflow: hidden; font: 16px "${used[0].name}" }
section { position: absolute; overflow: hidden; background: var(--surface); color: var(--text); border: 1px solid var(--line); border-radius: 6px }
header { background: var(--back); padding: 0.4em 0.8em; height: 2em; display: flex; gap: 0.8em; align-items: center; border-bottom: 1px solid var(--line) }
.content { padding: 0.5em 1em } table { border-collapse: collapse; width: 100% } td, th { padding: 0.35em 0.7em; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
button, input, select { font: inherit; color: inherit; background: var(--surface); border: 1px solid var(--line); border-radius: 3px } svg { width: 1.1em; height: 1.1em } .large svg { width: 2.2em; height: 2.2em }
.row { display: flex; gap: 1em; align-items: center; padding: 0.25em 0 } label, .name { width: 40% } .bar { background: var(--accent); height: 1em } .files { display: flex; flex-wrap: wrap; gap: 1em } .file { min-width: 10em; text-align: center; white-space: nowrap }
.mail { border-bottom: 1px solid var(--line); padding: 0.3em 0 } pre { margin: 0; font: inherit } .event { color: var(--accent) } h3 { margin: 0.2em 0 }
footer { position: absolute; bottom: 0; left: 0; right: 0; height: 40px; line-height: 40px; padding: 0 1em; background: #000; color: #eee } .badge { background: #c00; border-radius: 1em; padding: 0 0.5em }
</style>${windows.join('\n')}${status}\n`;
}
