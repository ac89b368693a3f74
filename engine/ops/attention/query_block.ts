// Where the operands of attention are, and one block of its queries with its scratch memory.
import type { MatrixShape } from '../../gpu/target.ts';
import { output } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { BlockSize, ProductSizes } from './plan.ts';
import type { Hides, Sight } from './sight.ts';

/** The rows of one operand, heads contiguous within each. Counts f32. */
export interface Rows {
  readonly tensor: Tensor;
  /** The first column. */
  readonly start: number;
  /** From one row to the next. */
  readonly row: number;
  /** From one batch entry to the next; 0 where the batch shares its rows. */
  readonly batch: number;
}

/** Some keys and values. */
export interface Segment {
  readonly k: Rows;
  readonly v: Rows;
  readonly keys: number;
  /** [B, keys], 0 or a large negative number. */
  readonly bias: Tensor | undefined;
  /** Undefined: nothing is hidden. */
  readonly sight: Sight | undefined;
}

/** One attention as the kernels see it: T queries of H heads of K elements over the keys of all segments. */
export interface Problem {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly K: number;
  /** Neighbouring heads of queries that share one of keys. */
  readonly group: number;
  readonly scale: number;
  /** Multiplies tiles, of operands rounded to f16. */
  readonly unit: MatrixShape | undefined;
  readonly q: Rows;
  readonly segments: readonly Segment[];
}

/** [planes, rows, columns] of a matmul; batch and head are strides from plane to plane. */
export interface View {
  readonly tensor: Tensor;
  readonly start: number;
  readonly batch: number;
  readonly head: number;
  /** Strides along rows and columns. */
  readonly row: number;
  readonly col: number;
  /** Neighbours in a column are contiguous, not those in a row. */
  readonly transposed: boolean;
  /** Neighbouring heads that have one plane: the problem's for keys and values, else 1. */
  readonly group: number;
}

/** A view but for its tensor. */
export type Layout = Omit<View, 'tensor'>;

/** What calls depend on of a block and of the views that they read and write, as numbers. */
export function numbersOf(
  { plane, planes, query, problem }: QueryBlock,
  a: Layout,
  b: Layout,
  c: Layout,
): number[] {
  const numbers = [plane, planes, problem.H, problem.T, query];
  for (const { start, batch, head, row, col, transposed, group } of [a, b, c])
    numbers.push(start, batch, head, row, col, Number(transposed), group);
  return numbers;
}

/** The params of a block and its views, from those numbers. */
export function readNumbers(numbers: readonly number[]): {
  readonly block: QueryBlock['params'];
  readonly views: readonly Layout[];
} {
  const [first_plane, planes, heads, T, first_query, ...rest] = numbers;
  const views = [0, 7, 14].map((from) => {
    const [start, batch, head, row, col, transposed, group] = rest.slice(from, from + 7);
    return { start, batch, head, row, col, transposed: transposed === 1, group };
  });
  return { block: { first_plane, planes, heads, T, first_query }, views };
}

/** Rows and columns exchanged. */
export const transpose = (view: View): View => ({
  ...view,
  row: view.col,
  col: view.row,
  transposed: !view.transposed,
});

/** A view without its first rows. */
export const fromRow = (view: View, row: number): View => ({ ...view, start: view.start + row * view.row });

/** Some planes, some of their queries, and scratch memory for them. */
export class QueryBlock {
  readonly problem: Problem;
  readonly plane: number;
  readonly planes: number;
  readonly query: number;
  readonly queries: number;
  readonly #scratch: Tensor[] = [];

  constructor(problem: Problem, plane: number, query: number, { planes, queries }: BlockSize) {
    this.problem = problem;
    this.plane = plane;
    this.planes = Math.min(planes, problem.B * problem.H - plane);
    this.query = query;
    this.queries = Math.min(queries, problem.T - query);
  }

  /** The params of every kernel that works on blocks. */
  get params(): Record<'first_plane' | 'planes' | 'heads' | 'T' | 'first_query', number> {
    const { plane, planes, query, problem } = this;
    return { first_plane: plane, planes, heads: problem.H, T: problem.T, first_query: query };
  }

  /** All keys or values of a segment. */
  keys({ tensor, start, row, batch }: Rows): View {
    const { K, group } = this.problem;
    return { tensor, start, batch, head: K, row, col: 1, transposed: false, group };
  }

