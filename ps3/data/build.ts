// Scenes from end to end: sources, catalogue, splits and kits for a trainer; a folder or shards on disk for
// the command `ps3 data scenes`.
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { assertWritableFolder, expectKeys } from '../../engine/index.ts';
import { fromLead, SINGLE, type Transport } from '../ranks/transport.ts';
import { CARD_STYLE, type Concept, cardCatalogue, openCatalogue } from './concepts.ts';
import { drawContactSheet } from './contact_sheet.ts';
import { DataError } from './errors.ts';
import { fingerprintSources } from './fingerprint.ts';
import { licenceManifest, manifestText } from './manifest.ts';
import { finishScenes, writeScenes } from './scene_files.ts';
import {
  buildScene,
  type Scene,
  type SceneKit,
  SceneMaterial,
  type SceneSpec,
  scenePreset,
} from './scenes.ts';
import { seedFor } from './seeds.ts';
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
  /** Drawing styles of the objects (noto, twemoji, openmoji, stamp; or cards, alone); all when left out. */
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
  // Cards are what questions are asked about: all of them are, and no object is between them.
  const hasCards = styles?.includes(CARD_STYLE) ?? false;
  const all = openCatalogue(sources);
  const whole = hasCards ? cardCatalogue(all) : all;
  const catalogue = inStyles(
    whole,
    (style) =>
      !(permissive && SHARE_ALIKE_STYLES.includes(style)) && (hasCards || (styles?.includes(style) ?? true)),
  );
  const photos = permissive
    ? sources.photos.filter(({ licence }) => PERMISSIVE_LICENCE.test(licence))
    : sources.photos;
  const splits = makeSplits(catalogue, photos, sources.fonts, {
    seed,
    conceptCount: concepts,
    ...(hasCards && { heldOutCount: 0, distractorCount: 0 }),
  });
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
  /** Ranks that share the images; this process alone when left out. */
  transport?: Transport;
}

const DATA_SCENES_OPTIONS = {
  ...SCENES_OPTIONS,
  out: true,
  count: true,
  split: true,
  signs: true,
  format: true,
  transport: true,
} as const;

/** The outcome of the command. */
export interface DataScenesResult {
  out: string;
  images: number;
  boxes: number;
  /** Bytes of the encoded images. */
  imageBytes: number;
}

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
 * The folder appears under its name only when it is complete. What a call that was stopped has made stays beside it in
 * `.NAME.partial`, and the next call with the same options and sources goes on, with any number of ranks.
 *
 * @throws DataError for wrong options or sources that cannot be downloaded, FileError for a folder
 *         that cannot be written
 */
export async function runDataScenes(options: DataScenesOptions): Promise<DataScenesResult> {
  expectKeys('runDataScenes', options, DATA_SCENES_OPTIONS);
  const {
    out: folder,
    signs,
    count,
    split = 'train',
    format = 'folder',
    transport = SINGLE,
    ...others
  } = options;
  const { seed = 1, progress } = options;
  const isLead = transport.rank === 0;
  await fromLead(transport, async () => {
    checkOptions(options);
    await assertWritableFolder(folder);
    return null;
  });
  const spec = signs === undefined ? options.spec : { ...options.spec, signs: [0, signs] as const };
  const open = (): Promise<Scenes> => openScenes({ ...others, spec });
  // The first rank fetches what the cache lacks, then it is there for all.
  const opened = isLead ? await open() : undefined;
  await transport.barrier();
  const scenes = opened ?? (await open());
  const kit = await scenes.kit(scenes.splits[split]);
  const out = resolve(folder);
  const partial = join(dirname(out), `.${basename(out)}.partial`);
  const scene = (index: number): Scene => buildScene(kit, sceneSeed(seed, split, index));
  const { notice: _, progress: __, ...deciding } = others;
  const sources = await fingerprintSources(scenes.sources);
  const description = JSON.stringify({ ...deciding, spec, split, format, count, sources });
  const written = await writeScenes({
    ...{ folder: partial, count, format, description, scene, transport },
    onProgress: (done, all) => progress?.(done, all, 'building scenes'),
  });
  if (isLead) {
    const manifest = licenceManifest(
      scenes.sources,
      scenes.splits[split].photos.map((photo) => scenes.photos[photo]),
      new Set([...kit.sprites.values()].flat().map((sprite) => sprite.style)),
    );
    writeFileSync(join(partial, 'licences.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    writeFileSync(join(partial, 'LICENCES.md'), manifestText(manifest));
    const font = scenes.sources.fonts.find(({ name }) => name === 'oswald') ?? scenes.sources.fonts[0];
    const quality = 66; // a sheet of eight images stays below 150 kB
    const shown = Math.min(count, scenes.spec.side > 1024 ? 1 : SHEET_IMAGES);
    const sheet = Array.from({ length: shown }, (_, i) => scene(i));
    const layout =
      scenes.spec.side > 1024
        ? { columns: 1, tilePx: 1060, font, quality }
        : { columns: 4, tilePx: 260, font, quality };
    writeFileSync(
      join(partial, 'contact_sheet.jpg'),
      await drawContactSheet(sheet, 'contact_sheet.jpg', layout),
    );
    rmSync(out, { recursive: true, force: true }); // empty, see checkOptions
    await finishScenes(partial, out);
  }
  await transport.barrier();
  return { out, images: count, ...written };
}
