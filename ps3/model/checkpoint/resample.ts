// Tables of one resolution for another, as timm loads them: positions by bicubic interpolation, patch embeddings by the
// pseudo-inverse of the resize that patches went through. Beyer et al. 2022 (FlexiViT), arXiv:2212.08013.
import { axisTaps } from '../../../engine/index.ts';

/** Rows of numbers. */
type Matrix = readonly Float64Array[];

/** Weights [to, from] of one axis of PyTorch's bicubic resize with antialias. */
function resizeMatrix(from: number, to: number): Matrix {
  const options = { mode: 'cubic', cubicA: -0.5, antialias: true, excludeOutside: true } as const;
  const { first, weights, taps } = axisTaps(from, to, 0, options);
  return first.map((start, row) => {
    const line = new Float64Array(from);
    for (let tap = 0; tap < taps && start + tap < from; tap++) line[start + tap] = weights[row * taps + tap];
    return line;
  });
}

const transposed = (a: Matrix): Matrix =>
  Array.from(a[0], (_, column) => Float64Array.from(a, (row) => row[column]));

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) =>
    Float64Array.from(b[0], (_, column) => row.reduce((sum, x, k) => sum + x * b[k][column], 0)),
  );

/** x with a x = b for a symmetric positive definite a: Gauss-Jordan elimination, which needs no pivots there. */
function solve(a: Matrix, b: Matrix): Matrix {
  const rows = a.map((row, i) => Float64Array.of(...row, ...b[i]));
  rows.forEach((pivotRow, pivot) => {
    const scale = 1 / pivotRow[pivot];
    for (let column = pivot; column < pivotRow.length; column++) pivotRow[column] *= scale;
    for (const row of rows) {
      if (row === pivotRow) continue;
      const factor = row[pivot];
      for (let column = pivot; column < row.length; column++) row[column] -= factor * pivotRow[column];
    }
  });
  return rows.map((row) => row.slice(a.length));
}

/** The Moore-Penrose inverse of a matrix of full rank. */
function pseudoInverse(a: Matrix): Matrix {
  const t = transposed(a);
  return a.length <= t.length ? transposed(solve(product(a, t), a)) : solve(product(t, a), t);
}

/**
 * A position table for another grid.
 *
 * @param table  [side², C]
 * @returns      [to², C]
 * Source: timm, resample_abs_pos_embed.
 */
export function resamplePositions(table: Float32Array, side: number, to: number): Float32Array<ArrayBuffer> {
  const C = table.length / side ** 2;
  const weights = resizeMatrix(side, to);
  const result = new Float32Array(to * to * C);
  for (let c = 0; c < C; c++) {
    const plane = Array.from({ length: side }, (_, y) =>
      Float64Array.from({ length: side }, (_, x) => table[(y * side + x) * C + c]),
    );
    product(product(weights, plane), transposed(weights)).forEach((row, y) => {
      row.forEach((value, x) => {
        result[(y * to + x) * C + c] = value;
      });
    });
  }
  return result;
}

/**
 * A patch embedding for patches of another size: on resized patches it gives what the old one gave.
 *
 * @param kernels  [n, px, px]
 * @returns        [n, to, to]
 * Source: timm, resample_patch_embed.
 */
export function resampleKernels(kernels: Float32Array, px: number, to: number): Float32Array<ArrayBuffer> {
  const inverse = pseudoInverse(resizeMatrix(px, to)); // [px, to]; that of both axes is its Kronecker square
  const result = new Float32Array((kernels.length / px ** 2) * to ** 2);
  for (let n = 0; n < kernels.length / px ** 2; n++) {
    const kernel = Array.from({ length: px }, (_, y) =>
      Float64Array.from(kernels.subarray((n * px + y) * px, (n * px + y + 1) * px)),
    );
    product(product(transposed(inverse), kernel), inverse).forEach((row, y) => {
      result.set(row, (n * to + y) * to);
    });
  }
  return result;
}
