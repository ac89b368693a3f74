import { indexOf, positionOf } from './copy.ts';

type Shape = readonly number[];

const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** An index along an axis of n, negative ones from the end; undefined outside. */
function within(index: number, n: number): number | undefined {
  const k = index < 0 ? index + n : index;
  return k >= 0 && k < n ? k : undefined;
}

/** y[..., j..., ...] = x[..., indices[j...], ...]. */
export function take(
  x: Float64Array,
  shape: Shape,
  indices: ArrayLike<number>,
  indexShape: Shape,
  axis: number,
): Float64Array {
  const to = [...shape.slice(0, axis), ...indexShape, ...shape.slice(axis + 1)];
  return Float64Array.from({ length: sizeOf(to) }, (_, at) => {
    const index = indexOf(at, to);
    const j = positionOf(index.slice(axis, axis + indexShape.length), indexShape);
    const k = within(indices[j], shape[axis]);
    const source = [...index.slice(0, axis), k ?? 0, ...index.slice(axis + indexShape.length)];
    return k === undefined ? 0 : x[positionOf(source, shape)];
  });
}

/** y[..., j, ...] = x[..., indices[..., j, ...], ...]. */
export function gather(
  x: Float64Array,
  shape: Shape,
  indices: ArrayLike<number>,
  indexShape: Shape,
  axis: number,
): Float64Array {
  return Float64Array.from({ length: sizeOf(indexShape) }, (_, at) => {
    const k = within(indices[at], shape[axis]);
    return k === undefined ? 0 : x[positionOf(indexOf(at, indexShape).with(axis, k), shape)];
  });
}

export const COMBINE: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_old, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  min: Math.min,
  max: Math.max,
};

/** x with updates combined into it, one after the other. */
export function scatter(
  x: Float64Array,
  shape: Shape,
  indices: ArrayLike<number>,
  indexShape: Shape,
  updates: Float64Array,
  axis: number,
  reduction: string,
): Float64Array {
  const y = Float64Array.from(x);
  updates.forEach((update, at) => {
    const k = within(indices[at], shape[axis]);
    if (k === undefined) return;
    const to = positionOf(indexOf(at, indexShape).with(axis, k), shape);
    y[to] = COMBINE[reduction](y[to], update);
  });
  return y;
}
