// Which adapter, which limits and features.
//
// Limits: those of sizes are raised to the adapter's, because kernels are written for the defaults and only
// operands need more. Features: used when present, never required (tier 0 runs everywhere, and on default
// limits).
import { chooseAdapter, inNode, openGpu } from '#webgpu';
import { AdapterError } from './errors.ts';
import {
  H200,
  LAVAPIPE,
  type MatrixConfig,
  type MatrixShape,
  planMatrixUnit,
  SOFTWARE,
  type Target,
} from './target.ts';
import type { Tuning } from './tuning.ts';

/**
 * 0: default limits, f32. 1: + shader-f16. 2: + subgroups. 3: + subgroup matrices, an experiment of Dawn and of Chromium with
 * --enable-unsafe-webgpu: forward matmuls round their operands to f16. Never used unless asked for.
 */
export type Tier = 0 | 1 | 2 | 3;

/** How `Engine.create` opens a device. */
export interface AdapterOptions {
  /** Which GPU to use on machines with two. Default: high-performance. */
  powerPreference?: 'low-power' | 'high-performance';
  /**
   * Node only: which of a machine's adapters, from 0; numbers go on from the first after the last. Software ones count where
   * there is nothing else. Default: the one that the driver puts first.
   */
  index?: number;
  /** Highest tier to use; default: what the adapter offers, 2 at most. 0 also keeps every limit at WebGPU's default, without immediates. */
  tier?: Tier;
  /** Node only: switches for Dawn, such as 'backend=vulkan'. */
  dawnOptions?: string[];
  /** Time every dispatch (needs timestamp-query). */
  profile?: boolean;
  /** What `engine.tune()` returned for this adapter. */
  tuning?: Tuning;
  /** Plan as for another adapter: for tests and experiments. Default: this one's target. */
  target?: Partial<Target>;
}

/** A device that the caller opened. */
export type DeviceHandle = GPUDevice;

export interface OpenedDevice {
  device: GPUDevice;
  adapterName: string;
  tier: Tier;
  /** Runs on the CPU: lavapipe, SwiftShader, WARP. */
  isSoftware: boolean;
  /** What plans are made for. */
  target: Target;
  /** Push constants, so that params need no uniform buffer. */
  hasImmediates: boolean;
  /** Node's Dawn polls in a busy loop while a promise is pending; see poll_with_sleep.ts. */
  spinsWhileWaiting: boolean;
}

/** Otherwise Dawn rounds to 65.5 µs. */
const EXACT_TIMESTAMPS = ['disable-dawn-features=timestamp_quantization'];

/** Otherwise Dawn hides what is experimental, and f16 on NVIDIA's GPUs. */
const EXPERIMENTS = ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'];

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

const LIMITS_TO_RAISE = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;

/**
 * Opens a device on the best adapter there is.
 *
 * @throws AdapterError when the runtime has no WebGPU or no adapter answers
 */
export async function openDevice(options: AdapterOptions = {}): Promise<OpenedDevice> {
  const { switches: choice } =
    options.index === undefined ? { switches: [] } : await chooseAdapter(options.index);
  const switches = [
    ...choice,
    ...(options.dawnOptions ?? []),
    ...(options.profile ? EXACT_TIMESTAMPS : []),
    ...(options.tier === 3 ? EXPERIMENTS : []),
  ];
  const gpu = await openGpu(switches);
  if (!gpu)
    throw new AdapterError(
      'engine: this runtime must offer WebGPU, got none. Use a current Chrome, Edge, Safari or Firefox over https or localhost, Deno, or Node with the webgpu package.',
    );
  const adapter = await gpu.requestAdapter({
    powerPreference: options.powerPreference ?? 'high-performance',
  });
  if (!adapter)
    throw new AdapterError(
      'engine: a GPU adapter must answer, got none. Install a Vulkan, Metal or D3D12 driver; without a GPU on Debian run: node engine/setup.mjs',
    );
  const limits: Record<string, number> = {};
  if (options.tier !== 0) for (const name of LIMITS_TO_RAISE) limits[name] = adapter.limits[name];
  const immediates =
    options.tier !== 0 && (gpu.wgslLanguageFeatures?.has('immediate_address_space') ?? false);
  if (immediates) limits.maxImmediateSize = 64;
  const matrixUnit = options.tier === 3 ? matrixUnitOf(adapter) : undefined;
  const tier = Math.min(
    options.tier ?? 2,
    matrixUnit ? 3 : adapter.features.has('subgroups') ? 2 : adapter.features.has('shader-f16') ? 1 : 0,
  ) as Tier;
  const wanted: GPUFeatureName[] = [];
  if (tier >= 1) wanted.push('shader-f16');
  if (tier >= 2) wanted.push('subgroups');
  if (tier >= 3) wanted.push(SUBGROUP_MATRIX);
  if (options.profile) wanted.push('timestamp-query');
  const device = await adapter.requestDevice({
    requiredLimits: limits,
    requiredFeatures: wanted.filter((feature) => adapter.features.has(feature)),
  });
  const described = describe(device, adapter.info, tier, matrixUnit);
  return {
    ...described,
    target: { ...described.target, ...options.target },
    tier,
    hasImmediates: immediates,
    spinsWhileWaiting: inNode,
  };
}

/** What is known of a device that the caller opened: no immediates, since its limits are unknown. */
export function adoptDevice(device: GPUDevice): OpenedDevice {
  const tier = device.features.has('subgroups') ? 2 : device.features.has('shader-f16') ? 1 : 0;
  return {
    ...describe(device, device.adapterInfo, tier),
    tier,
    hasImmediates: false,
    spinsWhileWaiting: false,
  };
}

function describe(
  device: GPUDevice,
  info: GPUAdapterInfo | undefined,
  tier: Tier,
  matrixUnit?: MatrixShape,
): Pick<OpenedDevice, 'device' | 'adapterName' | 'isSoftware' | 'target'> {
  const adapterName =
    [info?.vendor, info?.architecture, info?.device, info?.description].filter(Boolean).join(' ') ||
    'unknown adapter';
  const isSoftware = SOFTWARE.test(adapterName);
  return {
    device,
    adapterName,
    isSoftware,
    target: {
      ...(isSoftware ? LAVAPIPE : H200),
      subgroupSize: tier >= 2 ? subgroupSizeOf(info) : 1,
      matrixUnit,
      workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      unrolledRegisters: /swiftshader/i.test(adapterName) || 'Deno' in globalThis,
    },
  };
}

function subgroupSizeOf(info: GPUAdapterInfo | undefined): number {
  const { subgroupMinSize: least = 1, subgroupMaxSize: most = 1 } = info ?? {};
  return least === most ? least : 1;
}

/**
 * What tier 3 needs: matrix units for f16 summed in f32, and four subgroups of a known size in a workgroup.
 */
function matrixUnitOf({ features, limits, info }: GPUAdapter): MatrixShape | undefined {
  const needed: GPUFeatureName[] = ['shader-f16', 'subgroups', SUBGROUP_MATRIX];
  const threads = 4 * subgroupSizeOf(info);
  if (!needed.every((feature) => features.has(feature))) return undefined;
  if (threads === 4 || threads > limits.maxComputeInvocationsPerWorkgroup) return undefined;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: readonly MatrixConfig[] };
  return planMatrixUnit(subgroupMatrixConfigs);
}
