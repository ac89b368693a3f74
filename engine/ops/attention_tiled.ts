// Strips of attention on GPUs: products in tiles of workgroup memory.
import source from '../../shaders/attention_tiled.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import { planStripTile } from '../gpu/planner.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  flipped,
  KIND,
  type ProductOperands,
  type ProductSizes,
  type View,
  Workspace,
} from './attention_views.ts';
import { K_TILE, tileDefine } from './tile.ts';

const tileKernel = kernel(source, 'attention_tile');
const slicesKernel = kernel(source, 'attention_slices');
const weightsKernel = kernel(source, 'attention_row_weights');

/** Cells of a row, vec4 each, from which a workgroup of the largest size takes it. */
const LONG_ROW = 512;

/** Invocations of a workgroup of attention_slices. */
const SLICES_WORKGROUP = 64;

/** Params that only some of the kernels read. */
const UNUSED = {
  ...{ K: 0, k_slice: 0, slices: 1, groups_m: 0, groups_n: 0 },
  ...{ a_start: 0, a_batch: 0, a_head: 0, a_line: 0, b_start: 0, b_batch: 0, b_head: 0, b_line: 0 },
  ...{ c_slice: 0, scale: 1, cached_keys: 0, own_from: 0 },
};

/** A view by its lines: along rows or, where it is turned, along columns. */
function place(name: string, { start, batch, head, row, step, turned }: View): Record<string, number> {
  return {
    [`${name}_start`]: start,
    [`${name}_batch`]: batch,
    [`${name}_head`]: head,
    [`${name}_line`]: turned ? step : row,
  };
}

export class TiledWorkspace extends Workspace {
  /** 36 MiB: fewer are too little work at once. */
  static readonly mostScores: number = 9 * 2 ** 20;

  /** At a whole vec4. */
  get ownFrom(): number {
    return 4 * Math.ceil(this.layout.cachedKeys / 4);
  }

  /** Lines of keys, so that a workgroup finds a query's scores side by side. */
  scores(like: Tensor): View {
    return flipped(this.scratch(like, this.strip.queries, this.ownFrom + this.layout.ownKeys));
  }

  turned(rows: View): View {
    return flipped(rows);
  }

  product(kind: keyof typeof KIND, sizes: ProductSizes, operands: ProductOperands): void {
    // Lines of c run along n: otherwise c' = b' a'.
    const { a, b, c } = operands;
    if (!c.turned) this.#multiply(kind, sizes, operands);
    else
      this.#multiply(
        kind,
        { M: sizes.N, N: sizes.M, K: sizes.K },
        { ...operands, a: flipped(b), b: flipped(a), c: flipped(c) },
      );
  }

  #multiply(
    kind: keyof typeof KIND,
    { M, N, K }: ProductSizes,
    { a, b, c, perQuery, bias, scale = 1, adds = false }: ProductOperands,
  ): void {
    const { heads } = this.layout;
    const { plane, planes } = this.strip;
    const { gpu } = c.tensor;
    const sums = kind === 'sums' || kind === 'normalised';
    const { tileM, tileN, slices } = planStripTile({ M, N, K, planes, whole: !sums }, gpu.workgroupBytes);
    const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
    const parts = slices > 1 ? output([c.tensor], [slices, planes, M, N]) : undefined;
    const finish = { per_query: perQuery, mask_bias: bias };
    const define = { KIND: KIND[kind], ADDS: adds, HAS_MASK: !!bias };
    const shared = { ...UNUSED, ...this.where, M, N, K, slices };
    run(tileKernel, {
      bind: parts
        ? { a: a.tensor, b: b.tensor, c: parts }
        : { a: a.tensor, b: b.tensor, c: c.tensor, ...finish },
      params: {
        ...{ ...shared, scale: parts ? 1 : scale },
        ...{ k_slice: Math.ceil(K / slices / K_TILE) * K_TILE, groups_m: groupsM, groups_n: groupsN },
        ...{ ...place('a', a), ...place('b', b) },
        ...(parts
          ? {
              ...{ c_start: -plane * M * N, c_batch: heads * M * N, c_head: M * N, c_line: N },
              c_slice: planes * M * N,
            }
          : place('c', c)),
      },
      define: {
        ...(parts ? { KIND: KIND.sums } : define),
        ...{ TRANSPOSE_A: a.turned, TRANSPOSE_B: b.turned, ...tileDefine(gpu, tileM, tileN) },
      },
      groups: groupsM * groupsN * planes * slices,
      flops: 2 * planes * M * N * K,
    });
    if (!parts) return;
    run(slicesKernel, {
      bind: { parts, c: c.tensor, ...finish },
      params: { ...shared, ...place('c', c), scale },
      define,
      groups: Math.ceil((planes * M * N) / 4 / SLICES_WORKGROUP),
    });
    parts.dispose();
  }

  weigh(scores: View, lse: Tensor, inverse: Tensor): void {
    const { ownKeys, cachedKeys } = this.layout;
    const { planes, queries } = this.strip;
    const { ownFrom } = this;
    run(weightsKernel, {
      bind: { weights: scores.tensor, lse, inverse },
      params: {
        ...{ ...UNUSED, ...this.where, ...place('c', scores) },
        ...{ M: queries, N: ownFrom + ownKeys, cached_keys: cachedKeys, own_from: ownFrom },
      },
      define: scores.step / 4 >= LONG_ROW ? { WG: 256 } : undefined,
      groups: planes * queries,
      flops: 10 * planes * queries * (ownKeys + cachedKeys),
    });
  }
}
