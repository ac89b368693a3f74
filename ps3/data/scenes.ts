// Scenes: a crop of a photograph with captioned cut-outs, signs and uncaptioned distractors.
//
//   material (slow, once)   SceneMaterial.load: photographs decoded, cut-outs rasterised
//   scene (fast, many)      buildScene(kit, seed): typed-array loops only
//
// A scene is a function of the kit and the seed alone: the same seed gives the same bytes.

import { expectKeys, Random } from '../../engine/index.ts';
import { type AnnotatedBackgrounds, beside, drawPlace } from './annotated.ts';
import type { Sample } from './annotations.ts';
import { type Background, cropBackground, loadBackground, type Thing, thingsIn } from './backgrounds.ts';
import { type Box, boxWithin, overlap } from './boxes.ts';
import type { Concept } from './concepts.ts';
import { type Cutout, drawCutout, layOn, type Variation } from './cutout.ts';
import { DataError } from './errors.ts';
import { seedFor } from './seeds.ts';
import type { PhotoSource } from './sources.ts';
import type { Split } from './splits.ts';
import { rasterise, type Sprite } from './sprites.ts';

/** A count or a length drawn uniformly, both ends included. */
export type Range = readonly [low: number, high: number];

/** What a scene is made of. Lengths are pixels of the image. */
export interface SceneSpec {
  /** Side of the square image. */
  side: number;
  /** Captioned objects per image, all of different concepts. */
  objects: Range;
  /** Long side of an object. */
  objectPx: Range;
  /** Captioned signs per image. */
  signs: Range;
  /** Width of a sign. */
  signPx: Range;
  /** Objects without caption or box. */
  distractors: Range;
  variation: Variation;
}

/** An image with its truth: one tight box for each caption. */
export interface Scene extends Omit<Sample, 'key'> {
  globalCaption: string;
  /** Concept of each box: index into the catalogue. */
  concepts: number[];
  /** Name of the background. */
  photo: string;
  /** What else is known to be on it, beside the objects. */
  things: readonly Thing[];
}

/** One object on a patch of a photograph, or a thing of an annotated image; that has no concept. */
export interface ObjectCrop {
  side: number;
  /** [side, side, 4], opaque. */
  rgba: Uint8Array;
  box: Box;
  caption: string;
  concept: number | undefined;
}

const SPEC_KEYS = {
  side: true,
  objects: true,
  objectPx: true,
  signs: true,
  signPx: true,
  distractors: true,
  variation: true,
} as const;

const VARIATION: Variation = {
  rotationDeg: 20,
  brightness: 0.18,
  saturation: 0.25,
  blurShare: 0.012,
  shadow: 0.5,
};

/**
 * A scene specification for an image side.
 *
 * Up to 640 px, two to four objects of 32–80 px at 448: what a small model can learn to name. From 1,500 px,
 * 12 to 24 objects of 1–6 % of the width with signs between them, as in high-resolution photographs.
 */
export function scenePreset(side: number, changes: Partial<SceneSpec> = {}): SceneSpec {
  expectKeys('scenePreset', changes, SPEC_KEYS);
  if (!Number.isInteger(side) || side < 64 || side > 8192) {
    throw new DataError(`scenePreset: the side must be a whole number of 64 to 8192 pixels, got ${side}.`);
  }
  const share = (low: number, high: number): Range => [Math.round(low * side), Math.round(high * side)];
  const size: Omit<SceneSpec, 'side' | 'variation'> =
    side <= 640
      ? {
          objects: [2, 4],
          objectPx: share(0.0714, 0.1786),
          signs: [0, 0],
          signPx: share(0.16, 0.28),
          distractors: [1, 3],
        }
      : side < 1500
        ? {
            objects: [4, 8],
            objectPx: share(0.04, 0.1),
            signs: [1, 2],
            signPx: share(0.07, 0.14),
            distractors: [2, 4],
          }
        : {
            objects: [12, 24],
            objectPx: share(0.01, 0.06),
            signs: [2, 5],
            signPx: share(0.03, 0.08),
            distractors: [4, 10],
          };
  return { side, variation: VARIATION, ...size, ...changes };
}

/** Objects on a background whose content is known, which they hide. */
const OBJECTS_ON_THINGS: Range = [1, 3];

/** A split's material for one specification, in memory. */
export interface SceneKit {
  spec: SceneSpec;
  catalogue: readonly Concept[];
  objects: readonly number[];
  signs: readonly number[];
  distractors: readonly number[];
  /** Looks of each concept that the split may show. */
  sprites: ReadonlyMap<number, readonly Sprite[]>;
  backgrounds: readonly Background[];
  /** Images whose content is known, as backgrounds of a share of the scenes. */
  annotated?: AnnotatedBackgrounds;
}

/** Decoded photographs and rasterised cut-outs, shared by the kits of all splits. */
export class SceneMaterial {
  readonly #catalogue: readonly Concept[];
  readonly #photos: readonly PhotoSource[];
  readonly #backgrounds = new Map<string, Promise<Background>>();
  readonly #sprites = new Map<string, Promise<Sprite>>();

