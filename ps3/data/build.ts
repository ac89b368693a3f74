// Scenes from end to end: sources, catalogue, splits and kits for a trainer; a folder or shards on disk for
// the command `ps3 data scenes`.
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { assertWritableFolder, expectKeys, makeFolder } from '../../engine/index.ts';
import { annotationJson, encodeSquare } from './annotations.ts';
import { type Concept, openCatalogue } from './concepts.ts';
import { type AnnotatedImage, drawContactSheet } from './contact_sheet.ts';
import { DataError } from './errors.ts';
import { ANNOTATION_FILE } from './folder.ts';
import { licenceManifest, manifestText } from './manifest.ts';
import {
  buildScene,
  type Scene,
  type SceneKit,
  SceneMaterial,
  type SceneSpec,
  scenePreset,
} from './scenes.ts';
import { seedFor } from './seeds.ts';
import { type EncodedSample, writeShards } from './shards.ts';
import { openSources, type PhotoSource, type SourceOptions, type Sources } from './sources.ts';
import { makeSplits, type Split, type Splits } from './splits.ts';

/** Called with pieces done, pieces in all, and what they are. */
export type Progress = (done: number, count: number, what: string) => void;

/** The sources and settings of Scenes. */
export interface ScenesOptions extends SourceOptions {
  /** Side of the images; 448 when left out. */
  side?: number;
  /** Captioned training objects; 32 when left out. */
  concepts?: number | 'all';
  /** Names the splits and the images; 1 when left out. */
  seed?: number;
  /** Only sources that ask for no more than attribution (no share-alike, no GPL). */
  permissive?: boolean;
  /** Drawing styles of the objects (noto, twemoji, openmoji, stamp); all when left out. */
  styles?: readonly string[];
  /** Changes to the preset of the side. */
  spec?: Partial<SceneSpec>;
  progress?: Progress;
}

const SCENES_OPTIONS = {
  side: true,
  concepts: true,
  seed: true,
  permissive: true,
  styles: true,
  spec: true,
  progress: true,
  photos: true,
  stamps: true,
  plasma: true,
  notice: true,
} as const;

/** Scenes, ready to load a split. */
export interface Scenes {
  sources: Sources;
  catalogue: Concept[];
  photos: PhotoSource[];
  splits: Splits;
  spec: SceneSpec;
  /** Loads a split into memory. */
  kit(split: Split): Promise<SceneKit>;
}

