// Matmuls through workgroup memory: shaders/matmul/tiled.wgsl.
import sumSource from '../../../shaders/matmul/stream_sum.wgsl' with { type: 'text' };
import source from '../../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run, runEach } from '../../tensor/dispatch.ts';
import { vectorOf } from '../rows.ts';
import { tileColumns, tileDefine } from '../shared_tile.ts';
import { bindingsOf, dispatchOf, epilogueDefine, type Product } from './operands.ts';
import type { TiledPlan } from './plan.ts';

const forward = kernel(source, 'matmul_tiled');
const inStreams = kernel(source, 'matmul_streams');
const streamSum = kernel(sumSource, 'matmul_stream_sum');

/** Records a matmul: one workgroup per tile, batch entry and split; or streams, and the sum of what they have. */
export function multiplyTiled({ tile, splits, unit, streams }: TiledPlan, product: Product): void {
  const { a, b, c, batch, M, N, K, transposeA = false, transposeB = false } = product;
  const [aVec, bVec, vec] = [vectorOf(transposeA ? M : K), vectorOf(transposeB ? K : N), vectorOf(N)];
  const tileN = tileColumns(tile);
  const own = tileDefine(a.gpu.target, tile, tileN, unit);
  const stepK = Number(own.TILE_K ?? forward.constant('TILE_K'));
  const dispatch = dispatchOf(product, { tileM: tile, tileN, splits, stepK });
  const params = { ...dispatch.params, a_batch: product.aBatch, b_batch: product.bBatch };
  const define = {
    ...own,
    AVec: aVec === 4 ? 'vec4f' : 'f32',
    A_VEC: aVec,
    A_TYPE: a.dtype.toUpperCase(),
    TRANSPOSE_A: transposeA,
    BVec: bVec === 4 ? 'vec4f' : 'f32',
    B_VEC: bVec,
    B_TYPE: b.dtype.toUpperCase(),
    TRANSPOSE_B: transposeB,
    Vec: vec === 4 ? 'vec4f' : 'f32',
    Vecs: vec === 4 ? 'array<vec4f, 1>' : 'vec4f',
    VEC: vec,
  };
  const bind = bindingsOf(product);
  if (!streams) {
    run(forward, { ...dispatch, bind, params, define: { ...define, ...epilogueDefine(product) } });
    return;
  }
  const tiles = batch * dispatch.params.groups_m * dispatch.params.groups_n;
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
  const { bias, residual, pre } = product;
  runEach(streamSum, {
    bind: { sums, c, bias, residual, pre },
    params: { ...params, ...runs, n: c.size / vec, N: N / vec, tile_m: tile, tile_n: tileN / vec },
    define: { Vec: define.Vec, ...epilogueDefine(product) },
  });
}