  /** Rows of queries, results or their gradients: those of this block. */
  rows(rows: Rows): View {
    return fromRow({ ...this.keys(rows), group: 1 }, this.query);
  }

  /** [planes of the block, rows, columns rounded up to four], contiguous. */
  scratch(rows: number, columns: number): View {
    const { plane, planes, problem } = this;
    const row = 4 * Math.ceil(columns / 4);
    const head = rows * row;
    const tensor = output([problem.q.tensor], [planes, rows, row]);
    this.#scratch.push(tensor);
    const batch = problem.H * head;
    return { tensor, start: -plane * head, batch, head, row, col: 1, transposed: false, group: 1 };
  }

  /** Frees the scratch memory. */
  [Symbol.dispose](): void {
    for (const tensor of this.#scratch) tensor.dispose();
  }
}

/**
 * The blocks of a problem, one after the other, with their memory, which the caller disposes. In a plan, one of
 * each kind that stands for all of it: PS3-4K has 5120 blocks in each attention to 32 images.
 */
export function* blocksOf(problem: Problem, size: BlockSize): Generator<QueryBlock> {
  const { B, H, T } = problem;
  const { planned } = problem.q.tensor.gpu;
  for (const planes of runsOf(B * H, size.planes, !!planned))
    for (const queries of runsOf(T, size.queries, !!planned)) {
      const block = new QueryBlock(problem, planes.first, queries.first, size);
      if (!planned) {
        yield block;
        continue;
      }
      planned.repeats = planes.count * queries.count;
      try {
        yield block;
      } finally {
        planned.repeats = 1;
      }
    }
}

/** Blocks of `size` that cover `total` and run the same kernels. */
interface Run {
  /** Where the first one begins. */
  readonly first: number;
  readonly count: number;
}

/** The first block, which begins sums that others add to, those like the second, and what is left; else one by one. */
function runsOf(total: number, size: number, together: boolean): Run[] {
  const blocks = Math.ceil(total / size);
  if (!together) return Array.from({ length: blocks }, (_, i) => ({ first: i * size, count: 1 }));
  const whole = Math.max(1, Math.floor(total / size));
  const runs = [
    { first: 0, count: 1 },
    { first: size, count: whole - 1 },
    { first: whole * size, count: blocks - whole },
  ];
  return runs.filter(({ count }) => count > 0);
}

/** A segment whose scores are those from key `before` on. */
export interface PlacedSegment extends Segment {
  readonly before: number;
}

/** What is done to the sums of a matmul, see shaders/lib/attention_product.wgsl. */
export type ProductKind = 'SUMS' | 'NORMALISED' | 'SCORES' | 'WEIGHTS' | 'GRADIENTS' | 'OUTPUT';

export interface ProductOperands {
  readonly a: View;
  readonly b: View;
  readonly c: View;
  readonly perQuery?: Tensor;
  /** Undefined: nothing is hidden. */
  readonly sight?: Sight | undefined;
  /** Of SUMS, where something is hidden: whether the terms are queries; else they are keys. */
  readonly sumsQueries?: boolean;
  readonly bias?: Tensor;
  readonly scale?: number;
  /** Adds to c. */
  readonly adds?: boolean;
}

/** What a matmul leaves out of what is hidden. */
export function hiddenFrom(kind: ProductKind, { sumsQueries }: ProductOperands): Hides {
  if (kind === 'SCORES' || kind === 'WEIGHTS' || kind === 'GRADIENTS') return 'ELEMENTS';
  return sumsQueries ? 'QUERIES' : 'KEYS';
}

/** The matmuls of query blocks, in registers or in tiles. */
export interface BlockKernels {
  /** The scores of a segment begin at a multiple of this. */
  readonly align: number;

  /** Memory for scores [planes of the block, keys, queries]. */
  scores(block: QueryBlock, keys: number): View;

  /** [planes, K, queries] of the block's rows of queries, in scratch memory where that helps. */
  transposed(block: QueryBlock, rows: View): View;

  /** c[m,n] from sum_k a[m,k] b[k,n]; c has queries in its columns, or rows of keys or values. */
  product(block: QueryBlock, kind: ProductKind, sizes: ProductSizes, operands: ProductOperands): void;

  /** The block's rows of the result and of lse [B, H, T]; its scores are `keys` long. */
  attend(block: QueryBlock, segments: readonly PlacedSegment[], keys: number, out: Rows, lse: Tensor): void;
}
