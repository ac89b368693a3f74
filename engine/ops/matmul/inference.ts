import { expect, expectDType, expectKeys } from '../../gpu/errors.ts';
import { output } from '../../tensor/dispatch.ts';
import { expectBindable, isBindable } from '../../tensor/part.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gelu } from '../gelu.ts';
import type { QuantizedMatrix } from '../quantize.ts';
import { isQuantized } from '../quantized.ts';
import { swiglu } from '../swiglu.ts';
import { currentProducts, FLOATS, multiply } from './product.ts';
import { type Matrix, multiplyRows, planMatrixRows } from './rows.ts';
import { multiplyStrips } from './strips.ts';

/** What `inferenceLinear` fuses into its kernel. */
export interface InferenceLinearOptions {
  /** [N] f32, added to every row. Default: none. */
  readonly bias?: Tensor;
  /** Gaussian error linear unit after the bias: exact, or its tanh form. */
  readonly gelu?: Gelu;
  /** Added last, in the shape of the result. */
  readonly residual?: Tensor;
  /** Instead of the others: y = swiglu(x weight^T), weight having the rows of gate and, behind them, as many of up. */
  readonly swiglu?: boolean;
}

/**
 * What `linear` computes, y = gelu(x weight^T + bias) + residual, without gradients and for weights in any form: what a decoder
 * multiplies by. A few rows read the weight once, as it is stored; for many, integers are widened strip by strip, never as a whole.
 *
 * @param x       [..., M, K] f32
 * @param weight  [N, K] f32, f16, bf16, or integers of `quantize`; it may be larger than a binding
 * @returns       [..., M, N], of swiglu [..., M, N / 2]; it takes no part in autograd
 * @throws ShapeError when weight, bias or residual do not fit x, and for an odd N or any of the others beside swiglu
 * @throws MemoryError when x or the result exceeds a binding
 */
export function inferenceLinear(
  x: Tensor,
  weight: Tensor | QuantizedMatrix,
  options: InferenceLinearOptions = {},
): Tensor<'f32'> {
  const op = 'inferenceLinear';
  expectDType(op, 'x', x, 'f32');
  if (!isQuantized(weight)) expectDType(op, 'weight', weight, ...FLOATS);
  expectKeys(op, options, { bias: true, gelu: true, residual: true, swiglu: true });
  const { bias, gelu, residual } = options;
  const perColumn = options.swiglu ? 2 : 1;
  const [N, K] = weight.shape;
  const shape = [...x.shape.slice(0, -1), N / perColumn];
  expect(
    x.shape.length >= 2 && weight.shape.length === 2 && x.shape.at(-1) === K,
    op,
    'weight must be [N, K] with the last extent of x as K',
    `x ${show(x.shape)} and weight ${show(weight.shape)}`,
  );
  expect(
    perColumn === 1 || (N % 2 === 0 && !bias && !gelu && !residual),
    op,
    'beside swiglu, weight must have an even number of rows, and bias, gelu and residual must be left out',
    `weight ${show(weight.shape)}${bias ? ', bias' : ''}${gelu ? ', gelu' : ''}${residual ? ', residual' : ''}`,
  );
  expectBindable(op, 'x', x);
  for (const [name, extra, rule] of [
    ['bias', bias, [N]],
    ['residual', residual, shape],
  ] as const) {
    if (!extra) continue;
    expectDType(op, name, extra, 'f32');
    expect(sameShape(extra.shape, rule), op, `${name} must be ${show(rule)}`, show(extra.shape));
  }
  const M = K > 0 ? x.size / K : 0;
  const matrix = matrixOf(weight);
  const rows = { M, N: N / perColumn, K, perColumn } as const;
  const plan = planMatrixRows(x.gpu.target, rows, isQuantized(weight));
  const fits = K % matrix.load === 0 && (perColumn === 1 || isBindable(matrix.tensor));
  if (plan && fits && M * N > 0) {
    const c = output([x, bias, residual], shape);
    multiplyRows(plan, { ...rows, a: x, c, bias, residual, gelu }, matrix);
    return c;
  }
  if (perColumn === 2) {
    using both = inferenceLinear(x, weight);
    return swiglu(both);
  }
  const { forward: products } = currentProducts();
  const call = { bias, gelu, residual, products };
  if (isQuantized(weight))
    return multiplyStrips(x, [N, K], call, (first, count) => weight.strip(first, count));
  if (isBindable(weight)) return multiply(x, weight, { ...call, transposeB: true });
  return multiplyStrips(x, [N, K], call, (first, count) => weight.view(first * K, [count, K]));
}

/** How the elements of a weight are read. */
function matrixOf(weight: Tensor | QuantizedMatrix): Matrix {
  if (!isQuantized(weight))
    return { tensor: weight, type: weight.dtype.toUpperCase(), load: weight.dtype === 'f32' ? 4 : 8 };
  const { values, scales, bits, group } = weight;
  return { tensor: values, type: `INT${bits}`, load: 128 / bits, factors: scales, group };
}
