// PS3 as the encoder of a VILA-HD: a glance, then looks at what is asked for, of which complete groups of patches are projected.
import { concat, slice, type Tensor } from '../../engine/index.ts';
import type { Grid } from '../model/vision/scales.ts';
import type { VisionModel } from '../model/vision/vision.ts';
import type { VisionOutput } from '../model/vision/vision_types.ts';
import { blockOf, completeGroups, type Groups, joinGroups, type Projector } from './projector.ts';
import type { Recorder, Seen, VilaEncoder, VilaLook, VilaLookOptions } from './vila_types.ts';

/** Which blocks' outputs are kept: VILA reads the one before the last. */
const STATES = { hiddenStates: 2 } as const;

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
    { image, glance, low }: Omit<Seen, typeof Symbol.dispose>,
    { prompt, ...how }: VilaLookOptions,
    run: Recorder,
  ): Promise<VilaLook> {
    const n = image.shape[0];
    const grids = this.#vision.grids(image).slice(1);
    const times = prompt?.shape[0] === n ? 1 : n;
    const vision = run(() => {
      const own = prompt && Array.from({ length: times }, () => prompt.in(image.scope));
      const repeated = own && concat(own, { axis: 0 });
      return this.#vision.forward(image, { ...how, ...STATES, prompt: repeated }, glance);
    });
    const maps = await Promise.all(vision.selectionMaps.map((map) => map.data()));
    const groups = Array.from({ length: n }, (_, b) =>
      grids.map(([Y, X], scale) => {
        const taken = maps[scale].subarray(b * Y * X, (b + 1) * Y * X);
        return completeGroups(taken, [Y, X], this.#projector.ratio);
      }),
    );
    const lowCount = vision.lowRes.hidden[0].shape[1];
    const tokens = run(() => this.#project(vision, groups, { lowCount, grids }));
    const blocks = run(() => tokens.map((own, b) => blockOf(low, own, b)));
    return { blocks, groups, tokens, vision };
  }

  /** The groups of every image, scale by scale; those of all images go through the projector together. */
  #project(
    { hiddenStates: [states], selectionCounts }: VisionOutput,
    groups: readonly (readonly Groups[])[],
    { lowCount, grids }: { lowCount: number; grids: readonly Grid[] },
  ): (Tensor<'f32'> | undefined)[][] {
    const [n, T, C] = states.shape;
    let start = lowCount;
    const scales = grids.map((grid, scale) => {
      const own = groups.map((image) => image[scale]);
      const first = start;
      start += selectionCounts[scale];
      const all = joinGroups(own, (image) => image * T + first);
      if (all.index.length === 0) return own.map(() => undefined);
      const high = this.#projector.high(states.reshape([n * T, C]) as Tensor<'f32'>, all, scale, grid)!;
      let next = 0;
      return own.map(({ index: { length } }) => {
        next += length;
        return length > 0 ? slice(high, { axis: 0, start: next - length, length }) : undefined;
      });
    });
    return groups.map((_, image) => scales.map((scale) => scale[image]));
  }
}
