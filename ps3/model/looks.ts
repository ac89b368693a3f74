// Looks one after another, each handed out as soon as the GPU has finished it.
import { expectKeys, noGrad, Scope, type Tensor, zerosLike } from '../../engine/index.ts';
import type { ModelCore } from './core.ts';
import { mapsOnGrids } from './encoding.ts';
import { type EncodeOptions, QUERY_OPTIONS, visionOptions } from './query.ts';
import type { Grid } from './vision/scales.ts';
import type { PatchSelection } from './vision/selection.ts';
import { takenAfter } from './vision/token_maps.ts';

/** What to look for and how much, look by look. */
export interface StreamOptions extends Omit<EncodeOptions, 'hiddenStates'> {
  /** An AbortSignal that ends the looks early: the loop throws its reason. */
  readonly signal?: { throwIfAborted(): void };
}

const STREAM_OPTIONS = { ...QUERY_OPTIONS, signal: true } as const;

/** What one look saw. `mergeLooks(first.tokens, others, grids of the high-res scales)` gives the tokens of `encode`. */
export interface LookResult extends Disposable {
  /** 0 is the low-res pass, then the looks from 1. */
  readonly index: number;
  /** [B, N, C] low-res tokens, or [B, K, C] of the patches taken, scale after scale in raster order; not normalised. */
  readonly tokens: Tensor<'f32'>;
  /** Patches that this look took per high-res scale; zeros in the low-res pass. */
  readonly counts: number[];
  /** Which ones, per high-res scale. */
  readonly choices: PatchSelection[];
  /** Per high-res scale [B, Y, X]: 1 where a patch was taken by now, else 0. */
  readonly selectionMaps: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: by what patches are selected, the same in all looks. */
  readonly selectionProbs: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: saliency by what stands out, the same in all looks. */
  readonly bottomUp: readonly Tensor<'f32'>[];
  /** Patches of each scale, low-res first. */
  readonly grids: readonly Grid[];
  /** Wall-clock time since the loop began. */
  readonly elapsedMs: number;
  /** Frees the tensors. */
  dispose(): void;
}

/** Encodes look by look. */
export async function* looks(
  model: ModelCore,
  image: Tensor,
  options: StreamOptions,
): AsyncGenerator<LookResult, void, undefined> {
  expectKeys('PS3.looks', options, STREAM_OPTIONS);
  const startMs = performance.now();
  const { signal, ...asked } = options;
  const { vision } = model;
  const { scope } = image;
  signal?.throwIfAborted();
  using shared = new Scope();
  const inside = image.in(shared);
  const query = await visionOptions('PS3.looks', model, inside, asked);
  const grids = vision.grids(image);
  const plan = vision.plan(grids, query);
  const { lowRes, maps } = noGrad(() => {
    const lowRes = vision.lowRes(inside);
    return { lowRes, maps: vision.maps(vision.selectionFeatures(inside, lowRes), grids, query) };
  });
  const finished = async (
    index: number,
    tokens: Tensor<'f32'>,
    counts: number[],
    choices: readonly PatchSelection[],
    taken: readonly Tensor<'f32'>[],
  ): Promise<LookResult> => {
    const result = noGrad(() => ({
      index,
      tokens: tokens.in(scope),
      counts,
      choices: choices.map(({ indices, map }) => ({ indices: indices?.in(scope), map: map.in(scope) })),
      selectionMaps: mapsOnGrids(taken, grids, scope),
      selectionProbs: mapsOnGrids(maps.probs, grids, scope),
      bottomUp: mapsOnGrids(maps.bottomUp, grids, scope),
    }));
    const dispose = (): void => {
      const { choices, selectionMaps, selectionProbs, bottomUp } = result;
      for (const tensor of [result.tokens, ...selectionMaps, ...selectionProbs, ...bottomUp])
        tensor.dispose();
      for (const tensor of choices.flatMap(({ indices, map }) => [indices, map])) tensor?.dispose();
    };
    try {
      await result.tokens.ready();
      signal?.throwIfAborted();
    } catch (error) {
      dispose();
      throw error;
    }
    const elapsedMs = performance.now() - startMs;
    return { ...result, grids, elapsedMs, dispose, [Symbol.dispose]: dispose };
  };
  const nothing = maps.probs.map((prob) => noGrad(() => zerosLike(prob)));
  const low = lowRes.hidden[0];
  yield await finished(
    0,
    low,
    maps.probs.map(() => 0),
    [],
    nothing,
  );
  let taken: Tensor<'f32'>[] | undefined;
  for (const [i, counts] of plan.entries()) {
    signal?.throwIfAborted();
    const look = noGrad(() => vision.look(inside, lowRes, maps, grids, counts, taken, query));
    taken = noGrad(() => takenAfter(look, taken));
    const result = await finished(i + 1, look.tokens, counts, look.choices, taken);
    look.tokens.dispose();
    yield result;
  }
}
