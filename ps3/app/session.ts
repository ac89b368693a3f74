// One training run from images to report: what `npm start` and `ps3 train` do.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  chromeTrace,
  type Engine,
  expect,
  expectKeys,
  formatKernelTimes,
  kernelTimes,
} from '../../engine/index.ts';
import { gatherSkips } from '../data/stream/skips.ts';
import { PS3 } from '../model/ps3.ts';
import { fromLead, SINGLE } from '../ranks/transport.ts';
import { firstBatch, upload } from '../train/batches.ts';
import type { StageConfig, TrainConfig } from '../train/config.ts';
import { type Evaluation, evaluate } from '../train/evaluate.ts';
import { lockOf } from '../train/lock.ts';
import { measureStep, profileStep } from '../train/measure.ts';
import { cutCaptions, type Metric } from '../train/metrics.ts';
import type { StageOptions } from '../train/optimise.ts';
import { descendWhole, type Objective, partsOf, type Tensors } from '../train/phases.ts';
import { measureFlopsPerS } from '../train/plan.ts';
import { expectProducts } from '../train/precision.ts';
import { rewindEvaluations, writeEvaluation } from '../train/run/evaluations.ts';
import { resumedConfig } from '../train/run/resume.ts';
import { InterruptedError, type Progress, RunFolder } from '../train/run.ts';
import { loadStart, newModel, withWords } from '../train/start.ts';
import { cropAccuracy } from '../train/towers.ts';
import {
  expectParts,
  ps3Objective,
  type Share,
  towersObjective,
  trainPS3,
  trainTowers,
} from '../train/train.ts';
import { examplesOf } from './examples.ts';
import { RunMonitor } from './monitor.ts';
import { ProgressBar } from './progress.ts';
import { writeReport } from './report.ts';
import { examplesHtml, factsOf, type ReportParts, writeReportParts } from './report_parts.ts';
import type { SessionOptions, SessionResult } from './session_options.ts';
import { loadTrainingData, type OnProgress, type TrainingData } from './training_data.ts';
import { environmentOf } from './version.ts';
import { runVilaSession } from './vila_session.ts';

/** Held-out images that the report shows. */
const EXAMPLES = 6;

const SESSION_OPTIONS = {
  out: true,
  resume: true,
  config: true,
  set: true,
  minutes: true,
  signal: true,
  transport: true,
  profile: true,
} as const;

/** The configuration of a new run, or of the one to go on with. @throws as `runSession` */
async function configOf({ out, resume, config, set, minutes }: SessionOptions): Promise<TrainConfig> {
  if (resume) {
    const kept = { config, minutes };
    const given = (['config', 'minutes'] as const).filter((name) => kept[name] !== undefined);
    const rule = 'with resume a run keeps what it began with';
    expect(given.length === 0, 'runSession', rule, given.join(' and '), 'Leave it out.');
    return resumedConfig(await new RunFolder(out).config(), set ?? []);
  }
  expect(set === undefined, 'runSession', 'a new run must have no set', String(set), 'Change its config.');
  expect(config !== undefined, 'runSession', 'a new run must have a config', 'none');
  await RunFolder.assertFree(out);
  return config;
}

/**
 * Trains, evaluates and writes the report.
 *
 * @throws RunError, DataError: with a sentence that says what to do; ShapeError for options that exclude each other;
 *   InterruptedError after the signal
 */
