// The matrix product below `matmul` and `linear`: shapes already checked, nothing recorded on the tape.
import source from '../../../shaders/matmul/register.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import type { MatmulForce } from '../../gpu/tuning.ts';
import { noGrad } from '../../tensor/autograd.ts';
import { output, run } from '../../tensor/dispatch.ts';
import { size } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast } from '../cast.ts';
import { columnSum } from '../column_sum.ts';
import type { Gelu } from '../gelu.ts';
import { planMatmul } from './plan.ts';
import { multiplySubgroupMatrix } from './subgroup_matrix.ts';
import { multiplyTiled, type ProductCall } from './tiled.ts';

const registers = kernel(source, 'matmul');
const transposeKernel = kernel(source, 'matmul_transpose');
const transposeQuads = kernel(source, 'matmul_transpose_quads');

const GELU: Readonly<Record<Gelu, number>> = { erf: 1, tanh: 2 };

/** How operands may be stored. */
export const FLOATS = ['f32', 'f16', 'bf16'] as const;

/** The params of kernels in register.wgsl that read only some of them. */
const UNUSED = {
  M: 0,
  N: 0,
  K: 0,
  k_slice: 0,
  a_step: 0,
  a_batch: 0,
  b_batch: 0,
  batch: 1,
  groups_m: 0,
  groups_n: 0,
  slices: 0,
  scale: 1,
};

export interface ProductOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly scale?: number;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly gelu?: Gelu;
  /** Receives what enters gelu. */
  readonly pre?: Tensor;
  /** Keeps f32 operands f32 on every tier: for losses, and for gradients, which may be too small for f16. */
  readonly exact?: boolean;
  readonly force?: MatmulForce;
}

/**
 * c[z] = epilogue(scale op(a[z]) op(b[z])).
 *
 * Half precision is widened: b inside of the kernels with tiles, anything else before.
 *
 * @param a  [..., M, K], or [..., K, M] with transposeA
 * @param b  [..., K, N], or [..., N, K] with transposeB; leading extents equal to a's, or none for one of the two
 * @returns  [..., M, N]
 */
export function multiply(a: Tensor, b: Tensor, options: ProductOptions = {}): Tensor<'f32'> {
  if (a.dtype !== 'f32') {
    using wide = noGrad(() => cast(a, 'f32'));
    return multiply(wide, b, options);
  }
  const {
    transposeA = false,
    transposeB = false,
    scale = 1,
    bias,
    residual,
    gelu,
    pre,
    exact,
    force,
  } = options;
  const lead = (a.shape.length > 2 ? a : b).shape.slice(0, -2);
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  const M = transposeA ? a1 : a0;
  const K = transposeA ? a0 : a1;
  const N = transposeB ? b0 : b1;
  const c = output([a, b, bias, residual], [...lead, M, N]);
  // Rows of a under one shared b are rows of one product.
  const collapse = b.shape.length === 2 && !transposeA;
  const batch = collapse ? 1 : size(lead);
  const rows = collapse ? M * size(lead) : M;
  if (c.size === 0) return c;
  const epilogue = !!(bias || residual || gelu || pre);
  // Written out: spreading objects of this size costs more than the rest of the function.
  const { adapterClass } = a.gpu;
  const { subgroupSize, workgroupBytes } = a.gpu.target;
  const matrixUnit = exact ? undefined : a.gpu.target.matrixUnit;
  const plan = planMatmul(
    {
      adapterClass,
      subgroupSize,
      workgroupBytes,
      matrixUnit,
      M: rows,
      N,
      K,
      transposeA,
      transposeB,
      batch,
      epilogue,
    },
    force,
    a.gpu.tuning,
  );
  if (b.dtype !== 'f32' && plan.variant === 'registers') {
    c.dispose();
    using wide = noGrad(() => cast(b, 'f32'));
    return multiply(a, wide, options);
  }
  const call: ProductCall = {
    a,
    b,
    c,
    bias,
    residual,
    pre,
    M: rows,
    N,
    K,
    batch,
    transposeA,
    transposeB,
    aBatch: a.shape.length > 2 && !collapse ? M * K : 0,
    bBatch: b.shape.length > 2 ? N * K : 0,
    scale,
    gelu: gelu ? GELU[gelu] : 0,
    slices: plan.slices,
    tile: plan.tile,
  };
  if (plan.slices === 1) {
    launch(call, plan);
    return c;
  }
  c.dispose();
  using partial = output([a, b], [plan.slices, ...lead, M, N]);
  launch({ ...call, c: partial, scale: 1 }, plan);
  return columnSum(partial, [...lead, M, N], scale);
}

