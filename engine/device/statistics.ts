// Order statistics of samples: one interrupted sample does not move them.

/** @throws RangeError without samples */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError('median: there must be at least one sample, got none.');
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median of the absolute deviations from the median. */
export function medianDeviation(samples: readonly number[]): number {
  const centre = median(samples);
  return median(samples.map((sample) => Math.abs(sample - centre)));
}
