import { expect, expectKeys, kindOf } from '../gpu/errors.ts';

/** Extents from the outermost axis to the innermost; [] is a scalar. */
export type Shape = readonly number[];

/** Number of elements; 1 for a scalar `[]`. */
export function size(shape: Shape): number {
  let product = 1;
  for (const extent of shape) product *= extent;
  return product;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i]);
}

/** `[2, 3]`, as shapes are written in messages. */
export function show(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/**
 * The shape two operands broadcast to, by NumPy's rule: aligned at the last axis, extents equal or 1.
 *
 * @throws ShapeError
 */
export function broadcast(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let i = 0; i < rank; i++) {
    const m = a[a.length - rank + i] ?? 1;
    const n = b[b.length - rank + i] ?? 1;
    expect(
      m === n || m === 1 || n === 1,
      op,
      'shapes must broadcast',
      `${show(a)} and ${show(b)}`,
      'Reshape one.',
    );
    result.push(m === 1 ? n : m);
  }
  return result;
}

/** Checks a shape or other list, for callers without TypeScript. @throws ShapeError */
export function expectList(op: string, name: string, list: unknown): void {
  expect(Array.isArray(list), op, `${name} must be a list of whole numbers`, kindOf(list), 'Use [n].');
}

/** Maps a possibly negative axis into [0, rank). @throws ShapeError */
export function axisOf(op: string, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  expect(
    Number.isInteger(axis) && positive >= 0 && positive < rank,
    op,
    `the axis must lie in [-${rank}, ${rank})`,
    `${axis}`,
  );
  return positive;
}

/** Along which axis an op works. */
export interface AxisOptions {
  /** Negative ones count from the end. Each op names its default. */
  readonly axis?: number;
}

/** The axis that options name, within [0, rank). @throws ShapeError */
export function optionalAxis(op: string, options: AxisOptions, preset: number, rank: number): number {
  expectKeys(op, options, { axis: true });
  return axisOf(op, options.axis ?? preset, rank);
}

/** Fills in one extent of -1. @throws ShapeError when the element counts differ */
export function resolveReshape(from: Shape, to: Shape): number[] {
  expectList('reshape', 'the shape', to);
  const count = size(from);
  const known = to.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const holes = to.filter((extent) => extent === -1).length;
  const resolved = to.map((extent) => (extent === -1 ? count / known : extent));
  expect(
    holes <= 1 &&
      resolved.every((extent) => Number.isInteger(extent) && extent >= 0) &&
      size(resolved) === count,
    'reshape',
    'the number of elements must stay the same',
    `${show(from)} to ${show(to)}`,
  );
  return resolved;
}
