// What made-up images are made of: fonts, themes, icons and words. All of it is of one split each, by its name alone: no seed shows in
// training what another asks about.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { base, en, Faker } from '@faker-js/faker';
import { type FontFile, type Notice, npmFont, npmPackage } from '../packages.ts';
import { partOf, seedFor } from '../seeds.ts';
import { type DebianSources, openDebianSources } from './debian.ts';

/** Of what is made up, pixels. */
export const GENERATED_SCREEN = { width: 3840, height: 2160 } as const;

/** Parts of what is made up. */
export type GeneratedSplit = 'train' | 'heldOut';

/** What fonts are for. */
export type FontRole = 'screen' | 'road' | 'shop' | 'hand' | 'display';

const FONTS: Readonly<Record<FontRole, readonly string[]>> = {
  screen: [
    ...['inter', 'roboto', 'work-sans', 'fira-sans', 'ibm-plex-sans', 'lora', 'merriweather', 'nunito'],
    ...['jetbrains-mono', 'source-code-pro', 'barlow', 'exo-2'],
  ],
  road: ['overpass', 'barlow', 'fira-sans', 'work-sans'],
  shop: [
    'alfa-slab-one',
    'archivo-black',
    'bebas-neue',
    'righteous',
    'fredoka',
    'playfair-display',
    'oswald',
    'abril-fatface',
  ],
  hand: ['patrick-hand', 'kalam', 'special-elite', 'courier-prime'],
  display: ['share-tech-mono', 'vt323', 'space-mono', 'overpass-mono'],
};
const ICONS = 'bootstrap-icons@1.13.2';
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

/** Paints by the names that captions give them. */
export const PAINTS: Readonly<Record<string, string>> = {
  red: '#a8242b',
  blue: '#234f9e',
  green: '#23703f',
  yellow: '#dcae1d',
  orange: '#cf6a1f',
  purple: '#643a86',
  brown: '#5f3f29',
  black: '#202124',
  white: '#e9e9e4',
  grey: '#84888c',
  pink: '#cf7d90',
  turquoise: '#2b8583',
  beige: '#c6b083',
};

/** What images of one split are drawn with. */
export interface Material {
  readonly split: GeneratedSplit;
  readonly fonts: Readonly<Record<FontRole, readonly FontFile[]>>;
  readonly themes: readonly (readonly string[])[];
  readonly icon: (name: string) => string;
  /** Where they are asked for. */
  readonly debian?: DebianSources;
}

/**
 * @param sources  with what is taken from Debian
 * @throws DataError when fonts, icons or packages cannot be downloaded
 */
export async function openMaterial(
  split: GeneratedSplit,
  notice: Notice,
  sources = false,
): Promise<Material> {
  const { root } = await npmPackage(ICONS, (path) => path.startsWith('icons/') || path === 'LICENSE', notice);
  const fontsOf = async (role: FontRole): Promise<FontFile[]> => {
    const fonts = [];
    for (const font of FONTS[role]) {
      const { name, path } = await npmFont(font, notice);
      fonts.push({ name, path });
    }
    return partOf(fonts, split, ({ name }) => name);
  };
  return {
    split,
    fonts: {
      screen: await fontsOf('screen'),
      road: await fontsOf('road'),
      shop: await fontsOf('shop'),
      hand: await fontsOf('hand'),
      display: await fontsOf('display'),
    },
    themes: partOf(THEMES, split, (theme) => theme.join()),
    icon: (name) =>
      readFileSync(join(root, 'icons', `${name}.svg`), 'utf8').replace('<svg ', '<svg aria-hidden="true" '),
    ...(sources && { debian: await openDebianSources(split, notice) }),
  };
}

/** Style sheets of fonts, in the page itself. */
export const facesOf = (fonts: readonly FontFile[]): string =>
  [...new Map(fonts.map((font) => [font.name, font])).values()]
    .map(
      ({ name, path }) =>
        `@font-face { font-family: "${name}"; src: url(data:font/woff2;base64,${readFileSync(path).toString('base64')}) }`,
    )
    .join('\n');

/** Words and choices of an image, from its seed. */
export class Words {
  readonly faker: Faker;
  readonly #isHeldOut: boolean;
  readonly #said = new Set<string>();

  constructor(seed: number, split: GeneratedSplit) {
    this.faker = new Faker({ locale: [en, base], seed });
    // Dates are those of the seed too.
    this.faker.setDefaultRefDate('2026-01-01T00:00:00.000Z');
    this.#isHeldOut = split === 'heldOut';
  }

  /** A text of the split that this image does not have yet; of a kind with too few, one that it has. */
  text(make: (faker: Faker) => string): string {
    const isOwn = (small: string): boolean =>
      seedFor(0, `text ${small}`) / 2 ** 32 < 0.25 === this.#isHeldOut;
    return this.#fresh(make, isOwn);
  }

  /**
   * The same of a number with what belongs to it: of both splits. There are few numbers; of two that are alike, that of the split would
   * be known without a look.
   */
  number(make: (faker: Faker) => string): string {
    return this.#fresh(make, () => true);
  }

  #fresh(make: (faker: Faker) => string, isOwn: (small: string) => boolean): string {
    let known: string | undefined;
    for (let i = 0; i < 1000; i++) {
      const text = make(this.faker);
      const small = text.toLowerCase();
      if (!isOwn(small)) continue;
      known = text;
      if (this.#said.has(small)) continue;
      this.#said.add(small);
      return text;
    }
    if (known === undefined) throw new Error('internal: a kind of text has none of one split');
    return known;
  }

  /** Whole number within two, both included. */
  integer(min: number, max: number): number {
    return this.faker.number.int({ min, max });
  }

  /** Evenly between two, either of which may be the larger. */
  range(from: number, to: number): number {
    return from + (to - from) * this.faker.number.float();
  }

  chance(probability: number): boolean {
    return this.faker.datatype.boolean(probability);
  }

  one<T>(items: readonly T[]): T {
    return this.faker.helpers.arrayElement([...items]);
  }

  shuffled<T>(items: readonly T[]): T[] {
    return this.faker.helpers.shuffle([...items]);
  }
}
