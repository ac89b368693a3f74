import { chooseAdapter } from '#webgpu';
import type { AdapterOptions, DeviceHandle, Tier } from './gpu/adapter.ts';
import type { DeviceLimits } from './gpu/buffer.ts';
import { type BufferHandle, expectUsage } from './gpu/buffer.ts';
import { type DeviceLostError, expectKeys, UseError } from './gpu/errors.ts';
import { Gpu } from './gpu/gpu.ts';
import { type DispatchTime, type KernelTime, kernelTimes } from './gpu/profiler.ts';
import type { Shader } from './gpu/shader.ts';
import type { Target } from './gpu/target.ts';
import type { Tuning } from './gpu/tuning.ts';
import { arange, fill } from './ops/fill.ts';
import { markNonFinite, NOTHING_FOUND } from './ops/finite.ts';
import type { MatmulShape } from './ops/matmul/plan.ts';
import { selfTest } from './self_test.ts';
import type { EngineStats } from './stats.ts';
import {
  type Capture,
  capture,
  dryRun,
  type Step,
  type StepPlan,
  type StepResult,
} from './tensor/capture.ts';
import { CustomKernel } from './tensor/custom_kernel.ts';
import { watchRuns } from './tensor/dispatch.ts';
import { bitsOf, type DTypeOfArray, type NumberArray, numbersOf } from './tensor/numbers.ts';
import { type Shape, show, size } from './tensor/shape.ts';
import { Storage } from './tensor/storage.ts';
import { BYTES_PER_ELEMENT, type DType, expectNewTensor, Scope, Tensor } from './tensor/tensor.ts';
import { type Trial, tune } from './tune.ts';

/** How a tensor is made. */
export interface TensorOptions<D extends DType = DType> {
  /**
   * Default: told by the array. Float32Array, Float64Array and plain numbers f32, Int32Array i32, Uint32Array u32,
   * Uint8Array and Uint8ClampedArray u8; others tell none.
   */
  dtype?: D;
  /** Where the tensor lives; without one, the caller disposes it. */
  scope?: Scope;
  /** Whether `backward` shall leave a gradient in `grad`; default false. */
  requiresGrad?: boolean;
}

/**
 * A WebGPU device with what tensors need. Make one per device and keep it.
 *
 * ```ts
 * const engine = await Engine.create();
 * using scope = engine.scope();
 * const x = engine.tensor([1, 2, 3, 4], [2, 2], { scope });
 * console.log(await matmul(x, x).data());
 * ```
 */
export class Engine {
  /** The device with its buffers, kernels and recorded work. Its `device` is WebGPU's own. */
  readonly gpu: Gpu;
  /** A sentence for each feature of the adapter that gave wrong results at the start, and is not used; and for another adapter than `index`. */
  readonly warnings: readonly string[];
  readonly #owned: boolean;
  #nonFinite: { flag: Tensor; kernels: string[] } | undefined;

  private constructor(gpu: Gpu, owned: boolean, warnings: readonly string[] = []) {
    this.gpu = gpu;
    this.warnings = warnings;
    this.#owned = owned;
  }

  /**
   * Opens the best adapter: `navigator.gpu` in browsers and Deno, the `webgpu` package in Node. Features that drivers get wrong are
   * tried first; see `warnings`.
   *
   * @throws AdapterError; UseError when options.tuning is that of another adapter
   */
  static async create(options: AdapterOptions = {}): Promise<Engine> {
    expectKeys('Engine.create', options, {
      powerPreference: true,
      index: true,
      tier: true,
      dawnOptions: true,
      profile: true,
      tuning: true,
      target: true,
    });
    const gpu = await Gpu.open(options);
    const { tuning } = options;
    if (tuning && tuning.adapter !== gpu.adapterName)
      throw new UseError(
        `engine: the tuning must be that of this adapter, ${gpu.adapterName}, got one of ${tuning.adapter}. Call engine.tune() on this one.`,
      );
    gpu.tuning = tuning;
    const { warning } = options.index === undefined ? {} : await chooseAdapter(options.index);
    const broken = await selfTest(gpu);
    return new Engine(gpu, true, warning === undefined ? broken : [warning, ...broken]);
  }

