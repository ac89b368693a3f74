// Features, selection maps and heat maps of images: the command `ps3 encode`.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import {
  assertWritableFolder,
  type Engine,
  EngineError,
  expectKeys,
  type Scope,
  type Tensor,
} from '../../engine/index.ts';
import { isImageName } from '../data/image_files.ts';
import type { WeightDType } from '../model/checkpoint/checkpoint.ts';
import { NANO_4K } from '../model/checkpoint/shipped.ts';
import { decodeImage, ImageError, resizeToSquare } from '../model/image.ts';
import { PS3 } from '../model/ps3.ts';
import type { Region } from '../model/region.ts';
import { ownPart, SINGLE, type Transport } from '../ranks/transport.ts';
import { RunFolder } from '../train/run.ts';
import { drawOverlays, lastFileOf, type Numbers, writeNumbers } from './encode_files.ts';
import { loadingProgress } from './progress.ts';

/** What was asked for cannot be encoded. */
export class EncodeError extends EngineError {
  constructor(message: string) {
    super('encode', message);
  }
}

export interface EncodeImagesOptions {
  /** Files, and folders whose images are all taken. */
  readonly images: readonly string[];
  /** A run folder whose checkpoint to use; or `checkpoint`. Default: nano-4k, the model of this package. */
  readonly run?: string;
  /** A checkpoint's folder, its http(s) address, or hf://owner/name; or `run`. */
  readonly checkpoint?: string;
  /** How matrices are kept; default f32. */
  readonly storage?: WeightDType | 'stored';
  /** What to look for; without one, selection is bottom-up. */
  readonly prompt?: string;
  /** Rotates images as their EXIF orientation says; default false, as the reference. */
  readonly orient?: boolean;
  /** Where to look, instead of a prompt. */
  readonly region?: Region;
  /** Looks of a full budget each, or as many as cover everything; default 1. */
  readonly looks?: number | 'all';
  /** Patches in total, instead of `looks`. */
  readonly tokens?: number;
  /** Outputs of so many of the last blocks are written too; default none. */
  readonly hiddenStates?: number;
  /** One safetensors file for each image (default), or an npy file for each tensor. */
  readonly format?: 'safetensors' | 'npy';
  /** Folder to write; it is made where it is missing. */
  readonly out: string;
  /** Leaves out images whose numbers are there already, whatever they were encoded with. */
  readonly resume?: boolean;
  /** Ranks that share the images; default: this process alone. */
  readonly transport?: Transport;
  /** Takes a line per image; default: standard error. */
  readonly log?: (line: string) => void;
}

const ENCODE_IMAGES_OPTIONS = {
  images: true,
  run: true,
  checkpoint: true,
  storage: true,
  prompt: true,
  orient: true,
  region: true,
  looks: true,
  tokens: true,
  hiddenStates: true,
  format: true,
  out: true,
  resume: true,
  transport: true,
  log: true,
} as const;

/** Images that an earlier call wrote into the folder are not encoded. */
const OWN_IMAGE = /\.(bottom_up|top_down|scale_\d+px)\.png$/;

/**
 * Encodes images one after another, so that memory does not grow with their number. Into `out`, for each
 * image:
 *
 *   NAME.bottom_up.png, NAME.top_down.png   saliency; selection is outlined on the one that decided it
 *   NAME.scale_112px.png ...                the same with the patches of one scale
 *   NAME.safetensors                        last_hidden_state [N + K, C]; hidden_states.i, if asked for, the last one
 *                                           being that; per high-res scale i selection_maps.i, selection_probs.i and
 *                                           bottom_up.i [Y, X]; prompt [C] if any
 *   NAME.last_hidden_state.npy ...          instead, in the format npy
 *
 * Tokens are the N low-res ones, then the K selected, scale after scale in raster order. A file appears whole
 * or not at all, the numbers last. An image that cannot be read is skipped with a sentence. Of several ranks, each takes
 * every so many-th image.
 *
 * @returns  the exit code: 0, or 2 when an image was skipped, on whatever rank
 * @throws EncodeError, FileError, ConfigError, SafetensorsError before anything is written
 */
