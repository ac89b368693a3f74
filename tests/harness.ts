// What op tests share: one engine, comparison with a message that tells where, gradient checks against the twin,
// and PyTorch's vectors.

import { fileSystem } from '#system';
import type { Tier } from '../engine/gpu/adapter.ts';
import { GPU_ON_CPU, type Target } from '../engine/gpu/target.ts';
import {
  backward,
  type DType,
  type DTypeOfArray,
  Engine,
  type NumberArray,
  type Tensor,
  type TensorOptions,
} from '../engine/index.ts';
import { openSafetensors } from '../engine/io/safetensors.ts';
import { size } from '../engine/tensor/shape.ts';

/** What tests/places.mjs asks for; nothing in a browser. */
const { TEST_TIER, TEST_ADAPTER, TEST_PLANS } = globalThis.process?.env ?? {};

/** What the place asks for; undefined: what the adapter offers, 2 at most. */
export const askedTier: Tier | undefined = TEST_TIER === undefined ? undefined : (Number(TEST_TIER) as Tier);

export const engine: Engine = await Engine.create({
  tier: askedTier,
  target: TEST_PLANS === 'gpu' ? GPU_ON_CPU : undefined,
});

if (TEST_ADAPTER && !engine.adapterName.toLowerCase().includes(TEST_ADAPTER))
  throw new Error(`the adapter must be ${TEST_ADAPTER}, got ${engine.adapterName}`);

if (askedTier !== undefined && engine.tier !== askedTier)
  throw new Error(`the tier must be ${askedTier}, got ${engine.tier}. ${engine.warnings.join(' ')}`);

/** Largest errors against float64 of this file, in the unit of `relativeError`; -1 where none was measured. */
const largest = { values: -1, gradients: -1 };

// The last line of a file's output, which tests/error_table.mjs reads; in_chromium.ts asks for it.
const testSummary = (): string =>
  `largest errors: values ${largest.values.toExponential(1)}, gradients ${largest.gradients.toExponential(1)}, on ${engine.adapterName}`;
Object.assign(globalThis, { testSummary });
globalThis.process?.on('exit', () => console.log(testSummary()));

/** An error as a part of the largest magnitude of its tensor, or of 0.01 where that is smaller. */
const relativeError = (error: number, magnitude: number): number => error / Math.max(magnitude, 0.01);

/** |got - want| <= abs + rel * max|want|, with the largest magnitude of the whole tensor. */
export interface Tolerance {
  readonly abs: number;
  readonly rel: number;
}

/**
 * f32    sums of a few thousand products round to some 1e-6 of the largest magnitude.
 * grad   central differences of the float64 twin are good to 1e-7; what remains is the kernel's own f32 rounding.
 * f16    half an ulp at 11 bits. bf16: at 8 bits.
 */
export const TOLERANCE: Readonly<Record<'f32' | 'grad' | 'f16' | 'bf16' | 'exact', Tolerance>> = {
  f32: { abs: 1e-6, rel: 5e-6 },
  grad: { abs: 1e-5, rel: 5e-5 },
  f16: { abs: 6e-8, rel: 2 ** -11 },
  bf16: { abs: 1e-38, rel: 2 ** -8 },
  exact: { abs: 0, rel: 0 },
};

type Numbers = ArrayLike<number>;

/** Throws with the worst element when the two differ by more than the tolerance or hold NaN. */
export function compare(
  name: string,
  got: Numbers,
  want: Numbers,
  tolerance: Tolerance = TOLERANCE.f32,
): void {
  if (got.length !== want.length) throw new Error(`${name}: got ${got.length} elements, want ${want.length}`);
  let magnitude = 0;
  for (let i = 0; i < want.length; i++) magnitude = Math.max(magnitude, Math.abs(want[i]));
  const allowed = tolerance.abs + tolerance.rel * magnitude;
  let worst = -1;
  let worstError = allowed;
  const isTwin = want instanceof Float64Array; // PyTorch's vectors are f32 themselves
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    if (isTwin) largest.values = Math.max(largest.values, relativeError(error || 0, magnitude));
    if (error <= worstError || (Number.isNaN(got[i]) && Number.isNaN(want[i]))) continue;
    worst = i;
    worstError = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    if (worstError === Number.POSITIVE_INFINITY) break;
  }
  if (worst >= 0)
    throw new Error(
      `${name}[${worst}]: got ${got[worst]}, want ${want[worst]}, off by ${worstError.toExponential(2)}, allowed ${allowed.toExponential(2)} (largest magnitude ${magnitude})`,
    );
}

