// One product as its kernels see it, and the parts of a dispatch that they share.
import type { Define } from '../../gpu/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gelu } from '../gelu.ts';
import type { MatmulProblem } from './plan.ts';

/** One (batched) product with its operands. */
export interface Product extends MatmulProblem {
  readonly batch: number;
  /** f32, f16 or bf16, as b. */
  readonly a: Tensor;
  readonly b: Tensor;
  /** [splits, batch, M, N] */
  readonly c: Tensor;
  readonly bias: Tensor | undefined;
  readonly residual: Tensor | undefined;
  readonly pre: Tensor | undefined;
  readonly gelu: Gelu | undefined;
  readonly scale: number;
  /** Elements from one batch entry to the next; 0 if all share one. */
  readonly aBatch: number;
  readonly bBatch: number;
}

/** The bindings of all operands; packed ones have their own. */
export function bindingsOf({ a, b, c, bias, residual, pre }: Product): Record<string, Tensor | undefined> {
  return {
    [a.dtype === 'f32' ? 'a' : 'a_packed']: a,
    [b.dtype === 'f32' ? 'b' : 'b_packed']: b,
    ...{ c, bias, residual, pre },
  };
}

const GELU: Readonly<Record<Gelu, number>> = { erf: 1, tanh: 2 };

/** The specialisation of shaders/lib/epilogue.wgsl. */
export function epilogueDefine({ bias, residual, pre, gelu }: Product): Define {
  return { HAS_BIAS: !!bias, HAS_RESIDUAL: !!residual, HAS_PRE: !!pre, GELU: gelu ? GELU[gelu] : 0 };
}

/** Multiplications and additions, for the profiler. */
export const flopsOf = ({ batch, M, N, K }: Product): number => 2 * batch * M * N * K;
