// Attention on software adapters: products in registers over strips of queries, whose scores are stored and used again.
import source from '../../shaders/attention_strips.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import { planBlock } from '../gpu/planner.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';

const productKernel = kernel(source, 'attention_product');
const turnKernel = kernel(source, 'attention_turn');
const weightsKernel = kernel(source, 'attention_weights');

/** Sizes and strides of one attention, in f32. */
export interface AttentionLayout {
  readonly B: number;
  readonly T: number;
  readonly heads: number;
  /** Head size. */
  readonly K: number;
  readonly ownKeys: number;
  readonly cachedKeys: number;
  readonly qRow: number;
  /** 0 where the batch shares its queries. */
  readonly qBatch: number;
  readonly kvRow: number;
  readonly kCol: number;
  readonly vCol: number;
}

/** What the kernels bind; q and own may be one tensor. */
export interface AttentionOperands {
  readonly q: Tensor;
  readonly own: Tensor;
  readonly cached: Tensor | undefined;
  /** [B, ownKeys], 0 or a large negative number. */
  readonly bias: Tensor | undefined;
}

/** Per query row: gradient of the result, log-sum-exp and dout . out. */
export interface AttentionRows {
  readonly dout: Tensor;
  readonly lse: Tensor;
  readonly delta: Tensor;
}

/** Scores that are stored at a time: 4 MB, which a CPU's cache holds. */
const STRIP_SCORES = 2 ** 20;
const KIND = { sums: 0, normalised: 1, scores: 2, weights: 3, gradients: 4 } as const;

/** Where the numbers of one operand lie; batch and head are strides from plane to plane. */
interface View {
  readonly tensor: Tensor;
  readonly start: number;
  readonly batch: number;
  readonly head: number;
  readonly row: number;
  readonly step: number;
}

/** Some planes (a head of a batch entry each) and some of their queries. */
interface Strip {
  readonly plane: number;
  readonly planes: number;
  readonly query: number;
  readonly queries: number;
}

/** The keys of one segment; their scores stand from row `before` on. */
interface Segment {
  readonly tensor: Tensor;
  readonly keys: number;
  readonly before: number;
  readonly bias: Tensor | undefined;
}

function segmentsOf(
  { own, cached, bias }: AttentionOperands,
  { ownKeys, cachedKeys }: AttentionLayout,
): Segment[] {
  const segments: Segment[] = [];
  if (cached && cachedKeys > 0)
    segments.push({ tensor: cached, keys: cachedKeys, before: 0, bias: undefined });
  segments.push({ tensor: own, keys: ownKeys, before: cachedKeys, bias });
  return segments;
}

function* stripsOf({ B, T, heads, ownKeys, cachedKeys }: AttentionLayout): Generator<Strip> {
  const keys = ownKeys + cachedKeys;
  const planes = Math.max(1, Math.floor(STRIP_SCORES / keys / T));
  const queries = planes > 1 ? T : Math.min(T, Math.max(64, Math.floor(STRIP_SCORES / keys / 64) * 64));
  for (let plane = 0; plane < B * heads; plane += planes)
    for (let query = 0; query < T; query += queries)
      yield {
        ...{ plane, planes: Math.min(planes, B * heads - plane) },
        ...{ query, queries: Math.min(queries, T - query) },
      };
}

/** Scratch memory of one strip and the products on it. */
class Workspace {
  readonly layout: AttentionLayout;
  readonly strip: Strip;

  constructor(layout: AttentionLayout, strip: Strip) {
    this.layout = layout;
    this.strip = strip;
  }

  /** [planes of the strip, rows, columns rounded up to four], contiguous. */
  scratch(like: Tensor, rows: number, columns: number): View {
    const { plane, planes } = this.strip;
    const row = 4 * Math.ceil(columns / 4);
    const head = rows * row;
    return {
      tensor: output([like], [planes, rows, row]),
      ...{ start: -plane * head, batch: this.layout.heads * head, head, row, step: 1 },
    };
  }

  /** Rows of q, or of what has its layout, from the strip's first query on. */
  queries(tensor: Tensor): View {
    const { qRow, qBatch, K } = this.layout;
    return { tensor, start: this.strip.query * qRow, batch: qBatch, head: K, row: qRow, step: 1 };
  }

