// What rests on features that drivers get wrong is tried once per adapter, on products whose sums are known, and not used if it fails.
import { EngineError } from './gpu/errors.ts';
import type { Gpu } from './gpu/gpu.ts';
import { type MatmulForce, planMatmul } from './gpu/planner.ts';
import { matmul } from './ops/matmul.ts';
import { Scope, Tensor } from './tensor/tensor.ts';

/** A way to compute faster that the planner takes where a device has the feature. */
interface FastPath {
  readonly feature: string;
  readonly variant: NonNullable<MatmulForce['variant']>;
  readonly shape: { readonly M: number; readonly N: number; readonly K: number };
  /** Stops its use. */
  readonly leave: (gpu: Gpu) => void;
}

const SUBGROUPS: FastPath = {
  feature: 'subgroups',
  variant: 'registers',
  shape: { M: 8, N: 5, K: 33 }, // of the smallest block that hands numbers round: larger ones take longer to compile
  leave: (gpu) => Object.assign(gpu, { tier: Math.min(gpu.tier, 1), subgroupSize: 1, matrixUnit: undefined }),
};

const SUBGROUP_MATRICES: FastPath = {
  feature: 'subgroup matrices',
  variant: 'subgroup_matrix',
  shape: { M: 17, N: 65, K: 33 }, // beyond a tile on two sides
  leave: (gpu) => Object.assign(gpu, { tier: Math.min(gpu.tier, 2), matrixUnit: undefined }),
};

// Whole numbers, whose sums every kernel has to compute exactly.
const left = (m: number, k: number): number => ((5 * m + 3 * k) % 11) - 5;
const right = (k: number, n: number): number => ((7 * k + 2 * n) % 13) - 6;

/** The fast paths that products of this device take. */
function fastPaths({ adapterClass, subgroupSize, matrixUnit }: Gpu): FastPath[] {
  const plain = { transposeA: false, transposeB: false };
  const facts = { adapterClass, subgroupSize, matrixUnit, ...SUBGROUPS.shape, ...plain };
  return [
    ...(planMatmul(facts, { variant: 'registers' }).handed > 1 ? [SUBGROUPS] : []),
    ...(matrixUnit ? [SUBGROUP_MATRICES] : []),
  ];
}

/** What is wrong with a product by that path; undefined if nothing is. */
async function faultOf(gpu: Gpu, { variant, shape }: FastPath): Promise<string | undefined> {
  const { M, N, K } = shape;
  using scope = new Scope();
  const upload = (rows: number, columns: number, at: (r: number, c: number) => number): Tensor => {
    const tensor = Tensor.empty(gpu, [rows, columns], 'f32', scope);
    tensor.write(
      Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
    );
    return tensor;
  };
  const c = matmul(upload(M, K, left), upload(K, N, right), { force: { variant, slices: 1 } });
  let got: ArrayLike<number>;
  try {
    got = await c.data();
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    return cause.message;
  }
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let want = 0;
      for (let k = 0; k < K; k++) want += left(m, k) * right(k, n);
      if (got[m * N + n] !== want) return `${got[m * N + n]} instead of ${want} at [${m}, ${n}] of a product`;
    }
  return undefined;
}

/** What is wrong with the fast paths of a device. */
async function faultsOf(gpu: Gpu): Promise<ReadonlyMap<FastPath, string>> {
  const faults = new Map<FastPath, string>();
  for (const path of fastPaths(gpu)) {
    // With failures of its own: a kernel that does not compile must not stop the device's other work.
    const trial = gpu.sibling();
    const fault = await faultOf(trial, path);
    trial.destroy(false);
    if (fault !== undefined) faults.set(path, fault);
  }
  return faults;
}

/** By adapter and tier: what a process has found out. */
const known = new Map<string, Promise<ReadonlyMap<FastPath, string>>>();

/**
 * Tries the fast paths of a device, leaves those that fail, and says so.
 *
 * @param again  also where this process has tried the adapter before
 * @returns      a sentence for each that failed
 */
export async function selfTest(
  gpu: Gpu,
  { again = false }: { readonly again?: boolean } = {},
): Promise<string[]> {
  const { adapterName } = gpu;
  const key = `${gpu.tier} ${adapterName}`;
  const testing = (again ? undefined : known.get(key)) ?? faultsOf(gpu);
  if (!again) known.set(key, testing);
  return [...(await testing)].map(([{ feature, leave }, fault]) => {
    leave(gpu);
    return `engine: ${feature} must compute what plain kernels do, got ${fault}, on ${adapterName}. They are not used; update the driver.`;
  });
}
