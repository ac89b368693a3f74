// The command line. Every mistake of the user's ends in one sentence and exit code 2.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cac } from 'cac';
import { Engine, EngineError } from '../../engine/index.ts';
import { runDataScenes } from '../data/build.ts';
import { PS3 } from '../model/ps3.ts';
import type { Region } from '../model/region.ts';
import { PRESETS, presetNamed } from '../train/presets.ts';
import { type RunConfig, RunFolder } from '../train/run.ts';
import { encodeImages } from './encode.ts';
import { formatSeconds, ProgressBar } from './progress.ts';
import { evaluateRun, formatEvaluation, presetOf, runSession, type SessionOptions } from './session.ts';
import { loadTrainingData } from './training_data.ts';
import { formatComparisons, verify } from './verify.ts';

/** A flag has a value that it cannot have. */
class UsageError extends EngineError {
  constructor(message: string) {
    super('usage', message);
  }
}

type Flags = Record<string, unknown>;

/** Training time of `ps3 start`: with building scenes and evaluation it stays within ten minutes. */
const START_MINUTES = 8;

function numberFlag(flags: Flags, name: string, fallback: number, low = 1): number {
  const value = flags[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low)
    throw new UsageError(
      `--${dashed(name)} must be a whole number of at least ${low}, got ${String(value)}.`,
    );
  return value;
}

function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value) || value === '' || typeof value === 'boolean')
    throw new UsageError(`--${dashed(name)} must be given one value, got ${String(value)}.`);
  return String(value);
}

/** One of a few names. */
function nameFlag<Name extends string>(flags: Flags, name: string, names: readonly Name[]): Name | undefined {
  const text = textFlag(flags, name);
  if (text !== undefined && !names.includes(text as Name))
    throw new UsageError(`--${dashed(name)} must be one of ${names.join(', ')}, got ${text}.`);
  return text as Name | undefined;
}

