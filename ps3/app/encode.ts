// Features, selection maps and heat maps of pictures: what `ps3 encode` does.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import {
  type Engine,
  EngineError,
  noGrad,
  type Scope,
  type Tensor,
  writeSafetensors,
} from '../../engine/index.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { type DecodedImage, decodeImage, ImageError, squash } from '../model/image.ts';
import type { LookOptions } from '../model/vision.ts';
import { captionIds } from '../train/feed.ts';
import { encodePng, heatMap, type Picture, resized, type SelectedPatches } from './heat_map.ts';

/** What was asked for cannot be encoded. */
export class EncodeError extends EngineError {
  constructor(message: string) {
    super('encode', message);
  }
}

export interface EncodeOptions {
  /** Files, and folders whose pictures are all taken. */
  readonly images: readonly string[];
  /** A run folder whose checkpoint to use; or `checkpoint`. */
  readonly run?: string;
  /** A checkpoint folder; or `run`. */
  readonly checkpoint?: string;
  /** What to look for; without one, selection is bottom-up. */
  readonly prompt?: string;
  /** Looks of a full budget each, or as many as cover everything; default 1. */
  readonly looks?: number | 'all';
  /** Patches in total, instead of `looks`. */
  readonly tokens?: number;
  /** Folder to write; it is made where it is missing. */
  readonly out: string;
  /** Takes a line per picture; default: standard error. */
  readonly log?: (line: string) => void;
}

const PICTURE_SUFFIXES = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff'];

/** What an earlier call wrote into the folder is not taken for a picture. */
const OWN_PICTURE = /\.(bottom_up|top_down|scale_\d+px)\.png$/;

/** Long side of a heat map, pixels. */
const [SMALLEST_VIEW_PX, LARGEST_VIEW_PX] = [448, 1024];

/**
 * Encodes pictures one after another, so that memory does not grow with their number. Into `out`, for each picture:
 *
 *   NAME.bottom_up.png, NAME.top_down.png   saliency; selection is outlined on the one that decided it
 *   NAME.scale_112px.png ...                the same with the patches of one scale
 *   NAME.safetensors                        last_hidden_state [N + K, C]; per high-res scale i selection_maps.i,
 *                                           selection_probs.i and bottom_up.i [Y, X]; prompt [C] if any
 *
 * Tokens are the N low-res ones, then the K selected, scale after scale in raster order. A file appears whole or not
 * at all, the safetensors file last. A picture that cannot be read is skipped with a sentence.
 *
 * @returns  the exit code: 0, or 2 when a picture was skipped
 * @throws EncodeError, ConfigError, SafetensorsError before anything is written
 */
export async function encodeImages(engine: Engine, options: EncodeOptions): Promise<number> {
  const { out, prompt, looks, tokens, log = console.error } = options;
  const folder = checkpointFolder(options);
  if (looks !== undefined && tokens !== undefined)
    throw new EncodeError(
      `encode: looks and tokens exclude each other, got ${looks} and ${tokens}. Pass one.`,
    );
  if (prompt?.trim() === '')
    throw new EncodeError('encode: the prompt must have a word, got none. Leave it out.');
  const jobs = namedJobs(options.images);
  const checkpoint = await loadCheckpoint(engine, folder);
  if (prompt !== undefined && hasUnknownWords(checkpoint, prompt))
    log(`encode: “${prompt}” has a word that the checkpoint was not trained with, so its map means little.`);
  let skipped = 0;
  try {
    for (const [i, { path, name }] of jobs.entries()) {
      const started = performance.now();
      const place = `${i + 1}/${jobs.length} ${path}`;
      try {
        const count = await encodeImage(engine, checkpoint, path, join(out, name), { prompt, looks, tokens });
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        log(`${place}: ${count} tokens in ${seconds} s, ${join(out, `${name}.safetensors`)}`);
      } catch (error) {
        if (!(error instanceof ImageError || error instanceof EncodeError)) throw error;
        skipped++;
        log(`${place}: skipped, ${error.message.replace(/^\w+: /, '')}`);
      }
    }
  } finally {
    checkpoint.model.dispose();
  }
  if (skipped > 0) log(`encode: ${skipped} of ${jobs.length} pictures skipped.`);
  return skipped > 0 ? 2 : 0;
}

