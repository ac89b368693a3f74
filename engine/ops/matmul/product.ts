// The matmul below `matmul` and `linear`: shapes already checked, nothing recorded on the tape.
import { DTypeError, UseError } from '../../gpu/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { memoized } from '../../gpu/memo.ts';
import type { MatmulForce } from '../../gpu/tuning.ts';
import { currentPrecision, type ProductDType, withPrecision } from '../../tensor/autograd.ts';
import { output } from '../../tensor/dispatch.ts';
import { size } from '../../tensor/shape.ts';
import type { DType, Tensor } from '../../tensor/tensor.ts';
import { sumColumns } from '../column_sum.ts';
import type { Gelu } from '../gelu.ts';
import type { Operands, Product } from './operands.ts';
import { type MatmulPlan, type MatmulProblem, planMatmul } from './plan.ts';
import { multiplyRegister } from './register.ts';
import { multiplySubgroupMatrix } from './subgroup_matrix.ts';
import { multiplyTiled } from './tiled.ts';

/** How operands may be stored. */
export const FLOATS = ['f32', 'f16', 'bf16'] as const;

/** How operands are read, and what follows. */
export interface ProductOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly scale?: number;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly gelu?: Gelu;
  /** Receives what enters gelu. */
  readonly pre?: Tensor;
  /** Gets the product added, and is returned; default: a new tensor. */
  readonly total?: Tensor<'f32'>;
  /** f32 on every tier: for losses, and for gradients, which may be too small for f16. */
  readonly products?: ProductDType;
  readonly force?: MatmulForce;
}

/**
 * Runs `fn`, whose matrix products (`matmul`, `linear`, `conv2d`, `attention` and what is made of them) read their operands as
 * `dtype`, in the backward pass of what `fn` records too. Sums are f32, and so is the contrastive loss.
 *
 * In f16 a factor has 2^-11 of its size as rounding, is infinite from 65520 on and 0 below 2^-25: scale the loss, see
 * `AdamW.lossScale`. Products of 8 rows and fewer stay f32. Without this call tier 3 rounds in the forward pass alone.
 *
 * @throws UseError when `fn` returns a promise, and for f16 without matrix units (tier 3)
 */
export function withProducts<T>(dtype: ProductDType, fn: () => T): T {
  if (dtype !== 'f32' && dtype !== 'f16')
    throw new DTypeError(`withProducts: the dtype must be f32 or f16, got ${dtype}.`);
  return withPrecision('withProducts', { products: dtype }, fn);
}

/** How an op that is recorded now multiplies, in its forward and in its backward pass. */
export function currentProducts(): { forward: ProductDType | undefined; backward: ProductDType } {
  const { products } = currentPrecision();
  return { forward: products, backward: products ?? 'f32' };
}

/**
 * c[z] = epilogue(scale op(a[z]) op(b[z])). Half precision is widened as the kernels read it.
 *
 * @param a  [..., M, K], or [..., K, M] with transposeA
 * @param b  [..., K, N], or [..., N, K] with transposeB; leading extents equal to a's, or none for one of the two
 * @returns  [..., M, N]
 */
export function multiply(a: Tensor, b: Tensor, options: ProductOptions = {}): Tensor<'f32'> {
  const {
    transposeA = false,
    transposeB = false,
    scale = 1,
    bias,
    residual,
    gelu,
    pre,
    total,
    products,
    force,
  } = options;
  const lead = (a.shape.length > 2 ? a : b).shape.slice(0, -2);
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  const rows = transposeA ? a1 : a0;
  const K = transposeA ? a0 : a1;
  const N = transposeB ? b0 : b1;
  const shape = [...lead, rows, N];
  // Rows of a under one shared b are rows of one matmul.
  const collapse = b.shape.length === 2 && !transposeA;
  const batch = collapse ? 1 : size(lead);
  const M = collapse ? rows * size(lead) : rows;
  const aBatch = a.shape.length > 2 && !collapse ? rows * K : 0;
  const bBatch = b.shape.length > 2 ? N * K : 0;
  const { target, tier, adapterName } = a.gpu;
  if (products === 'f16' && !target.matrixUnit)
    throw new UseError(
      `withProducts: products in f16 need matrix units that sum in f32, got tier ${tier} on ${adapterName}. Open the engine with tier: 3 on an adapter that has them, or keep f32.`,
    );
  const { plan, product } = productOf(
    a.gpu,
    M,
    N,
    K,
    batch,
    transposeA,
    transposeB,
    aBatch,
    bBatch,
    scale,
    !!total,
    a.dtype,
    b.dtype,
    !!bias,
    !!residual,
    !!pre,
    gelu,
    products,
    force,
  );
  if (plan.splits === 1) {
    const c = total ?? output([a, b, bias, residual], shape);
    launch(plan, product, { a, b, c, bias, residual, pre });
    return c;
  }
  using c = output([a, b], [plan.splits, ...shape]);
  launch(plan, product, { a, b, c, bias, residual, pre });
  return sumColumns(c, shape, scale, total);
}

const productOf = memoized(
  (
    { target, tuning }: Gpu,
    ...[M, N, K, batch, transposeA, transposeB, aBatch, bBatch, scale, adds, ...others]: readonly [
      ...[M: number, N: number, K: number, batch: number, transposeA: boolean, transposeB: boolean],
      ...[aBatch: number, bBatch: number, scale: number, adds: boolean, aType: DType, bType: DType],
      ...[bias: boolean, residual: boolean, pre: boolean, gelu: Gelu | undefined],
      ...[products: ProductDType | undefined, force: MatmulForce | undefined],
    ]
  ): { plan: MatmulPlan; product: Product } => {
    const [aType, bType, bias, residual, pre, gelu, products, force] = others;
    const problem: MatmulProblem = {
      M,
      N,
      K,
      batch,
      transposeA,
      transposeB,
      products,
      epilogue: bias || residual || pre || !!gelu,
      packedA: aType !== 'f32',
      packedB: bType !== 'f32',
    };
    const plan = planMatmul(target, problem, force, tuning);
    const isWhole = plan.splits === 1;
    return {
      plan,
      product: {
        ...problem,
        batch,
        aType,
        bType,
        bias,
        residual,
        pre,
        gelu,
        aBatch,
        bBatch,
        // Sums of a split are scaled and added when they are complete.
        scale: isWhole ? scale : 1,
        adds: isWhole && adds,
      },
    };
  },
);

function launch(plan: MatmulPlan, product: Product, operands: Operands): void {
  if (operands.c.size === 0) return;
  if (plan.kind === 'register') multiplyRegister(plan, product, operands);
  else if (plan.kind === 'tiled') multiplyTiled(plan, product, operands);
  else multiplySubgroupMatrix(plan, product, operands);
}

/** [..., C] as [R, C], in the scope of `dy`. */
export function asRows(x: Tensor, dy: Tensor): Tensor {
  const C = x.shape.at(-1)!;
  return x.alias([size(x.shape.slice(0, -1)), C]).moveTo(dy.scope);
}
