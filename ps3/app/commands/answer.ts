// `ps3 answer`.
import type { Engine } from '../../../engine/index.ts';
import type { CheckpointSource } from '../../model/checkpoint/files.ts';
import { decodeImage } from '../../model/image.ts';
import { VilaModel } from '../../vila/vila.ts';
import { type Command, command, INTERRUPTED, oneOf, text, UsageError, type Values } from '../flags.ts';
import { drawLook, lookedLine } from '../looked.ts';
import { loadingProgress } from '../progress.ts';
import {
  type Answered,
  accuracyLines,
  answerQuestions,
  type FileQuestion,
  readQuestions,
} from '../questions.ts';
import { withEngine } from './engine.ts';
import { writeTokens } from './stream.ts';
import { amountOf, placeOf, VILA_FLAGS } from './vila_flags.ts';

const ANSWER = {
  ...VILA_FLAGS,
  questions: text(
    '<file.jsonl>',
    'Answer every line { image, question, options, answer } of this file, options and answer where there are some, instead of one question',
  ),
  by: oneOf(
    ['likelihood', 'generation', 'both'],
    'How lines with options are answered: by the likelihood of each option, which is the default, by what is said, or both',
  ),
};

type AnswerValues = Values<typeof ANSWER>;

/** Writes the answer as it comes, behind a line about what was looked at. */
async function answer(
  engine: Engine,
  place: CheckpointSource,
  values: AnswerValues,
  [path, question]: readonly string[],
): Promise<number> {
  const { storage = 'stored', out } = values;
  const decoded = await decodeImage(path);
  using model = await VilaModel.load(engine, place, { storage, onProgress: loadingProgress() });
  const started = performance.now();
  using seen = model.see(decoded);
  using look = await model.lookFor(question, seen, amountOf(values));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`${path}: ${lookedLine(look)}, in ${seconds} s`);
  if (out) await drawLook(`${out}/look`, decoded, model, seen, look);
  return await writeTokens(model.answer(question, look, { maxTokens: values['max-tokens'] }));
}

/** Writes a line for each question of a file, and how many are right. */
async function answerAll(
  engine: Engine,
  place: CheckpointSource,
  values: AnswerValues,
  questions: readonly FileQuestion[],
): Promise<number> {
  const { storage = 'stored', by, 'max-tokens': maxTokens } = values;
  using model = await VilaModel.load(engine, place, { storage, onProgress: loadingProgress() });
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  const answered: Answered[] = [];
  try {
    const options = { ...amountOf(values), by, maxTokens, signal: abort.signal };
    for await (const one of answerQuestions(model, questions, options)) {
      console.log(JSON.stringify(one));
      answered.push(one);
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', stop);
  }
  for (const line of accuracyLines(answered)) console.error(line);
  return abort.signal.aborted ? INTERRUPTED : 0;
}

/** Answers a question about an image with a VILA-HD, or all of a file. */
export const answerCommand: Command = command({
  name: 'answer',
  operands: '[<image> <question>]',
  help: 'Answer a question about an image, or a file of questions, with a VILA-HD, which looks where its language model asks',
  flags: ANSWER,
  run: async (values, operands) => {
    const place = placeOf('answer', values);
    const { questions: file, out, by } = values;
    if (file === undefined) {
      if (operands.length !== 2)
        throw new UsageError(
          `answer: there must be <image> <question>, or --questions, got ${operands.join(', ') || 'none'}. See ps3 answer --help.`,
        );
      if (by !== undefined)
        throw new UsageError('answer: --by must come with --questions, got it without. Leave it out.');
      return withEngine((engine) => answer(engine, place, values, operands));
    }
    if (operands.length > 0 || out !== undefined)
      throw new UsageError(
        `answer: --questions must come without an image and --out, got ${operands[0] ?? out}. Leave it out.`,
      );
    const questions = await readQuestions(file);
    return withEngine((engine) => answerAll(engine, place, values, questions));
  },
});
