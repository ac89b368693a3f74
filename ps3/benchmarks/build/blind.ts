// What a benchmark gives away to who does not look: rules that know the options, the question and the other questions alone.

import { editDistance } from '../scores/anls.ts';
import type { Question } from './ask.ts';
import { knownShare, plausibility } from './lexicon.ts';

/** What who does not look at the image knows of a question. */
type Posed = Pick<Question, 'question' | 'options' | 'answer' | 'subcategory'>;

/** What an option is worth to who does not look at the image. */
type BlindRule = (option: string, place: number, question: Posed) => number;

/** A word that there is counts for more than how likely its letters are. */
const KNOWN = 100;

const lettersOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]{2}/gu));

/**
 * Rules that do not look: the longest and the shortest option, the first, that which answers most questions of its kind, that which has
 * most pairs of letters in common with its question, that which is closest to the others, and that which is spelt best.
 */
export function blindRules(questions: readonly Posed[]): Readonly<Record<string, BlindRule>> {
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
    central: (option, _, { options = [] }) =>
      -options.reduce((sum, other) => sum + editDistance(option, other), 0),
    spelt: (option) => KNOWN * knownShare(option) + plausibility(option),
  };
}

/** How far a rule is right about a question: of options that are equal to it, each counts by its share. */
export function blindShare(rule: BlindRule, question: Posed): number {
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