  /** Works on a device that the caller opened, and never destroys it. Skips the start-up self-test. */
  static fromDevice(device: DeviceHandle): Engine {
    return new Engine(Gpu.adopt(device), false);
  }

  /** The adapter in words. */
  get adapterName(): string {
    return this.gpu.adapterName;
  }

  /** What kernels may use: 0 the default limits, 1 also shader-f16, 2 also subgroups, 3 also subgroup matrices. */
  get tier(): Tier {
    return this.gpu.tier;
  }

  /** Whether the adapter runs kernels on the CPU, as lavapipe and SwiftShader do. */
  get isSoftware(): boolean {
    return this.gpu.isSoftware;
  }

  /** The device's limits; a tensor must fit into `maxBufferSize`, most operands into `maxStorageBufferBindingSize`. */
  get limits(): DeviceLimits {
    return this.gpu.device.limits;
  }

  /** What plans are made for; `Engine.create({ target })` plans for another one. */
  get target(): Target {
    return this.gpu.target;
  }

  /** Whether there are `kernelTimes`: `profile` was asked for, and the adapter has timestamps. */
  get timesKernels(): boolean {
    return this.gpu.timesKernels;
  }

  /** What ended the work of this engine; every later read throws it. Undefined while all is well. */
  get failure(): Error | undefined {
    return this.gpu.recorder.failure;
  }

  /** Resolves, with the reason, when the device is lost. */
  get lost(): Promise<DeviceLostError> {
    return this.gpu.lost;
  }

  /** A group of tensors that are freed together: `using scope = engine.scope()`. */
  scope(): Scope {
    return new Scope();
  }

  /**
   * Uploads numbers.
   *
   * @param data   row-major, not nested; f16 and bf16 as 16-bit patterns in a Uint16Array. Numbers keep their value in the
   *               dtype, rounded in f32 alone
   * @param shape  default: [data.length]
   * @throws UseError when the element counts differ
   * @throws ShapeError when `data` holds anything but numbers, or one that an integer dtype does not have
   * @throws DTypeError when the dtype is unknown, or an array tells none
   */
  tensor<A extends NumberArray, D extends DType = DTypeOfArray<A>>(
    data: A,
    shape?: Shape,
    options: TensorOptions<D> = {},
  ): Tensor<NoInfer<D>> {
    const { dtype, numbers } = numbersOf(data, options.dtype);
    const tensor = this.empty(shape ?? [data.length], { ...options, dtype: dtype as D });
    if (data.length !== tensor.size) {
      tensor.dispose();
      throw new UseError(`tensor: ${show(tensor.shape)} takes ${tensor.size} numbers, got ${data.length}.`);
    }
    tensor.write(numbers);
    return tensor;
  }

  /** A tensor with undefined contents. */
  empty<D extends DType = 'f32'>(shape: Shape, options: TensorOptions<D> = {}): Tensor<NoInfer<D>> {
    expectKeys('tensor', options, { dtype: true, scope: true, requiresGrad: true });
    const { dtype = 'f32' as D, scope, requiresGrad = false } = options;
    return Tensor.empty(this.gpu, shape, dtype, scope).setRequiresGrad(requiresGrad);
  }

  /** A tensor of zeros. */
  zeros<D extends DType = 'f32'>(shape: Shape, options: TensorOptions<D> = {}): Tensor<NoInfer<D>> {
    return fill(this.empty(shape, options), 0);
  }

  /** A tensor of ones. */
  ones<D extends DType = 'f32'>(shape: Shape, options: TensorOptions<D> = {}): Tensor<NoInfer<D>> {
    return fill(this.empty(shape, options), 1);
  }

  /** A tensor of one value. */
  full<D extends DType = 'f32'>(
    shape: Shape,
    value: number,
    options: TensorOptions<D> = {},
  ): Tensor<NoInfer<D>> {
    bitsOf('full', value, options.dtype ?? 'f32');
    return fill(this.empty(shape, options), value);
  }

