// What times mean beside the measured peaks.
import type { Peaks } from './peaks.ts';

/** What a run computes and moves; undefined where that is not counted. */
export interface Work {
  /** Multiply-adds count as two. */
  readonly flops?: number;
  /** Bytes read and written, each counted once. */
  readonly bytes?: number;
  /** 3: by matrix units. */
  readonly tier?: number;
}

/** Rates are null where a run does not count operations or bytes. */
export interface Rates {
  /** 10^9 operations a second. */
  readonly gflops: number | null;
  /** 10^9 bytes a second. */
  readonly gbPerS: number | null;
  /** The rate nearer to its peak, in percent of it. What a kernel reads again from a cache may exceed 100 of the copy's. */
  readonly percentOfPeak: number | null;
}

/** GFLOP/s, GB/s, and how much of the time both peaks would take at least. */
export function rates({ flops, bytes, tier }: Work, ms: number, peaks: Peaks): Rates {
  const gflops = flops === undefined ? null : flops / ms / 1e6;
  const gbPerS = bytes === undefined ? null : bytes / ms / 1e6;
  if (gflops === null && gbPerS === null) return { gflops, gbPerS, percentOfPeak: null };
  const peakGflops = (tier === 3 && peaks.matrixGflops) || peaks.gflops;
  const share = Math.max((gflops ?? 0) / peakGflops, (gbPerS ?? 0) / peaks.gbPerS);
  return { gflops, gbPerS, percentOfPeak: 100 * share };
}

/** Three significant digits without an exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** The rate that is closer to its peak: '12.3 GFLOP/s' or '4.56 GB/s'. */
export function rateOf(
  { gflops, gbPerS }: Pick<Rates, 'gflops' | 'gbPerS'>,
  peaks: Pick<Peaks, 'gflops' | 'gbPerS'>,
): string {
  if (gflops === null && gbPerS === null) return '–';
  const computes = (gflops ?? 0) / peaks.gflops >= (gbPerS ?? 0) / peaks.gbPerS;
  return computes ? `${digits(gflops ?? 0)} GFLOP/s` : `${digits(gbPerS ?? 0)} GB/s`;
}