  constructor(catalogue: readonly Concept[], photos: readonly PhotoSource[]) {
    this.#catalogue = catalogue;
    this.#photos = photos;
  }

  #background(index: number, side: number): Promise<Background> {
    const key = `${index} ${side}`;
    const known = this.#backgrounds.get(key) ?? loadBackground(this.#photos[index], side);
    this.#backgrounds.set(key, known);
    return known;
  }

  #sprite(concept: number, look: number, longSidePx: number): Promise<Sprite> {
    const key = `${concept} ${look} ${longSidePx}`;
    const known = this.#sprites.get(key) ?? rasterise(this.#catalogue[concept].looks[look], longSidePx);
    this.#sprites.set(key, known);
    return known;
  }

  /**
   * Loads a split's images and cut-outs into memory.
   *
   * @param progress  called with pieces done and pieces in all
   * @throws DataError when a file does not decode or the specification asks for what the split lacks
   */
  async load(
    split: Split,
    spec: SceneSpec,
    progress?: (done: number, count: number) => void,
  ): Promise<SceneKit> {
    checkSpec(spec, split);
    const sprites = new Map<number, Sprite[]>();
    const backgrounds: Background[] = [];
    const jobs: (() => Promise<void>)[] = split.photos.map((photo, place) => async () => {
      backgrounds[place] = await this.#background(photo, spec.side);
    });
    const sizeFor = (px: number): number => 2 ** Math.ceil(Math.log2(Math.max(32, px)));
    const add = (concept: number, longSidePx: number): void => {
      const list: Sprite[] = [];
      sprites.set(concept, list);
      const { kind, looks } = this.#catalogue[concept];
      const allowed = looks
        .map((_, look) => look)
        .filter((look) => kind !== 'sign' || split.fonts.includes(looks[look].style));
      for (const [place, look] of allowed.entries()) {
        jobs.push(async () => {
          list[place] = await this.#sprite(concept, look, longSidePx);
        });
      }
    };
    for (const concept of [...split.objects, ...split.distractors]) add(concept, sizeFor(spec.objectPx[1]));
    if (spec.signs[1] > 0) for (const concept of split.signs) add(concept, sizeFor(spec.signPx[1]));
    let started = 0;
    let done = 0;
    const work = async (): Promise<void> => {
      while (started < jobs.length) {
        await jobs[started++]();
        progress?.(++done, jobs.length);
      }
    };
    await Promise.all(Array.from({ length: 8 }, work));
    const { objects, signs, distractors } = split;
    return { spec, catalogue: this.#catalogue, objects, signs, distractors, sprites, backgrounds };
  }
}

function checkSpec(spec: SceneSpec, split: Split): void {
  const ranges: [string, Range, number][] = [
    ['objects', spec.objects, split.objects.length],
    ['signs', spec.signs, split.signs.length],
    ['distractors', spec.distractors, spec.distractors[1] > 0 && split.distractors.length === 0 ? 0 : 10_000],
    ['objectPx', spec.objectPx, spec.side / 2],
    ['signPx', spec.signPx, spec.side / 2],
  ];
  for (const [name, [low, high], most] of ranges) {
    if (low < 0 || low > high || high > most) {
      throw new DataError(
        `SceneMaterial: ${name} must be a range within 0 to ${most} for side ${spec.side} and split ${split.name}, got ${low} to ${high}.`,
      );
    }
  }
  // Half covered is as full as random placing without overlap gets.
  const area = spec.objects[1] * spec.objectPx[1] ** 2 + spec.distractors[1] * spec.objectPx[1] ** 2;
  if (area > 0.5 * spec.side ** 2) {
    throw new DataError(
      `SceneMaterial: objects and distractors may cover at most half of the image, got up to ${((100 * area) / spec.side ** 2).toFixed(0)} %. Ask for fewer or smaller ones.`,
    );
  }
}

/** A place for a cut-out away from all taken boxes; undefined after 60 tries. */
function findPlace(cutout: Cutout, taken: readonly Box[], side: number, random: Random): Box | undefined {
  const width = cutout.box[2] - cutout.box[0];
  const height = cutout.box[3] - cutout.box[1];
  for (let attempt = 0; attempt < 60; attempt++) {
    const x = random.integer(side - width + 1);
    const y = random.integer(side - height + 1);
    const box: Box = [x, y, x + width, y + height];
    if (!taken.some((other) => overlap(box, other, 2))) return box;
  }
  return undefined;
}

function count([low, high]: Range, random: Random): number {
  return low + random.integer(high - low + 1);
}

