// Fast paths that drivers get wrong are tested once per adapter, on values whose results are known, and not used if they
// fail: when an engine is created those by features of the device, by `proveKernels` every other one too.
import type { Tier } from './gpu/adapter.ts';
import { DeviceLostError, EngineError, MemoryError } from './gpu/errors.ts';
import type { Gpu } from './gpu/gpu.ts';
import type { Target } from './gpu/target.ts';
import { l2Normalize } from './ops/l2_normalize.ts';
import { type MatmulOptions, matmul } from './ops/matmul/matmul.ts';
import type { MatmulShape } from './ops/matmul/plan.ts';
import { planRegisterTile } from './ops/register_tile.ts';
import type { Shape } from './tensor/shape.ts';
import { Scope, Tensor } from './tensor/tensor.ts';

/** What a fast path computed, and what it should have. */
export interface Check {
  readonly result: Tensor;
  readonly want: ArrayLike<number>;
  /** What the result is. */
  readonly what: string;
  /** Largest error that is none; 0 for sums of whole numbers, which every kernel has to compute exactly. */
  readonly allowed: number;
}

/** A way to compute faster that plans take on some devices. */
export interface FastPath {
  readonly feature: string;
  /** Whether plans for a target take it. */
  readonly isTaken: (target: Target) => boolean;
  readonly checks: (gpu: Gpu, scope: Scope) => Check[];
  /** Stops its use; undefined where nothing can take its place. */
  readonly disable: ((gpu: Gpu) => void) | undefined;
}

/** What the checks of a fast path came to on a device. */
export interface Proof {
  /** The fast path, in words. */
  readonly feature: string;
  /** Checks that were right. */
  readonly cases: number;
  /** Largest error of those. */
  readonly error: number;
  /** What is wrong; undefined if nothing is. */
  readonly fault?: string;
}

function disableSubgroups(gpu: Gpu): void {
  gpu.tier = Math.min(gpu.tier, 1) as Tier;
  gpu.target = { ...gpu.target, subgroupSize: 1, matrixUnit: undefined };
}

/** Terms of sums that end before, at and behind the steps of a loop. */
export const aroundSteps = (step: number): number[] => [1, step - 1, step, step + 1, 4 * step + 1];

export const SUBGROUPS: FastPath = {
  feature: 'subgroups',
  isTaken: (target) => planRegisterTile(target, 8, 5, 1).broadcast > 1,
  // Of the smallest tile that is broadcast: larger ones take longer to compile.
  checks: (gpu, scope) =>
    aroundSteps(gpu.target.subgroupSize).map((K) =>
      product(gpu, scope, { M: 8, N: 5, K }, { kind: 'register', splits: 1 }),
    ),
  disable: disableSubgroups,
};

export const SUBGROUP_ROWS: FastPath = {
  feature: 'sums of subgroups',
  isTaken: ({ kind, subgroupSize }) => kind === 'gpu' && subgroupSize > 1,
  // Two elements for nearly every invocation.
  checks: (gpu, scope) => [unitRow(gpu, scope, 2 * gpu.target.subgroupSize - 1)],
  disable: disableSubgroups,
};

export const SUBGROUP_MATRICES: FastPath = {
  feature: 'subgroup matrices',
  isTaken: ({ matrixUnit }) => matrixUnit !== undefined,
  // Beyond a tile on two sides.
  checks: (gpu, scope) =>
    [...aroundSteps(gpu.target.matrixUnit!.K), 33].map((K) =>
      product(gpu, scope, { M: 17, N: 65, K }, { kind: 'subgroup_matrix', splits: 1 }),
    ),
  disable: (gpu) => {
    gpu.tier = Math.min(gpu.tier, 2) as Tier;
    gpu.target = { ...gpu.target, matrixUnit: undefined };
  },
};

export function upload(gpu: Gpu, scope: Scope, shape: Shape, numbers: ArrayLike<number>): Tensor {
  const tensor = Tensor.empty(gpu, shape, 'f32', scope);
  tensor.write(Float32Array.from(numbers));
  return tensor;
}

