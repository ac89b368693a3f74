// Rows whose length divides by four are read four numbers at a time: the host's side of shaders/lib/cell.wgsl.
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