/** Throws unless `fn` throws an error whose message matches. */
export function throws(fn: () => unknown, pattern: RegExp): void {
  try {
    fn();
  } catch (error) {
    const { message } = error as Error;
    if (pattern.test(message)) return;
    throw new Error(`expected an error matching ${pattern}, got: ${message}`);
  }
  throw new Error(`expected an error matching ${pattern}, got none`);
}

/** n reproducible numbers in [-1, 1], each exact in f32. */
export function random(n: number, seed: number): Float64Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Float64Array.from({ length: n }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.fround((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * 2 - 1);
  });
}

/** Runs `fn` as if the device bound at most `bytes` at once, so that ops split small tensors as they split large ones. */
export function withBindingLimit<T>(bytes: number, fn: () => T): T {
  const { device } = engine.gpu;
  const real = device.limits;
  const lowered = { maxBufferSize: real.maxBufferSize, maxStorageBufferBindingSize: bytes };
  Object.defineProperty(device, 'limits', { value: lowered, configurable: true });
  try {
    return fn();
  } finally {
    Object.defineProperty(device, 'limits', { value: real, configurable: true });
  }
}

/**
 * Runs `fn`, to the end if it is asynchronous, with the plans that ops have for a GPU; row workgroups keep their size. Without matrix
 * units, to which plans for GPUs give operands rounded to f16: these have tests of their own.
 */
export function withGpuPlans<T>(fn: () => T): T {
  return withTarget({ kind: 'gpu', matrixUnit: undefined }, fn);
}

/** Runs `fn`, to the end if it is asynchronous, with plans for a target that differs from the adapter's. */
export function withTarget<T>(change: Partial<Target>, fn: () => T): T {
  const { gpu } = engine;
  const { target } = gpu;
  const restore = (): void => {
    gpu.target = target;
  };
  gpu.target = { ...target, ...change };
  let result: T | undefined;
  try {
    result = fn();
  } finally {
    if (!(result instanceof Promise)) restore();
  }
  return (result instanceof Promise ? result.finally(restore) : result) as T;
}

/** Uploads numbers; the caller or a scope disposes the tensor. */
export function tensor<A extends NumberArray, D extends DType = DTypeOfArray<A>>(
  data: A,
  shape: readonly number[],
  options: TensorOptions<D> = {},
): Tensor<D> {
  return engine.tensor(data, shape, options);
}

