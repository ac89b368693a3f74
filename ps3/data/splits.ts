// Who may appear where. Every concept, photograph and font is ranked by a hash of the seed and its name, so a
// split depends on names only: a new source adds items and moves few.
//
//   train             training concepts, training photographs, training fonts
//   heldOutImages   the same concepts on photographs (and in fonts) that training never shows
//   heldOutConcepts   concepts that training never shows, not even as distractors, on held-out photographs
import { expectKeys } from '../../engine/index.ts';
import { type Concept, PLAIN_CONCEPTS } from './concepts.ts';
import { DataError } from './errors.ts';
import type { FontFile } from './packages.ts';
import { seedFor } from './seeds.ts';
import type { PhotoSource } from './sources.ts';

/** The material of one part of the data, as indices into the catalogue and the photographs. */
export interface Split {
  name: 'train' | 'heldOutImages' | 'heldOutConcepts';
  /** Captioned objects. */
  objects: number[];
  /** Captioned signs. */
  signs: number[];
  /** Objects that appear without a caption or a box. */
  distractors: number[];
  photos: number[];
  /** Names of the fonts that signs are set in. */
  fonts: string[];
}

/** The three parts of the data. */
export interface Splits {
  train: Split;
  heldOutImages: Split;
  heldOutConcepts: Split;
}

/** How the data is divided. */
export interface SplitOptions {
  seed: number;
  /** Captioned training objects; `all` keeps a fifth of the catalogue for testing and the rest for training. */
  conceptCount: number | 'all';
  /** Objects held out; as many as captioned, at most a fifth of the catalogue, when left out. */
  heldOutCount?: number;
  /** Objects kept as distractors; 48 when left out. */
  distractorCount?: number;
  /** Share of photographs, fonts and words held out, at least one of each; 0.25 when left out. */
  heldOutShare?: number;
}

const SPLIT_OPTIONS = {
  seed: true,
  conceptCount: true,
  heldOutCount: true,
  distractorCount: true,
  heldOutShare: true,
} as const;

/** Sorted by a hash of the seed and the name. */
function ranked<T>(items: readonly T[], seed: number, purpose: string, name: (item: T) => string): T[] {
  const rank = (item: T): number => seedFor(seed, `${purpose}:${name(item)}`);
  return [...items].sort((a, b) => rank(a) - rank(b) || (name(a) < name(b) ? -1 : 1));
}

/** [held out, kept]; nothing is held out of a single item. */
function cut<T>(items: readonly T[], share: number): [T[], T[]] {
  const count = items.length < 2 ? 0 : Math.max(1, Math.round(items.length * share));
  return [items.slice(0, count), items.slice(count)];
}

/**
 * Divides concepts, photographs and fonts.
 *
 * Plain concepts (a fox, a key) come first, so small presets hold things that differ at 32 pixels.
 *
 * @throws DataError when the catalogue is too small for the counts
 */
export function makeSplits(
  catalogue: readonly Concept[],
  photos: readonly PhotoSource[],
  fonts: readonly FontFile[],
  options: SplitOptions,
): Splits {
  expectKeys('makeSplits', options, SPLIT_OPTIONS);
  const { seed, heldOutShare = 0.25 } = options;
  const ids = catalogue.map((_, id) => id);
  const name = (id: number): string => catalogue[id].name;
  const plain = new Set(PLAIN_CONCEPTS);
  const shuffled = ranked(
    ids.filter((id) => catalogue[id].kind !== 'sign'),
    seed,
    'object',
    name,
  );
  const objects = [
    ...shuffled.filter((id) => plain.has(name(id))),
    ...shuffled.filter((id) => !plain.has(name(id))),
  ];
  const distractorCount = options.distractorCount ?? 48;
  const fifth = Math.floor(objects.length / 5);
  const wantedHeldOut =
    options.heldOutCount ?? Math.min(fifth, options.conceptCount === 'all' ? fifth : options.conceptCount);
  const conceptCount =
    options.conceptCount === 'all' ? objects.length - wantedHeldOut - distractorCount : options.conceptCount;
  if (conceptCount < 1 || conceptCount + wantedHeldOut + distractorCount > objects.length) {
    throw new DataError(
      `makeSplits: captioned, held-out and distractor objects must fit the catalogue, got ${conceptCount} + ${wantedHeldOut} + ${distractorCount} of ${objects.length}. Ask for fewer concepts or add sources.`,
    );
  }
  if (photos.length < 2) {
    throw new DataError(
      `makeSplits: at least 2 backgrounds are needed (one is held out), got ${photos.length}.`,
    );
  }
  // The held-out objects follow the captioned ones in the ranking: the next plain ones for small presets.
  const captioned = objects.slice(0, conceptCount);
  const heldOut = objects.slice(conceptCount, conceptCount + wantedHeldOut);
  const distractors = objects.slice(
    conceptCount + wantedHeldOut,
    conceptCount + wantedHeldOut + distractorCount,
  );
  const [heldSigns, signs] = cut(
    ranked(
      ids.filter((id) => catalogue[id].kind === 'sign'),
      seed,
      'sign',
      name,
    ),
    heldOutShare,
  );
  const photoIds = ranked([...photos.keys()], seed, 'photo', (index) => photos[index].name);
  const [heldPhotos, trainPhotos] = cut(photoIds, heldOutShare);
  const fontNames = ranked(
    fonts.map((font) => font.name),
    seed,
    'font',
    (font) => font,
  );
  const [heldFonts, trainFonts] = cut(fontNames, heldOutShare);
  const seen = { objects: captioned, signs, distractors };
  const unseen = { photos: heldPhotos, fonts: heldFonts.length > 0 ? heldFonts : trainFonts };
  return {
    train: { name: 'train', ...seen, photos: trainPhotos, fonts: trainFonts },
    heldOutImages: { name: 'heldOutImages', ...seen, ...unseen },
    heldOutConcepts: { name: 'heldOutConcepts', objects: heldOut, signs: heldSigns, distractors, ...unseen },
  };
}
