// Answers that differ from the right one in a glyph that is easily taken for another: who reads at too low a resolution is caught.
import type { Random } from '../../../engine/index.ts';

/** Glyphs and what they are taken for, most likely first. */
const LOOKS_LIKE: Readonly<Record<string, string>> = {
  ...{
    '0': '869',
    '1': '74',
    '2': '7',
    '3': '8',
    '4': '1',
    '5': '6',
    '6': '8',
    '7': '1',
    '8': '36',
    '9': '0',
  },
  ...{
    a: 'o',
    b: 'h',
    c: 'e',
    d: 'o',
    e: 'c',
    f: 't',
    g: 'q',
    h: 'b',
    i: 'j',
    j: 'i',
    k: 'h',
    l: 'i',
    m: 'n',
  },
  ...{
    n: 'u',
    o: 'a',
    p: 'b',
    q: 'g',
    r: 'n',
    s: 'a',
    t: 'f',
    u: 'n',
    v: 'y',
    w: 'v',
    x: 'z',
    y: 'v',
    z: 'x',
  },
  ...{
    A: 'R',
    B: '8',
    C: 'G',
    D: 'O',
    E: 'F',
    F: 'E',
    G: 'C',
    H: 'N',
    I: '1',
    J: 'I',
    K: 'X',
    L: 'I',
    M: 'N',
  },
  ...{
    N: 'M',
    O: '0',
    P: 'R',
    Q: 'O',
    R: 'P',
    S: '5',
    T: 'I',
    U: 'V',
    V: 'U',
    W: 'V',
    X: 'K',
    Y: 'V',
    Z: '2',
  },
};

/** All texts that differ from one in one glyph, in its order. */
export function confusables(text: string): string[] {
  return Array.from(text).flatMap((glyph, i, glyphs) =>
    Array.from(LOOKS_LIKE[glyph] ?? '').map((other) =>
      [...glyphs.slice(0, i), other, ...glyphs.slice(i + 1)].join(''),
    ),
  );
}

/**
 * Four options for a question: the answer, two that differ in a glyph, and another of its kind, as long where there is such; what is
 * missing differs in a glyph too.
 *
 * @param others  texts of the same kind on the image
 * @returns       the options, and at which place the answer is, each as likely; undefined where there are no three others
 */
export function optionsOf(
  answer: string,
  others: readonly string[],
  random: Pick<Random, 'integer'>,
): { options: string[]; answer: number } | undefined {
  const near = [...new Set(confusables(answer))].filter((text) => !others.includes(text));
  const gap = (text: string): number => Math.abs(text.length - answer.length);
  const kin = [...new Set(others)].filter((text) => text !== answer).toSorted((a, b) => gap(a) - gap(b));
  const closest = kin.slice(0, 6);
  const chosen: string[] = [];
  // In turns from what there is: near, near, kin, and on.
  for (const list of [near, near, closest, near, closest, closest])
    if (chosen.length < 3 && list.length > 0) chosen.push(...list.splice(random.integer(list.length), 1));
  if (chosen.length < 3) return undefined;
  const place = random.integer(4);
  return { options: chosen.toSpliced(place, 0, answer), answer: place };
}
