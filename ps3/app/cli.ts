// The command line. Every mistake of the user ends in one sentence and exit code 2.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Engine, EngineError, fileErrorOf, readTextFile } from '../../engine/index.ts';
import { FORMATS, runDataScenes, SPLIT_NAMES } from '../data/build.ts';
import { ConfigError } from '../model/config/config.ts';
import { PS3 } from '../model/ps3.ts';
import type { Region } from '../model/region.ts';
import { RECIPE_NAMES, type TrainConfig } from '../train/config.ts';
import { PRESETS, trainConfig } from '../train/presets.ts';
import { InterruptedError, RunFolder } from '../train/run.ts';
import { encodeImages } from './encode.ts';
import {
  type Command,
  command,
  type Flag,
  helpOfAll,
  numbers,
  on,
  oneOf,
  text,
  texts,
  UsageError,
  type Values,
  whole,
} from './flags.ts';
import { trainingPlan } from './plan.ts';
import { formatSeconds, ProgressBar } from './progress.ts';
import { evaluateRun, formatEvaluation, runSession, type SessionOptions } from './session.ts';
import { loadTrainingData, type OnProgress } from './training_data.ts';
import { formatComparisons, verify } from './verify.ts';
import { version } from './version.ts';

/** Training time of `ps3 start`: with building scenes and evaluation it stays within ten minutes. */
const START_MINUTES = 8;

/** Exit code of a run that a signal ended. */
const INTERRUPTED = 130;

/** Runs with an engine that is closed afterwards. */
async function withEngine<T>(work: (engine: Engine) => Promise<T>, profile = false): Promise<T> {
  const engine = await Engine.create({ profile });
  try {
    return await work(engine);
  } finally {
    engine.destroy();
  }
}

const PRESET_NAMES = Object.keys(PRESETS);

/** What `start` and `train` both take. */
const TRAINING = {
  preset: oneOf(PRESET_NAMES, `${PRESET_NAMES.join(', ')}; default by the adapter`),
  out: text('<dir>', 'Run folder; default runs/PRESET-DATE'),
  data: text('<dir>', 'Folder with annotations.jsonl to train on; default: Scenes'),
  photos: text('<dir>', "Photographs for Scenes' backgrounds"),
  seed: whole('Names the data and every random number; default 1', 0),
  minutes: whole('Train fewer steps where this machine would take longer'),
  set: texts('<key=value>', 'Change a key of the configuration, such as ps3.lr=5e-6; any number of times'),
};

const TRAIN = {
  ...TRAINING,
  resume: text('<dir>', 'Continue from the checkpoint of a run folder'),
  recipe: oneOf(RECIPE_NAMES, 'Constants of training: demo, paper or released; default the preset’s, demo'),
  plan: on('Print what the run would need, and do not train'),
  profile: on('Print the GPU time of each kernel in a step, and write a trace'),
};

type TrainValues = Values<typeof TRAIN>;

/** Flags that a resumed run still takes; the others are in its config.json. */
const OF_RESUMED_RUNS: readonly string[] = ['resume', 'plan', 'profile'];