  /** The same of out or dout: [B, T, heads K]. */
  results(tensor: Tensor): View {
    const { heads, K, T } = this.layout;
    const row = heads * K;
    return { tensor, start: this.strip.query * row, batch: T * row, head: K, row, step: 1 };
  }

  /** Keys or values of a segment. */
  keys(tensor: Tensor, keys: number, column: number): View {
    const { kvRow, K } = this.layout;
    return { tensor, start: column, batch: keys * kvRow, head: K, row: kvRow, step: 1 };
  }

  /** [planes, K, queries] of rows. */
  turned(rows: View): View {
    const { K, heads } = this.layout;
    const { plane, planes, queries } = this.strip;
    const to = this.scratch(rows.tensor, K, queries);
    run(turnKernel, {
      bind: { source: rows.tensor, turned: to.tensor },
      params: {
        ...UNUSED,
        ...{ M: queries, K, first_plane: plane, planes, heads },
        ...place('a', rows),
        ...{ c_start: to.start, c_batch: to.batch, c_head: to.head, c_row: 1, c_col: to.row },
      },
      groups: Math.ceil((planes * queries * Math.ceil(K / turnKernel.run)) / turnKernel.workgroupSize),
    });
    return to;
  }

  /** c[m,n] from sum_k a[m,k] b[k,n]. */
  product(
    kind: keyof typeof KIND,
    { M, N, K }: { M: number; N: number; K: number },
    { a, b, c, perQuery, bias, scale = 1, adds = false }: ProductOperands,
  ): void {
    const { heads, T } = this.layout;
    const { plane, planes, query } = this.strip;
    const { gpu } = c.tensor;
    const starts = [b.start, b.batch, b.head, b.row];
    const span = starts.every((stride) => stride % 4 === 0) ? 4 : 1;
    const lanes = Math.ceil(N / span);
    const { rows, cols, width, handed } = planBlock(gpu, M, lanes, span);
    const [b_start, b_batch, b_head, b_step] = starts.map((stride) => stride / span);
    const groupsM = Math.ceil(M / rows);
    const groupsN = Math.ceil(lanes / cols / width);
    run(productKernel, {
      bind: { a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias },
      params: {
        ...{ M, N, K, first_plane: plane, planes, heads, groups_m: groupsM, groups_n: groupsN },
        ...place('a', a),
        ...{ b_start, b_batch, b_head, b_step },
        ...{ c_start: c.start, c_batch: c.batch, c_head: c.head, c_row: c.row, c_col: c.step },
        ...{ T, first_query: query, scale },
      },
      define: {
        ...{ Lane: span === 4 ? 'vec4f' : 'f32', SPAN: span },
        ...{ ROWS: rows, COLS: cols, WIDTH: width, LANES: handed },
        ...{ KIND: KIND[kind], ADDS: adds, HAS_MASK: !!bias },
      },
      groups: groupsM * groupsN * planes,
      flops: 2 * planes * M * N * K,
    });
  }
}

interface ProductOperands {
  readonly a: View;
  readonly b: View;
  readonly c: View;
  readonly perQuery?: Tensor;
  readonly bias?: Tensor;
  readonly scale?: number;
  /** Adds to c. */
  readonly adds?: boolean;
}

/** Params of attention_strips.wgsl that only products read. */
const UNUSED = {
  ...{ N: 0, groups_m: 0, groups_n: 0, b_start: 0, b_batch: 0, b_head: 0, b_step: 0 },
  ...{ c_start: 0, c_batch: 0, c_head: 0, c_row: 0, c_col: 0, T: 0, first_query: 0, scale: 1 },
};

function place(name: string, { start, batch, head, row, step }: View): Record<string, number> {
  return {
    [`${name}_start`]: start,
    [`${name}_batch`]: batch,
    [`${name}_head`]: head,
    [`${name}_row`]: row,
    [`${name}_step`]: step,
  };
}

/** Rows and columns exchanged. */
const flipped = (view: View): View => ({ ...view, row: view.step, step: view.row });

/** Part of scratch memory from a row on. */
const fromRow = (view: View, row: number): View => ({ ...view, start: view.start + row * view.row });

