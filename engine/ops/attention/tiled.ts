// Strips of attention on GPUs: products in tiles of workgroup memory.
import source from '../../../shaders/attention/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { type OpCall, output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { K_TILE, tileDefine } from '../shared_tile.ts';
import { planStripTile, type StripTile } from './plan.ts';
import {
  type AttentionLayout,
  flipped,
  KIND,
  type ProductOperands,
  type ProductSizes,
  type Segment,
  type View,
  Workspace,
} from './views.ts';

const tileKernel = kernel(source, 'attention_tile');
const slicesKernel = kernel(source, 'attention_slices');

/** Invocations of a workgroup of attention_slices. */
const SLICES_WORKGROUP = 64;

/** Params that only some of the kernels read. */
const UNUSED = {
  ...{ K: 0, k_slice: 0, slices: 1, groups_m: 0, groups_n: 0 },
  ...{ a_start: 0, a_batch: 0, a_head: 0, a_line: 0, b_start: 0, b_batch: 0, b_head: 0, b_line: 0 },
  ...{ c_slice: 0, scale: 1, tiles: 0, first_tile: 0, pitch: 0, first_slice: 0 },
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
  /**
   * 36 MiB at least, since fewer are too little work at once; up to 128 MiB where q, k, v and out are large themselves: 1.3 of
   * their numbers, or half as many beside their gradients.
   */
  static mostScores({ B, T, heads, K, ownKeys, cachedKeys }: AttentionLayout, backward: boolean): number {
    const numbers = 2 * B * heads * K * (T + ownKeys + cachedKeys);
    return Math.min(2 ** 25, Math.max(9 * 2 ** 20, (backward ? 0.65 : 1.3) * numbers));
  }

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

  product(kind: keyof typeof KIND, { M, N, K }: ProductSizes, operands: ProductOperands): void {
    // Lines of c run along n: otherwise c' = b' a'.
    const { a, b, c } = operands;
    if (!c.turned) this.#multiply(kind, { M, N, K }, operands);
    else
      this.#multiply(kind, { M: N, N: M, K }, { ...operands, a: flipped(b), b: flipped(a), c: flipped(c) });
  }

  #plan({ M, N, K }: ProductSizes, like: Tensor, whole: boolean): StripTile {
    return planStripTile({ M, N, K, planes: this.strip.planes, whole }, like.gpu.target.workgroupBytes);
  }

  #multiply(kind: keyof typeof KIND, sizes: ProductSizes, operands: ProductOperands): void {
    const { c } = operands;
    const plan = this.#plan(sizes, c.tensor, kind !== 'sums');
    if (plan.slices === 1) {
      this.#tiles(kind, sizes, operands, plan);
      return;
    }
    using parts = this.#parts(c.tensor, plan.slices, sizes);
    this.#tiles('sums', sizes, { a: operands.a, b: operands.b, c: this.#slice(parts, 0, sizes) }, plan);
    this.#addSlices(kind, sizes, operands, parts);
  }

  /** [slices, planes of the strip, M, N] */
  #parts(like: Tensor, slices: number, { M, N }: ProductSizes): Tensor {
    return output([like], [slices, this.strip.planes, M, N]);
  }

  /** Parts from a slice on. */
  #slice(tensor: Tensor, slice: number, { M, N }: ProductSizes): View {
    const { plane, planes } = this.strip;
    const head = M * N;
    return {
      ...{ tensor, start: (slice * planes - plane) * head, batch: this.layout.heads * head, head, row: N },
      ...{ step: 1, turned: false },
    };
  }

  #tiles(
    kind: keyof typeof KIND,
    { M, N, K }: ProductSizes,
    { a, b, c, perQuery, bias, scale = 1, adds = false }: ProductOperands,
    { tileM, tileN, slices }: StripTile,
    more: Partial<Pick<OpCall, 'bind' | 'params' | 'define'>> = {},
  ): void {
    const { gpu } = c.tensor;
    const { planes } = this.strip;
    const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
    run(tileKernel, {
      bind: { a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias, ...more.bind },
      params: {
        ...{ ...UNUSED, ...this.where, M, N, K, scale, slices, groups_m: groupsM, groups_n: groupsN },
        ...{ k_slice: Math.ceil(K / slices / K_TILE) * K_TILE, c_slice: planes * M * N },
        ...{ ...place('a', a), ...place('b', b), ...place('c', c), ...more.params },
      },
      define: {
        ...{ KIND: KIND[kind], ADDS: adds, HAS_MASK: !!bias, ...more.define },
        ...{ TRANSPOSE_A: a.turned, TRANSPOSE_B: b.turned, ...tileDefine(gpu, tileM, tileN) },
        HALVES: slices === 1 && (K - 1) % K_TILE < K_TILE / 2,
      },
      groups: groupsM * groupsN * planes * slices,
      flops: 2 * planes * M * N * K,
    });
  }

  #addSlices(
    kind: keyof typeof KIND,
    { M, N }: ProductSizes,
    { c, perQuery, bias, scale = 1, adds = false }: Omit<ProductOperands, 'a' | 'b'>,
    parts: Tensor,
    bind?: OpCall['bind'],
  ): void {
    run(slicesKernel, {
      bind: { parts, c: c.tensor, per_query: perQuery, mask_bias: bias, ...bind },
      params: { ...UNUSED, ...this.where, ...place('c', c), M, N, scale, slices: parts.shape[0] },
      define: { KIND: KIND[kind], ADDS: adds, HAS_MASK: !!bias },
      groups: Math.ceil(parts.size / parts.shape[0] / 4 / SLICES_WORKGROUP),
    });
  }

  attend(q: Tensor, segments: readonly Segment[], out: Tensor, lse: Tensor): void {
    const { K, kCol, vCol } = this.layout;
    const { planes, queries: M } = this.strip;
    const pitch = 4 * Math.ceil(M / 4);
    const weights = flipped(this.scores(out));
    const from = (view: View, before: number): View => ({ ...view, start: view.start + before });
    const plans = segments.map(({ keys: N }) => this.#plan({ M, N, K }, out, true));
    const across = segments.map(({ keys }, i) => Math.ceil(keys / plans[i].tileN));
    const tiles = across.reduce((sum, n) => sum + n);
    using tops = output([out], [planes, tiles, pitch]);
    segments.forEach(({ tensor, keys: N, before, bias }, i) => {
      const operands = { a: this.queries(q), b: flipped(this.keys(tensor, N, kCol)), bias };
      const [c, scale] = [from(weights, before), K ** -0.5];
      const params = { tiles, pitch, first_tile: i > 0 ? across[0] : 0 };
      this.#tiles('scores', { M, N, K }, { ...operands, c, scale }, plans[i], { bind: { tops }, params });
    });

    const outs = segments.map(({ keys }) => this.#plan({ M, N: K, K: keys }, out, false));
    const slices = outs.reduce((sum, one) => sum + one.slices, 0);
    const sizes = { M, N: K, K: 0 };
    const sliced = slices > 1;
    const c = this.results(out);
    using parts = sliced ? this.#parts(out, slices, sizes) : undefined;
    using totals = sliced ? output([out], [slices, planes, M, 2]) : undefined;
    segments.forEach(({ tensor, keys, before }, i) => {
      const first_slice = i > 0 ? outs[0].slices : 0;
      const operands = { a: from(weights, before), b: this.keys(tensor, keys, vCol) };
      this.#tiles(
        'output',
        { M, N: K, K: keys },
        { ...operands, c: parts ? this.#slice(parts, first_slice, sizes) : c },
        outs[i],
        { bind: { tops, totals, lse }, params: { tiles, pitch, first_slice }, define: { SLICED: sliced } },
      );
    });
    if (parts) this.#addSlices('output', sizes, { c }, parts, { totals, lse });
  }
}