function checkpointFolder({ run, checkpoint }: EncodeOptions): string {
  if ((run === undefined) === (checkpoint === undefined))
    throw new EncodeError(
      `encode: one of --run and --checkpoint must be given, got ${run === undefined ? 'neither' : 'both'}.`,
    );
  const folder = checkpoint ?? join(run!, 'checkpoint');
  const missing = ['config.json', 'tokenizer.json', 'model.safetensors'].find(
    (file) => !existsSync(join(folder, file)),
  );
  if (missing !== undefined)
    throw new EncodeError(
      `encode: a checkpoint must be a folder with ${missing}, got ${folder} without it. Pass --run RUN or --checkpoint DIR.`,
    );
  return folder;
}

/** Whether a checkpoint with a vocabulary of words lacks one of the prompt's. */
function hasUnknownWords({ tokenizer }: Checkpoint, prompt: string): boolean {
  const { model } = tokenizer.toJSON()['tokenizer.json'] as {
    model?: { type?: string; unk_token?: string; vocab?: Record<string, number> };
  };
  if (model?.type !== 'WordLevel') return false;
  return tokenizer.encode([prompt]).includes(model.vocab?.[model.unk_token ?? ''] ?? -1);
}

interface Job {
  readonly path: string;
  /** Stem of the files written. */
  readonly name: string;
}

/** Every picture with a name of its own: `cat`, and `cat-2` where another folder has a cat too. */
function namedJobs(images: readonly string[]): Job[] {
  const paths = images.flatMap((path) => {
    if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
    const found = readdirSync(path).filter(
      (file) => PICTURE_SUFFIXES.includes(extname(file).toLowerCase()) && !OWN_PICTURE.test(file),
    );
    if (found.length === 0)
      throw new EncodeError(
        `encode: a folder must hold pictures, got ${path} without any (${PICTURE_SUFFIXES.join(' ')}).`,
      );
    return found.sort().map((file) => join(path, file));
  });
  if (paths.length === 0)
    throw new EncodeError('encode: at least one picture or folder must be given, got none.');
  const taken = new Set<string>();
  return paths.map((path) => {
    const stem = basename(path, extname(path));
    let name = stem;
    for (let n = 2; taken.has(name); n++) name = `${stem}-${n}`;
    taken.add(name);
    return { path, name };
  });
}

/** What is read back from the GPU. */
interface Encoding {
  readonly tokens: Float32Array;
  /** [N + K, C]. */
  readonly shape: readonly number[];
  readonly prompt: Float32Array | undefined;
  readonly probs: readonly Float32Array[];
  readonly bottomUp: readonly Float32Array[];
  readonly selected: readonly SelectedPatches[];
}

