// What is made up by name: pages that draw themselves, and their terms.
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expectKeys, makeFolder } from '../../../engine/index.ts';
import { type Notice, npmPackage } from '../packages.ts';
import { seedFor } from '../seeds.ts';
import { DEBIAN_LICENCE } from './debian.ts';
import { gamePage } from './game.ts';
import { householdScene } from './household.ts';
import { interfacePage } from './interfaces.ts';
import { type GeneratedSplit, type Material, openMaterial } from './material.ts';
import { scenePage, THREE_FILE } from './scene_page.ts';
import { streetScene } from './street.ts';

/** Names of what is made up. */
export const GENERATORS = ['interfaces', 'street', 'household', 'game'] as const;
/** A name of `GENERATORS`. */
export type Generator = (typeof GENERATORS)[number];

/** Terms of what pages are made of. */
const GENERATED_LICENCE =
  'made up; fonts under OFL-1.1 or Apache-2.0, icons of bootstrap-icons and the library three under MIT';

/** Terms of pages, with what is taken from Debian or without. */
export const generatedLicence = (sources = false): string =>
  sources ? `${GENERATED_LICENCE}; ${DEBIAN_LICENCE}` : GENERATED_LICENCE;

/** Fetched as fonts and icons are, one file of the package: who makes up no scenes need not install it. */
const THREE = 'three@0.180.0';

const PAGES: Readonly<Record<Generator, (seed: number, material: Material) => string>> = {
  interfaces: interfacePage,
  game: gamePage,
  street: (seed, material) =>
    scenePage(streetScene(seed, material), [...material.fonts.road, ...material.fonts.shop]),
  household: (seed, material) =>
    scenePage(householdScene(seed, material), Object.values(material.fonts).flat()),
};

/** What is made. */
export interface PageOptions {
  /** Pages; default 100. */
  readonly count?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Of fonts, themes and words, a quarter is held out; default train. */
  readonly split?: GeneratedSplit;
  /** With road signs, furniture and maps of Debian's packages (290 MB). */
  readonly sources?: boolean;
  readonly notice?: Notice;
}

const PAGE_OPTIONS = { count: true, seed: true, split: true, sources: true, notice: true } as const;

/**
 * The library that draws scenes.
 *
 * @returns  its file
 * @throws DataError when it cannot be downloaded
 */
export async function openThree(notice: Notice): Promise<string> {
  const { root } = await npmPackage(
    THREE,
    (path) => path === 'build/three.cjs' || path === 'LICENSE',
    notice,
  );
  return join(root, 'build', THREE_FILE);
}

/**
 * Writes pages, and beside them what they need.
 *
 * @returns  their names in order
 * @throws DataError when fonts, icons or the library cannot be downloaded
 */
export async function writePages(
  generator: Generator,
  folder: string,
  options: PageOptions = {},
): Promise<string[]> {
  expectKeys('writePages', options, PAGE_OPTIONS);
  const { count = 100, seed = 1, split = 'train', sources, notice = () => undefined } = options;
  const material = await openMaterial(split, notice, sources);
  await makeFolder(folder);
  if (generator === 'street' || generator === 'household') {
    await copyFile(await openThree(notice), join(folder, THREE_FILE));
  }
  const names = Array.from(
    { length: count },
    (_, i) => `${generator}-${split}-${String(i).padStart(5, '0')}.html`,
  );
  for (const [i, name] of names.entries())
    await writeFile(
      join(folder, name),
      PAGES[generator](seedFor(seed, `${split} ${generator} ${i}`), material),
    );
  return names;
}
