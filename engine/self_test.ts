// Fast paths by features that drivers get wrong are tested once per adapter, on values whose results are
// known, and not used if they fail.
import type { Tier } from './gpu/adapter.ts';
import { EngineError } from './gpu/errors.ts';
import type { Gpu } from './gpu/gpu.ts';
import type { MatmulForce } from './gpu/tuning.ts';
import { l2Normalize } from './ops/l2_normalize.ts';
import { matmul } from './ops/matmul/matmul.ts';
import { planRegisterTile } from './ops/register_tile.ts';
import type { Shape } from './tensor/shape.ts';
import { Scope, Tensor } from './tensor/tensor.ts';

/** What a fast path computed, and what it should have. */
interface Check {
  readonly result: Tensor;
  readonly want: readonly number[];
  /** What the result is. */
  readonly what: string;
  /** Largest error that is none. */
  readonly allowed: number;
}

/** A way to compute faster that is taken where a device has the feature. */
interface FastPath {
  readonly feature: string;
  readonly check: (gpu: Gpu, scope: Scope) => Check;
  /** Stops its use. */
  readonly disable: (gpu: Gpu) => void;
}

function disableSubgroups(gpu: Gpu): void {
  gpu.tier = Math.min(gpu.tier, 1) as Tier;
  gpu.target = { ...gpu.target, subgroupSize: 1, matrixUnit: undefined };
}

/** Of the smallest tile that is broadcast: larger ones take longer to compile. */
const BROADCAST = { M: 8, N: 5, K: 33 };

const SUBGROUPS: FastPath = {
  feature: 'subgroups',
  check: (gpu, scope) => product(gpu, scope, 'register', BROADCAST),
  disable: disableSubgroups,
};

const SUBGROUP_ROWS: FastPath = { feature: 'sums of subgroups', check: unitRow, disable: disableSubgroups };

const SUBGROUP_MATRICES: FastPath = {
  feature: 'subgroup matrices',
  check: (gpu, scope) => product(gpu, scope, 'subgroup_matrix', { M: 17, N: 65, K: 33 }), // beyond a tile on two sides
  disable: (gpu) => {
    gpu.tier = Math.min(gpu.tier, 2) as Tier;
    gpu.target = { ...gpu.target, matrixUnit: undefined };
  },
};

/** The fast paths that this device takes. */
function fastPaths({ target }: Gpu): FastPath[] {
  return [
    ...(planRegisterTile(target, BROADCAST.M, BROADCAST.N, 1).broadcast > 1 ? [SUBGROUPS] : []),
    ...(target.kind === 'gpu' && target.subgroupSize > 1 ? [SUBGROUP_ROWS] : []),
    ...(target.matrixUnit ? [SUBGROUP_MATRICES] : []),
  ];
}

function upload(gpu: Gpu, scope: Scope, shape: Shape, numbers: readonly number[]): Tensor {
  const tensor = Tensor.empty(gpu, shape, 'f32', scope);
  tensor.write(Float32Array.from(numbers));
  return tensor;
}

/** A matmul of whole numbers, whose sums every kernel has to compute exactly. */
function product(
  gpu: Gpu,
  scope: Scope,
  kind: MatmulForce['kind'],
  { M, N, K }: { readonly M: number; readonly N: number; readonly K: number },
): Check {
  const a = Array.from({ length: M * K }, (_, i) => ((5 * Math.floor(i / K) + 3 * (i % K)) % 11) - 5);
  const b = Array.from({ length: K * N }, (_, i) => ((7 * Math.floor(i / N) + 2 * (i % N)) % 13) - 6);
  const want = Array.from({ length: M * N }, (_, i) => {
    const [m, n] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];
    return sum;
  });
  const force = { kind, splits: 1 };
  const result = matmul(upload(gpu, scope, [M, K], a), upload(gpu, scope, [K, N], b), { force });
  return { result, want, what: 'a product', allowed: 0 };
}

/**
 * A row with two elements for nearly every invocation of a subgroup, all of different weight in its length.
 */
function unitRow(gpu: Gpu, scope: Scope): Check {
  const C = 2 * gpu.target.subgroupSize - 1;
  const row = Array.from({ length: C }, (_, c) => c + 1);
  const length = Math.hypot(...row);
  const want = row.map((value) => value / length);
  const result = l2Normalize(upload(gpu, scope, [1, C], row));
  return { result, want, what: 'a row of unit length', allowed: 1e-5 };
}

/** What is wrong with the results of a fast path; undefined if nothing is. */
async function faultIn(gpu: Gpu, { check }: FastPath): Promise<string | undefined> {
  using scope = new Scope();
  const { result, want, what, allowed } = check(gpu, scope);
  let got: ArrayLike<number>;
  try {
    got = await result.data();
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    return cause.message;
  }
  const at = want.findIndex((value, i) => !(Math.abs(got[i] - value) <= allowed));
  return at < 0 ? undefined : `${got[at]} instead of ${want[at]} as number ${at} of ${what}`;
}

/** What is wrong with the fast paths of a device. */
async function checkAll(gpu: Gpu): Promise<ReadonlyMap<FastPath, string>> {
  const faults = new Map<FastPath, string>();
  for (const path of fastPaths(gpu)) {
    // On a sibling with separate failures: a kernel that does not compile must not stop the device's other
    // work.
    const trial = gpu.sibling();
    const fault = await faultIn(trial, path);
    trial.destroy(false);
    if (fault !== undefined) faults.set(path, fault);
  }
  return faults;
}

/** By adapter and tier: what a process has found out. */
const known = new Map<string, Promise<ReadonlyMap<FastPath, string>>>();

/**
 * Checks the fast paths of a device, disables those that fail, and says so.
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
  const testing = (again ? undefined : known.get(key)) ?? checkAll(gpu);
  if (!again) known.set(key, testing);
  return [...(await testing)].map(([{ feature, disable }, fault]) => {
    disable(gpu);
    return `engine: ${feature} must compute what plain kernels do, got ${fault}, on ${adapterName}. They are not used; update the driver.`;
  });
}
