// What this adapter reaches at best, measured: the denominators of every percentage.
import type { Engine } from '../engine.ts';
import { type Kernel, kernel } from '../gpu/kernel.ts';
import type { MatrixShape } from '../gpu/target.ts';
import { cast } from '../ops/cast.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Clock, sample, wallClock } from './clock.ts';
import emptySource from './shaders/empty.wgsl' with { type: 'text' };
import fmaSource from './shaders/fma_chain.wgsl' with { type: 'text' };
import matrixSource from './shaders/matrix_chain.wgsl' with { type: 'text' };
import copySource from './shaders/vec4_copy.wgsl' with { type: 'text' };
import { median } from './statistics.ts';

/** The best rates of an adapter, as measured. */
export interface Peaks {
  /** f32 multiply-adds in registers, each counted as two operations. */
  readonly gflops: number;
  /** Products of f16 by matrix units, summed in f32; only on tier 3. */
  readonly matrixGflops?: number;
  /** Copy by vec4f, bytes read plus bytes written. */
  readonly gbPerS: number;
  /** One dispatch of an empty kernel among many, host and device. */
  readonly dispatchUs: number;
}

const emptyKernel = kernel(emptySource, 'empty');

/** Chains per invocation of fma_chain.wgsl. */
const CHAINS = 16;
/** Invocations of a workgroup, vec4f of one, how far these lie apart, and how many are in flight; the best counts. */
const COPY_RUNS = [
  { WG: 8, RUN: 256, STEP: 1, HELD: 1 },
  { WG: 64, RUN: 64, STEP: 8, HELD: 1 },
  { WG: 64, RUN: 1, STEP: 1, HELD: 1 },
  { WG: 64, RUN: 4, STEP: 64, HELD: 4 },
  { WG: 64, RUN: 8, STEP: 64, HELD: 8 },
];
const DISPATCHES = 1000;
const MIB = 2 ** 20;

/** Records one run of a kernel without bindings, for what a dispatch costs. */
export function dispatch({ gpu }: Engine, kernel: Kernel): void {
  gpu.run(kernel, {}, { groups: 1 });
}

/** More than the caches of such an adapter hold. */
export const beyondCaches = ({ isSoftware }: Engine): number => (isSoftware ? 64 : 256) * MIB;

/** @throws Error when a peak's kernel computes something else than it should */
export async function measurePeaks(engine: Engine, clock: Clock, seconds: number): Promise<Peaks> {
  const { matrixUnit } = engine.target;
  return {
    gflops: await fmaPeak(engine, clock, seconds),
    ...(matrixUnit && { matrixGflops: await matrixPeak(engine, matrixUnit, clock, seconds) }),
    gbPerS: await copyPeak(engine, clock, seconds),
    dispatchUs: await dispatchCost(engine, seconds),
  };
}

async function fmaPeak(engine: Engine, clock: Clock, seconds: number): Promise<number> {
  // Enough invocations for every unit of a large GPU, and for each core of a CPU.
  const n = engine.isSoftware ? 2 ** 12 : 2 ** 20;
  const steps = 2 ** 12;
  using y = engine.empty([n]);
  const [a, b] = [0.75, 0.25];
  const flops = 2 * CHAINS * steps * n;
  const fma = engine.kernel(fmaSource);
  const groups = Math.ceil(n / fma.workgroupSize);
  const chain = (): void => fma.run({ bind: { y }, params: { n, steps, a, b }, groups, flops });
  chain();
  await check('fma_chain', y, (CHAINS * b) / (1 - a));
  return flops / median((await sample(engine, clock, chain, seconds, 20)).ms) / 1e6;
}

/** Independent sums per subgroup of matrix_chain.wgsl; twelve no longer fit into an NVIDIA H200's registers. */
const MATRIX_CHAINS = 8;
const MATRIX_SUBGROUPS = 8;
const MATRIX_GROUPS = 1024;

async function matrixPeak(
  engine: Engine,
  { M, N, K }: MatrixShape,
  clock: Clock,
  seconds: number,
): Promise<number> {
  const steps = 2 ** 12;
  using quarter = engine.full([M * K + K * N], 0.25);
  using quarters = cast(quarter, 'f16');
  using y = engine.empty([MATRIX_GROUPS * M * N]);
  const flops = 2 * M * N * K * MATRIX_CHAINS * MATRIX_SUBGROUPS * MATRIX_GROUPS * steps;
  const products = engine.kernel(matrixSource);
  const chain = (): void =>
    products.run({
      bind: { quarters, y },
      params: { steps },
      define: {
        WG: MATRIX_SUBGROUPS * engine.target.subgroupSize,
        CHAINS: MATRIX_CHAINS,
        MATRIX_M: M,
        MATRIX_N: N,
        MATRIX_K: K,
      },
      groups: MATRIX_GROUPS,
      flops,
    });
  chain();
  await check('matrix_chain', y, (steps * K) / 16);
  return flops / median((await sample(engine, clock, chain, seconds, 20)).ms) / 1e6;
}

async function copyPeak(engine: Engine, clock: Clock, seconds: number): Promise<number> {
  const { maxStorageBufferBindingSize, maxBufferSize } = engine.limits;
  const sizeBytes = Math.min(beyondCaches(engine), maxStorageBufferBindingSize, maxBufferSize);
  const n = Math.floor(sizeBytes / 16);
  using x = engine.full([4 * n], 3);
  using y = engine.empty([4 * n]);
  const vec4Copy = engine.kernel(copySource);
  const rates: number[] = [];
  for (const define of COPY_RUNS) {
    const groups = Math.ceil(n / (define.WG * define.RUN));
    const copy = (): void => vec4Copy.run({ bind: { x, y }, params: { n }, define, groups });
    y.write(new Float32Array(y.size));
    copy();
    await check('vec4_copy', y, 3);
    const ms = median((await sample(engine, clock, copy, seconds / COPY_RUNS.length, 20)).ms);
    rates.push((32 * n) / ms / 1e6);
  }
  return Math.max(...rates);
}

async function dispatchCost(engine: Engine, seconds: number): Promise<number> {
  const dispatches = (): void => {
    for (let i = 0; i < DISPATCHES; i++) dispatch(engine, emptyKernel);
  };
  return (1000 * median((await sample(engine, wallClock, dispatches, seconds, 20)).ms)) / DISPATCHES;
}

async function check(name: string, y: Tensor, want: number): Promise<void> {
  using tail = y.view(Math.floor((y.size - 1) / 64) * 64, [1]);
  const [got] = await tail.data();
  if (!(Math.abs(got - want) <= 1e-4 * want))
    throw new Error(`internal: ${name} must give ${want}, got ${got}.`);
}