/** `fox, key and red apple`, in the order of the boxes. */
function nameAll(names: readonly string[]): string {
  return names.length < 2
    ? names.join('')
    : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

function drawBackground({ backgrounds, annotated }: SceneKit, random: Random): Background {
  const isAnnotated = annotated !== undefined && random.uniform() < annotated.share;
  const all = isAnnotated ? annotated.backgrounds : backgrounds;
  return all[random.integer(all.length)];
}

/**
 * Builds scene number `seed`: the same kit and seed give the same bytes.
 *
 * @param rgba  [side, side, 4], where to build it; by default in new memory, which for a large image costs as much as the rest
 */
export function buildScene(
  kit: SceneKit,
  seed: number,
  rgba: Uint8Array = new Uint8Array(4 * kit.spec.side ** 2),
): Scene {
  const { spec, catalogue } = kit;
  const random = new Random(seedFor(0, 'scene'), seed);
  const background = drawBackground(kit, random);
  const { level, left, top } = cropBackground(background, spec.side, rgba, random);
  const things = thingsIn(level, left, top, spec.side);
  const objects = things.length > 0 ? OBJECTS_ON_THINGS : spec.objects;
  const captioned = [
    ...random.shuffle([...kit.objects]).slice(0, count(objects, random)),
    ...random.shuffle([...kit.signs]).slice(0, count(spec.signs, random)),
  ];
  const distractors = random.shuffle([...kit.distractors]).slice(0, count(spec.distractors, random));
  const scene: Scene = {
    side: spec.side,
    rgba,
    boxes: [],
    captions: [],
    concepts: [],
    globalCaption: '',
    photo: background.name,
    things: [],
  };
  const taken: Box[] = [];
  // Distractors come last, so that they never push a captioned object out.
  for (const [place, concept] of [...captioned, ...distractors].entries()) {
    const { kind } = catalogue[concept];
    const looks = kit.sprites.get(concept) ?? [];
    const [low, high] = kind === 'sign' ? spec.signPx : spec.objectPx;
    // Sizes are even on a log scale: small things are as common as large ones.
    let longSidePx = low * (high / low) ** random.uniform();
    for (let attempt = 0; attempt < 4; attempt++, longSidePx *= 0.8) {
      const sprite = looks[random.integer(looks.length)];
      const cutout = drawCutout(sprite, longSidePx, spec.variation, kind !== 'object', random);
      const box = findPlace(cutout, taken, spec.side, random);
      if (box === undefined) continue;
      layOn(rgba, spec.side, cutout, box[0], box[1]);
      taken.push(box);
      if (place < captioned.length) {
        scene.boxes.push(box);
        scene.captions.push(catalogue[concept].name);
        scene.concepts.push(concept);
      }
      break;
    }
  }
  scene.things = taken.reduce((rest, box) => rest.flatMap((thing) => beside(thing, box)), things);
  scene.globalCaption = nameAll(scene.captions);
  return scene;
}

/**
 * Crop number `seed` of one captioned object that fills 55–95 % of a small image: what the low-res towers
 * start on.
 *
 * @param side        side of the crop in pixels
 * @param longSidePx  instead, even on a log scale; an object that is larger than the crop is cut at random
 */
export function singleObjectCrop(kit: SceneKit, side: number, seed: number, longSidePx?: Range): ObjectCrop {
  const random = new Random(seedFor(0, 'crop'), seed);
  const { annotated } = kit;
  if (longSidePx && annotated && random.uniform() < annotated.share)
    return thingCrop(annotated, side, longSidePx[0], random);
  const rgba = new Uint8Array(4 * side * side);
  cropBackground(kit.backgrounds[random.integer(kit.backgrounds.length)], side, rgba, random);
  const concept = kit.objects[random.integer(kit.objects.length)];
  const looks = kit.sprites.get(concept) ?? [];
  const sprite = looks[random.integer(looks.length)];
  const objectPx = longSidePx
    ? longSidePx[0] * (longSidePx[1] / longSidePx[0]) ** random.uniform()
    : side * random.range(0.55, 0.95);
  const { name, kind } = kit.catalogue[concept];
  const isUpright = kind !== 'object';
  const cutout = drawCutout(sprite, objectPx, kit.spec.variation, isUpright, random);
  // A rotated object may be a little wider than the crop: then its middle is shown.
  const place = (length: number): number => {
    if (length <= side) return random.integer(side - length + 1);
    return longSidePx ? -random.integer(length - side + 1) : Math.floor((side - length) / 2);
  };
  const [x1, y1] = [place(cutout.box[2] - cutout.box[0]), place(cutout.box[3] - cutout.box[1])];
  const box = layOn(rgba, side, cutout, x1, y1);
  return { side, rgba, box: boxWithin(box, 0, 0, side), caption: name, concept };
}

/** A crop around a named thing of an annotated image. */
function thingCrop(
  annotated: AnnotatedBackgrounds,
  side: number,
  leastPx: number,
  random: Random,
): ObjectCrop {
  const shown = drawPlace(annotated, leastPx, random);
  const rgba = new Uint8Array(4 * side * side);
  const { left, top } = cropBackground(shown.background, side, rgba, random, shown);
  const box = boxWithin(shown.box, left, top, side);
  return { side, rgba, box, caption: shown.caption, concept: undefined };
}
