// Which kernel and which tile for which shape: pure functions of the adapter class and the sizes.

/** Software adapters run on the CPU: a barrier costs them much, a register block little. */
export type AdapterClass = 'software' | 'gpu';

export interface MatmulFacts {
  readonly adapterClass: AdapterClass;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Products in the batch. Default 1. */
  readonly batch?: number;
  /** Bias, gelu or residual follow; then K stays whole, since only complete sums may pass through them. */
  readonly epilogue?: boolean;
}

export interface MatmulPlan {
  readonly variant: 'registers' | 'tiled';
  /** f32 per lane of c (and of b for `registers`). */
  readonly lane: 1 | 4;
  /** Rows and lanes of c per invocation (`registers`). */
  readonly rows: number;
  readonly cols: number;
  /** Invocations per workgroup (`registers`). */
  readonly width: number;
  /** Turn a transposed b into [K, N] first (`registers`). */
  readonly transposeFirst: boolean;
  /** Parts of K that are summed apart and added in a second pass. */
  readonly slices: number;
}

/** Choices that tests and tuning impose. */
export type MatmulForce = Partial<Pick<MatmulPlan, 'variant' | 'slices' | 'transposeFirst'>>;

/** Edge of the square of c that a workgroup of `matmul_tiled` computes. */
const TILE = 64;

/** Rows of a from which turning b costs less than it saves: measured on lavapipe, 20 % at 2304 rows. */
const TRANSPOSE_ROWS = 64;

/** Terms a slice has at least; fewer would cost more in the second pass than they bring. */
const SLICE_TERMS = 256;

/**
 * Throughput of an 8-row block by its lanes, as fractions of the best: lavapipe, 512 x 512 x 512.
 * A block as wide as three vec4 matters because widths of 96 and 384 divide by it.
 */
const SPEED: Readonly<Record<1 | 4, readonly (readonly [cols: number, speed: number])[]>> = {
  4: [
    [3, 1],
    [2, 1],
    [1, 0.78],
  ],
  1: [
    [8, 1],
    [4, 0.8],
    [2, 0.5],
    [1, 0.3],
  ],
};

/** Chooses kernel, block and split for one (batched) product. */
export function planMatmul(facts: MatmulFacts, force: MatmulForce = {}): MatmulPlan {
  const { adapterClass, M, N, K, transposeB, batch = 1, epilogue = false } = facts;
  const software = adapterClass === 'software';
  const variant = force.variant ?? (software || M <= 8 ? 'registers' : 'tiled');
  const transposeFirst =
    variant === 'registers' && transposeB && (force.transposeFirst ?? (M >= TRANSPOSE_ROWS && N > 1));
  const lane = N % 4 === 0 && (variant === 'tiled' || !transposeB || transposeFirst) ? 4 : 1;
  const width = software ? 8 : 32;
  const cols = bestCols(N / lane, lane, width);
  const rows = M >= 8 ? 8 : 2 ** Math.ceil(Math.log2(Math.max(1, M)));
  const groups =
    variant === 'tiled'
      ? batch * Math.ceil(M / TILE) * Math.ceil(N / TILE)
      : batch * Math.ceil(M / rows) * Math.ceil(N / lane / cols / width);
  const wanted = software ? 16 : 256;
  const split = epilogue
    ? 1
    : Math.min(Math.ceil(wanted / Math.max(1, groups)), Math.floor(K / SLICE_TERMS), 64);
  const slices = epilogue ? 1 : (force.slices ?? Math.max(1, split));
  return { variant, lane, rows, cols, width, transposeFirst, slices };
}

/** The block width that wastes least of the last workgroup. */
function bestCols(lanes: number, lane: 1 | 4, width: number): number {
  let best = 1;
  let leastTime = Number.POSITIVE_INFINITY;
  for (const [cols, speed] of SPEED[lane]) {
    const time = (Math.ceil(lanes / (cols * width)) * cols * width) / speed;
    if (time < leastTime) {
      leastTime = time;
      best = cols;
    }
  }
  return best;
}