  /**
   * The numbers 0, 1, ... count - 1, by default as u32.
   *
   * @param count  a whole number from 0; f32 holds whole numbers up to 2^24
   */
  arange<D extends 'f32' | 'i32' | 'u32' = 'u32'>(
    count: number,
    options: Omit<TensorOptions<D>, 'requiresGrad'> = {},
  ): Tensor<NoInfer<D>> {
    expectKeys('arange', options, { dtype: true, scope: true });
    return arange(this, count, { dtype: options.dtype }).moveTo(options.scope);
  }

  /**
   * A tensor on a buffer that the caller made on this engine's device (usage STORAGE | COPY_SRC | COPY_DST) and keeps
   * owning: `dispose()` leaves it alone. Submit what writes it before calling ops that read the tensor.
   *
   * @param shape  fills the buffer from its first byte
   * @throws UseError when the buffer is too small or has another usage
   */
  wrapBuffer<D extends DType = 'f32'>(
    buffer: BufferHandle,
    shape: Shape,
    options: Omit<TensorOptions<D>, 'requiresGrad'> = {},
  ): Tensor<NoInfer<D>> {
    expectKeys('wrapBuffer', options, { dtype: true, scope: true });
    const { dtype = 'f32' as D, scope } = options;
    expectUsage(buffer);
    expectNewTensor('wrapBuffer', shape, dtype);
    const bytes = size(shape) * BYTES_PER_ELEMENT[dtype];
    if (buffer.size < bytes)
      throw new UseError(`wrapBuffer: ${show(shape)} needs ${bytes} bytes, got ${buffer.size}.`);
    return new Tensor(new Storage(this.gpu, this.gpu.pool.adopt(buffer)), 0, shape, dtype, scope);
  }

  /**
   * Records a step once, for `replay()`: same bits as calling it, without its JavaScript. Nothing runs yet.
   *
   * ```ts
   * using captured = engine.capture((x) => {
   *   const loss = lossOf(x);
   *   backward(loss);
   *   optimizer.step();
   *   return loss;
   * }, x);
   * for (const batch of batches) {
   *   x.write(batch);
   *   captured.replay();
   * }
   * console.log(await captured.outputs.data());
   * ```
   *
   * Numbers of the host that enter the step, such as a scale, are recorded with it.
   *
   * @param step    called with handles on `inputs` in a new scope: what it makes of them is freed, except
   *                what it returns (a tensor, a list or a record of tensors). A generator function is cut where it yields,
   *                for `replay(part)`: other work may run between the parts, which share their tensors
   * @param inputs  tensors that exist, to be overwritten by `write()` between replays
   * @throws UseError when the step writes, reads, draws random numbers, returns a promise, or leaves a tensor behind
   */
  capture<T extends StepResult>(step: Step<T>, ...inputs: Tensor[]): Capture<T> {
    return capture(this.gpu, step, inputs);
  }

  /**
   * Tells what a step needs, without running it and without allocating or compiling anything.
   *
   * @param step            synchronous; may upload; disposes or returns what it makes
   * @param options.limits  of a device that has others: no operand is refused or split that it would take. Buffers of any size are
   *   counted, whichever device is asked
   * @throws UseError as `capture`
   */
  plan(step: () => StepResult, options: { readonly limits?: DeviceLimits } = {}): StepPlan {
    expectKeys('Engine.plan', options, { limits: true });
    const { pool, work } = dryRun(this.gpu, step, options.limits);
    const { pipelines, flops, largestBindingBytes } = work;
    return { peakBytes: pool.stats.peakBytes, kernels: pipelines.size, flops, largestBindingBytes };
  }

  /**
   * Compiles every kernel that a step needs, without running it.
   *
   * @param onProgress  kernels ready, and how many there are
   * @throws UseError as `plan`; ShaderError
   */
  async warmup(step: () => StepResult, onProgress?: (done: number, total: number) => void): Promise<void> {
    const { pipelines } = dryRun(this.gpu, step).work;
    let done = 0;
    await Promise.all(
      [...pipelines].map(async ({ ready }) => {
        await ready;
        onProgress?.(++done, pipelines.size);
      }),
    );
  }

