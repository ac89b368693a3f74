// One matmul as its kernels see it, and the parts of a dispatch that they share.
import type { Define } from '../../gpu/kernel.ts';
import type { OpCall } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gelu } from '../gelu.ts';
import type { MatmulProblem } from './plan.ts';

/** One (batched) matmul with its operands. */
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
    c,
    bias,
    residual,
    pre,
  };
}

const GELU: Readonly<Record<Gelu, number>> = { erf: 1, tanh: 2 };

/** The specialisation of shaders/lib/epilogue.wgsl. */
export function epilogueDefine({
  bias,
  residual,
  pre,
  gelu,
}: Pick<Product, 'bias' | 'residual' | 'pre' | 'gelu'>): Define {
  return { HAS_BIAS: !!bias, HAS_RESIDUAL: !!residual, HAS_PRE: !!pre, GELU: gelu ? GELU[gelu] : 0 };
}

/** How c is cut among workgroups. */
interface Cut {
  /** Rows and columns of c that a workgroup computes. */
  readonly tileM: number;
  readonly tileN: number;
  readonly splits: number;
  /** Terms that a kernel takes at a time, of which a split has whole ones; default 1. */
  readonly stepK?: number;
}

/** Params and size of a dispatch: one workgroup per tile of c, batch entry and split. */
export function dispatchOf(
  { batch, M, N, K, scale }: Product,
  { tileM, tileN, splits, stepK = 1 }: Cut,
): Pick<OpCall, 'groups' | 'flops'> & { readonly params: Readonly<Record<string, number>> } {
  const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
  return {
    params: {
      M,
      N,
      K,
      k_split: Math.max(stepK, Math.ceil(K / splits / stepK) * stepK),
      batch,
      groups_m: groupsM,
      groups_n: groupsN,
      splits,
      scale,
    },
    groups: groupsM * groupsN * batch * splits,
    flops: 2 * batch * M * N * K,
  };
}