interface Input {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

export interface GradientCheck<K extends string> {
  readonly inputs: Readonly<Record<K, Input>>;
  readonly op: (inputs: Record<K, Tensor>) => Tensor;
  readonly twin: (inputs: Record<K, Float64Array>) => Float64Array;
  /** Inputs to differentiate; default: all. */
  readonly wrt?: readonly K[];
  readonly tolerance?: Tolerance;
  /** Elements checked per input. Default 24. */
  readonly samples?: number;
  /** Half the step of the differences. Default 1e-5. */
  readonly h?: number;
}

/**
 * Compares the op's backward of sum(op * w), w random, with central differences of the float64 twin, and the forward
 * with the twin itself.
 */
export async function checkGradients<K extends string>(check: GradientCheck<K>): Promise<void> {
  using scope = engine.scope();
  const names = Object.keys(check.inputs) as K[];
  const wrt = check.wrt ?? names;
  const tensors = {} as Record<K, Tensor>;
  const arrays = {} as Record<K, Float64Array>;
  for (const name of names) {
    const { data, shape } = check.inputs[name];
    tensors[name] = tensor(data, shape, { scope, requiresGrad: wrt.includes(name) });
    arrays[name] = Float64Array.from(data);
  }
  const y = check.op(tensors);
  const want = check.twin(arrays);
  compare('forward', await y.data(), want, check.tolerance ?? TOLERANCE.f32);
  const w = random(y.size, 4711);
  backward(y, { seed: tensor(w, y.shape, { scope }) });
  for (const name of wrt) {
    const gradient = tensors[name].grad;
    if (!gradient) throw new Error(`${name}: got no gradient`);
    if (size(gradient.shape) !== arrays[name].length)
      throw new Error(`${name}: gradient has ${gradient.shape}`);
    const got = await gradient.data();
    gradient.dispose();
    const picked = pick(arrays[name].length, check.samples ?? 24);
    const differences = picked.map((i) => difference(check.twin, arrays, name, i, w, check.h ?? 1e-5));
    // The allowance is relative to the largest gradient of the whole tensor, not only of the picked elements.
    const scale = Math.max(...Array.from(got, Math.abs));
    const tolerance = check.tolerance ?? TOLERANCE.grad;
    const allowed = { abs: tolerance.abs + tolerance.rel * scale, rel: 0 };
    picked.forEach((i, j) => {
      const error = relativeError(Math.abs(got[i] - differences[j]), scale);
      largest.gradients = Math.max(largest.gradients, error);
    });
    compare(
      `d${name} at elements ${picked.slice(0, 8)}...`,
      picked.map((i) => got[i]),
      differences,
      allowed,
    );
  }
}

function pick(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i);
  return Array.from(
    new Set(Array.from(random(count, n), (u) => Math.min(n - 1, Math.floor(((u + 1) / 2) * n)))),
  );
}

function difference<K extends string>(
  twin: (inputs: Record<K, Float64Array>) => Float64Array,
  arrays: Record<K, Float64Array>,
  name: K,
  i: number,
  w: Float64Array,
  h: number,
): number {
  const at = (x: number): number => {
    const moved = { ...arrays, [name]: Float64Array.from(arrays[name]) } as Record<K, Float64Array>;
    moved[name][i] = x;
    return twin(moved).reduce((total, value, j) => total + value * w[j], 0);
  };
  return (at(arrays[name][i] + h) - at(arrays[name][i] - h)) / (2 * h);
}

export interface Vector {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** PyTorch's vectors of tests/fixtures/torch/STEM.safetensors. */
export const torchCases = (stem: string): ReturnType<typeof fixtureCases> => fixtureCases(`torch/${stem}`);

/** Where a file of tests/fixtures is. */
export const fixtureUrl = (path: string): URL => new URL(`fixtures/${path}`, import.meta.url);

/** The bytes of a file of tests/fixtures. */
export async function fixtureBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = fixtureUrl(path);
  if (url.protocol !== 'file:') return new Uint8Array(await (await fetch(url)).arrayBuffer());
  return new Uint8Array(await (await fileSystem()).readFile(url));
}

/** Vectors of tests/fixtures/PATH.safetensors: case -> name -> tensor (numbers as f32). */
export async function fixtureCases(path: string): Promise<Map<string, Map<string, Vector>>> {
  const url = fixtureUrl(`${path}.safetensors`);
  const file = await openSafetensors(url.protocol === 'file:' ? url : await (await fetch(url)).blob());
  const cases = new Map<string, Map<string, Vector>>();
  for (const [key, { shape }] of file.tensors) {
    const slash = key.indexOf('/');
    const vectors = cases.get(key.slice(0, slash)) ?? new Map<string, Vector>();
    cases.set(key.slice(0, slash), vectors);
    vectors.set(key.slice(slash + 1), { shape, data: await file.f32(key) });
  }
  await file.close();
  return cases;
}