/** A matmul of whole numbers up to 6, which f16 holds too. */
export function product(
  gpu: Gpu,
  scope: Scope,
  { M, N, K, transposeA, transposeB }: MatmulShape,
  force: MatmulOptions['force'],
): Check {
  const a = (m: number, k: number): number => ((5 * m + 3 * k) % 11) - 5;
  const b = (k: number, n: number): number => ((7 * k + 2 * n) % 13) - 6;
  const matrix = (rows: number, columns: number, at: typeof a): Tensor =>
    upload(gpu, scope, [rows, columns], rowMajor(rows, columns, at));
  const want = rowMajor(M, N, (m, n) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a(m, k) * b(k, n);
    return sum;
  });
  const result = matmul(
    transposeA ? matrix(K, M, (k, m) => a(m, k)) : matrix(M, K, a),
    transposeB ? matrix(N, K, (n, k) => b(k, n)) : matrix(K, N, b),
    { transposeA, transposeB, force },
  );
  return { result, want, what: `a product of ${M}x${N}x${K}`, allowed: 0 };
}

const rowMajor = (rows: number, columns: number, at: (row: number, column: number) => number): number[] =>
  Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));

/** A row of C elements, all of different weight in its length. */
export function unitRow(gpu: Gpu, scope: Scope, C: number): Check {
  const row = Array.from({ length: C }, (_, c) => c + 1);
  const length = Math.hypot(...row);
  const want = row.map((value) => value / length);
  const result = l2Normalize(upload(gpu, scope, [1, C], row));
  return { result, want, what: `a row of unit length of ${C}`, allowed: 1e-5 };
}

/** Runs the checks of a fast path. @throws DeviceLostError, MemoryError */
async function prove(gpu: Gpu, { feature, checks }: FastPath): Promise<Proof> {
  using scope = new Scope();
  let cases = 0;
  let error = 0;
  try {
    for (const { result, want, what, allowed } of checks(gpu, scope)) {
      const got = await result.data();
      for (let i = 0; i < want.length; i++) {
        const off = Math.abs(got[i] - want[i]);
        if (!(off <= allowed))
          return {
            ...{ feature, cases, error },
            fault: `${got[i]} instead of ${want[i]} as number ${i} of ${what}`,
          };
        error = Math.max(error, off);
      }
      cases++;
    }
  } catch (cause) {
    // What may befall any kernel tells nothing of these.
    if (!(cause instanceof EngineError) || cause instanceof DeviceLostError || cause instanceof MemoryError)
      throw cause;
    return { feature, cases, error, fault: cause.message };
  }
  return { feature, cases, error };
}

/**
 * Proves those of some fast paths that the device takes, each without those that failed before it.
 *
 * @throws DeviceLostError, MemoryError
 */
export async function proveAll(
  gpu: Gpu,
  paths: readonly FastPath[],
  onProof?: (proof: Proof) => void,
): Promise<Proof[]> {
  const proofs: Proof[] = [];
  for (const path of paths) {
    // On a sibling with separate failures: a kernel that does not compile must not stop the device's other
    // work.
    const trial = gpu.sibling();
    leaveOut(trial, paths, proofs);
    try {
      if (!path.isTaken(trial.target)) continue;
      const proof = await prove(trial, path);
      proofs.push(proof);
      onProof?.(proof);
    } finally {
      trial.destroy(false);
    }
  }
  return proofs;
}

/** Stops the use of what failed; a sentence for each. */
export function leaveOut(gpu: Gpu, paths: readonly FastPath[], proofs: readonly Proof[]): string[] {
  return proofs.flatMap(({ feature, fault }) => {
    const path = paths.find((one) => one.feature === feature);
    if (!fault || !path) return [];
    const { disable } = path;
    disable?.(gpu);
    return `engine: ${feature} must compute what plain kernels do, got ${fault}, on ${gpu.adapterName}. ${disable ? 'They are not used' : 'Nothing takes their place'}; update the driver.`;
  });
}

const AT_THE_START = [SUBGROUPS, SUBGROUP_ROWS, SUBGROUP_MATRICES];

/** By adapter and tier: what a process has found out. */
const known = new Map<string, Promise<readonly Proof[]>>();

/**
 * Checks the fast paths by features of a device, disables those that fail, and says so.
 *
 * @param again  also where this process has tried the adapter before
 * @returns      a sentence for each that failed
 */
export async function selfTest(
  gpu: Gpu,
  { again = false }: { readonly again?: boolean } = {},
): Promise<string[]> {
  const key = `${gpu.tier} ${gpu.adapterName}`;
  const testing = (again ? undefined : known.get(key)) ?? proveAll(gpu, AT_THE_START);
  if (!again) known.set(key, testing);
  return leaveOut(gpu, AT_THE_START, await testing);
}
