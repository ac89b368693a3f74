import { indexOf, positionOf } from './copy.ts';

type Shape = readonly number[];

function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** x's shape with 1 for the axes. */
function kept(shape: Shape, axes: Shape): number[] {
  return shape.map((extent, d) => (axes.includes(d) ? 1 : extent));
}

export function sum(x: Float64Array, shape: Shape, axes: Shape): Float64Array {
  const to = kept(shape, axes);
  const y = new Float64Array(sizeOf(to));
  x.forEach((value, at) => {
    y[positionOf(indexOf(at, shape), to)] += value;
  });
  return y;
}

export function mean(x: Float64Array, shape: Shape, axes: Shape): Float64Array {
  const count = axes.reduce((product, d) => product * shape[d], 1);
  return sum(x, shape, axes).map((value) => value / count);
}

export function max(x: Float64Array, shape: Shape, axes: Shape): Float64Array {
  const to = kept(shape, axes);
  const y = new Float64Array(sizeOf(to)).fill(Number.NEGATIVE_INFINITY);
  x.forEach((value, at) => {
    const p = positionOf(indexOf(at, shape), to);
    y[p] = Math.max(y[p], value);
  });
  return y;
}

export function min(x: Float64Array, shape: Shape, axes: Shape): Float64Array {
  return max(
    x.map((value) => -value),
    shape,
    axes,
  ).map((value) => -value);
}

export function prod(x: Float64Array, shape: Shape, axes: Shape): Float64Array {
  const to = kept(shape, axes);
  const y = new Float64Array(sizeOf(to)).fill(1);
  x.forEach((value, at) => {
    y[positionOf(indexOf(at, shape), to)] *= value;
  });
  return y;
}

/** Where along an axis the largest element stands: the first of several, or the last. */
export function argMax(x: Float64Array, shape: Shape, axis: number, last: boolean): Float64Array {
  const to = kept(shape, [axis]);
  const y = new Float64Array(sizeOf(to)).fill(-1);
  const best = new Float64Array(sizeOf(to)).fill(Number.NEGATIVE_INFINITY);
  x.forEach((value, at) => {
    const index = indexOf(at, shape);
    const p = positionOf(index, to);
    if (value > best[p] || y[p] < 0 || (last && value === best[p])) {
      best[p] = value;
      y[p] = index[axis];
    }
  });
  return y;
}

/** x of one shape, repeated to another. */
export function broadcastTo(x: Float64Array, from: Shape, to: Shape): Float64Array {
  const aligned = [...new Array<number>(to.length - from.length).fill(1), ...from];
  return Float64Array.from({ length: sizeOf(to) }, (_, at) => x[positionOf(indexOf(at, to), aligned)]);
}

export function squaredNorm(xs: readonly Float64Array[]): number {
  let total = 0;
  for (const x of xs) for (const value of x) total += value * value;
  return total;
}
