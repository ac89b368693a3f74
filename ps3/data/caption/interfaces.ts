// Made-up desktops as HTML pages: windows with tables, settings, files, charts, mail, code and calendars, in themes and fonts.
// Everything on them is text or has a name, so that the browser knows where each thing is.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { base, en, Faker } from '@faker-js/faker';
import { expectKeys, makeFolder } from '../../../engine/index.ts';
import { type Notice, npmPackage } from '../packages.ts';
import { seedFor } from '../seeds.ts';

/** Terms of what pages are made of. */
export const INTERFACE_LICENCE = 'made up; fonts under OFL-1.1, icons of bootstrap-icons under MIT';

/** What is made. */
export interface InterfaceOptions {
  /** Pages; default 100. */
  readonly count?: number;
  readonly seed?: number;
  /** Of fonts and themes, a quarter is held out; default train. */
  readonly split?: 'train' | 'heldOut';
  readonly notice?: Notice;
}

const INTERFACE_OPTIONS = { count: true, seed: true, split: true, notice: true } as const;

const FONT_VERSION = '5.3.0';
const FONTS = [
  ...['inter', 'roboto', 'work-sans', 'fira-sans', 'ibm-plex-sans', 'lora', 'merriweather', 'nunito'],
  ...['jetbrains-mono', 'source-code-pro', 'barlow', 'exo-2'],
];
const ICONS = 'bootstrap-icons@1.13.2';
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
/** [background, surface, text, line, accent] */
const THEMES = [
  ['#dfe5ec', '#ffffff', '#1b1f24', '#c9d1d9', '#0b62d6'],
  ['#10141a', '#1c232c', '#e4e8ee', '#3a4552', '#58a6ff'],
  ['#f3ead8', '#fffaf0', '#3b2f1e', '#d9c7a3', '#a8491f'],
  ['#0c2b24', '#123a31', '#dff5ea', '#2b6354', '#ffc857'],
  ['#e9e3f4', '#fbf9ff', '#2d2340', '#cdbfe6', '#7a2fd0'],
  ['#222222', '#2e2e2e', '#f2f2f2', '#555555', '#ff7043'],
  ['#d6ecf2', '#f4fcff', '#0c3440', '#a9d3df', '#00829b'],
  ['#f7d9dc', '#fff6f7', '#471821', '#e8b4ba', '#c2183a'],
];
const SCREEN = { width: 3840, height: 2160 };

/** What pages of one split are drawn with. */
export interface Material {
  readonly fonts: readonly { readonly name: string; readonly path: string }[];
  readonly themes: readonly (readonly string[])[];
  readonly icon: (name: string) => string;
}

/**
 * Writes pages of 3840 x 2160 pixels.
 *
 * @throws DataError when fonts or icons cannot be downloaded
 */
export async function writeInterfaces(folder: string, options: InterfaceOptions = {}): Promise<void> {
  expectKeys('writeInterfaces', options, INTERFACE_OPTIONS);
  const { count = 100, seed = 1, split = 'train', notice = () => undefined } = options;
  const material = await openMaterial(seed, split, notice);
  await makeFolder(folder);
  for (let i = 0; i < count; i++) {
    const name = `interface-${split}-${String(i).padStart(5, '0')}.html`;
    await writeFile(join(folder, name), interfacePage(seedFor(seed, `${split} interface ${i}`), material));
  }
}

async function openMaterial(seed: number, split: 'train' | 'heldOut', notice: Notice): Promise<Material> {
  const { root } = await npmPackage(ICONS, (path) => path.startsWith('icons/') || path === 'LICENSE', notice);
  const fonts = [];
  for (const name of FONTS) {
    const file = `files/${name}-latin-400-normal.woff2`;
    const keep = (path: string): boolean => path === file || path === 'LICENSE';
    const font = await npmPackage(`@fontsource/${name}@${FONT_VERSION}`, keep, notice);
    fonts.push({ name, path: join(font.root, file) });
  }
  const part = <T>(items: readonly T[], nameOf: (item: T) => string): T[] => {
    const ranked = items.toSorted((a, b) => seedFor(seed, nameOf(a)) - seedFor(seed, nameOf(b)));
    const held = Math.round(items.length / 4);
    return split === 'heldOut' ? ranked.slice(0, held) : ranked.slice(held);
  };
  return {
    fonts: part(fonts, ({ name }) => name),
    themes: part(THEMES, (theme) => theme.join()),
    icon: (name) =>
      readFileSync(join(root, 'icons', `${name}.svg`), 'utf8').replace('<svg ', '<svg aria-hidden="true" '),
  };
}

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
  const { fonts, icon } = material;
  const used = faker.helpers.arrayElements([...fonts], Math.min(3, fonts.length));
  const faces = used.map(
    ({ name, path }) =>
      `@font-face { font-family: "${name}"; src: url(data:font/woff2;base64,${readFileSync(path).toString('base64')}) }`,
  );
  const windows = Array.from({ length: columns * rows }, (_, i) => {
    const [back, surface, text, line, accent] = faker.helpers.arrayElement([...material.themes]);
    // Capital letters of 6 to 22 pixels.
    const size = faker.number.int({ min: 9, max: 30 });
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
${faces.join('\n')}
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