export async function runSession(engine: Engine, options: SessionOptions): Promise<SessionResult> {
  const started = performance.now();
  expectKeys('runSession', options, SESSION_OPTIONS);
  const { out, resume, signal, transport = SINGLE } = options;
  const isLead = transport.rank === 0;
  let config = await fromLead(transport, () => configOf(options));
  if (config.vila) return runVilaSession(engine, { ...config, vila: config.vila }, options);
  expectParts(config, transport.size);
  expectProducts(engine, config.precision);
  const recovered = await fromLead(
    transport,
    async () => (resume && (await new RunFolder(out).recover())) || null,
  );
  const progress = recovered ?? undefined;
  const bar = new ProgressBar();
  const show: OnProgress = (what, done, all) => {
    // Of several ranks, none can stop alone before they train.
    if (signal?.aborted && transport.size === 1) throw new InterruptedError(`train: stopped while ${what}.`);
    if (isLead) bar.update(what, done, all);
  };
  const begin = progress ? out : config.init.from;
  const loaded =
    begin === null
      ? undefined
      : progress
        ? await PS3.load(engine, await RunFolder.checkpointOf(begin), { isLocked: lockOf(config.lock) })
        : await loadStart(engine, config, begin);
  const sizes = loaded?.config.vision ?? config.model;
  const data = await loadTrainingData({ ...config, model: sizes }, show, transport);
  if (resume && isLead) await new RunFolder(out).expectData(data.fingerprint);
  const grown = (from: PS3): Promise<PS3> => withWords(engine, from, config, data.captions);
  const model = loaded
    ? await (progress ? loaded : grown(loaded))
    : newModel(engine, config, await data.captions());
  model.checkpointBlocks = config.checkpointBlocks;
  const objectivesOf = (config: TrainConfig): Objectives => stageObjectives(model, data, config, transport);
  await warmup(engine, model, objectivesOf(config), config, show);
  if (options.minutes) {
    const fitted = await fitSteps(engine, model, objectivesOf(config), config, 60 * options.minutes, isLead);
    config = await fromLead(transport, async () => fitted);
  }
  // Only now is something written: faulty data leaves no trace.
  const run = new RunFolder(out);
  if (isLead) {
    if (!resume) await RunFolder.create(out, config, environmentOf(engine, transport), data.fingerprint);
    await data.skips?.writeTo(join(run.path, 'skipped.jsonl'));
    if (options.profile) await profileStages(engine, model, run, objectivesOf(config), config);
    if (resume) {
      await run.rewind(progress);
      await rewindEvaluations(run.path, progress, console.error);
      await run.setConfig(config);
    }
  }
  const parts: ReportParts = { adapterName: engine.adapterName, data: factsOf(data) };
  if (isLead) await writeReportParts(run.path, parts);
  const peakFlopsPerS = isLead ? await measureFlopsPerS(engine) : undefined;
  const monitor = isLead ? await RunMonitor.open(run, config, bar, progress) : undefined;
  const evaluateOnTheWay = async (progress: Progress): Promise<Evaluation> => {
    const some = { ...data, heldOut: data.heldOut.slice(0, config.evaluation.images ?? Infinity) };
    const evaluation = await evaluateRun(engine, model, some, config.seed, (...what) => bar.update(...what));
    await monitor?.evaluated(progress, evaluation);
    return evaluation;
  };
  const stage = (name: Metric['stage']): StageOptions => ({
    run,
    resume: progress?.stage === name ? progress : undefined,
    transport,
    signal,
    peakFlopsPerS,
    onSave: async () => {
      if (data.skips) await gatherSkips(transport, data.skips);
    },
    onStep: (metric, samplesPerS) => monitor?.step(metric, samplesPerS),
  });
  if (progress?.stage !== 'ps3' && config.towers.steps > 0) {
    await trainTowers(engine, model, data.crops, config, stage('towers'));
    if (isLead) {
      const share = await cropAccuracy(engine, model, data.heldOutCrops);
      console.error(`stage 1: the right name for ${(100 * share).toFixed(1)} % of held-out crops`);
    }
  }
  await trainPS3(engine, model, data.train, config, {
    ...stage('ps3'),
    // A signal ends the run after the evaluation, once the step is saved.
    evaluate: monitor && evaluateOnTheWay,
  });
  const ended = async (): Promise<Omit<SessionResult, 'run'>> => {
    bar.stop();
    const skipped = Object.entries(data.skips?.counts ?? {}).map(([kind, count]) => `${count} ${kind}`);
    if (skipped.length > 0)
      console.error(`skipped: ${skipped.join(', ')}; each in ${run.path}/skipped.jsonl`);
    const cut = cutCaptions(await run.metrics());
    if (cut > 0)
      console.error(
        `captions: ${(100 * cut).toFixed(1)} % were cut at the ${model.tokenizer.contextLength} tokens that the text tower takes`,
      );
    const evaluation = await evaluateRun(engine, model, data, config.seed, show);
    const seconds = (performance.now() - started) / 1000;
    await writeEvaluation(run.path, evaluation);
    const examples = await examplesHtml(await examplesOf(engine, model, data.heldOut, EXAMPLES));
    await writeReportParts(run.path, { ...parts, examples });
    await writeReport(run);
    return { evaluation, seconds };
  };
  return { run, ...(await fromLead(transport, ended)) };
}

