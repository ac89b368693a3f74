// Batches of scenes that are composed for their step, so that no image is seen twice: windows of large images or all of them,
// and crops of single objects at the resolution of the two finest scales.
import { Random } from '../../engine/index.ts';
import type { Thing } from '../data/backgrounds.ts';
import { boxCells, boxShares, exactGridSide } from '../data/boxes.ts';
import { sceneSeed } from '../data/build.ts';
import { buildScene, type Range, type Scene, type SceneKit, singleObjectCrop } from '../data/scenes.ts';
import { expectConfig } from '../model/config/config.ts';
import { windowConfig } from '../model/vision/windows.ts';
import { classesOf, countedIds, tokenIds } from './batch_loader.ts';
import { batchesByStep, type HostTensor, type Made } from './batches.ts';
import type { NativeCropsConfig, WindowConfig } from './data_config.ts';
import type { BatchModel, ImageSource } from './image_source.ts';
import type { Batch } from './loss.ts';
import type { CropSource, Crops } from './towers.ts';

/** What views are made of. */
export interface SceneViewsOptions {
  readonly kit: SceneKit;
  readonly seed: number;
  readonly crops: NativeCropsConfig;
  /** null: whole images. */
  readonly window: WindowConfig | null;
  /** Parts of a batch that go through the model one after another. */
  readonly parts: number;
}

/** Scales of a model, as views need them. */
type Scales = { readonly scalesPx: readonly number[]; readonly patchPx: number };

/** Objects that a crop of the finest scale shows, as shares of its side: those that it holds, and some that it cuts. */
const FINE_SHARE: Range = [0.27, 1.25];

/** And of the scale before it: the larger ones. */
const COARSE_SHARE: Range = [0.37, 0.7];

/** Crops of a step: the finest scale's, then those of the scale before. */
export function nativeCrops(
  kit: SceneKit,
  { scalesPx, patchPx }: Scales,
  { gridSide, coarseShare }: NativeCropsConfig,
  seed: number,
  name = 'native crop',
): CropSource {
  const sidePx = gridSide * patchPx;
  const [before, finest] = scalesPx.slice(-2);
  const coarsePx = (sidePx * finest) / before;
  return (step, count): Crops => {
    const coarseCount = Math.round(coarseShare * count);
    const random = new Random(sceneSeed(seed, `${name}, places`, step));
    const captions: string[] = [];
    const cropsOf = (count: number, side: number, share: Range, first: number): Uint8Array => {
      const rgba = new Uint8Array(count * side * side * 4);
      const longSidePx: Range = [share[0] * side, share[1] * side];
      for (let i = 0; i < count; i++) {
        const crop = singleObjectCrop(kit, side, sceneSeed(seed, `${name} ${step}`, first + i), longSidePx);
        rgba.set(crop.rgba, i * side * side * 4);
        captions.push(crop.caption);
      }
      return rgba;
    };
    const placesOf = (count: number, scalePx: number): HostTensor => {
      const grid = scalePx / patchPx;
      const places = new Uint32Array(count * gridSide * gridSide);
      for (let i = 0; i < count; i++) {
        const [row, column] = [random.integer(grid - gridSide + 1), random.integer(grid - gridSide + 1)];
        for (let p = 0; p < gridSide * gridSide; p++)
          places[i * gridSide * gridSide + p] =
            (row + Math.floor(p / gridSide)) * grid + column + (p % gridSide);
      }
      return { data: places, shape: [count, gridSide * gridSide] };
    };
    const fineCount = count - coarseCount;
    const fine = {
      rgba: cropsOf(fineCount, sidePx, FINE_SHARE, 0),
      captions,
      places: placesOf(fineCount, finest),
    };
    if (coarseCount === 0) return fine;
    const coarse = {
      data: cropsOf(coarseCount, coarsePx, COARSE_SHARE, fineCount),
      shape: [coarseCount, coarsePx, coarsePx, 4],
    };
    return { ...fine, coarse, coarsePlaces: placesOf(coarseCount, before) };
  };
}

/** Captions of everything that views of a kit name. */
export function namesOf({ objects, catalogue, annotated }: SceneKit): string[] {
  return [...objects.map((id) => catalogue[id].name), ...(annotated?.names ?? [])];
}

/** Scenes composed step by step as what the second stage is trained on. */
export function sceneViews(options: SceneViewsOptions): Pick<ImageSource, 'batches'> {
  return {
    batches: (model, { batchSize }, from) => {
      const make = viewBatches(options, model, batchSize);
      return batchesByStep(make, from);
    },
  };
}

/** Batches whose images stay as they are: one is made while two others may still be read. */
const KEPT = 3;

