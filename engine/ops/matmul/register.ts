// Matmuls in registers: shaders/matmul/register.wgsl.
import source from '../../../shaders/matmul/register.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { stridedCopy, stridedPlace } from '../copy.ts';
import { registerDefine } from '../register_tile.ts';
import { bindingsOf, dispatchOf, epilogueDefine, type Product } from './operands.ts';
import type { RegisterPlan } from './plan.ts';

const forward = kernel(source, 'matmul');

/** Records a matmul, after transposing what the plan wants transposed. */
export function multiplyRegister(plan: RegisterPlan, product: Product): void {
  const { a, b, M, N, K, batch, aBatch, bBatch } = product;
  if (plan.transposeFirst) {
    using transposedB = transposed(b, bBatch ? batch : 1, N, K);
    multiplyRegister({ ...plan, transposeFirst: false }, { ...product, b: transposedB, transposeB: false });
  } else if (plan.aVec === 4 && !product.transposeA) {
    const pitch = 4 * Math.ceil(M / 4);
    using transposedA = transposed(a, aBatch ? batch : 1, M, K, pitch);
    runRegister(plan, { ...product, a: transposedA, transposeA: true, aBatch: aBatch && pitch * K }, pitch);
  } else runRegister(plan, product, M);
}

/** @param pitch  from one row of a transposed a to the next */
function runRegister(plan: RegisterPlan, product: Product, pitch: number): void {
  const { a, b, N, K, transposeA = false, transposeB = false } = product;
  const { vec, aVec, threadM, threadN, wg, splits } = plan;
  const dispatch = dispatchOf(product, { tileM: threadM, tileN: vec * threadN * wg, splits });
  run(forward, {
    ...dispatch,
    bind: bindingsOf(product),
    params: {
      ...dispatch.params,
      N: N / vec,
      a_row: transposeA ? 1 : K,
      a_step: transposeA ? pitch / aVec : 1,
      a_batch: product.aBatch / aVec,
      b_batch: product.bBatch / vec,
    },
    define: {
      ...registerDefine(plan, a.gpu.target),
      Vec: vec === 4 ? 'vec4f' : 'f32',
      Vecs: vec === 4 ? 'array<vec4f, 1>' : 'vec4f',
      VEC: vec,
      PackedB: vec === 4 ? 'vec2u' : 'u32',
      B_TYPE: b.dtype.toUpperCase(),
      TRANSPOSE_B: transposeB,
      AVec: aVec === 4 ? 'vec4f' : 'f32',
      AVecs: aVec === 4 ? 'array<vec4f, 1>' : 'vec4f',
      A_VEC: aVec,
      PackedA: aVec === 4 ? 'vec2u' : 'u32',
      A_TYPE: a.dtype.toUpperCase(),
      ...epilogueDefine(product),
    },
  });
}

/** [batch, R, C] to [batch, C, pitch], undefined from R on; the caller disposes the result. */
function transposed(x: Tensor, batch: number, R: number, C: number, pitch = R): Tensor {
  // Writing in order: rows of 64 elements, 8192 of them, take lavapipe a quarter of the time that reading in order does.
  if (pitch === R) return stridedCopy('matmul', x, [batch, C, R], [R * C, 1, C]);
  const y = output([x], [batch, C, pitch]);
  stridedPlace('matmul', x, y, [batch, R, C], [C * pitch, 1, pitch]);
  return y;
}