  /**
   * Measures the planner's choices for matrix products, each checked in float64 before it is timed.
   *
   * ```ts
   * const tuning = await engine.tune([{ M: 729, N: 1152, K: 1152, transposeB: true }]);
   * const faster = await Engine.create({ tuning }); // or from JSON
   * ```
   *
   * @param shapes   as they will be used: `linear` has transposeB
   * @param options.onTrial  after every choice
   * @throws EngineError when no choice is right
   */
  tune(
    shapes: readonly MatmulShape[],
    options: { readonly onTrial?: (trial: Trial, done: number, total: number) => void } = {},
  ): Promise<Tuning> {
    expectKeys('tune', options, { onTrial: true });
    return tune(this.gpu, shapes, options.onTrial);
  }

  /**
   * A custom kernel, one compute entry point of a WGSL text; see the guide "Kernels". The published package
   * needs `import 'ps3-webgpu/engine/wgsl'` once for texts.
   *
   * @param source  WGSL, or what `reflect` of ps3-webgpu/engine/wgsl made of it
   * @param entry   default: the only entry point
   * @throws ShaderError when the text cannot be parsed or binds anything but storage buffers and `params`
   * @throws UseError when there is no such entry point, or no parser
   */
  kernel(source: string | Shader, entry?: string): CustomKernel {
    return new CustomKernel(this.gpu, source, entry);
  }

  /**
   * Has the GPU begin with everything called so far, which reads, `idle` and enough work do by themselves. Waits for
   * nothing: kernels that still compile are submitted after it returns.
   */
  submit(): void {
    this.gpu.submit();
  }

  /** Resolves when everything called so far has run on the GPU. */
  idle(): Promise<void> {
    return this.gpu.idle();
  }

  /** Current counts of tensors, bytes and GPU objects. */
  stats(): EngineStats {
    const { gpu } = this;
    return { ...gpu.pool.stats, ...gpu.stats, ...gpu.made, ...gpu.recorder.stats };
  }

  /** Resets `peakBytes` to `liveBytes`. */
  resetPeak(): void {
    this.gpu.pool.resetPeak();
  }

  /** GPU time of every dispatch since the last call; needs `Engine.create({ profile: true })`. For `chromeTrace`. */
  dispatchTimes(): Promise<DispatchTime[]> {
    return this.gpu.dispatchTimes();
  }

  /** The same, added up per kernel. For `formatKernelTimes`. */
  async kernelTimes(): Promise<KernelTime[]> {
    return kernelTimes(await this.gpu.dispatchTimes());
  }

  /**
   * From now on, notes the first kernel that writes a NaN or an infinity. Costs a dispatch per result: for debugging.
   * Masks within kernels are finite, so every hit is a fault or an overflow.
   */
  watchNonFinite(): void {
    this.#nonFinite ??= { flag: this.tensor(Uint32Array.of(NOTHING_FOUND), [1]), kernels: [] };
    const { flag, kernels } = this.#nonFinite;
    let checking = false;
    watchRuns(this.gpu, (kernel, written) => {
      if (checking) return;
      checking = true;
      kernels.push(kernel.entry);
      for (const tensor of written)
        if (tensor.dtype === 'f32') markNonFinite(tensor, flag, kernels.length - 1);
      checking = false;
    });
  }

  /** Ends `watchNonFinite`: the first kernel that wrote a non-finite number, and which run since then it was. */
  async firstNonFinite(): Promise<{ kernel: string; run: number } | undefined> {
    if (!this.#nonFinite) throw new UseError('firstNonFinite: call watchNonFinite() first.');
    watchRuns(this.gpu, undefined);
    const { flag, kernels } = this.#nonFinite;
    this.#nonFinite = undefined;
    using found = flag;
    const [run] = await found.data();
    return run === NOTHING_FOUND ? undefined : { kernel: kernels[run], run };
  }

  /** Frees the buffers; destroys the device if the engine opened it. */
  destroy(): void {
    this.gpu.destroy(this.#owned);
  }
}
