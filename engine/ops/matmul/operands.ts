// One matmul as its kernels see it, and the parts of a dispatch that they share.

import type { Define } from '../../gpu/kernel.ts';
import type { KernelCall } from '../../gpu/launch.ts';
import type { DType, Tensor } from '../../tensor/tensor.ts';
import type { Gelu } from '../gelu.ts';
import type { MatmulProblem } from './plan.ts';

/** One (batched) matmul but for its operands: what a call depends on. */
export interface Product extends MatmulProblem {
  readonly batch: number;
  /** How a and b are stored: f32, f16 or bf16. */
  readonly aType: DType;
  readonly bType: DType;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly pre: boolean;
  readonly gelu: Gelu | undefined;
  readonly scale: number;
  /** To what c holds. */
  readonly adds: boolean;
  /** Elements from one batch entry to the next; 0 if all share one. */
  readonly aBatch: number;
  readonly bBatch: number;
}

export interface Operands {
  readonly a: Tensor;
  readonly b: Tensor;
  /** [splits, batch, M, N] */
  readonly c: Tensor;
  readonly bias: Tensor | undefined;
  readonly residual: Tensor | undefined;
  readonly pre: Tensor | undefined;
}

/** The bindings of all operands; packed ones have their own. */
export function bindingsOf({ a, b, c, bias, residual, pre }: Operands): Record<string, Tensor | undefined> {
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

/** The specialisation of shaders/lib/epilogue.wgsl: which of the operands there are. */
export function epilogueDefine({
  bias,
  residual,
  pre,
  gelu,
  adds,
}: {
  readonly bias?: unknown;
  readonly residual?: unknown;
  readonly pre?: unknown;
  readonly gelu?: Gelu | undefined;
  readonly adds?: boolean;
}): Define {
  return {
    HAS_BIAS: !!bias,
    HAS_RESIDUAL: !!residual,
    HAS_PRE: !!pre,
    ADDS: !!adds,
    GELU: gelu ? GELU[gelu] : 0,
  };
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
): Pick<KernelCall, 'groups' | 'flops'> & { readonly params: Readonly<Record<string, number>> } {
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
