// What bench/ takes from below index.ts to measure single kernels and clocks. No promise: no part of the published package.
import type { Engine } from './engine.ts';

export { deviceClock, hostClock, sample, takeSamples, wallClock } from './device/clock.ts';
export { beyondCaches, dispatch, measurePeaks } from './device/peaks.ts';
export { digits, rateOf, rates } from './device/rates.ts';
export { median, medianDeviation } from './device/statistics.ts';
export { kernel } from './gpu/kernel.ts';
export { adamwUpdate } from './ops/adamw.ts';
export { markNonFinite, NOTHING_FOUND } from './ops/finite.ts';

/** Waits for another library's device, on a software adapter without taking a core from its kernels. */
export function withoutSpinning<T>({ gpu }: Engine, waiting: Promise<T>): Promise<T> {
  return gpu.withoutSpinning(waiting);
}
