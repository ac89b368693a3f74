// Questions about an image whose facts are known: which are asked, with which options, and which of them the image is needed for.
import type { Random } from '../../../engine/index.ts';
import type { PageFact } from '../../data/caption/web_page.ts';
import type { Text4kLine } from '../loaders/text_4k.ts';
import { optionsOf } from './confusable.ts';
import { constructedRung, LEGIBLE_PX, type Legend, type Reader } from './reader.ts';

/** Questions of an image, at most. */
const PER_IMAGE = 4;
/** Questions by what they need, with cumulative shares: most only the whole resolution answers, some less, some little. */
const MIX: readonly { readonly upTo: number; holds(rung: number): boolean }[] = [
  { upTo: 0.6, holds: (rung) => rung > 2268 },
  { upTo: 0.8, holds: (rung) => rung === 2268 },
  { upTo: 1, holds: (rung) => rung < 2268 },
];

/** A question before its options are turned. */
export type Question = Omit<Text4kLine, 'cycle'>;

/** Questions of an image, and how many could not be read. */
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
}

/** Questions of one image that the reader answers at its highest rung. */
export async function ask(subject: Subject, reader: Reader, random: Random): Promise<Asked> {
  const { image, name, width, height, facts, category, split } = subject;
  const longSide = Math.max(width, height);
  // What is asked twice on an image has no one answer.
  const isClear = ({ question }: PageFact): boolean =>
    facts.filter((other) => other.question === question).length === 1;
  const candidates = facts.filter((fact) => fact.capPx >= LEGIBLE_PX && isClear(fact));
  const chosen: (Legend & { readonly fact: PageFact; readonly constructed: number })[] = [];
  while (chosen.length < PER_IMAGE && candidates.length > 0) {
    const draw = random.uniform();
    const { holds } = MIX.find(({ upTo }) => draw < upTo)!;
    const fitting = candidates.filter(({ capPx }) => holds(constructedRung(capPx, longSide)));
    const from = fitting.length > 0 ? fitting : candidates;
    const fact = from[random.integer(from.length)];
    candidates.splice(candidates.indexOf(fact), 1);
    const others = facts.filter(({ kind }) => kind === fact.kind).map(({ text }) => text);
    const asked = fact.options
      ? turnedOptions(fact.options, fact.text, random)
      : optionsOf(fact.text, others, random);
    if (!asked) continue;
    const { box, capPx, turned } = fact;
    const looks = fact.options ? 'light' : 'text';
    const constructed = constructedRung(capPx, longSide);
    chosen.push({ fact, ...asked, box, capPx, turned, looks, constructed });
  }
  const rungs = await reader.rungs({ image, width, height }, chosen);
  const questions = chosen.flatMap(({ fact, options, answer, constructed }, i): Question[] => {
    const rung = rungs[i];
    if (rung === undefined) return [];
    const { question, box, kind } = fact;
    return [
      {
        id: `${name.replace(/^images\/|\.jpg$/g, '')}-${i}`,
        ...{ image: name, width, height, category, subcategory: kind.replace(/^\d+ /, '') },
        ...{ question, options, answer, metric: 'choice', boxes: [box], referents: [question] },
        ...{ group: name, split, leastPx: { constructed, reader: rung } },
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

/** A question with its options turned, so that each place has the answer once: the i-th option of cycle c is option i + c. */
export function rotations(question: Question): Text4kLine[] {
  const { options = [], answer } = question;
  return options.map((_, cycle) => ({
    ...question,
    id: `${question.id}-${cycle}`,
    options: options.map((_, i) => options[(i + cycle) % options.length]),
    answer: (Number(answer) - cycle + options.length) % options.length,
    cycle,
  }));
}

/** What an option is worth to who does not look at the image. */
type BlindRule = (option: string, place: number, question: Question) => number;

const lettersOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]{2}/gu));

/**
 * Rules that do not look: the longest and the shortest option, the first, that which answers most questions of its kind, that which has
 * most pairs of letters in common with its question.
 */
export function blindRules(questions: readonly Question[]): Readonly<Record<string, BlindRule>> {
  const counts = new Map<string, number>();
  for (const { options = [], answer, subcategory } of questions) {
    const key = `${subcategory} ${options[Number(answer)]}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return {
    longest: ({ length }) => length,
    shortest: ({ length }) => -length,
    first: (_, place) => -place,
    commonest: (option, _, question) => {
      const own = question.options?.[Number(question.answer)] === option ? 1 : 0;
      return (counts.get(`${question.subcategory} ${option}`) ?? 0) - own;
    },
    likest: (option, _, { question }) => {
      const [asked, said] = [lettersOf(question), lettersOf(option)];
      return [...said].filter((pair) => asked.has(pair)).length / Math.max(1, said.size);
    },
  };
}

/** How far a rule is right about a question: of options that are equal to it, each counts by its share. */
export function blindShare(rule: BlindRule, question: Question): number {
  const scores = (question.options ?? []).map((option, place) => rule(option, place, question));
  const best = Math.max(...scores);
  return scores[Number(question.answer)] === best ? 1 / scores.filter((score) => score === best).length : 0;
}

/** Priors of which two that are right for sure take a question out. */
const PRIORS = ['longest', 'commonest', 'likest'] as const;

/** The questions that two of three priors do not solve without the image. */
export function unsolvedBlind(questions: readonly Question[]): Question[] {
  const rules = blindRules(questions);
  return questions.filter(
    (question) => PRIORS.filter((prior) => blindShare(rules[prior], question) === 1).length < 2,
  );
}
