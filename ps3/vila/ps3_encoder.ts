// PS3 as the encoder of a VILA-HD: a glance, then looks at what is asked for, of which complete groups of patches are projected.
import { concat, embedding, output, type Tensor } from '../../engine/index.ts';
import { expectConfig } from '../model/config/config.ts';
import type { Grid } from '../model/vision/scales.ts';
import type { VisionModel } from '../model/vision/vision.ts';
import type { VisionOutput } from '../model/vision/vision_types.ts';
import { completeGroups, type Groups, joinGroups, type Projector } from './projector.ts';
import type { Recorder, Seen, VilaEncoder, VilaLook, VilaLookOptions } from './vila_types.ts';

/** Which blocks' outputs are kept: VILA reads the one before the last. */
const STATES = { hiddenStates: 2 } as const;

/** Towers up to this side show all of their scales to every image. */
const SMALL_TOWER_PX = 2000;

/**
 * How many high-res scales an image is looked at in by `dynamicScales`: all of them if it is larger than half-way between the last two,
 *
 *   long side > (s[n - 1] + s[n]) / 2,
 *
 * or if the tower's largest scale has 2000 pixels at most; else all but the last.
 *
 * @param longSidePx  of the image before it is squashed
 * @param scalesPx    of the tower, the low-res one first
 * @throws ConfigError for a tower that has not two or three high-res scales
 * Source: NVlabs/VILA, llava/model/llava_arch.py, which uses it in training alone.
 */
export function highResScalesOf(longSidePx: number, scalesPx: readonly number[]): number {
  const count = scalesPx.length - 1;
  expectConfig(
    count === 2 || count === 3,
    'the tower must have two or three high-res scales where ps3_dynamic_aspect_ratio is true',
    scalesPx,
  );
  const [before, largest] = scalesPx.slice(-2);
  return largest <= SMALL_TOWER_PX || longSidePx > (before + largest) / 2 ? count : count - 1;
}

/** PS3. */
export class Ps3Encoder implements VilaEncoder {
  readonly looks = true;
  readonly sidePx: number;
  readonly #vision: VisionModel;
  readonly #projector: Projector;

  constructor(vision: VisionModel, projector: Projector) {
    this.sidePx = vision.image.imagePx;
    this.#vision = vision;
    this.#projector = projector;
  }

  glance(image: Tensor): Omit<Seen, typeof Symbol.dispose> {
    const glance = this.#vision.glance(image, STATES);
    return { image, glance, low: this.#projector.low(glance.lowRes.hidden[0]) };
  }

  async look(
    { image, glance, low, onlyFirstScales: ownScales }: Omit<Seen, typeof Symbol.dispose>,
    { prompt, onlyFirstScales = ownScales, ...how }: VilaLookOptions,
    run: Recorder,
  ): Promise<VilaLook> {
    const n = image.shape[0];
    const grids = this.#vision.grids(image).slice(1);
    const times = prompt?.shape[0] === n ? 1 : n;
    const vision = run(() => {
      const own = prompt && Array.from({ length: times }, () => prompt.in(image.scope));
      const repeated = own && concat(own, { axis: 0 });
      return this.#vision.forward(image, { ...how, onlyFirstScales, ...STATES, prompt: repeated }, glance);
    });
    const maps = await Promise.all(vision.selectionMaps.map((map) => map.data()));
    const groups = Array.from({ length: n }, (_, b) =>
      grids.map(([Y, X], scale) => {
        const taken = maps[scale].subarray(b * Y * X, (b + 1) * Y * X);
        return completeGroups(taken, [Y, X], this.#projector.ratio);
      }),
    );
    const lowCount = vision.lowRes.hidden[0].shape[1];
    return run(() =>
      lookOf(this.#project(vision, groups, { low, lowCount, grids }), { groups, vision }, run),
    );
  }

  /** The table of all tokens, and the rows of each image; groups of a scale go through the projector together. */
  #project(
    { hiddenStates: [states], selectionCounts }: VisionOutput,
    groups: readonly (readonly Groups[])[],
    { low, lowCount, grids }: { low: Tensor<'f32'>; lowCount: number; grids: readonly Grid[] },
  ): Pick<VilaLook, 'table' | 'rows'> {
    const [n, T, C] = states.shape;
    const [, count, d] = low.shape;
    const tables = [low.reshape([n * count, d]) as Tensor<'f32'>];
    const rows = groups.map((_, image) => Array.from({ length: count }, (_, i) => image * count + i));
    let first = lowCount;
    let next = n * count;
    for (const [scale, grid] of grids.entries()) {
      const own = groups.map((image) => image[scale]);
      const start = first;
      first += selectionCounts[scale];
      const all = joinGroups(own, (image) => image * T + start);
      if (all.index.length === 0) continue;
      tables.push(this.#projector.high(states.reshape([n * T, C]) as Tensor<'f32'>, all, scale, grid)!);
      for (const [image, { index }] of own.entries()) for (const _ of index) rows[image].push(next++);
    }
    // As the reference does it: where no group is complete, the first low-res token stands once more.
    for (const [image, own] of rows.entries()) if (own.length === count) own.push(image * count);
    return { table: concat(tables, { axis: 0 }), rows: rows.map((own) => Uint32Array.from(own)) };
  }
}

/** A look whose blocks are made when they are asked for. */
export function lookOf(
  { table, rows }: Pick<VilaLook, 'table' | 'rows'>,
  others: Pick<VilaLook, 'groups' | 'vision'>,
  run: Recorder,
): VilaLook {
  let blocks: Tensor<'f32'>[] | undefined;
  return {
    table,
    rows,
    ...others,
    get blocks() {
      blocks ??= rows.map((own) => {
        const index = output([table], [1, own.length], 'u32');
        index.write(own);
        return run(() => embedding(table, index)) as Tensor<'f32'>;
      });
      return blocks;
    },
  };
}