function launch(call: ProductCall, plan: ReturnType<typeof planMatmul>): void {
  if (plan.variant === 'tiled') multiplyTiled(call);
  else if (plan.variant === 'subgroup_matrix') multiplySubgroupMatrix(call, call.a.gpu.target.matrixUnit!);
  else if (plan.transposeFirst) {
    using turned = transposed(call.b, call.bBatch ? call.batch : 1, call.N, call.K);
    multiplyInRegisters({ ...call, b: turned, transposeB: false }, plan);
  } else multiplyInRegisters(call, plan);
}

function multiplyInRegisters(call: ProductCall, plan: ReturnType<typeof planMatmul>): void {
  const { M, K, aBatch } = call;
  if (plan.quads && !call.transposeA) {
    const pitch = 4 * Math.ceil(M / 4);
    using turned = transposed(call.a, aBatch ? call.batch : 1, M, K, pitch);
    runInRegisters({ ...call, a: turned, transposeA: true, aBatch: aBatch && pitch * K }, plan, pitch);
  } else runInRegisters(call, plan, M);
}

/** @param pitch  from one row of a transposed a to the next */
function runInRegisters(call: ProductCall, plan: ReturnType<typeof planMatmul>, pitch: number): void {
  const { a, b, c, bias, residual, pre, M, N, K, batch, slices } = call;
  const { lane, rows, cols, width, handed, quads } = plan;
  const part = quads ? 4 : 1;
  const groupsM = Math.ceil(M / rows);
  const groupsN = Math.ceil(N / lane / cols / width);
  run(registers, {
    bind: { a, b, c, bias, residual, pre },
    params: {
      M,
      N: N / lane,
      K,
      k_slice: Math.ceil(K / slices),
      a_step: call.transposeA ? pitch / part : 1,
      a_batch: call.aBatch / part,
      b_batch: call.bBatch / lane,
      batch,
      groups_m: groupsM,
      groups_n: groupsN,
      slices,
      scale: call.scale,
    },
    define: {
      Lane: lane === 4 ? 'vec4f' : 'f32',
      Part: quads ? 'vec4f' : 'f32',
      QUAD: part,
      ROWS: rows,
      COLS: cols,
      WIDTH: width,
      UNROLLED: a.gpu.target.unrolledRegisters,
      ...(handed > 1 && { broadcast: 'broadcast_subgroup', LANES: handed }),
      TRANSPOSE_A: call.transposeA,
      TRANSPOSE_B: call.transposeB,
      HAS_BIAS: !!bias,
      HAS_RESIDUAL: !!residual,
      HAS_PRE: !!pre,
      GELU: call.gelu,
    },
    groups: groupsM * groupsN * batch * slices,
    flops: 2 * batch * M * N * K,
  });
}

/** [batch, R, C] to [batch, C, pitch], undefined from R on; the caller disposes the result. */
function transposed(x: Tensor, batch: number, R: number, C: number, pitch = R): Tensor {
  const y = output([x], [batch, C, pitch]);
  const block = C % 4 === 0 && pitch % 4 === 0 ? 4 : 1;
  const step = block === 4 ? transposeQuads : transposeKernel;
  const down = Math.ceil(R / block);
  const runs = Math.ceil(C / step.constant('RUN'));
  run(step, {
    bind: block === 4 ? { rows4: x, turned4: y } : { rows: x, turned: y },
    params: { ...UNUSED, M: R, N: C / block, a_step: pitch / block, batch },
    groups: Math.ceil((down * runs * batch) / step.workgroupSize),
  });
  return y;
}

/** [..., C] as [R, C], in the scope of `dy`. */
export function asRows(x: Tensor, dy: Tensor): Tensor {
  const C = x.shape.at(-1)!;
  return x.alias([size(x.shape.slice(0, -1)), C]).moveTo(dy.scope);
}