export async function encodeImages(engine: Engine, options: EncodeImagesOptions): Promise<number> {
  expectKeys('encodeImages', options, ENCODE_IMAGES_OPTIONS);
  const { out, prompt, looks, tokens, region, storage, resume, log = console.error } = options;
  const { transport = SINGLE } = options;
  if (options.run !== undefined && options.checkpoint !== undefined)
    throw new EncodeError('encode: --run and --checkpoint exclude each other, got both. Pass one.');
  if (looks !== undefined && tokens !== undefined)
    throw new EncodeError(
      `encode: looks and tokens exclude each other, got ${looks} and ${tokens}. Pass one.`,
    );
  if (prompt !== undefined && region !== undefined)
    throw new EncodeError('encode: a prompt and a region exclude each other, got both. Pass one.');
  if (prompt?.trim() === '')
    throw new EncodeError('encode: the prompt must have a word, got none. Leave it out.');
  const jobs = namedJobs(options.images);
  if (transport.rank === 0) await assertWritableFolder(out);
  await transport.barrier();
  const { run, checkpoint = run === undefined ? NANO_4K : await new RunFolder(run).newest(log) } = options;
  using model = await PS3.load(engine, checkpoint, { storage, onProgress: loadingProgress() });
  if (transport.rank === 0) {
    if (checkpoint === NANO_4K) log('encode: with nano-4k, the small model of this package');
    if (prompt !== undefined && model.tokenizer.unknownWords(prompt).length > 0)
      log(unknownPrompt(prompt, model.tokenizer.words ?? []));
  }
  const [DONE, SKIPPED] = [0, 1];
  const counts = new Float32Array(2);
  for (const { path, name, number } of ownPart(transport, jobs)) {
    const started = performance.now();
    const place = `${number}/${jobs.length} ${path}`;
    const target = join(out, name);
    if (resume && existsSync(lastFileOf(target, options.format))) {
      counts[DONE]++;
      continue;
    }
    try {
      const [count, written] = await encodeImage(engine, model, path, target, options);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      log(`${place}: ${count} tokens in ${seconds} s, ${written}`);
    } catch (error) {
      if (!(error instanceof ImageError || error instanceof EncodeError)) throw error;
      counts[SKIPPED]++;
      log(`${place}: skipped, ${error.message.replace(/^\w+: /, '')}`);
    }
  }
  await transport.allReduce(counts);
  const [done, skipped] = counts;
  if (transport.rank === 0) {
    if (done > 0) log(`encode: ${done} of ${jobs.length} images were there already.`);
    if (skipped > 0) log(`encode: ${skipped} of ${jobs.length} images skipped.`);
  }
  return skipped > 0 ? 2 : 0;
}

/** Words that a message lists. */
const LISTED_WORDS = 80;

/** Says that a prompt has a word which the checkpoint does not know, and which it does. */
function unknownPrompt(prompt: string, words: readonly string[]): string {
  const more = words.length > LISTED_WORDS ? ' …' : '';
  const known = `It knows ${[...words].sort().slice(0, LISTED_WORDS).join(', ')}${more}.`;
  return `encode: “${prompt}” has a word that the checkpoint was not trained with, so its map means little. ${known}`;
}

interface Job {
  readonly path: string;
  /** Stem of the files written. */
  readonly name: string;
  /** From 1. */
  readonly number: number;
}

/** Every image with a unique name: `cat`, and `cat-2` where another folder has a cat too. */
function namedJobs(images: readonly string[]): Job[] {
  const paths = images.flatMap((path) => {
    if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
    const found = readdirSync(path).filter((file) => isImageName(file) && !OWN_IMAGE.test(file));
    if (found.length === 0)
      throw new EncodeError(`encode: a folder must hold images, got ${path} without any.`);
    return found.sort().map((file) => join(path, file));
  });
  if (paths.length === 0)
    throw new EncodeError('encode: at least one image or folder must be given, got none.');
  const taken = new Set<string>();
  return paths.map((path, i) => {
    const stem = basename(path, extname(path));
    let name = stem;
    for (let n = 2; taken.has(name); n++) name = `${stem}-${n}`;
    taken.add(name);
    return { path, name, number: i + 1 };
  });
}

/** Encodes one image and writes its files; returns its number of tokens and the last path written. */
async function encodeImage(
  engine: Engine,
  model: PS3,
  path: string,
  target: string,
  options: EncodeImagesOptions,
): Promise<[tokens: number, written: string]> {
  if (!existsSync(path)) throw new EncodeError(`encode: the image must exist, got no file ${path}.`);
  const { prompt, region, looks, tokens, hiddenStates, format } = options;
  const decoded = await decodeImage(path, { orient: options.orient });
  const { width, height } = decoded;
  using scope: Scope = engine.scope();
  const image = resizeToSquare(engine, decoded, model.config.image.imagePx, { scope });
  const vector = prompt === undefined ? undefined : model.encodeText(prompt, { scope }).prompt;
  const out = await model.encode(image, { prompt: vector, region, looks, tokens, hiddenStates });
  const numbersOf = async (name: string, tensor: Tensor<'f32'>): Promise<Numbers> => ({
    name,
    shape: tensor.shape.slice(1), // of a batch of one
    data: await tensor.data(),
  });
  const perScale = (name: string, maps: readonly Tensor<'f32'>[]): Promise<Numbers[]> =>
    Promise.all(maps.map((map, i) => numbersOf(`${name}.${i}`, map)));
  const selected = await perScale('selection_maps', out.selectionMaps);
  const probs = await perScale('selection_probs', out.selectionProbs);
  const bottomUp = await perScale('bottom_up', out.bottomUp);
  const features = await numbersOf('last_hidden_state', out.lastHiddenState);
  const { scalesPx } = model.config.vision;
  await drawOverlays(target, decoded, {
    kind: prompt === undefined ? 'bottom_up' : 'top_down',
    probs,
    bottomUp,
    selected,
    scalesPx,
  });
  const written = await writeNumbers(
    target,
    [
      features,
      ...(await perScale('hidden_states', out.hiddenStates)),
      ...selected,
      ...probs,
      ...bottomUp,
      ...(vector ? [await numbersOf('prompt', vector)] : []),
    ],
    {
      format: 'pt',
      image: basename(path),
      image_size: `${width}x${height}`,
      scales_px: scalesPx.join(','),
      ...(prompt === undefined ? {} : { prompt }),
      ...(region === undefined ? {} : { region: JSON.stringify(region) }),
    },
    format,
  );
  return [features.shape[0], written];
}
