import { expect, expectDType, expectKeys } from '../../gpu/errors.ts';
import type { MatmulForce } from '../../gpu/tuning.ts';
import { isRecording, record } from '../../tensor/autograd.ts';
import { output } from '../../tensor/dispatch.ts';
import { expectBindable } from '../../tensor/part.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { sumColumns } from '../column_sum.ts';
import { type Gelu, geluGradient } from '../gelu.ts';
import { asRows, currentProducts, FLOATS, multiply } from './product.ts';

/** What `linear` fuses into its kernel. */
export interface LinearOptions {
  /** [N] f32, added to every row. Default: none. */
  readonly bias?: Tensor;
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
 * @returns       [..., M, N]
 * @throws ShapeError when weight, bias or residual do not fit x
 * @throws MemoryError when x or the weight, as stored, exceeds a binding
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor<'f32'> {
  expectKeys('linear', options, { bias: true, gelu: true, residual: true, force: true });
  const { bias, gelu, residual, force } = options;
  expectDType('linear', 'x', x, 'f32');
  expectDType('linear', 'weight', weight, ...FLOATS);
  const K = x.shape.at(-1) ?? 0;
  const [N] = weight.shape;
  const shape = [...x.shape.slice(0, -1), N];
  expect(
    x.shape.length >= 2 && weight.shape.length === 2 && weight.shape[1] === K,
    'linear',
    'weight must be [N, K] with the last extent of x as K',
    `x ${show(x.shape)} and weight ${show(weight.shape)}`,
    'Transpose weight or reshape x.',
  );
  expectBindable('linear', 'x', x);
  expectBindable('linear', 'weight', weight);
  for (const [name, extra] of Object.entries({ bias, residual }))
    if (extra !== undefined) expectDType('linear', name, extra, 'f32');
  if (bias) expect(sameShape(bias.shape, [N]), 'linear', `bias must be [${N}]`, show(bias.shape));
  if (residual)
    expect(
      sameShape(residual.shape, shape),
      'linear',
      `residual must be ${show(shape)}`,
      show(residual.shape),
    );

  const { forward, backward: products } = currentProducts();
  const keeps = gelu && isRecording() && [x, weight, bias].some((operand) => operand?.requiresGrad);
  using pre = keeps ? output([x], shape).keep() : undefined;
  const y = multiply(x, weight, { transposeB: true, bias, gelu, residual, pre, force, products: forward });
  return record('linear', {
    inputs: [x, weight, bias, residual],
    output: y,
    saved: { x, weight, pre },
    activations: ['x', 'pre'],
    addsTo: [0, 1, 2],
    backward: (dy, saved, needs, _all, [dx, dweight, dbias]) => {
      const dpre = gelu && saved.pre ? geluGradient(dy, saved.pre, gelu) : dy;
      const call = { transposeA: true, force, products, total: dweight };
      return [
        needs[0] ? multiply(dpre, saved.weight, { force, products, total: dx }) : undefined,
        needs[1] ? multiply(asRows(dpre, dy), asRows(saved.x, dy), call) : undefined,
        needs[2] ? sumColumns(dpre, [dpre.shape.at(-1)!], 1, dbias) : undefined,
        needs[3] ? dy : undefined,
      ];
    },
  });
}
