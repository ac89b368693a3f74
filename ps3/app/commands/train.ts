// `ps3 start` and `ps3 train`.
import { join } from 'node:path';
import {
  DeviceLostError,
  type Engine,
  fileErrorOf,
  MemoryError,
  readTextFile,
} from '../../../engine/index.ts';
import { ConfigError } from '../../model/config/config.ts';
import { PARTS } from '../../model/parts.ts';
import { allTexts, fromLead, type OpenTransport } from '../../ranks/transport.ts';
import { RECIPE_NAMES, type TrainConfig } from '../../train/config.ts';
import { allBut } from '../../train/lock.ts';
import { PRESETS, trainConfig } from '../../train/presets.ts';
import { CHANGEABLE_KEYS, resumedConfig } from '../../train/run/resume.ts';
import { InterruptedError, RunFolder } from '../../train/run.ts';
import { formatEvaluation, formatQuestions } from '../evaluation_text.ts';
import {
  type Command,
  command,
  INTERRUPTED,
  on,
  oneOf,
  text,
  texts,
  UsageError,
  type Values,
  whole,
} from '../flags.ts';
import { writeStart } from '../init_only.ts';
import { showNano4k } from '../nano_4k.ts';
import { trainingPlan } from '../plan.ts';
import { formatSeconds } from '../progress.ts';
import { runRecovering } from '../recovery.ts';
import type { SessionOptions } from '../session_options.ts';
import { type EngineNeeds, openEngine, withEngine } from './engine.ts';

/** Training time of `ps3 start`: with building scenes and evaluation it stays within ten minutes. */
const START_MINUTES = 8;

const PRESET_NAMES = Object.keys(PRESETS);

/** What `start` and `train` both take. */
const TRAINING = {
  preset: oneOf(PRESET_NAMES, `${PRESET_NAMES.join(', ')}; default by the adapter`),
  out: text('<dir>', 'Run folder; default runs/PRESET-DATE'),
  data: text(
    '<dir>',
    'Folder to train on: annotations.jsonl, or tars in images/ and annotations/; default: Scenes',
  ),
  photos: text('<dir>', "Photographs for Scenes' backgrounds"),
  seed: whole('Names the data and every random number; default 1', 0),
  minutes: whole('Train fewer steps where this machine would take longer'),
  set: texts('<key=value>', 'Change a key of the configuration, such as ps3.lr=5e-6; any number of times'),
};

const TRAIN = {
  ...TRAINING,
  resume: text('<dir>', 'Continue from the checkpoint of a run folder'),
  recipe: oneOf(RECIPE_NAMES, 'Constants of training: demo, paper or released; default the preset’s, demo'),
  from: text('<place>', 'Begin with a PS3 or SigLIP checkpoint: a folder, also of a run, or hf://owner/name'),
  lock: texts('<part,...>', `Leave parts as they are: ${PARTS.join(', ')}; any number of times`),
  train: texts('<part,...>', 'Train these parts alone, such as selection; any number of times'),
  'init-only': on('Write the checkpoint that training would begin with into --out, and do not train'),
  plan: on('Print what the run would need, and do not train'),
  set: texts(
    '<key=value>',
    `Change a key of the configuration, such as ps3.lr=5e-6; any number of times. With --resume only ${CHANGEABLE_KEYS.join(', ')}`,
  ),
  profile: on('Print the GPU time of each kernel in a step, and write a trace'),
};

type TrainValues = Values<typeof TRAIN>;

/** Flags that a resumed run still takes; the others are in its config.json. */
const OF_RESUMED_RUNS: readonly string[] = ['resume', 'plan', 'profile', 'set'];

