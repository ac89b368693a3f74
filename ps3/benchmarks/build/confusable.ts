// Options that differ in a figure which is easily taken for another: who reads at too low a resolution is caught, and who does not
// look is told nothing, since each option has as many near relatives among them as the answer.
import type { Random } from '../../../engine/index.ts';

import { isValidTime, wordsLike } from './lexicon.ts';

/**
 * Figures in a circle: each is taken for its two neighbours. As often as one stands in the place of another, the other stands in its own:
 * of two options, neither is the likelier original.
 */
const CIRCLE = '1723568094';

/** One glyph in the place of another. */
interface Swap {
  readonly at: number;
  readonly glyph: string;
}

/**
 * Swaps that do not give themselves away: of figures alone, since letters of codes follow rules (a number plate has no O), none to a 0
 * in front, and a time remains one.
 */
function swapsIn(text: string): Swap[] {
  const all = [...text.matchAll(/\d/g)].flatMap(({ 0: figure, index }) => {
    const place = CIRCLE.indexOf(figure);
    return [1, CIRCLE.length - 1].map((step) => ({
      at: index,
      glyph: CIRCLE[(place + step) % CIRCLE.length],
    }));
  });
  return all.filter((swap) => {
    const other = swapped(text, swap);
    return isValidTime(other) === isValidTime(text) && /\b0\d/.test(other) === /\b0\d/.test(text);
  });
}

function swapped(text: string, ...swaps: readonly Swap[]): string {
  const glyphs = Array.from(text);
  for (const { at, glyph } of swaps) glyphs[at] = glyph;
  return glyphs.join('');
}

/** All texts that differ from one in one figure, in its order. */
export function confusables(text: string): string[] {
  return swapsIn(text).map((swap) => swapped(text, swap));
}

/**
 * A text that could be taken for another: of a code one that differs in a figure, of words one with another word that differs in a letter
 * or two. A word that is misspelt would give itself away.
 */
function relative(
  text: string,
  taken: ReadonlySet<string>,
  random: Pick<Random, 'integer'>,
): string | undefined {
  const like = /\d/.test(text) ? confusables(text) : wordsLike(text);
  const free = like.filter((other) => !taken.has(other));
  return free.length > 0 ? free[random.integer(free.length)] : undefined;
}

/** Two figures, each as it is or swapped: of the four each has two that differ in one glyph, and one that differs in both. */
function grid(
  text: string,
  taken: ReadonlySet<string>,
  random: Pick<Random, 'integer'>,
): string[] | undefined {
  const all = swapsIn(text);
  const [isTime, hasZero] = [isValidTime(text), /\b0\d/.test(text)];
  for (let attempt = 0; attempt < 20 && all.length > 1; attempt++) {
    const [first, second] = [all[random.integer(all.length)], all[random.integer(all.length)]];
    const both = [swapped(text, first), swapped(text, second), swapped(text, first, second)];
    const isLike = (other: string): boolean =>
      !taken.has(other) && isValidTime(other) === isTime && /\b0\d/.test(other) === hasZero;
    if (first.at !== second.at && both.every(isLike)) return [text, ...both];
  }
  return undefined;
}

/**
 * Four options for a question: of codes a grid of two swapped figures, which all look alike from afar, or else the answer and another
 * text of the image, each with a relative; of words the latter, or texts of the image alone. In none of them an option is told apart by
 * its spelling or by how like the others it is.
 *
 * @param others  texts of the same kind on the image
 * @returns       the options, and at which place the answer is, each as likely; undefined where there are no four
 */
export function optionsOf(
  answer: string,
  others: readonly string[],
  random: Pick<Random, 'integer' | 'shuffle'>,
): { options: string[]; answer: number } | undefined {
  const taken = new Set([answer, ...others]);
  const near = [...taken].filter((text) => text !== answer && Math.abs(text.length - answer.length) <= 1);
  const kin = random.shuffle(near);
  const pairsOf = (): string[] | undefined => {
    const own = relative(answer, taken, random);
    if (own === undefined) return undefined;
    for (const other of kin) {
      const its = relative(other, new Set([...taken, own]), random);
      if (its !== undefined) return [answer, own, other, its];
    }
    return undefined;
  };
  const gridOf = (): string[] | undefined => grid(answer, taken, random);
  const kinOf = (): string[] | undefined => (kin.length >= 3 ? [answer, ...kin.slice(0, 3)] : undefined);
  const ways = /\d/.test(answer) ? [gridOf, pairsOf] : [pairsOf, kinOf];
  const options = ways[0]() ?? ways[1]();
  if (!options) return undefined;
  const place = random.integer(4);
  return { options: random.shuffle(options.slice(1)).toSpliced(place, 0, answer), answer: place };
}
