// Matmuls in registers: shaders/matmul/register.wgsl.
import source from '../../../shaders/matmul/register.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, planned } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { stridedCopy, stridedPlace } from '../copy.ts';
import { registerDefine } from '../register_tile.ts';
import { bindingsOf, dispatchOf, epilogueDefine, type Operands, type Product } from './operands.ts';
import type { RegisterPlan } from './plan.ts';

const matmul = kernel(source, 'matmul');

/** Records a matmul, after transposing what the plan wants transposed. */
export function multiplyRegister(plan: RegisterPlan, product: Product, operands: Operands): void {
  const { a, b } = operands;
  const { M, N, K, batch, aBatch, bBatch } = product;
  using transposedB = plan.transposeFirst ? transposed(b, bBatch ? batch : 1, N, K) : undefined;
  using transposedA = transposesA(plan, product)
    ? transposed(a, aBatch ? batch : 1, M, K, pitchOf(M))
    : undefined;
  forward(bindingsOf({ ...operands, a: transposedA ?? a, b: transposedB ?? b }), plan, product);
}

const transposesA = (plan: RegisterPlan, product: Product): boolean => plan.aVec === 4 && !product.transposeA;

/** From one row of a transposed a to the next. */
const pitchOf = (M: number): number => 4 * Math.ceil(M / 4);

const forward = planned(({ target }, plan: RegisterPlan, product: Product) => {
  const { N, K, aType, bType, bBatch } = product;
  const { vec, aVec, threadM, threadN, wg, splits } = plan;
  const transposed = transposesA(plan, product);
  const pitch = transposed ? pitchOf(product.M) : product.M;
  const aBatch = transposed ? product.aBatch && pitch * K : product.aBatch;
  const transposeA = product.transposeA || transposed;
  const dispatch = dispatchOf(product, { tileM: threadM, tileN: vec * threadN * wg, splits });
  return {
    ...dispatch,
    kernel: matmul,
    params: {
      ...dispatch.params,
      N: N / vec,
      a_row: transposeA ? 1 : K,
      a_step: transposeA ? pitch / aVec : 1,
      a_batch: aBatch / aVec,
      b_batch: bBatch / vec,
    },
    define: {
      ...registerDefine(plan, target),
      Vec: vec === 4 ? 'vec4f' : 'f32',
      Vecs: vec === 4 ? 'array<vec4f, 1>' : 'vec4f',
      VEC: vec,
      PackedB: vec === 4 ? 'vec2u' : 'u32',
      B_TYPE: bType.toUpperCase(),
      TRANSPOSE_B: !!product.transposeB && !plan.transposeFirst,
      AVec: aVec === 4 ? 'vec4f' : 'f32',
      AVecs: aVec === 4 ? 'array<vec4f, 1>' : 'vec4f',
      A_VEC: aVec,
      PackedA: aVec === 4 ? 'vec2u' : 'u32',
      A_TYPE: aType.toUpperCase(),
      ...epilogueDefine(product),
    },
  };
});

/** [batch, R, C] to [batch, C, pitch], undefined from R on; the caller disposes the result. */
function transposed(x: Tensor, batch: number, R: number, C: number, pitch = R): Tensor {
  // Writing in order: rows of 64 elements, 8192 of them, take lavapipe a quarter of the time that reading in order does.
  if (pitch === R) return stridedCopy('matmul', x, [batch, C, R], [R * C, 1, C]);
  const y = output([x], [batch, C, pitch]);
  stridedPlace('matmul', x, y, [batch, R, C], [C * pitch, 1, pitch]);
  return y;
}
