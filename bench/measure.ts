// One case: inputs, the check against its reference, then the time. Nothing is timed that is not right.
import type { DType, Engine, Peaks, Scope, Tensor, Tier } from '../engine/index.ts';
import {
  beyondCaches,
  deviceClock,
  hostClock,
  median,
  medianDeviation,
  rates,
  sample,
  wallClock,
} from '../engine/internal.ts';
import { type BenchCase, DEFAULT_TOLERANCE, LIBRARY, type Prepared, type StepCosts } from './harness.ts';

/** What is known of a case after it ran. Rates are null where the case does not count operations or bytes. */
export interface Row {
  readonly op: string;
  readonly shape: string;
  readonly dtype: DType;
  readonly tier: Tier;
  readonly library: string;
  readonly medianMs: number;
  /** Median absolute deviation. */
  readonly spreadMs: number;
  /** Runs in a sample. */
  readonly runs: number;
  /** Equal sets of operands that the runs take in turn, so that none finds its own in a cache; 1 where none is told. */
  readonly copies?: number;
  readonly gflops: number | null;
  readonly gbPerS: number | null;
  /** The rate nearer to its peak, in percent of it. What a kernel reads again from a cache may exceed 100 of the copy's. */
  readonly percentOfPeak: number | null;
  /** Bytes read and written by a run, each counted once, where the case counts them. */
  readonly bytes?: number;
  /** Highest bytes of live tensors in a run, inputs and weights included; unknown of other libraries. */
  readonly peakBytes?: number;
  readonly maxError: number;
  /** Of the training step. */
  readonly stepCosts?: StepCosts;
}

/** A case that has no time, and why. */
export interface Failure {
  readonly op: string;
  readonly shape: string;
  readonly library: string;
  readonly reason: string;
  /** Of the error that ended it: `device-lost`, `memory` … */
  readonly code?: string;
  /** It computes something else than the reference. */
  readonly wrong?: boolean;
  /** The operands do not fit into this adapter's limits: nothing is wrong with the op. */
  readonly skipped?: boolean;
}

/** Shorter runs are repeated within a sample; longer by the wall clock, since a wait alone may take 11 ms (Deno). */
export const SAMPLE_MS = { device: 20, wall: 100, host: 20 };
/** Those of a few kilobytes are bound by the dispatch, wherever they lie. */
const MAX_COPIES = 16;
const CLOCKS = { device: deviceClock, wall: wallClock, host: hostClock };

/** Prepares, checks and times a case; everything it allocated is freed afterwards. */
export async function measure(
  engine: Engine,
  benchCase: BenchCase,
  peaks: Peaks,
  seconds: number,
): Promise<Row | Failure> {
  const { op, shape, bytes, clock = 'device' } = benchCase;
  const { liveBytes } = engine.stats();
  using scope = engine.scope();
  const inputs = new Set<Tensor>();
  const sets: Prepared[] = [];
  const prepare = (): Prepared => {
    const made: Tensor[] = [];
    const prepared = benchCase.prepare(collecting(engine, scope, made));
    for (const tensor of made) inputs.add(tensor);
    sets.push(prepared);
    return prepared;
  };
  const free = (out: Tensor): void => {
    if (!inputs.has(out)) out.dispose();
  };
  let turn = 0;
  const once = (): void => free(sets[turn++ % sets.length].run());
  try {
    const first = prepare();
    const out = first.run();
    const maxError = await first.maxError(out, () => first.run());
    free(out);
    const wrong = mistake(benchCase, LIBRARY, maxError);
    if (wrong) return wrong;
    engine.resetPeak();
    const leaked = leakOf(engine, once);
    const peakBytes = engine.stats().peakBytes - liveBytes;
    if (leaked > 0) return { op, shape, library: LIBRARY, reason: `a run leaves ${leaked} tensors behind` };
    const copies = bytes === undefined ? 1 : Math.ceil(beyondCaches(engine) / peakBytes);
    while (sets.length < Math.min(copies, MAX_COPIES)) prepare();
    for (const _ of sets) once(); // bind groups, and pages that a driver maps when they are first touched
    const kind = clock === 'device' && !engine.timesKernels ? 'wall' : clock;
    const { ms, runs } = await sample(engine, CLOCKS[kind], once, seconds, SAMPLE_MS[kind]);
    const stepCosts = await first.stepCosts?.();
    const samples = ms.map((one) => one / (first.parts ?? 1));
    const medianMs = median(samples);
    return {
      op,
      shape,
      dtype: benchCase.dtype ?? 'f32',
      tier: engine.tier,
      library: LIBRARY,
      medianMs,
      spreadMs: medianDeviation(samples),
      runs,
      copies: sets.length,
      ...rates(benchCase, medianMs, peaks),
      bytes,
      peakBytes,
      maxError,
      ...(stepCosts && { stepCosts }),
    };
  } finally {
    for (const prepared of sets) prepared.dispose?.();
    await engine.idle();
  }
}

/** The failure of a library whose result is off by more than the case allows, or by NaN. */
export function mistake(
  { op, shape, tolerance = DEFAULT_TOLERANCE }: BenchCase,
  library: string,
  maxError: number,
): Failure | undefined {
  if (maxError <= tolerance) return undefined;
  return {
    op,
    shape,
    library,
    reason: `error ${maxError.toExponential(1)} is above ${tolerance}`,
    wrong: true,
  };
}

/** The engine, except that the tensors it makes live in `scope` and are noted in `made`. */
function collecting(engine: Engine, scope: Scope, made: Tensor[]): Engine {
  const view: Engine = Object.create(engine);
  view.empty = (shape, options) => {
    const tensor = engine.empty(shape, { scope, ...options });
    made.push(tensor);
    return tensor;
  };
  return view;
}

/** Tensors that one run leaves alive. */
function leakOf(engine: Engine, once: () => void): number {
  const before = engine.stats().liveTensors;
  once();
  return engine.stats().liveTensors - before;
}
