// What bench/ takes from below index.ts to measure single kernels and clocks. No promise: no part of the published package.
import type { Engine } from './engine.ts';
import type { Kernel } from './gpu/kernel.ts';

export { kernel } from './gpu/kernel.ts';
export { adamwUpdate } from './ops/adamw.ts';
export { markNonFinite, NOTHING_FOUND } from './ops/finite.ts';

/** Records one run of a kernel without bindings, for what a dispatch costs. */
export function dispatch({ gpu }: Engine, kernel: Kernel): void {
  gpu.run(kernel, { bind: {}, groups: 1 });
}

/** Runs `measure` with whole passes timed, each as its first dispatch: without the cost of a pass per dispatch. */
export async function timingWholePasses<T>({ gpu }: Engine, measure: () => Promise<T>): Promise<T> {
  const { profiler } = gpu.recorder;
  if (profiler) profiler.wholePasses = true;
  try {
    return await measure();
  } finally {
    if (profiler) profiler.wholePasses = false;
  }
}

/** Runs `measure` on an engine that times nothing: a profiler gives every dispatch a pass of its own, which costs time. */
export async function unprofiled<T>({ gpu }: Engine, measure: () => Promise<T>): Promise<T> {
  const { recorder } = gpu;
  const { profiler } = recorder;
  recorder.profiler = undefined;
  try {
    return await measure();
  } finally {
    recorder.profiler = profiler;
  }
}

/** Waits for another library's device, on a software adapter without taking a core from its kernels. */
export function withoutSpinning<T>({ gpu }: Engine, waiting: Promise<T>): Promise<T> {
  return gpu.withoutSpinning(waiting);
}
