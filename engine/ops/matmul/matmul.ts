import { expect, expectDType, expectKeys } from '../../gpu/errors.ts';
import type { MatmulForce } from '../../gpu/tuning.ts';
import { record } from '../../tensor/autograd.ts';
import { expectBindable } from '../../tensor/part.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { columnSum } from '../column_sum.ts';
import { asRows, currentProducts, FLOATS, multiply, type ProductOptions } from './product.ts';

/** How `matmul` reads its operands. */
export interface MatmulOptions {
  /** a is [..., K, M]. */
  readonly transposeA?: boolean;
  /** b is [..., N, K]. */
  readonly transposeB?: boolean;
  /** Factor on the product; default 1. */
  readonly scale?: number;
  /** Overrides the planner, for tests and tuning. */
  readonly force?: MatmulForce;
}

/**
 * Batched matrix product: c = scale op(a) op(b), op being the transpose where asked for.
 *
 * @param a  [..., M, K] f32, f16 or bf16; sums and the result are f32
 * @param b  [..., K, N] f32, f16 or bf16, with a's leading extents; either operand may be [., .], shared by the whole batch
 * @returns  [..., M, N]
 * @throws ShapeError when inner dimensions or leading extents disagree
 * @throws MemoryError when an operand, as stored, exceeds a binding
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor<'f32'> {
  expectKeys('matmul', options, { transposeA: true, transposeB: true, scale: true, force: true });
  const { transposeA = false, transposeB = false, scale = 1, force } = options;
  for (const [name, operand] of Object.entries({ a, b })) {
    expectDType('matmul', name, operand, ...FLOATS);
    expect(
      operand.shape.length >= 2,
      'matmul',
      `${name} must have two axes or more`,
      show(operand.shape),
      'Reshape it.',
    );
  }
  const inner = a.shape.at(transposeA ? -2 : -1);
  const other = b.shape.at(transposeB ? -1 : -2);
  const both = `a ${show(a.shape)} and b ${show(b.shape)}`;
  expect(
    inner === other,
    'matmul',
    'inner dimensions must agree',
    `${both} (${inner} != ${other})`,
    'Transpose b or reshape a.',
  );
  expect(
    a.shape.length === 2 || b.shape.length === 2 || sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)),
    'matmul',
    'leading extents must be equal, or one operand a matrix',
    both,
    'Reshape or expand one.',
  );
  expectBindable('matmul', 'a', a);
  expectBindable('matmul', 'b', b);
  const { forward, backward: products } = currentProducts();
  const c = multiply(a, b, { transposeA, transposeB, scale, force, products: forward });
  return record('matmul', {
    inputs: [a, b],
    output: c,
    saved: { a, b },
    activations: ['a', 'b'],
    backward: (dc, saved, needs) => [
      needs[0]
        ? matmulDa(dc, saved.a, saved.b, { transposeA, transposeB, scale, force, products })
        : undefined,
      needs[1]
        ? matmulDb(dc, saved.a, saved.b, { transposeA, transposeB, scale, force, products })
        : undefined,
    ],
  });
}

/** da = scale dc op(b)^T, or its transpose. */
function matmulDa(
  dc: Tensor,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB, scale, force, products }: ProductOptions,
): Tensor {
  const da = transposeA
    ? multiply(b, dc, { transposeA: transposeB, transposeB: true, scale, force, products })
    : multiply(dc, b, { transposeB: !transposeB, scale, force, products });
  return a.shape.length < da.shape.length ? columnSum(da, { shape: a.shape }) : da;
}

/** db = scale op(a)^T dc, or its transpose. */
function matmulDb(
  dc: Tensor,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB, scale, force, products }: ProductOptions,
): Tensor {
  if (b.shape.length === 2 && !transposeA) {
    // One b for the whole batch: the batch joins the sum over rows, in one matmul.
    const left = asRows(a, dc);
    const right = asRows(dc, dc);
    return transposeB
      ? multiply(right, left, { transposeA: true, scale, force, products })
      : multiply(left, right, { transposeA: true, scale, force, products });
  }
  const db = transposeB
    ? multiply(dc, a, { transposeA: true, transposeB: transposeA, scale, force, products })
    : multiply(a, dc, { transposeA: !transposeA, scale, force, products });
  return b.shape.length < db.shape.length ? columnSum(db, { shape: b.shape }) : db;
}
