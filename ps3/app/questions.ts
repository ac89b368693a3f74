// Questions about images from a file, answered one after another, and how many answers are right.
import { dirname, resolve } from 'node:path';
import { textOf, textsOf } from '../benchmarks/loaders/fields.ts';
import { jsonLines } from '../benchmarks/rows/json_rows.ts';
import { type Row, rowError } from '../benchmarks/rows/rows.ts';
import { isExact } from '../benchmarks/scores/contained.ts';
import { extractChoice } from '../benchmarks/scores/letters.ts';
import { DataError } from '../data/errors.ts';
import { VilaAnswerer } from '../train/evaluation/choices/vila_answerer.ts';
import type { VilaModel } from '../vila/vila.ts';
import type { Seen, VilaLookOptions } from '../vila/vila_types.ts';

/** A line of a file of questions. */
export interface FileQuestion {
  /** A path. */
  readonly image: string;
  /** As the file has it. */
  readonly imageName: string;
  readonly question: string;
  /** To choose among; absent where the answer is free. */
  readonly options?: readonly string[];
  /** Accepted answers; with options one of them. Absent where it is not known. */
  readonly answer?: readonly string[];
}

/** How questions are answered. */
export interface AnswerOptions extends Pick<VilaLookOptions, 'looks' | 'tokens'> {
  /** Default: by the likelihood of the options where there are some, else by what is generated. */
  readonly by?: 'likelihood' | 'generation' | 'both';
  /** New tokens at most; default 512. */
  readonly maxTokens?: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

/** A question with its answers, as it is written. */
export interface Answered {
  readonly image: string;
  readonly question: string;
  readonly options?: readonly string[];
  readonly answer?: readonly string[];
  /** Mean log-probability of each option. */
  readonly scores?: readonly number[];
  /** The likeliest option. */
  readonly chosen?: string;
  readonly isChosenRight?: boolean;
  /** What was generated. */
  readonly said?: string;
  readonly isSaidRight?: boolean;
  /** That stand for the image. */
  readonly tokens: number;
  /** What it took; of the first question about an image with reading and glancing at it. */
  readonly seconds: number;
}

/** One line, checked. @throws DataError naming file, line and field */
function questionOf(row: Row, folder: string): FileQuestion {
  const options = textsOf(row, 'options');
  const answer = textsOf(row, 'answer');
  const fail = (rule: string, got: unknown): never => {
    throw rowError(row.where, rule, got, 'Correct it.');
  };
  if (options.length === 1 || new Set(options).size < options.length)
    fail('`options` must be different and two at least', options);
  if (options.length > 0 && answer.length > 0 && !(answer.length === 1 && options.includes(answer[0])))
    fail('`answer` must be one of the options', answer);
  const imageName = textOf(row, 'image');
  return {
    image: resolve(folder, imageName),
    imageName,
    question: textOf(row, 'question'),
    ...(options.length > 0 && { options }),
    ...(answer.length > 0 && { answer }),
  };
}

/**
 * Reads a file with a question on each line: `image` (a path from the file's folder), `question`, `options` and `answer` where there
 * are some.
 *
 * @throws FileError, DataError naming the line and the field that is wrong, or for a file without a question
 */
export async function readQuestions(path: string): Promise<FileQuestion[]> {
  const questions: FileQuestion[] = [];
  for await (const row of jsonLines(path)) questions.push(questionOf(row, dirname(path)));
  if (questions.length === 0)
    throw new DataError(`answer: ${path} must have a question, got none. Write one on each line.`);
  return questions;
}

/** Answers questions one after another; those of one image that stand together share its glance. */
export async function* answerQuestions(
  model: VilaModel,
  questions: readonly FileQuestion[],
  options: AnswerOptions = {},
): AsyncGenerator<Answered, void, undefined> {
  using answerer = new VilaAnswerer(model, 'model');
  for (const asked of questions) {
    options.signal?.throwIfAborted();
    const started = performance.now();
    const answers = await answerOne(model, asked, await answerer.see(asked.image), options);
    yield { ...answers, seconds: (performance.now() - started) / 1000 };
  }
}

async function answerOne(
  model: VilaModel,
  { imageName: image, question, options, answer }: FileQuestion,
  seen: Seen,
  { by, maxTokens, signal, ...amount }: AnswerOptions,
): Promise<Omit<Answered, 'seconds'>> {
  using look = await model.lookFor(question, seen, amount);
  const method = by === 'generation' || !options ? 'generation' : (by ?? 'likelihood');
  const scores =
    options && method !== 'generation' ? await model.likelihoods(question, options, look) : undefined;
  const chosen = scores && options![scores.indexOf(Math.max(...scores))];
  let said: string | undefined;
  if (method !== 'likelihood') {
    said = '';
    for await (const { text } of model.answer(question, look, { maxTokens, signal })) said += text;
    said = said.trim();
  }
  const named = options && said !== undefined ? extractChoice(said, options) : undefined;
  return {
    ...{ image, question, options, answer, scores, chosen, said },
    ...(answer && chosen !== undefined && { isChosenRight: chosen === answer[0] }),
    ...(answer &&
      said !== undefined && {
        isSaidRight: options ? named !== undefined && options[named] === answer[0] : isExact(answer, said),
      }),
    tokens: look.blocks[0].shape[1],
  };
}

/** How many of the answers are right, as a sentence for each method; none where no answer is known. */
export function accuracyLines(answered: readonly Answered[]): string[] {
  const methods = { likelihood: 'isChosenRight', generation: 'isSaidRight' } as const;
  return Object.entries(methods).flatMap(([method, key]) => {
    const known = answered.map((one) => one[key]).filter((mark) => mark !== undefined);
    const right = known.filter(Boolean).length;
    const share = ((100 * right) / known.length).toFixed(1);
    return known.length === 0 ? [] : [`${right} of ${known.length} right by ${method}, ${share} %`];
  });
}