/** Encodes one picture and writes its files; returns its number of tokens. */
async function encodeImage(
  engine: Engine,
  checkpoint: Checkpoint,
  path: string,
  target: string,
  options: Pick<EncodeOptions, 'prompt' | 'looks' | 'tokens'>,
): Promise<number> {
  if (!existsSync(path)) throw new EncodeError(`encode: the picture must exist, got no file ${path}.`);
  const { vision } = checkpoint.model.config;
  const side = vision.scalesPx[vision.scalesPx.length - 1];
  const picture = await decodeImage(path);
  const { width, height } = picture;
  const encoding = await look(engine, checkpoint, picture, side, options);
  const view = await resized(picture, viewSize(width, height));
  await mkdir(dirname(target), { recursive: true });
  await drawMaps(target, view, encoding, vision.scalesPx.slice(1));
  const map = (name: string, numbers: Float32Array, scale: number) => ({
    name: `${name}.${scale}`,
    dtype: 'F32' as const,
    shape: [...encoding.selected[scale].grid],
    data: numbers,
  });
  await writeSafetensors(
    `${target}.safetensors`,
    [
      { name: 'last_hidden_state', dtype: 'F32', shape: [...encoding.shape], data: encoding.tokens },
      ...encoding.selected.map(({ map: taken }, i) => map('selection_maps', Float32Array.from(taken), i)),
      ...encoding.probs.map((numbers, i) => map('selection_probs', numbers, i)),
      ...encoding.bottomUp.map((numbers, i) => map('bottom_up', numbers, i)),
      ...(encoding.prompt
        ? [{ name: 'prompt', dtype: 'F32' as const, shape: [encoding.prompt.length], data: encoding.prompt }]
        : []),
    ],
    {
      format: 'pt',
      image: basename(path),
      image_size: `${width}x${height}`,
      scales_px: vision.scalesPx.join(','),
      ...(options.prompt === undefined ? {} : { prompt: options.prompt }),
    },
  );
  return encoding.shape[0];
}

/** Runs the model on one picture and reads everything back. */
async function look(
  engine: Engine,
  { model, tokenizer }: Checkpoint,
  picture: DecodedImage,
  side: number,
  { prompt: text, ...options }: Pick<LookOptions, 'looks' | 'tokens'> & { prompt?: string },
): Promise<Encoding> {
  using scope: Scope = engine.scope();
  const image = squash(engine, picture, side, scope);
  const grids = model.vision.grids(image).slice(1);
  const { prompt, output } = noGrad(() => {
    const prompt =
      text === undefined ? undefined : model.encodeText(captionIds(engine, tokenizer, [text], scope)).prompt;
    return { prompt, output: model.vision.encode(image, { ...options, prompt }) };
  });
  const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.data()) as Float32Array;
  const readAll = (tensors: readonly Tensor[]): Promise<Float32Array[]> => Promise.all(tensors.map(read));
  const taken = output.selectionMaps ? await readAll(output.selectionMaps) : [];
  return {
    tokens: await read(output.lastHiddenState),
    shape: output.lastHiddenState.shape.slice(1),
    prompt: prompt ? await read(prompt) : undefined,
    probs: await readAll(output.maps.probs),
    bottomUp: await readAll(output.maps.bottomUp),
    selected: grids.map((grid, i) => ({ map: taken[i] ?? new Float32Array(grid[0] * grid[1]), grid })),
  };
}

/** The size at which maps of a picture are drawn: its own shape, within bounds. */
function viewSize(width: number, height: number): { width: number; height: number } {
  const longer = Math.max(width, height);
  const zoom = Math.min(LARGEST_VIEW_PX, Math.max(SMALLEST_VIEW_PX, longer)) / longer;
  return { width: Math.max(1, Math.round(width * zoom)), height: Math.max(1, Math.round(height * zoom)) };
}

async function drawMaps(
  target: string,
  view: Picture,
  { prompt, probs, bottomUp, selected }: Encoding,
  scalesPx: readonly number[],
): Promise<void> {
  const finest = probs.length - 1;
  const { grid } = selected[finest];
  const kind = prompt ? 'top_down' : 'bottom_up';
  if (prompt) await writePng(`${target}.bottom_up.png`, heatMap(view, bottomUp[finest], grid));
  await writePng(`${target}.${kind}.png`, heatMap(view, probs[finest], grid, { selected }));
  for (const [i, patches] of selected.entries()) {
    // The lines of the other scales stay away, and its own keep their colour and width.
    const alone = selected.map((other, j) =>
      j === i ? patches : { ...other, map: new Uint8Array(other.map.length) },
    );
    const drawn = heatMap(view, probs[i], patches.grid, { selected: alone });
    await writePng(`${target}.scale_${scalesPx[i]}px.png`, drawn);
  }
}

/** Writes under a temporary name in the same folder and renames. */
async function writePng(path: string, picture: Picture): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await writeFile(temporary, await encodePng(picture));
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
