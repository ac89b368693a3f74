// Ways to time runs on a device.
import type { Engine } from '../engine.ts';

/** Runs `count` times and resolves to milliseconds per run. */
export type Clock = (engine: Engine, run: () => void, count: number) => Promise<number>;

/** The device's own time, by timestamps around all that goes into one pass; without clears and copies. */
export const deviceClock: Clock = async (engine, run, count) => {
  await engine.kernelTimes();
  return timingWholePasses(engine, async () => {
    for (let i = 0; i < count; i++) run();
    return (await engine.kernelTimes()).reduce((sum, { ms }) => sum + ms, 0) / count;
  });
};

/** From the first call to the end of all work, the host's share included. */
export const wallClock: Clock = (engine, run, count) =>
  unprofiledIdle(engine, async () => {
    const start = performance.now();
    for (let i = 0; i < count; i++) run();
    await engine.idle();
    return (performance.now() - start) / count;
  });

/** The host's share: from the call to the submission, the device being idle before each run. */
export const hostClock: Clock = (engine, run, count) =>
  unprofiledIdle(engine, async () => {
    let ms = 0;
    for (let i = 0; i < count; i++) {
      const start = performance.now();
      run();
      engine.submit();
      ms += performance.now() - start;
      await engine.idle();
    }
    return ms / count;
  });

/** Measures an idle engine without its profiler. */
async function unprofiledIdle(engine: Engine, measure: () => Promise<number>): Promise<number> {
  await engine.idle();
  return unprofiled(engine, measure);
}

/** Runs `measure` with whole passes timed, each as its first dispatch: without the cost of a pass per dispatch. */
async function timingWholePasses<T>({ gpu }: Engine, measure: () => Promise<T>): Promise<T> {
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

const MAX_RUNS = 256;
/** A GPU that had nothing to do takes this long to reach the clock that it works at. */
const WARM_UP_MS = 200;
/** Taken in any case, however slow. */
const MIN_SAMPLES = 3;
/** Worth going beyond the time for. */
const WANTED_SAMPLES = 5;
const MAX_SAMPLES = 101;

/** Milliseconds per run of several samples. */
export interface Samples {
  readonly ms: readonly number[];
  /** Runs in a sample. */
  readonly runs: number;
}

/** @param sampleMs  how long a sample should take at least: short runs are repeated within a sample */
export async function sample(
  engine: Engine,
  clock: Clock,
  run: () => void,
  seconds: number,
  sampleMs: number,
): Promise<Samples> {
  await clock(engine, run, 1);
  let runs = 1;
  // The second time, waiting for the device has less of a share in it.
  for (let round = 0; round < 2 && (round === 0 || runs > 1); round++) {
    const onceMs = await wallClock(engine, run, runs);
    runs = Math.min(MAX_RUNS, Math.max(1, Math.ceil(sampleMs / onceMs)));
  }
  const start = performance.now();
  while (!engine.isSoftware && performance.now() - start < WARM_UP_MS) await wallClock(engine, run, runs);
  return { ms: await takeSamples(seconds, () => clock(engine, run, runs)), runs };
}

/**
 * Takes samples until the time is spent; a case that is slower than that gets up to 5 samples within 5 times its time, but
 * at least 3.
 */
export async function takeSamples(seconds: number, take: () => Promise<number>): Promise<number[]> {
  const samples: number[] = [];
  const start = performance.now();
  const spent = (): number => (performance.now() - start) / 1000;
  const wantsMore = (): boolean =>
    samples.length < MIN_SAMPLES || spent() < (samples.length < WANTED_SAMPLES ? 5 : 1) * seconds;
  while (samples.length < MAX_SAMPLES && wantsMore()) samples.push(await take());
  return samples;
}
