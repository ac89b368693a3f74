// `ps3 eval`.
import { resolve } from 'node:path';
import { type Engine, readTextFile } from '../../../engine/index.ts';
import { BENCHMARK_NAMES, type BenchmarkName, readBenchmark } from '../../benchmarks/benchmarks.ts';
import { type FieldMap, readFieldMap } from '../../benchmarks/loaders/field_map.ts';
import type { BenchmarkRecord } from '../../benchmarks/record.ts';
import { openEncoder } from '../../model/encoders/description.ts';
import type { OtherEncoder } from '../../model/encoders/encoder.ts';
import { PS3 } from '../../model/ps3.ts';
import { contrast } from '../../train/evaluation/contrast.ts';
import { grounding } from '../../train/evaluation/grounding.ts';
import { zeroShot } from '../../train/evaluation/zero_shot.ts';
import { progressOf } from '../../train/run/checkpoint.ts';
import { appendEvaluation } from '../../train/run/evaluations.ts';
import { RunFolder } from '../../train/run.ts';
import {
  formatContrast,
  formatEvaluation,
  formatGrounding,
  formatProtocols,
  formatQuestions,
  formatZeroShot,
} from '../evaluation_text.ts';
import { type Command, command, on, oneOf, text, texts, UsageError, type Values, whole } from '../flags.ts';
import { ProgressBar } from '../progress.ts';
import { writeReport } from '../report.ts';
import { evaluateRun } from '../session.ts';
import { loadTrainingData, type OnProgress } from '../training_data.ts';
import { evaluateVilaRun } from '../vila_session.ts';
import { withEngine } from './engine.ts';

const EVAL = {
  'zero-shot': text('<dir>', 'Classify images instead: a subfolder for each class, named after it'),
  templates: text('<file>', 'Texts for a class, a line each, {} in the place of its name; default {}'),
  vstar: text(
    '<dir>',
    "Find the targets of V*Bench instead, its authors' folders; also of a published model",
  ),
  screenspot: text(
    '<dir>',
    'Find what the instructions of ScreenSpot-Pro name instead; also of a published model',
  ),
  benchmark: text('<path>', 'Find the targets of any other benchmark that has boxes with names instead'),
  as: oneOf(BENCHMARK_NAMES, `With --benchmark: what the files are: ${BENCHMARK_NAMES.join(', ')}`),
  map: text('<file>', 'With --benchmark: JSON naming the column of each field'),
  choices: on(
    'Answer the questions of --vstar or --benchmark by contrast, PS3 beside AnyRes, S² and controls',
  ),
  'max-tiles': whole('With --choices: most tiles of AnyRes and of S²; default 16'),
  encoder: texts(
    '<file>',
    'With --choices: JSON naming another encoder, stored features or ONNX files; may be repeated',
  ),
  best: on('Take the best checkpoint, not the newest'),
  json: on('Print JSON'),
};

type EvalValues = Values<typeof EVAL>;

/** Lines of a file, each with a place for the name. */
async function templatesIn(path: string): Promise<string[]> {
  const lines = (await readTextFile(path)).split('\n').map((line) => line.trim());
  const templates = lines.filter((line) => line !== '');
  const bad = templates.find((line) => !line.includes('{}'));
  if (bad !== undefined || templates.length === 0)
    throw new UsageError(
      `eval: --templates must name a file of lines with {} in each, got ${bad ?? 'an empty one'}.`,
    );
  return templates;
}

/** At most one of what replaces the run's own held-out images. */
const INSTEAD = ['zero-shot', 'vstar', 'screenspot', 'benchmark'] as const;

