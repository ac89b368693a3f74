import { test } from 'uvu';
import { broadcastStrides, collapse, contiguousStrides } from '../../engine/tensor/strided.ts';
import { compare, TOLERANCE } from '../harness.ts';

test('strided: contiguous strides are the products of the extents behind an axis', () => {
  compare('strides', contiguousStrides([2, 3, 5]), [15, 5, 1], TOLERANCE.exact);
  compare('scalar', contiguousStrides([]), [], TOLERANCE.exact);
});

test('strided: an operand repeats with stride 0 along missing axes and extents of 1', () => {
  compare('strides', broadcastStrides([3, 1, 2], [4, 3, 5, 2]), [0, 2, 0, 1], TOLERANCE.exact);
});

test('strided: every collapsed walk visits the same positions in the same order', () => {
  // Positions of one operand in row-major order of the space.
  const visit = (shape: readonly number[], strides: readonly number[]): number[] =>
    shape.reduce<number[]>(
      (positions, extent, d) =>
        positions.flatMap((p) => Array.from({ length: extent }, (_, i) => p + i * strides[d])),
      [0],
    );
  for (const [shape, operands] of [
    [[2, 3, 4], [[2, 3, 4]]],
    [
      [2, 3, 4],
      [[2, 3, 4], [4]],
    ],
    [
      [2, 3, 4],
      [
        [2, 3, 1],
        [3, 4],
      ],
    ],
    [
      [2, 3, 4, 5],
      [
        [2, 1, 4, 1],
        [3, 1, 5],
      ],
    ],
    [
      [1, 7, 1, 3],
      [[7, 1, 3], [1]],
    ],
    [
      [1, 1],
      [[1], []],
    ],
    [[], [[]]],
    [
      [0, 4],
      [[4], [0, 4]],
    ],
  ] as [number[], number[][]][]) {
    const strides = operands.map((operand) => broadcastStrides(operand, shape));
    const walk = collapse(shape, strides);
    operands.forEach((_operand, k) => {
      compare(`[${shape}]`, visit(walk.shape, walk.strides[k]), visit(shape, strides[k]), TOLERANCE.exact);
    });
  }
});

test('strided: merges what is contiguous for all operands', () => {
  const merged = (shape: number[], ...operands: number[][]) =>
    collapse(
      shape,
      operands.map((operand) => broadcastStrides(operand, shape)),
    ).shape;
  compare('one operand', merged([2, 3, 4], [2, 3, 4]), [24], TOLERANCE.exact);
  compare('row bias', merged([2, 3, 4], [2, 3, 4], [4]), [6, 4], TOLERANCE.exact);
  compare('alternating', merged([2, 3, 4], [2, 1, 4], [3, 1]), [2, 3, 4], TOLERANCE.exact);
});

test.run();
