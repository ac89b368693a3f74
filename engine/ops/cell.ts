// Rows whose length divides by four are read four numbers at a time, and GPUs hold short ones in registers: the host's side of
// shaders/lib/cell.wgsl and held.wgsl.
import type { Gpu, KernelCall } from '../gpu/gpu.ts';
import type { Define } from '../gpu/kernel.ts';

export interface Cells {
  /** Cells per row. */
  readonly perRow: number;
  /** Numbers per cell: 4 or 1. */
  readonly lanes: number;
  readonly define: Define;
}

export function cellsOf(columns: number): Cells {
  const lanes = columns % 4 === 0 ? 4 : 1;
  return { perRow: columns / lanes, lanes, define: lanes === 4 ? { Cell: 'vec4f', LANES: 4 } : {} };
}

/** Numbers of a row that an invocation can hold beside what else it needs: a GPU has 255 registers for each at most. */
const MOST_HELD = 48;

/** What WebGPU allows in a workgroup everywhere. */
const MOST_INVOCATIONS = 256;

/**
 * How a kernel that keeps rows in registers (`shaders/lib/held.wgsl`) shares them out on a GPU: a subgroup each where its size is known
 * and enough, otherwise a workgroup that is wide enough to hold it. Undefined on a CPU, whose rows are in its caches, and where rows are too long.
 */
export function heldRows(
  gpu: Gpu,
  R: number,
  { perRow, lanes, define }: Cells,
): Pick<KernelCall, 'define' | 'groups'> | undefined {
  if (gpu.target.kind === 'cpu') return undefined;
  const most = Math.floor(MOST_HELD / lanes);
  const ONE_SUBGROUP = gpu.target.subgroupSize > 1 && perRow <= most * gpu.target.subgroupSize;
  const wanted = 2 ** Math.ceil(Math.log2(Math.max(gpu.target.rowWorkgroup, perRow / most)));
  const WG = ONE_SUBGROUP ? gpu.target.subgroupSize : Math.min(MOST_INVOCATIONS, wanted);
  const HELD = Math.ceil(perRow / WG);
  if (HELD > most) return undefined;
  return { define: { ...define, WG, ONE_SUBGROUP, HELD: Math.max(1, HELD) }, groups: R };
}
