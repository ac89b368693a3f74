// Products in registers, an invocation for some rows and columns: what each computes.
import type { AdapterClass } from '../gpu/target.ts';

/** What one invocation and one workgroup of a product in registers compute. */
export interface Block {
  /** Rows and lanes of c per invocation. */
  readonly rows: number;
  readonly cols: number;
  /** Invocations per workgroup. */
  readonly width: number;
  /** Rows of a that a workgroup reads at once and hands round: 1, or its width. */
  readonly handed: number;
}

/**
 * Throughput of blocks by their lanes, as fractions of the best: lavapipe, 512 x 512 x 512. First with rows handed round (16
 * rows), then without (8 rows). A block as wide as three vec4 matters because widths of 96 and 384 divide by it.
 */
const SPEED: Readonly<Record<'handed' | 'plain', Readonly<Record<1 | 4, readonly number[]>>>> = {
  handed: { 4: [0.85, 1, 0.93, 1], 1: [0.4, 0.67, 0.78, 0.87, 0.92, 0.97, 0.98, 1] },
  plain: { 4: [0.78, 1, 1], 1: [0.3, 0.5, 0.67, 0.8, 0.86, 0.92, 0.96, 1] },
};

/** The block for M rows of c and `lanes` lanes of `lane` numbers each that wastes least. */
export function planBlock(
  { adapterClass, subgroupSize = 1 }: { readonly adapterClass: AdapterClass; readonly subgroupSize?: number },
  M: number,
  lanes: number,
  lane: 1 | 4,
): Block {
  const software = adapterClass === 'software';
  const handed = software && M >= 8 && (subgroupSize === 4 || subgroupSize === 8) ? subgroupSize : 1;
  const width = handed > 1 ? handed : software ? 8 : 32;
  // Sixteen rows are also faster where a subgroup has four invocations, but take that driver seconds to compile.
  const rows = handed === 8 && M > 8 ? 16 : 2 ** Math.ceil(Math.log2(Math.min(8, Math.max(1, M))));
  let cols = 1;
  let leastTime = Number.POSITIVE_INFINITY;
  SPEED[handed > 1 ? 'handed' : 'plain'][lane].forEach((speed, i) => {
    const time = (Math.ceil(lanes / ((i + 1) * width)) * (i + 1)) / speed;
    // Of equals the narrower: it needs fewer registers.
    if (time < leastTime) {
      leastTime = time;
      cols = i + 1;
    }
  });
  return { rows, cols, width, handed };
}
