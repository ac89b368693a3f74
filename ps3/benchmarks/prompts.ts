// What a language model is asked, word for word as the two suites ask it: their constants move results by 10 to 20 points on
// some benchmarks, so results say which suite's they are.
import { DataError } from '../data/errors.ts';
import type { BenchmarkName } from './benchmarks.ts';
import type { BenchmarkRecord } from './record.ts';
import { letterOf } from './scores/letters.ts';

/** Whose prompts. */
export const SUITES = ['lmms-eval', 'vlmevalkit'] as const;
/** A name of `SUITES`. */
export type Suite = (typeof SUITES)[number];

/** How a model is asked; it answers greedily. */
export interface Prompt {
  readonly prompt: string;
  readonly maxNewTokens: number;
}

const SHORT = '\nAnswer the question using a single word or phrase.';
const WORD = '\nAnswer the question with a single word.';

/** Python's capitalize. */
const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase();

const lines = (options: readonly string[]): string =>
  options.map((option, i) => `${letterOf(i)}. ${option}`).join('\n');

/** VLMEvalKit's form of every question with options. */
function chosen({ question, options = [] }: BenchmarkRecord): string {
  return `Question: ${question}\nOptions:\n${lines(options)}\nPlease select the correct answer from the options above. \n`;
}

function mmeRealWorld({ question, options = [] }: BenchmarkRecord, ending: string): string {
  const choices = options.map((option, i) => `(${letterOf(i)}) ${option}`).join('\n');
  return (
    `${question} The choices are listed below:\n${choices}\nSelect the best answer to the above multiple-choice question ` +
    `based on the image. Respond with only the letter (A, B, C, D, or E) of the correct option.\nThe best answer is:${ending}`
  );
}

type Ask = (record: BenchmarkRecord) => string;
const alone: Ask = ({ question, asked }) => asked ?? question;
const short: Ask = ({ question }) => question + SHORT;

/** Prompts of lmms-eval, prompts of VLMEvalKit, tokens of an answer. */
const PROMPTS: Readonly<
  Partial<Record<BenchmarkName, readonly [lmms: Ask, kit: Ask, maxNewTokens: number]>>
> = {
  vstar: [
    ({ question, options = [] }) =>
      `${question}\n${lines(options)}\nAnswer with the option's letter from the given choices directly.`,
    chosen,
    16,
  ],
  'hr-bench': [
    ({ question, options = [] }) => `${question}\n${lines(options)}\nAnswer the option letter directly.`,
    chosen,
    16,
  ],
  'mme-realworld': [(record) => mmeRealWorld(record, ' '), (record) => mmeRealWorld(record, ''), 16],
  textvqa: [({ question }) => capitalized(question) + SHORT, short, 16],
  docvqa: [short, short, 32],
  infovqa: [short, short, 32],
  chartqa: [({ question }) => question + WORD, short, 16],
  ocrbench: [alone, alone, 128],
  realworldqa: [alone, (record) => (record.options ? chosen(record) : record.question), 16],
};

/**
 * The prompt of a question.
 *
 * @throws DataError for a benchmark that the suites have no prompt of: ScreenSpot-Pro
 * Source: lmms-eval at 75571cf, lmms_eval/tasks; VLMEvalKit at e8e78f0, vlmeval/dataset.
 */
export function promptOf(benchmark: BenchmarkName, suite: Suite, record: BenchmarkRecord): Prompt {
  const entry = PROMPTS[benchmark];
  if (!entry) {
    const names = Object.keys(PROMPTS).join(', ');
    throw new DataError(`benchmark: prompts must be of one of ${names}, got ${benchmark}. Leave them out.`);
  }
  const [lmms, kit, maxNewTokens] = entry;
  return { prompt: (suite === 'lmms-eval' ? lmms : kit)(record), maxNewTokens };
}