type Objectives = ReturnType<typeof stageObjectives>;

/** The objectives of both stages; running their batches takes no samples from training. */
function stageObjectives(model: PS3, data: TrainingData, config: TrainConfig, share: Share) {
  return {
    towers: towersObjective(model, data.crops, config, share),
    ps3: ps3Objective(model, data.train, config, share),
  };
}

/** Compiles the kernels of both stages before anything is timed. */
async function warmup(
  engine: Engine,
  model: PS3,
  { towers, ps3 }: Objectives,
  config: TrainConfig,
  show: OnProgress,
): Promise<void> {
  model.parameters.enableGradients();
  const recording = async <B extends Tensors<B>>(objective: Objective<B>, { accumulate }: StageConfig) => {
    const [host] = partsOf(await firstBatch(objective.batches), accumulate);
    return (): void => {
      using scope = engine.scope();
      descendWhole(model, objective, upload(engine, host, scope));
    };
  };
  const stages = [
    ...(config.towers.steps > 0 ? [await recording(towers, config.towers)] : []),
    ...(config.ps3.steps > 0 ? [await recording(ps3, config.ps3)] : []),
  ];
  await engine.warmup(
    () => {
      for (const record of stages) record();
    },
    (done, all) => show('compiling kernels', done, all),
  );
}

/** Prints where the time of a step of each stage goes, and writes it as a trace. */
async function profileStages(
  engine: Engine,
  model: PS3,
  run: RunFolder,
  { towers, ps3 }: Objectives,
  config: TrainConfig,
): Promise<void> {
  const stages = {
    ...(config.towers.steps > 0 && {
      towers: await profileStep(engine, model, towers, { accumulate: config.towers.accumulate }),
    }),
    ...(config.ps3.steps > 0 && {
      ps3: await profileStep(engine, model, ps3, { accumulate: config.ps3.accumulate }),
    }),
  };
  for (const [name, times] of Object.entries(stages)) {
    const path = join(run.path, `trace-${name}.json`);
    await writeFile(path, chromeTrace(times));
    console.log(
      `\nOne step of ${name}; every dispatch in ${path}, for chrome://tracing or ui.perfetto.dev\n`,
    );
    console.log(formatKernelTimes(kernelTimes(times)));
  }
}

/** The config with both stages shortened alike where this machine would need more than `seconds` for them. */
async function fitSteps(
  engine: Engine,
  model: PS3,
  objectives: Objectives,
  config: TrainConfig,
  seconds: number,
  isLead: boolean,
): Promise<TrainConfig> {
  const { towers, ps3 } = config;
  const timeOf = async <B extends Tensors<B>>(
    stage: StageConfig,
    objective: Objective<B>,
  ): Promise<number> =>
    stage.steps === 0 ? 0 : measureStep(engine, model, objective, { accumulate: stage.accumulate });
  const towersMs = await timeOf(towers, objectives.towers);
  const ps3Ms = await timeOf(ps3, objectives.ps3);
  const share = (1000 * seconds) / (towers.steps * towersMs + ps3.steps * ps3Ms);
  if (share >= 1) return config;
  const shorter = (stage: StageConfig): StageConfig => {
    const steps = Math.min(stage.steps, Math.max(1, Math.floor(share * stage.steps)));
    return { ...stage, steps };
  };
  const fitted = { ...config, towers: shorter(towers), ps3: shorter(ps3) };
  if (!isLead) return fitted;
  console.error(
    `this machine takes ${towersMs.toFixed(0)} and ${ps3Ms.toFixed(0)} ms a step: ${fitted.towers.steps} + ${fitted.ps3.steps} steps instead of ${towers.steps} + ${ps3.steps}, to stay within ${(seconds / 60).toFixed(1)} minutes`,
  );
  return fitted;
}

/** Evaluates on the held-out images. */
export async function evaluateRun(
  engine: Engine,
  model: PS3,
  data: TrainingData,
  seed: number,
  show: OnProgress,
): Promise<Evaluation> {
  const onProgress = (done: number, all: number): void => show('evaluating held-out images', done, all);
  return evaluate(engine, model, data.heldOut, { seed, onProgress });
}
