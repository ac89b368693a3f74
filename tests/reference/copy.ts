function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Row-major position -> index along each axis. */
export function indexOf(position: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = position % shape[d];
    position = Math.floor(position / shape[d]);
  }
  return index;
}

/** Index along each axis -> row-major position; an axis of extent 1 takes any index. */
export function positionOf(index: readonly number[], shape: readonly number[]): number {
  return shape.reduce((position, extent, d) => position * extent + (extent === 1 ? 0 : index[d]), 0);
}

/** Axis d of the result is axis axes[d] of x. */
export function permute(x: Float64Array, shape: readonly number[], axes: readonly number[]): Float64Array {
  const to = axes.map((axis) => shape[axis]);
  return Float64Array.from({ length: x.length }, (_, at) => {
    const index = indexOf(at, to);
    const source = new Array<number>(shape.length);
    axes.forEach((axis, d) => {
      source[axis] = index[d];
    });
    return x[positionOf(source, shape)];
  });
}

/** Elements start, start + step, ... of one axis. */
export function slice(
  x: Float64Array,
  shape: readonly number[],
  axis: number,
  start: number,
  length: number,
  step = 1,
): Float64Array {
  const to = shape.map((extent, d) => (d === axis ? length : extent));
  return Float64Array.from({ length: sizeOf(to) }, (_, at) => {
    const index = indexOf(at, to);
    index[axis] = start + index[axis] * step;
    return x[positionOf(index, shape)];
  });
}

/** x within a larger array of one value. */
export function placeInto(
  x: Float64Array,
  shape: readonly number[],
  to: readonly number[],
  at: readonly number[],
  value: number,
): Float64Array {
  const y = new Float64Array(sizeOf(to)).fill(value);
  x.forEach((number, position) => {
    const index = indexOf(position, shape).map((i, d) => i + at[d]);
    y[to.reduce((sum, extent, d) => sum * extent + index[d], 0)] = number;
  });
  return y;
}

/** Joins arrays along one axis. */
export function concat(
  xs: readonly Float64Array[],
  shapes: readonly (readonly number[])[],
  axis: number,
): Float64Array {
  const total = shapes.reduce((sum, shape) => sum + shape[axis], 0);
  const to = shapes[0].map((extent, d) => (d === axis ? total : extent));
  return Float64Array.from({ length: sizeOf(to) }, (_, at) => {
    const index = indexOf(at, to);
    let k = 0;
    while (index[axis] >= shapes[k][axis]) index[axis] -= shapes[k++][axis];
    return xs[k][positionOf(index, shapes[k])];
  });
}
