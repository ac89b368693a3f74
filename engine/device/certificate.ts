// What a device is and does: its limits, every kernel proved on it, their share of its measured peaks, and the choices of
// the planner that were measured on it.
import type { Engine } from '../engine.ts';
import type { Tier } from '../gpu/adapter.ts';
import { expectKeys } from '../gpu/errors.ts';
import type { MatrixShape } from '../gpu/target.ts';
import type { Tuning } from '../gpu/tuning.ts';
import type { MatmulShape } from '../ops/matmul/plan.ts';
import { leaveOut, type Proof } from '../self_test.ts';
import { tune } from '../tune.ts';
import { deviceClock, sample, unprofiled, wallClock } from './clock.ts';
import { measurePeaks, type Peaks } from './peaks.ts';
import { FAST_PATHS, proveKernels } from './proofs.ts';
import { type Rates, rates } from './rates.ts';
import { median } from './statistics.ts';
import { timedOps } from './timings.ts';

/** What is kept of a device from one run to the next: plain data that survives JSON. */
export interface DeviceRecord {
  /** The adapter's name, which holds its driver where the runtime tells it. */
  readonly adapter: string;
  /** Highest tier whose kernels were tried. */
  readonly tier: Tier;
  /** 'node 20.20.2'. */
  readonly runtime: string;
  /** Of what compiles and runs kernels, by its name: 'ps3-webgpu', 'webgpu'. */
  readonly versions: Readonly<Record<string, string>>;
  /** What was found of each fast path that the device takes. */
  readonly kernels: readonly Proof[];
  /** Measured choices of the planner, if any were measured. */
  readonly tuning?: Tuning;
}

/** An op's time on a device. */
export interface CertifiedTime extends Rates {
  /** 'matmul'. */
  readonly op: string;
  /** Of its operands: '512x512x512'. */
  readonly shape: string;
  /** Of a run, the median of several samples. */
  readonly medianMs: number;
}

/** A fast path: what its proof came to, and what ops take by it. */
export interface CertifiedKernel extends Proof {
  /** None where it failed. */
  readonly times: readonly CertifiedTime[];
}

/** What `certify` finds. */
export interface Certificate extends DeviceRecord {
  /** ISO 8601. */
  readonly date: string;
  /** The driver in its own words; empty where the runtime does not tell it. */
  readonly driver: string;
  /** Features of WebGPU that the engine uses here. */
  readonly features: readonly string[];
  /** WebGPU's limits by their names, in bytes or counts. */
  readonly limits: Readonly<Record<string, number>>;
  /** Invocations of a subgroup; 1 where there are none or their size varies. */
  readonly subgroupSize: number;
  /** What its matrix units multiply at a time, on tier 3. */
  readonly matrixUnit?: MatrixShape;
  /** What the adapter reaches at best. */
  readonly peaks: Peaks;
  readonly kernels: readonly CertifiedKernel[];
}

/** What the engine cannot know of itself, and what to do beside proving. */
export interface CertifyOptions extends Pick<DeviceRecord, 'runtime' | 'versions'> {
  /** Products whose choices to measure; default: none. */
  readonly tune?: readonly MatmulShape[];
  /** Choices that were measured before, for a certificate that measures none. */
  readonly tuning?: Tuning;
  /** Time to spend on each op and each peak; default 0.3. */
  readonly seconds?: number;
  /** Called with what is being done, and how much of it is. */
  readonly onProgress?: (what: string, done: number, all: number) => void;
}

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

/**
 * Proves and times the kernels of this device, and leaves out those that fail. Open the engine with `tier: 3`, for all that the
 * device offers, and `profile: true`, for times by the device's own clock.
 *
 * @throws DeviceLostError, MemoryError; EngineError when no choice computes a product to be tuned, or a peak's kernel is wrong
 */
export async function certify(engine: Engine, options: CertifyOptions): Promise<Certificate> {
  expectKeys('certify', options, {
    runtime: true,
    versions: true,
    tune: true,
    tuning: true,
    seconds: true,
    onProgress: true,
  });
  const { runtime, versions, tune: shapes = [], seconds = 0.3, onProgress } = options;
  const { gpu } = engine;
  const { device } = gpu;
  const { subgroupSize, matrixUnit } = engine.target;
  const { tier } = engine;
  const taken = FAST_PATHS.filter(({ isTaken }) => isTaken(engine.target)).length;
  let proved = 0;
  const { proofs } = await proveKernels(engine, () => onProgress?.('proving kernels', ++proved, taken));
  const clock = engine.timesKernels ? deviceClock : wallClock;
  const peaks = await measurePeaks(engine, clock, seconds);
  const kernels: CertifiedKernel[] = [];
  for (const [i, proof] of proofs.entries()) {
    const path = proof.fault ? undefined : FAST_PATHS.find(({ feature }) => feature === proof.feature);
    const times: CertifiedTime[] = [];
    for (const timed of path ? timedOps(engine, path) : []) {
      const { op, shape, prepare } = timed;
      using scope = engine.scope();
      const run = prepare(engine, scope);
      const { ms } = await sample(engine, clock, () => run().dispose(), seconds, 20);
      const medianMs = median(ms);
      times.push({ op, shape, medianMs, ...rates(timed, medianMs, peaks) });
    }
    kernels.push({ ...proof, times });
    onProgress?.('timing kernels', i + 1, proofs.length);
  }
  const tuning =
    shapes.length === 0
      ? options.tuning
      : await unprofiled(engine, () =>
          tune(gpu, shapes, (_, done, all) => onProgress?.('tuning products', done, all)),
        );
  return {
    ...{ adapter: engine.adapterName, driver: device.adapterInfo?.description ?? '', runtime, versions },
    date: new Date().toISOString(),
    ...{ tier, subgroupSize, ...(matrixUnit && { matrixUnit }) },
    features: [...device.features].sort(),
    limits: Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]])),
    ...{ peaks, kernels, ...(tuning && { tuning }) },
  };
}

/**
 * Has an engine of the same adapter do without the kernels that failed, and plan by the choices that were measured.
 *
 * @returns  a sentence for each kernel that is left out
 */
export function useDeviceRecord({ gpu }: Engine, { adapter, kernels, tuning }: DeviceRecord): string[] {
  if (adapter !== gpu.adapterName) return [];
  gpu.tuning ??= tuning;
  return leaveOut(gpu, FAST_PATHS, kernels);
}
