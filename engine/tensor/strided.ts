// Shapes with strides, as kernels that read an operand in another order see them. Sizes and strides count elements.
import type { Shape } from './shape.ts';

/** Row-major strides of a contiguous tensor. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

/** Strides of an operand of shape `from` read as `to`: 0 where an extent of 1 (or a missing axis) repeats. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = contiguousStrides(from);
  const missing = to.length - from.length;
  return to.map((_extent, d) => (d < missing || from[d - missing] === 1 ? 0 : own[d - missing]));
}

/** An iteration space with the strides of several operands in it. */
export interface IterationSpace {
  readonly shape: readonly number[];
  /** One array per operand, one stride per axis. */
  readonly strides: readonly (readonly number[])[];
}

/**
 * Drops axes of extent 1 and merges neighbours that are one axis to every operand. At least one axis remains.
 *
 * @param strides  one array per operand, in the axes of `shape`
 */
export function collapse(shape: Shape, strides: readonly (readonly number[])[]): IterationSpace {
  const extents: number[] = [];
  const merged: number[][] = strides.map(() => []);
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 1) continue;
    const last = extents.length - 1;
    if (last >= 0 && strides.every((steps, k) => merged[k][last] === steps[d] * shape[d])) {
      extents[last] *= shape[d];
      for (let k = 0; k < strides.length; k++) merged[k][last] = strides[k][d];
    } else {
      extents.push(shape[d]);
      for (let k = 0; k < strides.length; k++) merged[k].push(strides[k][d]);
    }
  }
  if (extents.length === 0) {
    extents.push(1);
    for (const steps of merged) steps.push(0);
  }
  return { shape: extents, strides: merged };
}