function regionFlags(flags: Flags): Region | undefined {
  const numbers = (name: string, count: number): number[] | undefined => {
    const text = textFlag(flags, name);
    const list = text?.split(',').map(Number);
    if (list && (list.length !== count || list.some(Number.isNaN)))
      throw new UsageError(`--${name} must be ${count} numbers with commas between, got ${text}.`);
    return list;
  };
  const [box, point] = [numbers('box', 4), numbers('point', 2)];
  if (box && point) throw new UsageError('--box and --point exclude each other, got both.');
  if (box) return { box: [box[0], box[1], box[2], box[3]] };
  return point && { point: [point[0], point[1]] };
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Runs with an engine that is closed afterwards. */
async function withEngine<T>(work: (engine: Engine) => Promise<T>, profile = false): Promise<T> {
  const engine = await Engine.create({ profile });
  try {
    return await work(engine);
  } finally {
    engine.destroy();
  }
}

function runConfig(flags: Flags, presetName: string): RunConfig {
  const recipe = textFlag(flags, 'recipe') ?? 'paper';
  if (recipe !== 'paper' && recipe !== 'released')
    throw new UsageError(`--recipe must be paper or released, got ${recipe}.`);
  const preset = presetNamed(presetName);
  return {
    preset: presetName,
    seed: numberFlag(flags, 'seed', 1, 0),
    recipe,
    data: textFlag(flags, 'data'),
    towersSteps: numberFlag(flags, 'towersSteps', preset.towers.steps),
    ps3Steps: numberFlag(flags, 'steps', preset.ps3.steps),
    batch: numberFlag(flags, 'batch', preset.ps3.batch),
    ablations: {
      teacherForcing: flags.teacherForcing !== false,
      inBoxPooling: flags.inBoxPooling !== false,
      globalMix: flags.globalMix !== false,
    },
  };
}

async function train(flags: Flags, minutes?: number): Promise<number> {
  return withEngine(async (engine) => {
    const resume = textFlag(flags, 'resume');
    const presetName = textFlag(flags, 'preset') ?? (engine.isSoftware ? 'small' : 'medium');
    const config = resume ? await new RunFolder(resume).config() : runConfig(flags, presetName);
    const stamp = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
    const options: SessionOptions = {
      out: resume ?? textFlag(flags, 'out') ?? `runs/${config.preset}-${stamp}`,
      resume: resume !== undefined,
      photos: textFlag(flags, 'photos'),
      config,
      minutes: flags.minutes === undefined ? minutes : numberFlag(flags, 'minutes', 1),
      profile: flags.profile === true,
    };
    console.error(`adapter: ${engine.adapterName}\npreset ${config.preset}, run folder ${options.out}`);
    const { run, evaluation, seconds } = await runSession(engine, options);
    console.log(`\n${formatEvaluation(evaluation)}\n`);
    console.log(`${formatSeconds(seconds)}. Report: ${run.path}/report.html`);
    return 0;
  }, flags.profile === true);
}

async function evaluateCommand(path: string): Promise<number> {
  return withEngine(async (engine) => {
    const run = new RunFolder(path);
    const config = await run.config();
    const bar = new ProgressBar();
    const model = await PS3.load(engine, run.checkpointPath);
    const data = await loadTrainingData({
      preset: { ...presetOf(config), scenes: 0 },
      seed: config.seed,
      data: config.data,
      onProgress: (what, done, all) => bar.update(what, done, all),
    });
    console.log(formatEvaluation(await evaluateRun(engine, model, data, config.seed, bar)));
    return 0;
  });
}

async function verifyCommand(paths: readonly string[], flags: Flags): Promise<number> {
  if (paths.length === 0) throw new UsageError('verify: give at least one safetensors file.');
  const checkpoint = textFlag(flags, 'checkpoint');
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

async function dataScenes(flags: Flags): Promise<number> {
  const out = textFlag(flags, 'out');
  if (!out) throw new UsageError('data scenes: --out must name the folder to write.');
  const bar = new ProgressBar();
  const concepts = flags.concepts === 'all' ? 'all' : numberFlag(flags, 'concepts', 32);
  const result = await runDataScenes({
    out,
    count: numberFlag(flags, 'count', 100),
    side: numberFlag(flags, 'side', 448, 64),
    seed: numberFlag(flags, 'seed', 1, 0),
    concepts,
    split: textFlag(flags, 'split') as 'train' | undefined,
    format: textFlag(flags, 'format') as 'folder' | undefined,
    signs: flags.signs === undefined ? undefined : numberFlag(flags, 'signs', 0, 0),
    photos: textFlag(flags, 'photos'),
    stamps: flags.stamps === true,
    permissive: flags.permissive === true,
    progress: (done, count, what) => bar.update(what, done, count),
    notice: (text) => console.error(text),
  });
  console.log(`${result.images} images with ${result.boxes} boxes in ${result.out}`);
  return 0;
}

/** Runs a command line; returns the exit code. */
export async function main(argv: string[]): Promise<number> {
  const cli = cac('ps3');
  const trainFlags = (name: string, text: string): ReturnType<typeof cli.command> =>
    cli
      .command(name, text)
      .option('--preset <name>', `${Object.keys(PRESETS).join(', ')}; default by the adapter`)
      .option('--out <dir>', 'Run folder; default runs/PRESET-DATE')
      .option('--data <dir>', 'Folder with annotations.jsonl to train on; default: Scenes')
      .option('--photos <dir>', "Photographs for Scenes' backgrounds")
      .option('--seed <n>', 'Names the data and every random number; default 1')
      .option('--minutes <n>', 'Train fewer steps where this machine would take longer');
  trainFlags('start', 'Train a small PS3 on Scenes, evaluate it and write a report').action((flags: Flags) =>
    train(flags, START_MINUTES),
  );
  trainFlags('train', 'Train: image and text towers first, then PS3')
    .option('--resume <dir>', 'Go on from the checkpoint of a run folder')
    .option('--recipe <name>', 'paper (cross-entropy + DICE, all boxes) or released; default paper')
    .option('--towers-steps <n>', 'Steps of the first stage')
    .option('--steps <n>', 'Steps of the second stage')
    .option('--batch <n>', 'Images per step of the second stage')
    .option('--profile', 'Print the GPU time of each kernel in a step, and write a trace')
    .option('--no-teacher-forcing', 'Select by prediction in training, not by ground truth')
    .option('--no-in-box-pooling', 'Pool all selected tokens')
    .option('--no-global-mix', 'Local captions only')
    .action((flags: Flags) => train(flags));
  cli.command('eval <run>', 'Evaluate a run on its held-out images').action(evaluateCommand);
  cli
    .command('encode [...images]', 'Features, selection maps and heat maps of images')
    .option('--run <dir>', 'Run folder whose checkpoint to use')
    .option('--checkpoint <place>', 'Checkpoint: a folder, an http(s) address or hf://owner/name')
    .option('--storage <dtype>', 'How matrices are kept: f32, f16, bf16 or stored; default f32')
    .option('--prompt <text>', 'What to look for; without it, what stands out')
    .option('--looks <n>', 'Looks of a full budget each; default 1')
    .option('--tokens <n>', 'Patches in total, instead of --looks')
    .option('--all', 'Cover every patch')
    .option('--box <l,t,r,b>', 'Where to look instead of a prompt, in fractions of the image')
    .option('--point <x,y>', 'The same for a point')
    .option('--orient', 'Turn images as their EXIF orientation says')
    .option('--hidden-states <n>', 'Also write the outputs of the last n blocks')
    .option('--format <name>', 'safetensors or npy; default safetensors')
    .option('--out <dir>', 'Folder to write; default .')
    .action((images: string[], flags: Flags) =>
      withEngine((engine) =>
        encodeImages(engine, {
          images,
          run: textFlag(flags, 'run'),
          checkpoint: textFlag(flags, 'checkpoint'),
          prompt: textFlag(flags, 'prompt'),
          storage: nameFlag(flags, 'storage', ['f32', 'f16', 'bf16', 'stored']),
          orient: flags.orient === true,
          region: regionFlags(flags),
          format: nameFlag(flags, 'format', ['safetensors', 'npy']),
          hiddenStates: flags.hiddenStates === undefined ? undefined : numberFlag(flags, 'hiddenStates', 1),
          looks: flags.all ? 'all' : flags.looks === undefined ? undefined : numberFlag(flags, 'looks', 1, 0),
          tokens: flags.tokens === undefined ? undefined : numberFlag(flags, 'tokens', 1),
          out: textFlag(flags, 'out') ?? '.',
        }),
      ),
    );
  cli
    .command('verify [...files]', 'Replay reference tensors and compare')
    .option('--checkpoint <place>', 'Checkpoint of the weights, for files without')
    .action(verifyCommand);
  cli
    .command('data <what>', 'Build sample data: ps3 data scenes --out DIR')
    .option('--out <dir>', 'Folder to write')
    .option('--count <n>', 'Images; default 100')
    .option('--side <px>', 'Side of the images; default 448')
    .option('--seed <n>', 'Default 1')
    .option('--concepts <n>', "Captioned concepts, or 'all'; default 32")
    .option('--signs <n>', 'Captioned words per image, at most; default by the side')
    .option('--split <name>', 'train, heldOutImages or heldOutConcepts; default train')
    .option('--format <name>', 'folder or shards; default folder')
    .option('--photos <dir>', 'Your own photographs as backgrounds')
    .option('--stamps', 'Add tuxpaint’s stamps (161 MB)')
    .option('--permissive', 'Only sources that ask for no more than attribution')
    .action((what: string, flags: Flags) => {
      if (what !== 'scenes') throw new UsageError(`data: the kind of data must be scenes, got ${what}.`);
      return dataScenes(flags);
    });
  cli.help();
  cli.version(version());
  try {
    cli.parse(argv, { run: false });
    if (cli.options.help || cli.options.version) return 0;
    if (!cli.matchedCommand) {
      if (cli.args.length > 0)
        throw new UsageError(
          `the command must be one of ${commandNames(cli).join(', ')}, got ${cli.args[0]}.`,
        );
      cli.outputHelp();
      return 2;
    }
    return ((await cli.runMatchedCommand()) as number | undefined) ?? 0;
  } catch (error) {
    const isUsers = error instanceof EngineError || (error instanceof Error && error.name === 'CACError');
    if (!isUsers) throw error;
    console.error(`ps3: ${(error as Error).message}`);
    return 2;
  }
}

function commandNames(cli: ReturnType<typeof cac>): string[] {
  return cli.commands.map(({ name }) => name);
}

function version(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
