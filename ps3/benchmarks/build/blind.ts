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

/** Glyphs of a text, the first apart from the others: what a kind of text may begin with. */
const glyphsOf = (text: string): string[] => Array.from(text, (glyph, i) => (i === 0 ? `^${glyph}` : glyph));

const lettersOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]{2}/gu));

/**
 * Rules that do not look: the longest and the shortest option, the first, that which answers most questions of its kind, that which has
 * most pairs of letters in common with its question, that which is closest to the others, that which is spelt best, and that of the
 * glyphs which are right most often where other questions offer them: how options are made would show there.
 */
export function blindRules(questions: readonly Posed[]): Readonly<Record<string, BlindRule>> {
  const counts = new Map<string, number>();
  for (const { options = [], answer, subcategory } of questions) {
    const key = `${subcategory} ${options[Number(answer)]}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const offered = new Map<string, { right: number; all: number }>();
  const count = ({ options = [], answer }: Posed, by: number): void => {
    for (const [i, option] of options.entries())
      for (const glyph of glyphsOf(option)) {
        const { right, all } = offered.get(glyph) ?? { right: 0, all: 0 };
        offered.set(glyph, { right: right + (i === Number(answer) ? by : 0), all: all + by });
      }
  };
  for (const question of questions) count(question, 1);
  const learnt = (option: string): number =>
    glyphsOf(option).reduce((sum, glyph) => {
      const { right = 0, all = 0 } = offered.get(glyph) ?? {};
      return sum + Math.log((right + 1) / (all + 4));
    }, 0) / Math.max(1, option.length);
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
    glyphs: (option, _, question) => {
      // From the others alone.
      count(question, -1);
      const score = learnt(option);
      count(question, 1);
      return score;
    },
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