/** The configuration of a new run: a preset, then the file, then flags. */
function configOf(values: TrainValues, file: unknown, isSoftware: boolean): TrainConfig {
  const { preset, recipe, seed, data, photos, from, set = [] } = values;
  const lock = lockedParts(values);
  const defaultPreset = isSoftware ? 'small' : 'medium';
  const flags = { seed, 'data.folder': data, 'data.photos': photos, 'init.from': from, 'lock.parts': lock };
  const given = Object.entries(flags).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${JSON.stringify(value)}`],
  );
  return trainConfig({ preset, defaultPreset, recipe, file, set: [...given, ...set] });
}

/** What `--lock` or `--train` leaves untrained; undefined without either. */
function lockedParts({ lock, train }: TrainValues): readonly string[] | undefined {
  if (lock && train)
    throw new UsageError('train: --lock and --train exclude each other, got both. Pass one.');
  if (lock) return lock.flatMap((words) => words.split(','));
  if (!train) return undefined;
  const trained = train
    .flatMap((words) => words.split(','))
    .map((word) => {
      const part = PARTS.find((part) => part === word);
      if (!part) throw new UsageError(`train: --train must name one of ${PARTS.join(', ')}, got ${word}.`);
      return part;
    });
  return allBut(trained);
}

async function readConfig(path: string): Promise<unknown> {
  const words = await readTextFile(path);
  try {
    return JSON.parse(words);
  } catch (cause) {
    throw new ConfigError(`train: ${path} must hold JSON, got ${(cause as Error).message}.`);
  }
}

/** A signal that Ctrl-C or SIGTERM aborts, so that a run ends in order; the second one ends the process at once. */
function stopOnSignal(isLead: boolean): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const controller = new AbortController();
  const stop = (name: string): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    if (isLead) console.error(`${name}: ends after this step and saves it; once more ends at once.`);
    controller.abort();
  };
  const names = ['SIGINT', 'SIGTERM'] as const;
  for (const name of names) process.on(name, stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, stop);
    },
  };
}

/** Throws an error of a run, with the line that continues it where it can go on as it is. */
async function rethrow(error: unknown, out: string): Promise<never> {
  const refused = fileErrorOf(error);
  const resumable = [InterruptedError, DeviceLostError, MemoryError].some((type) => error instanceof type);
  const ended = refused ?? (resumable && error instanceof Error ? error : undefined);
  if (!ended || !(await new RunFolder(out).exists())) throw error;
  const first = /ENOSPC|EDQUOT/.test(ended.message) ? 'Free some space, then continue' : 'Continue';
  ended.message += ` ${first} with: ps3 train --resume ${out}`;
  throw ended;
}

/** Refuses flags that would be read and not used. */
function checkTraining(command: string, values: TrainValues, path: string | undefined): void {
  if (values.resume === undefined) return;
  const unused = Object.keys(values).filter((name) => !OF_RESUMED_RUNS.includes(name));
  const given = [...unused.map((name) => `--${name}`), ...(path ? [path] : [])];
  if (given.length > 0)
    throw new UsageError(
      `${command}: with --resume a run keeps what it began with, got ${given.join(', ')}. Leave it out.`,
    );
}

interface TrainOptions {
  readonly transport: OpenTransport;
  /** A file of the configuration. */
  readonly path?: string;
  /** Unless the flag says otherwise. */
  readonly minutes?: number;
  /** More to say once the run has ended. */
  readonly after?: (engine: Engine, run: string) => Promise<string>;
}

async function train(
  command: string,
  values: TrainValues,
  { transport, path, minutes, after }: TrainOptions,
): Promise<number> {
  const isLead = transport.rank === 0;
  checkTraining(command, values, path);
  const file = path === undefined ? {} : await readConfig(path);
  const { resume, profile, set = [] } = values;
  const trainOn = async (engine: Engine, config: TrainConfig, needs: EngineNeeds): Promise<number> => {
    if (values.plan) {
      if (isLead) console.log(await trainingPlan(engine, config));
      return 0;
    }
    const stamp = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
    const options: SessionOptions = resume
      ? { out: resume, resume: true, set: values.set, profile, transport }
      : {
          out: await fromLead(transport, async () => values.out ?? `runs/${config.preset}-${stamp}`),
          config,
          minutes: values.minutes ?? minutes,
          profile,
          transport,
        };
    if (values['init-only']) {
      if (!isLead) return 0;
      await writeStart(engine, options.out, config);
      console.log(`${options.out}: the checkpoint that training would begin with`);
      return 0;
    }
    const preset = resume ? '' : `preset ${config.preset}, `;
    const adapters = [...new Set(await allTexts(transport, engine.adapterName))];
    const ranks = transport.size > 1 ? `${transport.size} ranks on ` : '';
    if (isLead)
      console.error(`adapter: ${ranks}${adapters.join(', and on ')}\n${preset}run folder ${options.out}`);
    using stopper = stopOnSignal(isLead);
    const reopen = (): Promise<Engine> => openEngine(needs);
    // What one of several ranks loses, it cannot get back while the others go on.
    const recovery = transport.size > 1 ? { reopen, pausesS: [] } : { reopen };
    const result = await runRecovering(engine, { ...options, signal: stopper.signal }, recovery).catch(
      (error: unknown) => rethrow(error, options.out),
    );
    if (!isLead) return 0;
    const { run, evaluation, seconds } = result;
    const table = 'looks' in evaluation ? formatQuestions(evaluation) : formatEvaluation(evaluation);
    console.log(`\n${table}\n`);
    console.log(`${formatSeconds(seconds)}. Report: ${run.path}/report.html`);
    if (after) console.log(`\n${await after(engine, run.path)}`);
    return 0;
  };
  const needs: EngineNeeds = { profile, transport };
  return withEngine(async (engine) => {
    const config = resume
      ? await fromLead(transport, async () => resumedConfig(await new RunFolder(resume).config(), set))
      : configOf(values, file, engine.isSoftware);
    if (config.precision.products === 'f32') return trainOn(engine, config, needs);
    const more: EngineNeeds = { ...needs, tier: 3 };
    return withEngine((units) => trainOn(units, config, more), more);
  }, needs);
}

/** Trains a small PS3 on Scenes. */
export const startCommand: Command = command({
  name: 'start',
  operands: '',
  help: 'Train a small PS3 on Scenes, evaluate it, write a report, and show the model that sees 4K',
  flags: TRAINING,
  run: (values, _, transport) =>
    train('start', values, {
      transport,
      minutes: START_MINUTES,
      after: (engine, run) => showNano4k(engine, join(run, 'nano-4k')),
    }),
});

/** Trains what a configuration describes. */
export const trainCommand: Command = command({
  name: 'train',
  operands: '[config.json]',
  help: 'Train: image and text towers first, then PS3. Keys not in the file are those of its preset',
  flags: TRAIN,
  hasRanks: true,
  run: (values, [path], transport) => train('train', values, { transport, path }),
});
