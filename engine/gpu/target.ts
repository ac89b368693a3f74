// What an adapter is good at, as one plain value. It is made once, when a device is opened, and every kernel family asks it in one
// pure function `plan(target, sizes)`; nothing else in the engine tells adapters apart. Tests and experiments pass another one:
// `Engine.create({ target })`.

/** What runs on the CPU, by its name: lavapipe, SwiftShader, WARP. */
export const SOFTWARE: RegExp = /llvmpipe|lavapipe|swiftshader|software|basic render|cpu/i;

/** What a matrix unit multiplies in one instruction: [M, K] by [K, N]. */
export interface MatrixShape {
  /** Rows of the result. */
  readonly M: number;
  /** Its columns. */
  readonly N: number;
  /** Terms of each of its sums. */
  readonly K: number;
}

/** A kind of matmul that the matrix units of an adapter support, as WebGPU lists them. */
export interface MatrixConfig extends MatrixShape {
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** The largest matmul of f16 summed in f32 that `matmul_subgroup_matrix` can be made of. */
export function planMatrixUnit(configs: readonly MatrixConfig[]): MatrixShape | undefined {
  const sizeOf = ({ M, N, K }: MatrixShape): number => M * N * K;
  const fitting = configs.filter(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' &&
      resultComponentType === 'f32' &&
      [M, N, K].every((extent) => 16 % extent === 0),
  );
  const [best] = fitting.sort((a, b) => sizeOf(b) - sizeOf(a));
  return best && { M: best.M, N: best.N, K: best.K };
}

/** Kernels that plans can go round. */
export type FastKernel = 'tiled' | 'attention_tiled' | 'attention_matrices' | 'split_kv' | 'rows' | 'held';

/** What plans are made for. */
export interface Target {
  /** A CPU that runs shaders (lavapipe, SwiftShader, WARP), where barriers are expensive and registers cheap; or a GPU. */
  readonly kind: 'cpu' | 'gpu';
  /** Invocations of every subgroup; 1 where there are none or their size varies. */
  readonly subgroupSize: number;
  /** Of the matrix units, on tier 3. */
  readonly matrixUnit: MatrixShape | undefined;
  /** Kernels that give wrong results on the device. */
  readonly without: readonly FastKernel[];
  /** Bytes that a workgroup may share. */
  readonly workgroupBytes: number;
  /** Invocations of a workgroup that owns one row (`const ROW_WG` of shaders/lib/reduce.wgsl). */
  readonly rowWorkgroup: number;
  /** Elements that an invocation of an element-wise kernel computes. */
  readonly elements: number;
  /**
   * Neighbouring invocations whose elements are interleaved, so that invocations that run together read
   * neighbours.
   */
  readonly interleave: number;
  /** Cores that run workgroups: streaming multiprocessors of a GPU. */
  readonly cores: number;
  /** Workgroups that keep all cores busy. */
  readonly fillGroups: number;
  /** Invocations that keep all cores busy. */
  readonly fillInvocations: number;
  /** Unroll the loops of tiles in the shader's text: GPU compilers gain by it, a CPU's takes a minute for such code. */
  readonly unrolled: boolean;
  /**
   * Unroll those of matmuls in registers, whatever the kind: SwiftShader keeps arrays in memory, Deno checks
   * each index.
   */
  readonly unrolledRegisters: boolean;
  /** A rough rate of arithmetic, for deciding when enough work is recorded to be submitted. */
  readonly gflops: number;
  /** The same for memory. */
  readonly gbPerS: number;
}

/** The part of a target that differs between kinds of adapters, not between two of a kind. */
type Preset = Omit<Target, 'subgroupSize' | 'matrixUnit' | 'workgroupBytes'>;

/** Measured on Mesa lavapipe (LLVM 15, AVX2, 2 cores); SwiftShader agrees in every choice but its subgroup size. */
export const LAVAPIPE: Preset = {
  kind: 'cpu',
  without: [],
  rowWorkgroup: 8,
  elements: 32, // starting an invocation costs as much as three elements
  interleave: 8,
  cores: 2,
  fillGroups: 16,
  fillInvocations: 1024,
  unrolled: false,
  unrolledRegisters: false,
  gflops: 5,
  gbPerS: 2,
};

/** Measured on an NVIDIA H200 (driver 580); for other GPUs an estimate, since WebGPU does not tell what they have. */
export const H200: Preset = {
  kind: 'gpu',
  without: [],
  rowWorkgroup: 64,
  elements: 4,
  interleave: 64,
  cores: 132,
  fillGroups: 512,
  fillInvocations: 16_384,
  unrolled: true,
  unrolledRegisters: false,
  gflops: 3000,
  gbPerS: 200,
};

/** Plans for GPUs that a CPU can run: for tests. A CPU's compiler would need a minute for each unrolled tile. */
export const GPU_ON_CPU: Preset = { ...H200, unrolled: false };
