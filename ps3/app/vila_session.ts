// One training run of a VILA-HD, from the PS3 that it sees with to report: what `ps3 train` does where `vila` says how.
import { type Engine, expect } from '../../engine/index.ts';
import { CheckpointReader } from '../model/checkpoint/checkpoint.ts';
import type { CheckpointSource } from '../model/checkpoint/files.ts';
import { NANO_4K, VILAS } from '../model/checkpoint/shipped.ts';
import { PS3 } from '../model/ps3.ts';
import { fromLead, SINGLE } from '../ranks/transport.ts';
import { stageConfig, type TrainConfig } from '../train/config.ts';
import { evaluateQuestions, type QuestionsEvaluation } from '../train/evaluation/questions.ts';
import { measureFlopsPerS } from '../train/plan.ts';
import { writeCheckpoint } from '../train/run/checkpoint.ts';
import { writeQuestions } from '../train/run/evaluations.ts';
import { STAGES } from '../train/run/progress.ts';
import { type Progress, RunFolder } from '../train/run.ts';
import { expectStageParts } from '../train/train.ts';
import { startVila, towerOf, trainVila, VILA_STAGES, type VilaStage, vilaLock } from '../train/vila.ts';
import type { VilaSection } from '../train/vila_config.ts';
import type { QuestionSource } from '../train/vila_source.ts';
import { VilaReader } from '../vila/checkpoint.ts';
import { isVila } from '../vila/is_vila.ts';
import { VilaModel } from '../vila/vila.ts';
import { RunMonitor } from './monitor.ts';
import { ProgressBar } from './progress.ts';
import { writeReport } from './report.ts';
import { factsOf, writeReportParts } from './report_parts.ts';
import type { SessionOptions, SessionResult } from './session_options.ts';
import { type AskedHeldOut, loadTrainingData, type OnProgress } from './training_data.ts';
import { environmentOf } from './version.ts';

/** Whether a run has gone beyond a stage. */
const isBehind = (stage: VilaStage, progress: Progress | undefined): boolean =>
  progress !== undefined && STAGES.indexOf(stage) < STAGES.indexOf(progress.stage);

/**
 * Trains a VILA-HD, evaluates it on questions about held-out images and writes the report.
 *
 * @throws as `runSession`; ShapeError for options that a VILA-HD does not take
 */
export async function runVilaSession(
  engine: Engine,
  config: TrainConfig & { readonly vila: VilaSection },
  { out, resume, signal, minutes, profile, transport = SINGLE }: SessionOptions,
): Promise<SessionResult> {
  const started = performance.now();
  const given = Object.entries({ minutes, profile }).flatMap(([name, value]) => (value ? [name] : []));
  expect(
    given.length === 0,
    'runSession',
    'a VILA-HD must have no minutes and no profile',
    given.join(' and '),
  );
  const isLead = transport.rank === 0;
  for (const name of VILA_STAGES) {
    const { batch, accumulate } = config.vila[name];
    // Batches without answers have half as many images.
    const halves = name !== 'align' && config.vila.groundQuestions > 0 ? 2 : 1;
    expectStageParts(name, { batch: batch / halves, accumulate }, transport.size);
  }
  const run = new RunFolder(out);
  const progress = await fromLead(transport, async () => (resume && (await run.recover())) || null);
  const bar = new ProgressBar();
  const show: OnProgress = (what, done, all) => {
    if (isLead) bar.update(what, done, all);
  };
  const sizes = await towerSizes(config);
  const data = await loadTrainingData({ ...config, model: sizes }, show, transport);
  const asked = data.asked!; // by `expectVila`
  if (isLead) {
    if (resume) await run.expectData(data.fingerprint);
    else {
      await RunFolder.create(out, config, environmentOf(engine, transport), data.fingerprint);
    }
    if (!progress) {
      using model = await begin(engine, config, asked.train);
      await writeCheckpoint(run.checkpointPath, model, { stage: 'align', step: 0 });
    }
    if (resume) await run.rewind(progress ?? undefined);
    await writeReportParts(out, { adapterName: engine.adapterName, data: factsOf(data) });
  }
  await transport.barrier();
  const peakFlopsPerS = isLead ? await measureFlopsPerS(engine) : undefined;
  const monitor = isLead ? await RunMonitor.open(run, config, bar, progress ?? undefined) : undefined;
  for (const name of VILA_STAGES) {
    if (isBehind(name, progress ?? undefined) || stageConfig(config, name).steps === 0) continue;
    using model = await VilaModel.load(engine, run.checkpointPath, { isLocked: vilaLock(config, name) });
    const goesOn = progress?.stage === name && progress.step > 0;
    await trainVila(engine, model, asked.train, config, name, {
      run,
      resume: goesOn ? progress : undefined,
      transport,
      signal,
      peakFlopsPerS,
      onStep: (metric, samplesPerS) => monitor?.step(metric, samplesPerS),
    });
  }
  const ended = async (): Promise<Omit<SessionResult, 'run'>> => {
    using model = await VilaModel.load(engine, run.checkpointPath);
    const evaluation = await questionsOf(engine, model, config, asked.heldOut, show);
    bar.stop();
    await writeQuestions(out, evaluation);
    await writeReport(run);
    return { evaluation, seconds: (performance.now() - started) / 1000 };
  };
  return { run, ...(await fromLead(transport, ended)) };
}

