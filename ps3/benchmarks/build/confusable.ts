// Options that differ in a glyph which is easily taken for another: who reads at too low a resolution is caught, and who does not
// look is told nothing, since each option has as many near relatives among them as the answer.
import type { Random } from '../../../engine/index.ts';

import { isValidTime, plausibility, wordsLike } from './lexicon.ts';

/** Glyphs and what they are taken for, most likely first; small letters, capitals, figures. */
const LOOKS_LIKE = new Map<string, string>([
  ...pairs('0:869 1:74 2:7 3:8 4:1 5:6 6:8 7:1 8:36 9:0'),
  ...pairs(
    'a:o b:h c:e d:o e:c f:t g:q h:b i:j j:i k:h l:i m:n n:u o:a p:b q:g r:n s:a t:f u:n v:y w:v x:z y:v z:x',
  ),
  ...pairs(
    'A:R B:8 C:G D:O E:F F:E G:C H:N I:1 J:I K:X L:I M:N N:M O:0 P:R Q:O R:P S:5 T:I U:V V:U W:V X:K Y:V Z:2',
  ),
]);

function pairs(list: string): [string, string][] {
  return list.split(' ').map((pair) => {
    const [glyph, others] = pair.split(':');
    return [glyph, others];
  });
}

/** One glyph in the place of another. */
interface Swap {
  readonly at: number;
  readonly glyph: string;
}

/**
 * Swaps that do not give themselves away: of figures, and of letters where there are none or they are of a code. A unit stays as it
 * is, and a time remains one.
 */
function swapsIn(text: string): Swap[] {
  const hasFigures = /\d/.test(text);
  const all = [...text.matchAll(/\S+/g)].flatMap(({ 0: token, index }) => {
    const isCode = /\d/.test(token) || /^[A-Z]+$/.test(token);
    return Array.from(token).flatMap((glyph, i): Swap[] =>
      hasFigures && !isCode
        ? []
        : Array.from(LOOKS_LIKE.get(glyph) ?? '')
            // A figure in a word gives itself away.
            .filter((other) => hasFigures || !/\d/.test(other))
            .map((other) => ({ at: index + i, glyph: other })),
    );
  });
  return all.filter((swap) => isValidTime(swapped(text, swap)) || !isValidTime(text));
}

function swapped(text: string, ...swaps: readonly Swap[]): string {
  const glyphs = Array.from(text);
  for (const { at, glyph } of swaps) glyphs[at] = glyph;
  return glyphs.join('');
}

/** All texts that differ from one in one glyph, in its order. */
export function confusables(text: string): string[] {
  return swapsIn(text).map((swap) => swapped(text, swap));
}

/** How many of the most plausible ones are drawn among. */
const PLAUSIBLE = 6;

/**
 * A text that could be taken for another: of a code one that differs in a glyph, of words one with another word that differs in a letter
 * or two. A word that is misspelt would give itself away.
 */
function relative(
  text: string,
  taken: ReadonlySet<string>,
  random: Pick<Random, 'integer'>,
): string | undefined {
  const like = /\d/.test(text)
    ? confusables(text).toSorted((a, b) => plausibility(b) - plausibility(a))
    : wordsLike(text);
  const free = like.filter((other) => !taken.has(other));
  const from = /\d/.test(text) ? free.slice(0, PLAUSIBLE) : free;
  return from.length > 0 ? from[random.integer(from.length)] : undefined;
}

/** Two glyphs, each as it is or swapped: of the four each has two that differ in one glyph, and one that differs in both. */
function grid(
  text: string,
  taken: ReadonlySet<string>,
  random: Pick<Random, 'integer'>,
): string[] | undefined {
  const all = swapsIn(text);
  for (let attempt = 0; attempt < 20 && all.length > 1; attempt++) {
    const [first, second] = [all[random.integer(all.length)], all[random.integer(all.length)]];
    const both = [swapped(text, first), swapped(text, second), swapped(text, first, second)];
    const isTime = isValidTime(text);
    if (first.at !== second.at && both.every((other) => !taken.has(other) && isValidTime(other) === isTime))
      return [text, ...both];
  }
  return undefined;
}

/**
 * Four options for a question: of codes a grid of two swapped glyphs, or the answer and another text of the image, each with a relative;
 * of words the latter, or texts of the image alone. In none of them an option is told apart by its spelling or by how like the others it
 * is.
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
  const ways = /\d/.test(answer) ? random.shuffle([pairsOf, gridOf]) : [pairsOf, kinOf];
  const options = ways[0]() ?? ways[1]();
  if (!options) return undefined;
  const place = random.integer(4);
  return { options: random.shuffle(options.slice(1)).toSpliced(place, 0, answer), answer: place };
}