/** out [B, T, heads K] and lse [B, heads, T]. */
export function attendInStrips(
  operands: AttentionOperands,
  layout: AttentionLayout,
  out: Tensor,
  lse: Tensor,
): void {
  const { q } = operands;
  const { K, T, heads, kCol, vCol } = layout;
  const segments = segmentsOf(operands, layout);
  const keys = layout.ownKeys + layout.cachedKeys;
  using inverse = output([out], lse.shape);
  for (const strip of stripsOf(layout)) {
    const { plane, planes, query, queries } = strip;
    const work = new Workspace(layout, strip);
    const turned = work.turned(work.queries(q));
    const weights = work.scratch(out, keys, queries);
    for (const { tensor, keys: M, before, bias } of segments)
      work.product(
        'scores',
        { M, N: queries, K },
        {
          ...{ a: work.keys(tensor, M, kCol), b: turned, c: fromRow(weights, before) },
          ...{ bias, scale: K ** -0.5 },
        },
      );
    run(weightsKernel, {
      bind: { weights: weights.tensor, lse, inverse },
      params: {
        ...{ ...UNUSED, M: keys, N: queries, K: 0, first_plane: plane, planes, heads },
        ...{ ...place('a', weights), T, first_query: query },
      },
      groups: Math.ceil((planes * queries) / weightsKernel.workgroupSize),
      flops: 10 * planes * queries * keys,
    });
    segments.forEach(({ tensor, keys: M, before }, i) => {
      work.product(
        'normalised',
        { M: K, N: queries, K: M },
        {
          ...{ a: flipped(work.keys(tensor, M, vCol)), b: fromRow(weights, before) },
          ...{ c: flipped(work.results(out)), perQuery: inverse, adds: i > 0 },
        },
      );
    });
    turned.tensor.dispose();
    weights.tensor.dispose();
  }
}

/**
 * Gradients. The own keys and values may lie with the queries, then dq and dkv are one tensor.
 *
 * @param dq       like q; undefined where not wanted
 * @param dkv      like own, k and v columns
 * @param dcached  like cached, k and v columns
 */
export function differentiateStrips(
  operands: AttentionOperands,
  { dout, lse, delta }: AttentionRows,
  { dq, dkv, dcached }: { dq?: Tensor; dkv?: Tensor; dcached?: Tensor },
  layout: AttentionLayout,
): void {
  const { q } = operands;
  const { K, kCol, vCol } = layout;
  const segments = segmentsOf(operands, layout).map((segment) => ({
    ...segment,
    gradient: segment.tensor === operands.cached ? dcached : dkv,
  }));
  const keys = layout.ownKeys + layout.cachedKeys;
  const scale = K ** -0.5;
  for (const strip of stripsOf(layout)) {
    const { query, queries: N } = strip;
    const work = new Workspace(layout, strip);
    const turnedQ = work.turned(work.queries(q));
    const turnedDout = work.turned(work.results(dout));
    const weights = work.scratch(dout, keys, N);
    for (const { tensor, keys: M, before, bias, gradient } of segments) {
      const w = fromRow(weights, before);
      const sizes = { M, N, K };
      const k = work.keys(tensor, M, kCol);
      const v = work.keys(tensor, M, vCol);
      const adds = query > 0;
      work.product('weights', sizes, { a: k, b: turnedQ, c: w, perQuery: lse, bias, scale });
      if (gradient) {
        const c = work.keys(gradient, M, vCol);
        work.product('sums', { M, N: K, K: N }, { a: w, b: work.results(dout), c, adds });
      }
      work.product('gradients', sizes, { a: v, b: turnedDout, c: w, perQuery: delta, scale });
      if (gradient) {
        const c = work.keys(gradient, M, kCol);
        work.product('sums', { M, N: K, K: N }, { a: w, b: work.queries(q), c, adds });
      }
      if (dq) {
        // dq has the batch that q may lack.
        const c = { ...work.queries(dq), batch: layout.T * layout.qRow };
        work.product('sums', { M: K, N, K: M }, { a: flipped(k), b: w, c: flipped(c), adds: before > 0 });
      }
    }
    for (const { tensor } of [turnedQ, turnedDout, weights]) tensor.dispose();
  }
}
