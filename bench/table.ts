// The table on the terminal, a line per case and library as it comes.
import { digits, rateOf } from '../engine/internal.ts';
import type { BenchCase } from './harness.ts';
import type { Failure, Row } from './measure.ts';

const HEADS = ['op', 'shape', 'ms', '±', 'rate', '% of peak', 'peak MB', 'max error'];

export class Table {
  readonly #widths: number[];
  readonly #peaks: { gflops: number; gbPerS: number };
  readonly #compares: boolean;

  /**
   * @param cases      what will be printed: their names set the widths
   * @param libraries  with more than one there is a column for them
   */
  constructor(
    cases: readonly Pick<BenchCase, 'op' | 'shape'>[],
    peaks: { gflops: number; gbPerS: number },
    libraries: readonly string[],
  ) {
    const longest = (names: readonly string[]): number => Math.max(...names.map(({ length }) => length), 5);
    this.#compares = libraries.length > 1;
    this.#widths = [
      longest(cases.map(({ op }) => op)),
      longest(cases.map(({ shape }) => shape)),
      ...(this.#compares ? [longest(libraries)] : []),
      ...[8, 7, 13, 9, 8, 9],
    ];
    this.#peaks = peaks;
  }

  get head(): string {
    return this.#line(this.#compares ? HEADS.toSpliced(2, 0, 'library') : HEADS);
  }

  row(row: Row | Failure): string {
    const names = [row.op, row.shape, ...(this.#compares ? [row.library] : [])];
    if ('reason' in row) return `${this.#line(names)}  ${row.skipped ? 'skipped' : 'FAILED'}: ${row.reason}`;
    const { medianMs, spreadMs, percentOfPeak, peakBytes, maxError } = row;
    return this.#line([
      ...names,
      digits(medianMs),
      digits(spreadMs),
      rateOf(row, this.#peaks),
      percentOfPeak === null ? '–' : `${percentOfPeak.toFixed(1)} %`,
      peakBytes === undefined ? '–' : digits(peakBytes / 1e6),
      maxError.toExponential(1),
    ]);
  }

  /** A library that lacks the op. */
  lack({ op, shape, library }: Pick<Row, 'op' | 'shape' | 'library'>): string {
    return this.#line([op, shape, library, '–']);
  }

  /** Names to the left, numbers to the right. */
  #line(cells: readonly string[]): string {
    const names = this.#compares ? 3 : 2;
    return cells
      .map((cell, i) => (i < names ? cell.padEnd(this.#widths[i]) : cell.padStart(this.#widths[i])))
      .join('  ');
  }
}