/** The configuration of a new run: a preset, then the file, then flags. */
function configOf(values: TrainValues, file: unknown, isSoftware: boolean): TrainConfig {
  const { preset, recipe, seed, data, photos, set = [] } = values;
  const defaultPreset = isSoftware ? 'small' : 'medium';
  const flags = { seed, 'data.folder': data, 'data.photos': photos };
  const given = Object.entries(flags).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${JSON.stringify(value)}`],
  );
  return trainConfig({ preset, defaultPreset, recipe, file, set: [...given, ...set] });
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
function stopOnSignal(): { readonly signal: AbortSignal; [Symbol.dispose](): void } {
  const controller = new AbortController();
  const stop = (name: string): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    console.error(`${name}: ends after this step and saves it; once more ends at once.`);
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

async function train(command: string, values: TrainValues, path?: string, minutes?: number): Promise<number> {
  checkTraining(command, values, path);
  const file = path === undefined ? {} : await readConfig(path);
  return withEngine(async (engine) => {
    const { resume, profile } = values;
    if (values.plan) {
      const asked = resume ? await new RunFolder(resume).config() : configOf(values, file, engine.isSoftware);
      console.log(await trainingPlan(engine, asked));
      return 0;
    }
    const config = resume ? undefined : configOf(values, file, engine.isSoftware);
    const stamp = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
    const options: SessionOptions = config
      ? {
          out: values.out ?? `runs/${config.preset}-${stamp}`,
          config,
          minutes: values.minutes ?? minutes,
          profile,
        }
      : { out: String(resume), resume: true, profile };
    const preset = config ? `preset ${config.preset}, ` : '';
    console.error(`adapter: ${engine.adapterName}\n${preset}run folder ${options.out}`);
    using stopper = stopOnSignal();
    const result = await runSession(engine, { ...options, signal: stopper.signal }).catch(
      (error: unknown) => {
        if (error instanceof InterruptedError && existsSync(join(options.out, 'config.json')))
          error.message += ` Continue with: ps3 train --resume ${options.out}`;
        throw error;
      },
    );
    const { run, evaluation, seconds } = result;
    console.log(`\n${formatEvaluation(evaluation)}\n`);
    console.log(`${formatSeconds(seconds)}. Report: ${run.path}/report.html`);
    return 0;
  }, values.profile);
}

async function evaluateCommand(path: string): Promise<number> {
  return withEngine(async (engine) => {
    const run = new RunFolder(path);
    const config = await run.config();
    const bar = new ProgressBar();
    const show: OnProgress = (what, done, all) => bar.update(what, done, all);
    const model = await PS3.load(engine, run.checkpointPath);
    const data = await loadTrainingData(
      { ...config, model: model.config.vision, data: { ...config.data, scenes: 0 } },
      show,
    );
    console.log(formatEvaluation(await evaluateRun(engine, model, data, config.seed, show)));
    return 0;
  });
}

async function verifyCommand(checkpoint: string | undefined, paths: readonly string[]): Promise<number> {
  if (paths.length === 0) throw new UsageError('verify: give at least one safetensors file.');
  return withEngine(async (engine) => {
    let passed = 0;
    let failed = 0;
    for (const path of paths) {
      const comparisons = await verify(engine, path, { checkpoint });
      console.log(basename(path));
      for (const line of formatComparisons(comparisons)) console.log(`  ${line}`);
      const bad = comparisons.filter((comparison) => !comparison.passed).length;
      failed += bad;
      passed += comparisons.length - bad;
    }
    console.log(`${passed} passed, ${failed} failed`);
    return failed > 0 ? 1 : 0;
  });
}

const ENCODE = {
  run: text('<dir>', 'Run folder whose checkpoint to use'),
  checkpoint: text('<place>', 'Checkpoint: a folder, an http(s) address or hf://owner/name'),
  storage: oneOf(
    ['f32', 'f16', 'bf16', 'stored'],
    'How matrices are kept: f32, f16, bf16 or stored; default f32',
  ),
  prompt: text('<text>', 'What to look for; without it, salient things'),
  looks: whole('Looks of a full budget each; default 1', 0),
  tokens: whole('Patches in total, instead of --looks'),
  all: on('Cover every patch'),
  box: numbers('<l,t,r,b>', 'Where to look instead of a prompt, in fractions of the image'),
  point: numbers('<x,y>', 'The same for a point'),
  orient: on('Rotate images as their EXIF orientation says'),
  'hidden-states': whole('Also write the outputs of the last n blocks'),
  format: oneOf(['safetensors', 'npy'], 'safetensors or npy; default safetensors'),
  out: text('<dir>', 'Folder to write; default .'),
};

async function encodeCommand(values: Values<typeof ENCODE>, images: readonly string[]): Promise<number> {
  const { all, box, point, 'hidden-states': hiddenStates, out = '.', ...rest } = values;
  for (const group of [
    ['run', 'checkpoint'],
    ['all', 'looks', 'tokens'],
    ['prompt', 'box', 'point'],
  ] as const) {
    const given = group.filter((name) => values[name] !== undefined);
    if (given.length > 1)
      throw new UsageError(
        `encode: --${group.join(', --')} exclude each other, got --${given.join(' and --')}. Pass one.`,
      );
  }
  const region: Region | undefined = box
    ? { box: [box[0], box[1], box[2], box[3]] }
    : point && { point: [point[0], point[1]] };
  const looks = all ? 'all' : values.looks;
  return withEngine((engine) => encodeImages(engine, { ...rest, images, region, looks, hiddenStates, out }));
}

const SCENES = {
  out: text('<dir>', 'Folder to write'),
  count: whole('Images; default 100'),
  side: { ...whole('Side of the images; default 448', 64), value: '<px>' },
  seed: whole('Default 1', 0),
  concepts: conceptCount("Captioned concepts, or 'all'; default 32"),
  signs: whole('Captioned words per image, at most; default by the side', 0),
  split: oneOf(SPLIT_NAMES, `${SPLIT_NAMES.slice(0, -1).join(', ')} or ${SPLIT_NAMES.at(-1)}; default train`),
  format: oneOf(FORMATS, 'folder or shards; default folder'),
  photos: text('<dir>', 'Your own photographs as backgrounds'),
  stamps: on('Add tuxpaint’s stamps (161 MB)'),
  permissive: on('Only sources that ask for no more than attribution'),
};

function conceptCount(help: string): Flag<number | 'all'> {
  const count = whole(help);
  const read = (text: string): number | 'all' | undefined => (text === 'all' ? text : count.read(text));
  return { ...count, rule: `${count.rule} or all`, read };
}

async function dataCommand(values: Values<typeof SCENES>, kind: string): Promise<number> {
  if (kind !== 'scenes') throw new UsageError(`data: the kind of data must be scenes, got ${kind}.`);
  const { out, count = 100 } = values;
  if (!out) throw new UsageError('data scenes: --out must name the folder to write, got none.');
  if (values.stamps && values.permissive)
    throw new UsageError(
      'data scenes: --stamps and --permissive exclude each other, got both: the stamps are GPL.',
    );
  const bar = new ProgressBar();
  const result = await runDataScenes({
    ...values,
    out,
    count,
    progress: (done, count, what) => bar.update(what, done, count),
    notice: (text) => console.error(text),
  });
  console.log(`${result.images} images with ${result.boxes} boxes in ${result.out}`);
  return 0;
}

const COMMANDS: readonly Command[] = [
  command({
    name: 'start',
    operands: '',
    help: 'Train a small PS3 on Scenes, evaluate it and write a report',
    flags: TRAINING,
    run: (values) => train('start', values, undefined, START_MINUTES),
  }),
  command({
    name: 'train',
    operands: '[config.json]',
    help: 'Train: image and text towers first, then PS3. Keys not in the file are those of its preset',
    flags: TRAIN,
    run: (values, [path]) => train('train', values, path),
  }),
  command({
    name: 'eval',
    operands: '<run>',
    help: 'Evaluate a run on its held-out images',
    flags: {},
    run: (_, [run]) => evaluateCommand(run),
  }),
  command({
    name: 'encode',
    operands: '[...images]',
    help: 'Features, selection maps and heat maps of images',
    flags: ENCODE,
    run: encodeCommand,
  }),
  command({
    name: 'verify',
    operands: '[...files]',
    help: 'Replay reference tensors and compare',
    flags: { checkpoint: text('<place>', 'Checkpoint of the weights, for files without') },
    run: ({ checkpoint }, files) => verifyCommand(checkpoint, files),
  }),
  command({
    name: 'data',
    operands: '<what>',
    help: 'Build sample data: ps3 data scenes --out DIR',
    flags: SCENES,
    run: (values, [kind]) => dataCommand(values, kind),
  }),
];

/** Runs a command line; returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  const [name, ...args] = argv.slice(2);
  const asked = COMMANDS.find((command) => command.name === name);
  try {
    if (asked) return await asked.run(args);
    if (name === '--version' || name === '-v') console.log(`ps3/${version()}`);
    else if (name === '--help' || name === '-h') console.log(helpOfAll(COMMANDS));
    else if (name === undefined) {
      console.error(helpOfAll(COMMANDS));
      return 2;
    } else {
      const names = COMMANDS.map(({ name }) => name).join(', ');
      throw new UsageError(`the command must be one of ${names}, got ${name}. See ps3 --help.`);
    }
    return 0;
  } catch (error) {
    // What the system refuses is no mistake of the command line: exit code 1.
    const refused = fileErrorOf(error);
    if (!refused && !(error instanceof EngineError)) throw error;
    console.error(`ps3: ${(refused ?? (error as EngineError)).message}`);
    if (error instanceof InterruptedError) return INTERRUPTED;
    return refused ? 1 : 2;
  }
}