/** Makes the batch of a step. Its images are in memory that the third batch after it uses again. */
function viewBatches(
  { kit, seed, crops: cropping, window, parts }: SceneViewsOptions,
  { config, tokenizer }: BatchModel,
  batchSize: number,
): (step: number) => Made<Batch> {
  const whole = config.vision;
  const { gridSides, scalesPx } = window ? windowConfig(whole, window.cells, window.maxSelect) : whole;
  const side = scalesPx[scalesPx.length - 1];
  const spec = {
    ...kit.spec,
    side,
    ...(window && { objects: window.objects, distractors: [0, 0] as const }),
  };
  const maps = exactGridSide(gridSides, side);
  const names = namesOf(kit);
  const { ids: nameIds } = countedIds(tokenizer, names);
  const cells = gridSides[0] ** 2;
  const cropSource = nativeCrops(kit, whole, cropping, seed, 'crop besides');
  const { besides } = cropping;
  expectConfig(
    besides % parts === 0 && Math.round(cropping.coarseShare * besides) % parts === 0,
    `data.nativeCrops.besides, and its coarse ones, must be multiples of ps3.accumulate, ${parts}`,
    besides,
  );
  /** Crops of a step beside images with such captions, and the classes of both. */
  const besidesOf = (step: number, captions: readonly string[]): Partial<Made<Batch>['host']> => {
    const { rgba, captions: names, places, coarse, coarsePlaces } = cropSource(step, besides);
    const fine = besides - (coarse?.shape[0] ?? 0);
    const named = [names.slice(0, fine), names.slice(fine)];
    const sidePx = cropping.gridSide * whole.patchPx;
    return {
      crops: { data: rgba, shape: [fine, sidePx, sidePx, 4] },
      ...(places && { cropPlaces: places }),
      ...(coarse && { coarseCrops: coarse }),
      ...(coarsePlaces && { coarsePlaces }),
      cropIds: tokenIds(tokenizer, inParts(named, parts)),
      classes: classRow(inParts([captions, ...named], parts)),
    };
  };
  const imageBytes = 4 * side * side;
  const kept: Uint8Array[] = [];
  let made = 0;
  return (step) => {
    const random = new Random(sceneSeed(seed, 'view', step));
    const place = made++ % KEPT;
    kept[place] ??= new Uint8Array(batchSize * imageBytes);
    const image = kept[place];
    const box = new Float32Array(batchSize * maps * maps);
    const allBoxes = new Float32Array(batchSize * maps * maps);
    const shares = new Float32Array(batchSize * names.length * cells);
    const origin = new Uint32Array(2 * batchSize);
    const captions: string[] = [];
    for (let b = 0; b < batchSize; b++) {
      const rgba = image.subarray(b * imageBytes, (b + 1) * imageBytes);
      const scene = buildScene({ ...kit, spec }, sceneSeed(seed, `view ${step}`, b), rgba);
      const shown = shownIn(scene, names);
      const boxesOf = [...shown.values()];
      const chosen = boxesOf[random.integer(boxesOf.length)];
      const { caption, box: one } = chosen.length > 1 ? chosen[random.integer(chosen.length)] : chosen[0];
      captions.push(caption);
      box.set(boxCells([one], side, maps), b * maps * maps);
      const all = [...scene.boxes, ...scene.things.map(({ box }) => box)];
      allBoxes.set(boxCells(all, side, maps), b * maps * maps);
      for (const [caption, things] of shown)
        for (const { box } of things) {
          const at = (b * names.length + names.indexOf(caption)) * cells;
          for (const [cell, share] of boxShares(box, side, gridSides[0]).entries())
            shares[at + cell] = Math.min(1, shares[at + cell] + share);
        }
      const places = whole.gridSides[0] - gridSides[0] + 1;
      origin.set([random.integer(places), random.integer(places)], 2 * b);
    }
    const { ids, cutCaptions } = countedIds(tokenizer, captions);
    const crops = besides > 0 ? besidesOf(step, captions) : { classes: classRow(captions) };
    const host: Made<Batch>['host'] = {
      image: { data: image, shape: [batchSize, side, side, 4] },
      ids,
      box: { data: box, shape: [batchSize, maps, maps] },
      allBoxes: { data: allBoxes, shape: [batchSize, maps, maps] },
      isGlobal: { data: new Float32Array(batchSize), shape: [batchSize, 1] },
      isLocal: { data: new Float32Array(batchSize).fill(1), shape: [batchSize] },
      captions: repeated(nameIds, batchSize),
      shares: { data: shares, shape: [batchSize, names.length, cells] },
      ...(window && { origin: { data: origin, shape: [batchSize, 2] } }),
      ...crops,
    };
    return { host, facts: { cutCaptions } };
  };
}

/** What a scene shows of names, by name. */
function shownIn({ boxes, captions, things }: Scene, names: readonly string[]): Map<string, Thing[]> {
  const shown = new Map<string, Thing[]>();
  const objects = boxes.map((box, i): Thing => ({ caption: captions[i], box }));
  for (const thing of [...objects, ...things.filter(({ caption }) => names.includes(caption))])
    shown.set(thing.caption, [...(shown.get(thing.caption) ?? []), thing]);
  return shown;
}

const classRow = (captions: readonly string[]): HostTensor => ({
  data: classesOf(captions),
  shape: [captions.length],
});

/** Lists one after another in each of equal parts of a batch, as the model compares them. */
function inParts(lists: readonly (readonly string[])[], parts: number): string[] {
  return Array.from({ length: parts }, (_, part) =>
    lists.flatMap((list) => list.slice((part * list.length) / parts, ((part + 1) * list.length) / parts)),
  ).flat();
}

/** The same rows for each of `count` images. */
function repeated({ data, shape }: HostTensor, count: number): HostTensor {
  const ids = new Int32Array(count * data.length);
  for (let i = 0; i < count; i++) ids.set(data, i * data.length);
  return { data: ids, shape: [count, ...shape] };
}