/**
 * Asks a run's VILA-HD about its held-out images once more, and writes what it found and the report.
 *
 * @throws RunError where the folder has no whole checkpoint, or its data is not what the run began with
 */
export async function evaluateVilaRun(
  engine: Engine,
  run: RunFolder,
  config: TrainConfig & { readonly vila: VilaSection },
  show: OnProgress,
): Promise<QuestionsEvaluation> {
  const data = await loadTrainingData({ ...config, model: await towerSizes(config) }, show);
  await run.expectData(data.fingerprint);
  using model = await VilaModel.load(engine, await run.newest());
  const evaluation = await questionsOf(engine, model, config, data.asked!.heldOut, show);
  await writeQuestions(run.path, evaluation);
  await writeReport(run);
  return evaluation;
}

/** The PS3 that it sees with. */
async function towerPlace({ init: { from } }: TrainConfig): Promise<CheckpointSource> {
  return from === null ? NANO_4K : RunFolder.checkpointOf(from);
}

/** A VILA-HD by its name in this package, or its folder. */
async function vilaPlace(from: string): Promise<CheckpointSource> {
  return VILAS.get(from) ?? RunFolder.checkpointOf(from);
}

/** Where a VILA-HD begins: as it is, where `init.from` names one, or as a new one on a PS3. */
async function begin(
  engine: Engine,
  config: TrainConfig & { readonly vila: VilaSection },
  questions: QuestionSource,
): Promise<VilaModel> {
  const place = await towerPlace(config);
  if (await isVila(place)) return VilaModel.load(engine, place);
  using ps3 = await PS3.load(engine, place);
  const { from } = config.vila;
  using begun = from === null ? undefined : await VilaModel.load(engine, await vilaPlace(from));
  return await startVila(engine, ps3, config, await questions.texts(), begun);
}

/** Sizes of the images that the tower sees; no weight is read. */
async function towerSizes(
  config: TrainConfig & { readonly vila: VilaSection },
): Promise<{ scalesPx: readonly number[]; patchPx: number }> {
  const place = await towerPlace(config);
  if (await isVila(place)) {
    await using file = await VilaReader.open(place);
    return file.vision;
  }
  await using file = await CheckpointReader.open(place);
  return towerOf(file.config.vision, config.vila);
}

/** Asks about the held-out images. */
function questionsOf(
  engine: Engine,
  model: VilaModel,
  { seed }: TrainConfig,
  { count, at }: AskedHeldOut,
  show: OnProgress,
): Promise<QuestionsEvaluation> {
  const onProgress = (done: number, all: number): void => show('asking about held-out images', done, all);
  return evaluateQuestions(engine, model, at, { count, seed, onProgress });
}
