// The table on the terminal, a line per case as it comes.
import type { BenchCase } from './harness.ts';
import type { Failure, Row } from './measure.ts';

/** Three significant digits without an exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** The rate that is closer to its peak: '12.3 GFLOP/s' or '4.56 GB/s'. */
export function rateOf(
  row: Pick<Row, 'gflops' | 'gbPerS'>,
  peaks: { gflops: number; gbPerS: number },
): string {
  const { gflops, gbPerS } = row;
  if (gflops === null && gbPerS === null) return '–';
  const computes = (gflops ?? 0) / peaks.gflops >= (gbPerS ?? 0) / peaks.gbPerS;
  return computes ? `${digits(gflops ?? 0)} GFLOP/s` : `${digits(gbPerS ?? 0)} GB/s`;
}

const HEADS = ['op', 'shape', 'ms', '±', 'rate', '% of peak', 'max error'] as const;

export class Table {
  readonly #widths: number[];
  readonly #peaks: { gflops: number; gbPerS: number };

  /** @param cases  what will be printed: their names set the widths */
  constructor(cases: readonly BenchCase[], peaks: { gflops: number; gbPerS: number }) {
    const longest = (key: 'op' | 'shape'): number => Math.max(...cases.map((one) => one[key].length), 5);
    this.#widths = [longest('op'), longest('shape'), 8, 7, 13, 9, 9];
    this.#peaks = peaks;
  }

  get head(): string {
    return this.#line(HEADS);
  }

  row(row: Row | Failure): string {
    if ('reason' in row)
      return `${this.#line([row.op, row.shape])}  ${row.skipped ? 'skipped' : 'FAILED'}: ${row.reason}`;
    const { op, shape, medianMs, spreadMs, percentOfPeak, maxError } = row;
    return this.#line([
      op,
      shape,
      digits(medianMs),
      digits(spreadMs),
      rateOf(row, this.#peaks),
      percentOfPeak === null ? '–' : `${percentOfPeak.toFixed(1)} %`,
      maxError.toExponential(1),
    ]);
  }

  /** The first two columns to the left, numbers to the right. */
  #line(cells: readonly string[]): string {
    return cells
      .map((cell, i) => (i < 2 ? cell.padEnd(this.#widths[i]) : cell.padStart(this.#widths[i])))
      .join('  ');
  }
}
