// Matmuls through workgroup memory: shaders/matmul/tiled.wgsl.
import exponentsSource from '../../../shaders/matmul/row_exponents.wgsl' with { type: 'text' };
import sumSource from '../../../shaders/matmul/stream_sum.wgsl' with { type: 'text' };
import source from '../../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import type { Target } from '../../gpu/target.ts';
import { output, planned, run, runEach } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { planRows, vectorOf } from '../rows.ts';
import { tileColumns, tileDefine } from '../shared_tile.ts';
import { bindingsOf, dispatchOf, epilogueDefine, type Operands, type Product } from './operands.ts';
import type { TiledPlan } from './plan.ts';

const inTiles = kernel(source, 'matmul_tiled');
const inStreams = kernel(source, 'matmul_streams');
const rowExponents = kernel(exponentsSource, 'matmul_row_exponents');
const streamSum = kernel(sumSource, 'matmul_stream_sum');

/** Records a matmul: one workgroup per tile, batch entry and split; or streams, and the sum of what they have. */
export function multiplyTiled(plan: TiledPlan, product: Product, operands: Operands): void {
  const { tile, streams, components } = plan;
  const { a, b, c, bias, residual, pre } = operands;
  const { M, N, K, transposeA, transposeB } = product;
  using a_packed = components === 2 ? exponentsOf(a, M, K, !!transposeA) : undefined;
  using b_packed = components === 2 ? exponentsOf(b, N, K, !transposeB) : undefined;
  const bind = { ...bindingsOf(operands), ...(components === 2 && { a_packed, b_packed }) };
  if (!streams) {
    forward(bind, plan, product);
    return;
  }
  const { dispatch, params, define, stepK, vec } = tiledCall(a.gpu.target, plan, product);
  const tileN = tileColumns(tile);
  const tiles = product.batch * dispatch.params.groups_m * dispatch.params.groups_n;
  const steps = Math.max(1, Math.ceil(K / stepK));
  const runs = { steps, run: Math.ceil((tiles * steps) / streams) };
  const groups = Math.ceil((tiles * steps) / runs.run);
  using sums = output([a, b], [tiles + groups, tile, tileN]);
  run(inStreams, {
    ...dispatch,
    groups,
    bind: { ...bind, c: sums },
    params: { ...params, ...runs },
    define,
  });
  runEach(streamSum, {
    bind: { sums, c, bias, residual, pre },
    params: { ...params, ...runs, n: c.size / vec, N: N / vec, tile_m: tile, tile_n: tileN / vec },
    define: { Vec: define.Vec, ...epilogueDefine(product) },
  });
}

/** Of each row of an operand, [batch, M, K] or transposed. The caller disposes it. */
function exponentsOf(source: Tensor, M: number, K: number, transposed: boolean): Tensor {
  const R = K > 0 ? source.size / K : M;
  const exponents = output([source], [R], 'u32');
  const { define, groups } = planRows(source.gpu.target, R);
  const params = { R, M, K, line: transposed ? 1 : K, step: transposed ? M : 1 };
  run(rowExponents, { bind: { source, exponents }, params, define, groups });
  return exponents;
}

const forward = planned(({ target }, plan: TiledPlan, product: Product) => {
  const { dispatch, params, define } = tiledCall(target, plan, product);
  return { ...dispatch, kernel: inTiles, params, define: { ...define, ...epilogueDefine(product) } };
});

/** What both kernels of tiles are called with. */
function tiledCall(target: Target, { tile, splits, unit, components }: TiledPlan, product: Product) {
  const { M, N, K, transposeA = false, transposeB = false, aBatch, bBatch, aType, bType } = product;
  const [aVec, bVec, vec] = [vectorOf(transposeA ? M : K), vectorOf(transposeB ? K : N), vectorOf(N)];
  const tileN = tileColumns(tile);
  const own = tileDefine(target, tile, tileN, unit, components);
  const stepK = Number(own.TILE_K ?? inTiles.constant('TILE_K'));
  const dispatch = dispatchOf(product, { tileM: tile, tileN, splits, stepK });
  const define = {
    ...own,
    AVec: aVec === 4 ? 'vec4f' : 'f32',
    A_VEC: aVec,
    A_TYPE: aType.toUpperCase(),
    TRANSPOSE_A: transposeA,
    BVec: bVec === 4 ? 'vec4f' : 'f32',
    B_VEC: bVec,
    B_TYPE: bType.toUpperCase(),
    TRANSPOSE_B: transposeB,
    Vec: vec === 4 ? 'vec4f' : 'f32',
    Vecs: vec === 4 ? 'array<vec4f, 1>' : 'vec4f',
    VEC: vec,
  };
  return { dispatch, params: { ...dispatch.params, a_batch: aBatch, b_batch: bBatch }, define, stepK, vec };
}
