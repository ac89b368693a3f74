// Questions about an image whose facts are known: which could be asked, with which options, and what a reader needs for each.
import type { Random } from '../../../engine/index.ts';
import { askable, type PageFact } from '../../data/caption/web_page.ts';
import type { Text4kLine } from '../loaders/text_4k.ts';
import { optionsOf } from './confusable.ts';
import type { Template } from './objects.ts';
import { constructedRung, LEGIBLE_PX, type Legend, RECOGNISED_PX, type Reader } from './reader.ts';

const OF_LONG_SIDE = 3840;
/** Height of capitals below which nothing is asked, of a long side of 3840 px: the reader reads hardly any. */
const LEAST_CAP_PX = 4.6;
/** Height of capitals that are not legible at 2268 px. */
const SMALL_PX = (LEGIBLE_PX * OF_LONG_SIDE) / 2268;

/**
 * Facts of an image that are read, by the least and most height of their capitals at a long side of 3840 px: most are of a size at which
 * the whole resolution is needed.
 */
const READ: readonly { readonly from: number; readonly to: number; readonly count: number }[] = [
  { from: 0, to: SMALL_PX, count: 16 },
  { from: SMALL_PX, to: 9.5, count: 5 },
  { from: 9.5, to: 14, count: 3 },
  { from: 14, to: Infinity, count: 3 },
];

/** A question before its options are turned. */
export type Question = Omit<Text4kLine, 'cycle'>;

/** What could be asked about an image, and how many facts could not be read. */
export interface Asked {
  readonly questions: readonly Question[];
  readonly dropped: number;
}

/** An image that is asked about. */
export interface Subject {
  /** Encoded, as it is stored. */
  readonly image: Uint8Array;
  /** Path in the benchmark. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly facts: readonly PageFact[];
  readonly category: string;
  readonly split: string;
  /** Of a fact about a drawn object, what it could be, in the order of its options. */
  readonly templates?: ReadonlyMap<PageFact, readonly Template[]>;
}

/** All questions about one image, of those that are tried, that the reader answers at its highest rung. */
export async function ask(subject: Subject, reader: Reader, random: Random): Promise<Asked> {
  const { image, name, width, height, facts, category, split } = subject;
  const longSide = Math.max(width, height);
  const candidates = random.shuffle(askable(facts, (LEAST_CAP_PX * longSide) / OF_LONG_SIDE));
  // Figures first, two at least: words are known by their shape where single letters are not.
  const hasFigures = ({ text }: PageFact): number => Number(/\d.*\d/.test(text));
  const tried = READ.flatMap(({ from, to, count }) =>
    candidates
      .filter(({ capPx }) => {
        const cap = (capPx * OF_LONG_SIDE) / longSide;
        return cap >= from && cap < to;
      })
      .toSorted((a, b) => hasFigures(b) - hasFigures(a))
      .slice(0, count),
  );
  const chosen = tried.flatMap((fact): (Legend & { fact: PageFact; constructed: number })[] => {
    const others = facts.filter(({ kind }) => kind === fact.kind).map(({ text }) => text);
    const asked = fact.options
      ? turnedOptions(fact.options, fact.text, random)
      : optionsOf(fact.text, others, random);
    if (!asked) return [];
    const { box, capPx, turned } = fact;
    const templates = subject.templates?.get(fact);
    const looks = templates ? 'object' : fact.options ? 'light' : 'text';
    const constructed = constructedRung(capPx, longSide, templates ? RECOGNISED_PX : LEGIBLE_PX);
    return [{ fact, ...asked, box, capPx, turned, looks, templates, constructed }];
  });
  const rungs = await reader.rungs({ image, width, height }, chosen);
  const questions = chosen.flatMap(({ fact, options, answer, constructed, capPx }, i): Question[] => {
    const rung = rungs[i];
    if (rung === undefined) return [];
    const { question, box, kind } = fact;
    return [
      {
        id: `${name.replace(/^images\/|\.jpg$/g, '')}-${i}`,
        ...{ image: name, width, height, category, subcategory: kind.replace(/^\d+ /, '') },
        ...{ question, options, answer, metric: 'choice', boxes: [box], referents: [question] },
        ...{ group: name, split, capPx, leastPx: { constructed, reader: rung } },
      },
    ];
  });
  return { questions, dropped: chosen.length - questions.length };
}

/** Given options, from another one on. */
function turnedOptions(
  options: readonly string[],
  answer: string,
  random: Random,
): { options: string[]; answer: number } {
  const start = random.integer(options.length);
  const turned = options.map((_, i) => options[(i + start) % options.length]);
  return { options: turned, answer: turned.indexOf(answer) };
}
