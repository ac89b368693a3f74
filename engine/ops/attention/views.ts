// Where the operands of attention lie, and what a strip of queries needs of an adapter: memory for scores and products with them.
import { output } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';

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

/** Where the numbers of one operand lie; batch and head are strides from plane to plane. */
export interface View {
  readonly tensor: Tensor;
  readonly start: number;
  readonly batch: number;
  readonly head: number;
  readonly row: number;
  readonly step: number;
  /** Neighbours in a column lie side by side, not those in a row. */
  readonly turned: boolean;
}

/** Rows and columns exchanged. */
export const flipped = (view: View): View => ({
  ...view,
  row: view.step,
  step: view.row,
  turned: !view.turned,
});

/** Part of scratch memory from a row on. */
export const fromRow = (view: View, row: number): View => ({ ...view, start: view.start + row * view.row });

/** Some planes (a head of a batch entry each) and some of their queries. */
export interface Strip {
  readonly plane: number;
  readonly planes: number;
  readonly query: number;
  readonly queries: number;
}

/** What becomes of the sums of a product, by its number in the shaders. */
export const KIND = { sums: 0, normalised: 1, scores: 2, weights: 3, gradients: 4, output: 5 } as const;

/** The keys of one segment; their scores stand from row `before` on. */
export interface Segment {
  readonly tensor: Tensor;
  readonly keys: number;
  readonly before: number;
  /** [B, keys], 0 or a large negative number. */
  readonly bias: Tensor | undefined;
}

export interface ProductOperands {
  readonly a: View;
  readonly b: View;
  readonly c: View;
  readonly perQuery?: Tensor;
  readonly bias?: Tensor;
  readonly scale?: number;
  /** Adds to c. */
  readonly adds?: boolean;
}

/** Extents of c[m,n] = sum_k a[m,k] b[k,n]. */
export interface ProductSizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Scratch memory of one strip and the products on it, keys in rows and queries in columns. */
export abstract class Workspace {
  readonly layout: AttentionLayout;
  readonly strip: Strip;
  /** The params of both shaders that say which planes and queries a kernel works on. */
  protected readonly where: Readonly<Record<string, number>>;
  readonly #made: Tensor[] = [];

  constructor(layout: AttentionLayout, strip: Strip) {
    this.layout = layout;
    this.strip = strip;
    const { plane: first_plane, planes, query: first_query } = strip;
    this.where = { first_plane, planes, heads: layout.heads, T: layout.T, first_query };
  }

  /** The row of the scores where the own keys start; the cached ones start at row 0. */
  abstract get ownFrom(): number;

  /** Memory for scores [planes of the strip, ownFrom + ownKeys, queries]. */
  abstract scores(like: Tensor): View;

  /** [planes, K, queries] of the rows of queries, in scratch memory where that helps. */
  abstract turned(rows: View): View;

  /** c[m,n] from sum_k a[m,k] b[k,n]; c has queries in its columns, or rows of keys or values. */
  abstract product(kind: keyof typeof KIND, sizes: ProductSizes, operands: ProductOperands): void;

  /** The strip's rows of out [B, T, heads K] and lse [B, heads, T]. */
  abstract attend(q: Tensor, segments: readonly Segment[], out: Tensor, lse: Tensor): void;

  /** Rows of q, or of what has its layout, from the strip's first query on. */
  queries(tensor: Tensor): View {
    const { qRow, qBatch, K } = this.layout;
    const start = this.strip.query * qRow;
    return { tensor, start, batch: qBatch, head: K, row: qRow, step: 1, turned: false };
  }

  /** The same of out or dout: [B, T, heads K]. */
  results(tensor: Tensor): View {
    const { heads, K, T } = this.layout;
    const row = heads * K;
    return {
      ...{ tensor, start: this.strip.query * row, batch: T * row, head: K, row, step: 1 },
      turned: false,
    };
  }

  /** Keys or values of a segment. */
  keys(tensor: Tensor, keys: number, column: number): View {
    const { kvRow, K } = this.layout;
    return { tensor, start: column, batch: keys * kvRow, head: K, row: kvRow, step: 1, turned: false };
  }

  /** [planes of the strip, rows, columns rounded up to four], contiguous. */
  protected scratch(like: Tensor, rows: number, columns: number): View {
    const { plane, planes } = this.strip;
    const row = 4 * Math.ceil(columns / 4);
    const head = rows * row;
    const tensor = output([like], [planes, rows, row]);
    this.#made.push(tensor);
    return {
      ...{ tensor, start: -plane * head, batch: this.layout.heads * head, head, row, step: 1 },
      turned: false,
    };
  }

  /** Frees the scratch memory. */
  [Symbol.dispose](): void {
    for (const tensor of this.#made) tensor.dispose();
  }
}