async function evaluateFolder(path: string, values: EvalValues): Promise<number> {
  const given = INSTEAD.filter((name) => values[name] !== undefined).map((name) => `--${name}`);
  if (given.length > 1)
    throw new UsageError(
      `eval: ${INSTEAD.map((name) => `--${name}`).join(', ')} exclude each other, got ${given.join(' and ')}.`,
    );
  const { choices, vstar, screenspot, benchmark, as, map } = values;
  if (choices && vstar === undefined && benchmark === undefined)
    throw new UsageError('eval: --choices must stand beside --vstar or --benchmark, got it alone.');
  for (const name of ['encoder', 'max-tiles'] as const)
    if (values[name] !== undefined && !choices)
      throw new UsageError(`eval: --${name} must stand beside --choices, got it alone.`);
  const ways = [as, map].filter((way) => way !== undefined).length;
  if (ways !== Number(benchmark !== undefined))
    throw new UsageError(
      'eval: --benchmark must stand beside either --as or --map, got another combination.',
    );
  if (values.templates !== undefined && values['zero-shot'] === undefined)
    throw new UsageError('eval: --templates must stand beside --zero-shot, got it alone.');
  const templates = values.templates === undefined ? undefined : await templatesIn(values.templates);
  return withEngine(async (engine: Engine) => {
    const bar = new ProgressBar();
    const show: OnProgress = (what, done, all) => bar.update(what, done, all);
    const read = (source: BenchmarkName | FieldMap, place: string): Promise<number> =>
      ground(engine, path, readBenchmark(source, place), values, show);
    if (vstar !== undefined) return read('vstar', vstar);
    if (screenspot !== undefined) return read('screenspot-pro', screenspot);
    if (benchmark !== undefined) return read(as ?? (await readFieldMap(map!)), benchmark);
    const { best, json } = values;
    const run = new RunFolder(path);
    const config = await run.config();
    if (config.vila) {
      const evaluation = await evaluateVilaRun(engine, run, { ...config, vila: config.vila }, show);
      console.log(json ? JSON.stringify(evaluation) : formatQuestions(evaluation));
      return 0;
    }
    const checkpoint = best ? run.bestPath : await run.newest();
    const model = await PS3.load(engine, checkpoint);
    if (values['zero-shot'] !== undefined) {
      const folder = values['zero-shot'];
      const result = await zeroShot(engine, model, folder, {
        templates,
        seed: config.seed,
        onProgress: (done, all) => show('classifying images', done, all),
        notice: console.error,
      });
      console.log(json ? JSON.stringify(result) : formatZeroShot(result));
      const progress = await progressOf(checkpoint);
      if (progress) {
        const { stage, step } = progress;
        await appendEvaluation(run.path, { stage, step, zeroShot: { folder: resolve(folder), ...result } });
        await writeReport(run);
      }
      return 0;
    }
    const data = await loadTrainingData(
      { ...config, model: model.config.vision, data: { ...config.data, scenes: 0 } },
      show,
    );
    await run.expectData(data.fingerprint);
    const evaluation = await evaluateRun(engine, model, data, config.seed, show);
    if (json) console.log(JSON.stringify(evaluation));
    else console.log(`${formatEvaluation(evaluation)}\n\n${formatProtocols(evaluation.protocols)}`);
    return 0;
  });
}

/** Looks for the targets of a benchmark with a run or a published model. */
async function ground(
  engine: Engine,
  path: string,
  records: AsyncIterable<BenchmarkRecord>,
  { best, json, choices, encoder = [], 'max-tiles': maxTiles }: EvalValues,
  show: OnProgress,
): Promise<number> {
  const newest = (): Promise<string> => RunFolder.checkpointOf(path);
  const model = await PS3.load(engine, best ? new RunFolder(path).bestPath : await newest());
  if (choices) {
    const others: OtherEncoder[] = [];
    try {
      for (const file of encoder) others.push(await openEncoder(engine, file));
      const result = await contrast(engine, model, records, {
        ...{ others, maxTiles },
        onProgress: (done) => show('answering by contrast', done, 0),
        notice: console.error,
      });
      console.log(json ? JSON.stringify(result) : formatContrast(result));
      return 0;
    } finally {
      for (const other of others) await other[Symbol.asyncDispose]();
    }
  }
  const result = await grounding(engine, model, records, {
    onProgress: (done) => show('looking for targets', done, 0),
    notice: console.error,
  });
  console.log(json ? JSON.stringify(result) : formatGrounding(result));
  return 0;
}

/** Evaluates a run. */
export const evalCommand: Command = command({
  name: 'eval',
  operands: '<run>',
  help: 'Evaluate a run on its held-out images, on a folder of labelled ones, or by the targets of a benchmark',
  flags: EVAL,
  run: (values, [run]) => evaluateFolder(run, values),
});
