// Tokens of several looks in one sequence, and back on the grids that they were cut from.

import {
  add,
  compactMap,
  concat,
  embedding,
  scatterRows,
  slice,
  sortKeys,
  type Tensor,
  tidy,
} from '../../../engine/index.ts';
import { total } from '../config/config.ts';
import type { Grid } from './scales.ts';
import type { PatchSelection } from './selection.ts';

/** What one look saw. */
export interface Look {
  /** What was selected, one per high-res scale. */
  readonly choices: PatchSelection[];
  /** Patches per scale. */
  readonly counts: number[];
  /** [B, sum of counts, C], scale after scale. */
  readonly tokens: Tensor<'f32'>;
  /** Outputs of the last blocks, as many as were asked for; the last is `tokens`. */
  readonly hidden: readonly Tensor<'f32'>[];
}

/** Per scale, the patches taken before a look and by it, [B, Y * X] of 0 and 1. */
export function takenAfter(
  { choices }: Pick<Look, 'choices'>,
  before?: readonly Tensor<'f32'>[],
): Tensor<'f32'>[] {
  return choices.map(({ map }, i) => (before ? add(before[i], map) : map));
}

/**
 * Low-res tokens, then every look's tokens in raster order per scale.
 *
 * @param low    [B, N, C]
 * @param grids  of the high-res scales
 * @returns      [B, N + K, C], K = patches of all looks
 */
export function mergeLooks(
  low: Tensor<'f32'>,
  looks: readonly Omit<Look, 'hidden'>[],
  grids: readonly Grid[],
): Tensor<'f32'> {
  if (looks.length === 0) return low;
  if (looks.length === 1) return concat([low, looks[0].tokens], { axis: 1 });
  return tidy([low, ...looks.map(({ tokens }) => tokens)], (low, ...tokens) => {
    const merged = [low];
    grids.forEach(([Y, X], scale) => {
      const parts: Tensor<'f32'>[] = [];
      const places: Tensor<'u32'>[] = [];
      looks.forEach(({ choices, counts }, i) => {
        const { indices } = choices[scale];
        if (!indices) return;
        parts.push(
          slice(tokens[i], { axis: 1, start: total(counts.slice(0, scale)), length: counts[scale] }),
        );
        places.push(indices.in(low.scope));
      });
      if (parts.length === 0) return;
      // Sorted by place: nothing is as large as the grid.
      const { order } = sortKeys(concat(places, { axis: 1 }), { bits: 32 - Math.clz32(Y * X) });
      merged.push(embedding(concat(parts, { axis: 1 }), order, { unique: true }));
    });
    return concat(merged, { axis: 1 });
  });
}

/**
 * Tokens back on their grids.
 *
 * @param tokens         [B, N + K, C], as `VisionModel.forward` returns them
 * @param selectionMaps  [B, Y * X] of 0 and 1 per high-res scale, each with `counts[i]` ones
 * @param lowGrid        of the low-res scale, N patches
 * @returns              [B, Y * X, C] per scale, low-res first; zeros where nothing was selected
 */
export function featureMaps(
  tokens: Tensor<'f32'>,
  selectionMaps: readonly Tensor<'f32'>[],
  counts: readonly number[],
  lowGrid: Grid,
): Tensor<'f32'>[] {
  const N = lowGrid[0] * lowGrid[1];
  let start = N;
  const maps = [slice(tokens, { axis: 1, length: N })];
  selectionMaps.forEach((map, i) => {
    const part = slice(tokens, { axis: 1, start, length: counts[i] });
    maps.push(scatterRows(part, compactMap(map, counts[i]), map.shape[1]));
    start += counts[i];
  });
  return maps;
}
