import { expect, expectDType } from '../gpu/errors.ts';
import type { MatmulForce } from '../gpu/planner.ts';
import { isRecording, record } from '../tensor/autograd.ts';
import { output } from '../tensor/dispatch.ts';
import { sameShape, show, size } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { columnSum } from './column_sum.ts';
import { type Gelu, geluGradient } from './gelu.ts';
import { multiply, type ProductOptions } from './product.ts';

const FLOATS = ['f32', 'f16', 'bf16'] as const;

/** For the products of the backward pass. */
const exact = true;

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
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
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
  const c = multiply(a, b, { transposeA, transposeB, scale, force });
  return record('matmul', {
    inputs: [a, b],
    output: c,
    saved: { a, b },
    backward: (dc, saved, needs) => [
      needs[0] ? matmulDa(dc, saved.a, saved.b, { transposeA, transposeB, scale, force }) : undefined,
      needs[1] ? matmulDb(dc, saved.a, saved.b, { transposeA, transposeB, scale, force }) : undefined,
    ],
  });
}

/** da = scale dc op(b)^T, or its transpose. */
function matmulDa(
  dc: Tensor,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB, scale, force }: ProductOptions,
): Tensor {
  const da = transposeA
    ? multiply(b, dc, { transposeA: transposeB, transposeB: true, scale, force, exact })
    : multiply(dc, b, { transposeB: !transposeB, scale, force, exact });
  return a.shape.length < da.shape.length ? columnSum(da, a.shape) : da;
}

/** db = scale op(a)^T dc, or its transpose. */
function matmulDb(
  dc: Tensor,
  a: Tensor,
  b: Tensor,
  { transposeA, transposeB, scale, force }: ProductOptions,
): Tensor {
  if (b.shape.length === 2 && !transposeA) {
    // One b for the whole batch: the batch joins the sum over rows, in one product.
    const left = asRows(a, dc);
    const right = asRows(dc, dc);
    return transposeB
      ? multiply(right, left, { transposeA: true, scale, force, exact })
      : multiply(left, right, { transposeA: true, scale, force, exact });
  }
  const db = transposeB
    ? multiply(dc, a, { transposeA: true, transposeB: transposeA, scale, force, exact })
    : multiply(a, dc, { transposeA: !transposeA, scale, force, exact });
  return b.shape.length < db.shape.length ? columnSum(db, b.shape) : db;
}

/** What `linear` fuses into its kernel. */
export interface LinearOptions {
  /** Gaussian error linear unit after the bias: exact, or its tanh form. */
  readonly gelu?: Gelu;
  /** Added last, in the shape of the result. */
  readonly residual?: Tensor;
  /** Overrides the planner, for tests and tuning. */
  readonly force?: MatmulForce;
}

/**
 * Linear layer in one kernel: y = gelu(x weight^T + bias) + residual, gelu and residual optional.
 *
 * @param x       [..., M, K] f32
 * @param weight  [N, K], as in PyTorch; f32, f16 or bf16
 * @param bias    [N]
 * @returns       [..., M, N]
 * @throws ShapeError when weight, bias or residual do not fit x
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, options: LinearOptions = {}): Tensor {
  const { gelu, residual, force } = options;
  const K = x.shape.at(-1) ?? 0;
  const [N] = weight.shape;
  const shape = [...x.shape.slice(0, -1), N];
  expectDType('linear', 'x', x, 'f32');
  expectDType('linear', 'weight', weight, ...FLOATS);
  const given = `x ${show(x.shape)} and weight ${show(weight.shape)}`;
  expect(
    x.shape.length >= 2 && weight.shape.length === 2 && weight.shape[1] === K,
    'linear',
    'weight must be [N, K] with the last extent of x as K',
    given,
    'Transpose weight or reshape x.',
  );
  if (bias) expect(sameShape(bias.shape, [N]), 'linear', `bias must be [${N}]`, show(bias.shape));
  if (residual)
    expect(
      sameShape(residual.shape, shape),
      'linear',
      `residual must be ${show(shape)}`,
      show(residual.shape),
    );

  const keeps = gelu && isRecording() && [x, weight, bias].some((operand) => operand?.requiresGrad);
  using pre = keeps ? output([x], shape).keep() : undefined;
  const y = multiply(x, weight, { transposeB: true, bias, gelu, residual, pre, force });
  return record('linear', {
    inputs: [x, weight, bias, residual],
    output: y,
    saved: { x, weight, pre },
    backward: (dy, saved, needs) => {
      const dpre = gelu && saved.pre ? geluGradient(dy, saved.pre, gelu) : dy;
      return [
        needs[0] ? multiply(dpre, saved.weight, { force, exact }) : undefined,
        needs[1]
          ? multiply(asRows(dpre, dy), asRows(saved.x, dy), { transposeA: true, force, exact })
          : undefined,
        needs[2] ? columnSum(dpre) : undefined,
        needs[3] ? dy : undefined,
      ];
    },
  });
}

/** [..., C] as [R, C], in the scope of `dy`. */
function asRows(x: Tensor, dy: Tensor): Tensor {
  const C = x.shape.at(-1)!;
  return x.alias([size(x.shape.slice(0, -1)), C]).moveTo(dy.scope);
}