const SHARE_ALIKE_STYLES = ['openmoji', 'stamp'];
const PERMISSIVE_LICENCE = /^(CC0|CC-BY-\d|the user's own)/;

/** The catalogue in the wanted styles; signs stay. */
function inStyles(catalogue: readonly Concept[], keep: (style: string) => boolean): Concept[] {
  return catalogue
    .map((concept) => ({
      ...concept,
      looks: concept.looks.filter((look) => concept.kind === 'sign' || keep(look.style)),
    }))
    .filter((concept) => concept.looks.length > 0);
}

/** Opens the sources, downloading what the cache lacks, and divides them. */
export async function openScenes(options: ScenesOptions = {}): Promise<Scenes> {
  expectKeys('openScenes', options, SCENES_OPTIONS);
  const { side = 448, concepts = 32, seed = 1, permissive = false, styles, progress } = options;
  const spec = scenePreset(side, options.spec);
  const { photos: place, stamps, plasma, notice } = options;
  const sources = await openSources({ photos: place, stamps, plasma, notice });
  const whole = openCatalogue(sources);
  const catalogue = inStyles(
    whole,
    (style) => !(permissive && SHARE_ALIKE_STYLES.includes(style)) && (styles?.includes(style) ?? true),
  );
  const photos = permissive
    ? sources.photos.filter(({ licence }) => PERMISSIVE_LICENCE.test(licence))
    : sources.photos;
  const splits = makeSplits(catalogue, photos, sources.fonts, { seed, conceptCount: concepts });
  const material = new SceneMaterial(catalogue, photos);
  return {
    sources,
    catalogue,
    photos,
    splits,
    spec,
    kit: (split) => material.load(split, spec, (done, count) => progress?.(done, count, 'loading images')),
  };
}

/** The seed of scene number `index` of a collection; collections of different names share no images. */
export function sceneSeed(seed: number, collection: string, index: number): number {
  return seedFor(seed, `${collection} ${index}`);
}

/** Options of the command `ps3 data scenes`. */
export interface DataScenesOptions extends ScenesOptions {
  /** Folder to write; must not exist or be empty. */
  out: string;
  /** Images to write. */
  count: number;
  /** Part of the data; `train` when left out. */
  split?: keyof Splits;
  /** Largest number of captioned signs in an image; the preset's when left out. */
  signs?: number;
  /** `folder` (images and annotations.jsonl) or `shards` (two tar collections); `folder` when left out. */
  format?: 'folder' | 'shards';
}

const DATA_SCENES_OPTIONS = {
  ...SCENES_OPTIONS,
  out: true,
  count: true,
  split: true,
  signs: true,
  format: true,
} as const;

/** The outcome of the command. */
export interface DataScenesResult {
  out: string;
  images: number;
  boxes: number;
  /** Bytes of the encoded images. */
  imageBytes: number;
}

const SAMPLES_PER_SHARD = 1000;
const SHEET_IMAGES = 8;

/** Values of `ps3 data scenes --split`. */
export const SPLIT_NAMES: readonly (keyof Splits)[] = ['train', 'heldOutImages', 'heldOutConcepts'];
/** Values of `ps3 data scenes --format`. */
export const FORMATS: readonly ('folder' | 'shards')[] = ['folder', 'shards'];

function checkOptions({
  out,
  count,
  split = 'train',
  format = 'folder',
  signs = 0,
}: DataScenesOptions): void {
  for (const [flag, value, allowed] of [
    ['split', split, SPLIT_NAMES],
    ['format', format, FORMATS],
  ] as const) {
    if (!(allowed as readonly string[]).includes(value)) {
      throw new DataError(`data scenes: --${flag} must be one of ${allowed.join(', ')}, got ${value}.`);
    }
  }
  if (!Number.isInteger(signs) || signs < 0) {
    throw new DataError(`data scenes: --signs must be a whole number from 0, got ${signs}.`);
  }
  if (!Number.isInteger(count) || count < 1) {
    throw new DataError(`data scenes: --count must be a whole number from 1, got ${count}.`);
  }
  if (existsSync(out) && (!statSync(out).isDirectory() || readdirSync(out).length > 0)) {
    throw new DataError(
      `data scenes: --out must be a new or empty folder, got ${out}. Choose another or remove it.`,
    );
  }
}

/**
 * Writes a collection of Scenes with annotations, licence manifest and contact sheet: `ps3 data scenes`.
 *
 * The folder appears under its name only when it is complete.
 *
 * Nothing is left behind after an error.
 *
 * @throws DataError for wrong options or sources that cannot be downloaded, FileError for a folder
 *         that cannot be written
 */
export async function runDataScenes(options: DataScenesOptions): Promise<DataScenesResult> {
  expectKeys('runDataScenes', options, DATA_SCENES_OPTIONS);
  const { out: folder, signs, count, split = 'train', format = 'folder', ...scenesOptions } = options;
  const { seed = 1, progress } = options;
  checkOptions(options);
  await assertWritableFolder(folder);
  const spec = signs === undefined ? options.spec : { ...options.spec, signs: [0, signs] as const };
  const scenes = await openScenes({ ...scenesOptions, spec });
  const kit = await scenes.kit(scenes.splits[split]);
  const out = resolve(folder);
  const partial = join(dirname(out), `.${basename(out)}.partial-${process.pid}`);
  const result: DataScenesResult = { out, images: count, boxes: 0, imageBytes: 0 };
  const sheet: AnnotatedImage[] = [];
  const lines: string[] = [];

  async function encode(index: number): Promise<EncodedSample> {
    const scene: Scene = buildScene(kit, sceneSeed(seed, split, index));
    if (sheet.length < (scene.side > 1024 ? 1 : SHEET_IMAGES)) sheet.push(scene);
    const image = await encodeSquare(scene.rgba, scene.side);
    const { boxes, captions, globalCaption } = scene;
    return { key: String(index).padStart(8, '0'), suffix: 'jpg', image, boxes, captions, globalCaption };
  }
  /** Scenes in order; the next one is composed while the last ones are encoded in sharp's threads. */
  async function* encoded(): AsyncGenerator<EncodedSample> {
    const ahead: Promise<EncodedSample>[] = [];
    for (let index = 0; index < count; index++) {
      while (ahead.length < 4 && index + ahead.length < count) ahead.push(encode(index + ahead.length));
      const sample = await (ahead.shift() as Promise<EncodedSample>);
      result.boxes += sample.boxes.length;
      result.imageBytes += sample.image.length;
      yield sample;
      progress?.(index + 1, count, 'building scenes');
    }
  }

  try {
    await makeFolder(partial);
    if (format === 'shards') {
      await writeShards(partial, encoded(), SAMPLES_PER_SHARD);
    } else {
      for await (const sample of encoded()) {
        const image = `${sample.key}.${sample.suffix}`;
        writeFileSync(join(partial, image), sample.image);
        lines.push(JSON.stringify({ image, ...annotationJson(sample) }));
      }
      writeFileSync(join(partial, ANNOTATION_FILE), `${lines.join('\n')}\n`);
    }
    const manifest = licenceManifest(
      scenes.sources,
      scenes.splits[split].photos.map((photo) => scenes.photos[photo]),
      new Set([...kit.sprites.values()].flat().map((sprite) => sprite.style)),
    );
    writeFileSync(join(partial, 'licences.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    writeFileSync(join(partial, 'LICENCES.md'), manifestText(manifest));
    const font = scenes.sources.fonts.find(({ name }) => name === 'oswald') ?? scenes.sources.fonts[0];
    const quality = 66; // a sheet of eight images stays below 150 kB
    const layout =
      sheet[0].side > 1024
        ? { columns: 1, tilePx: 1060, font, quality }
        : { columns: 4, tilePx: 260, font, quality };
    writeFileSync(
      join(partial, 'contact_sheet.jpg'),
      await drawContactSheet(sheet, 'contact_sheet.jpg', layout),
    );
    rmSync(out, { recursive: true, force: true }); // empty, see checkOptions
    renameSync(partial, out);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return result;
}
