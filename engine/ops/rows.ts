// Rows whose length divides by four are read four elements at a time (shaders/lib/vector.wgsl), and it
// depends on the adapter what computes a row: a workgroup, one invocation (WG_ROWS of
// shaders/lib/reduce.wgsl), or a subgroup that holds it in registers (shaders/lib/held.wgsl).
import type { Define } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';

export interface Vectors {
  /** Vectors per row. */
  readonly perRow: number;
  /** Elements per vector: 4 or 1. */
  readonly vec: number;
  readonly define: Define;
}

/** Elements that a kernel reads together of `count` neighbours: 4, or 1 where four does not divide them. */
export const vectorOf = (count: number): 1 | 4 => (count % 4 === 0 ? 4 : 1);

export function vectorsOf(columns: number): Vectors {
  const vec = vectorOf(columns);
  return { perRow: columns / vec, vec, define: vec === 4 ? { Vec: 'vec4f', VEC: 4 } : {} };
}

/** How a row kernel runs. */
export interface RowPlan {
  /** By its entry point that holds rows in registers. */
  readonly held: boolean;
  /** In addition to the kernel's other specialisation. */
  readonly define: Define;
  readonly groups: number;
}

/** Rows from which one invocation each keeps a CPU busy: lavapipe. */
const ROWS_OF_INVOCATIONS = 64;

/** Elements of a row that an invocation can hold beside what else it needs: a GPU has 255 registers for each at most. */
const MOST_HELD = 48;

/** Longer rows have a workgroup each, whose invocations add in chains: rounding errors grow with the longest chain of additions. */
const ORDINARY_ROW = 4096;
const LONG_ROW = { ROW_WG: 64, ROW_CHAIN: 64 } as const;

/** What WebGPU allows in a workgroup everywhere. */
export const MOST_INVOCATIONS = 256;

/**
 * Assigns R rows to invocations. On a CPU, whose rows are in its caches, each ordinary one goes to one invocation, without barriers. On a GPU a kernel
 * that has an entry for it holds short rows in registers: a subgroup each where its size is known and enough, otherwise a workgroup
 * that is wide enough.
 *
 * @param holds  the vectors of a row, for kernels that can hold it and add in chains
 */
export function planRows(target: Target, R: number, holds?: Vectors): RowPlan {
  const { subgroupSize, rowWorkgroup } = target;
  const isLong = holds !== undefined && holds.perRow * holds.vec > ORDINARY_ROW;
  if (target.kind === 'cpu' && !isLong) {
    if (R < ROWS_OF_INVOCATIONS) return { held: false, define: {}, groups: R };
    const define = { ROW_WG: 1, WG_ROWS: rowWorkgroup };
    return { held: false, define, groups: Math.ceil(R / rowWorkgroup) };
  }
  if (holds && target.kind === 'gpu' && !target.without.includes('held')) {
    const most = Math.floor(MOST_HELD / holds.vec);
    const isSubgroup = subgroupSize > 1 && holds.perRow <= most * subgroupSize;
    const wide = 2 ** Math.ceil(Math.log2(Math.max(rowWorkgroup, holds.perRow / most)));
    const ROW_WG = isSubgroup ? subgroupSize : Math.min(MOST_INVOCATIONS, wide);
    const HELD = Math.max(1, Math.ceil(holds.perRow / ROW_WG));
    if (HELD <= most)
      return {
        held: true,
        define: { ROW_WG, HELD, ...(isSubgroup && { fold: 'fold_subgroup' }) },
        groups: R,
      };
  }
  return { held: false, define: isLong ? LONG_ROW : {}, groups: R };
}

/** Scratch memory of rows that are handled together. */
const BLOCK_BYTES = 2 ** 24;

/**
 * Blocks of rows for kernels that need scratch memory for every row: with at most 16 MiB of it each, but not fewer than 64
 * rows, and beginning at multiples of 64 rows, hence of 256 bytes, so that each can be bound.
 */
export function* rowBlocks(R: number, scratchBytes: number): Generator<{ first: number; rows: number }> {
  const most = Math.max(64, Math.floor(BLOCK_BYTES / scratchBytes / 64) * 64);
  for (let first = 0; first < R; first += most) yield { first, rows: Math.min(most, R - first) };
}
