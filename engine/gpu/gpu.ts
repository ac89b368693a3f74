// One device with its buffers, pipelines and command list: the base of tensors.
import { type AdapterOptions, adoptDevice, type OpenedDevice, openDevice, type Tier } from './adapter.ts';
import { BufferPool, type BufferRange, type DeviceLimits } from './buffer.ts';
import { type CommandList, type Launch, PlannedWork } from './commands.ts';
import { DeviceLostError, EngineError, internal, MemoryError, UseError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { type Bindings, type KernelCall, launchOf } from './launch.ts';
import type { Memo } from './memo.ts';
import { Pipelines } from './pipelines.ts';
import { pollWithSleep } from './poll_with_sleep.ts';
import { type DispatchTime, Profiler } from './profiler.ts';
import { Recorder } from './recorder.ts';
import type { Target } from './target.ts';
import type { Tuning } from './tuning.ts';

/** Why a step is recorded without running: to be replayed, or to tell what it would need. */
export type StepPurpose = 'capture' | 'plan';

/** What a step would do to the device. */
export interface RecordedStep<T> {
  readonly result: T;
  readonly pool: BufferPool;
  /** Of a capture. */
  readonly lists: readonly CommandList[];
  /** Of a plan. */
  readonly work: PlannedWork;
}

export class Gpu {
  readonly device: GPUDevice;
  /** What a plan is made for instead of the device's own limits. */
  assumedLimits: DeviceLimits | undefined;
  readonly adapterName: string;
  tier: Tier;
  readonly isSoftware: boolean;
  /** Where buffers come from: during a capture or a dry run, a separate pool. */
  pool: BufferPool;
  readonly recorder: Recorder;
  /** Resolves, with the reason, when the device is lost. */
  readonly lost: Promise<DeviceLostError>;
  /** Estimated GPU milliseconds that may be recorded before they are submitted. */
  submitBudgetMs = 50;
  readonly stats = { liveTensors: 0 };
  /** What was worked out for the target and its tuning. */
  readonly memo: Memo = new Map();
  readonly #launches = new WeakMap<KernelCall, Launch>();
  readonly #opened: OpenedDevice;
  readonly #pipelines: Pipelines;
  /** By binding; -1 for all that are only read. */
  readonly #dummies = new Map<number, BufferRange>();
  readonly #staging = new Map<number, GPUBuffer[]>();
  /** The ranges of the run being recorded, in the order of its bindings. */
  readonly #ranges: BufferRange[] = [];
  #target: Target;
  #tuning: Tuning | undefined;
  #unsubmittedMs = 0;
  #purpose: StepPurpose | undefined;
  /** What the plan in progress comes to so far. */
  planned: PlannedWork | undefined;

  constructor(opened: OpenedDevice, profile = false) {
    this.#opened = opened;
    this.device = opened.device;
    this.adapterName = opened.adapterName;
    this.tier = opened.tier;
    this.isSoftware = opened.isSoftware;
    this.#target = opened.target;
    this.pool = new BufferPool(opened.device);
    this.recorder = new Recorder(opened.device, () => this.pool.collect());
    this.#pipelines = new Pipelines(opened, this.recorder, {
      ROW_WG: this.target.rowWorkgroup,
      ELEMENTS: this.target.elements,
      INTERLEAVE: this.target.interleave,
    });
    this.pool.onDestroy = (buffer) => this.#pipelines.forget(buffer);
    this.pool.onFailure = (error) => this.recorder.fail(error);
    if (profile && opened.device.features.has('timestamp-query'))
      this.recorder.profiler = new Profiler(opened.device);
    this.lost = opened.device.lost.then(({ reason, message }) => {
      const error = new DeviceLostError(
        `engine: the GPU device must be there, got lost (${reason}): ${message} Make a new engine and load the last checkpoint.`,
      );
      this.recorder.fail(error);
      return error;
    });
    opened.device.addEventListener('uncapturederror', this.#onError); // beside a handler of the device's owner
  }

  readonly #onError = ({ error }: GPUUncapturedErrorEvent): void =>
    this.recorder.fail(
      error instanceof GPUOutOfMemoryError
        ? new MemoryError(
            `engine: the device must have memory left, got none (${error.message}). Dispose tensors, or use smaller ones.`,
          )
        : new EngineError('validation', `internal: WebGPU validation failed. ${error.message}`),
    );

  static async open(options: AdapterOptions = {}): Promise<Gpu> {
    return new Gpu(await openDevice(options), options.profile);
  }

  /** The same device with separate buffers, kernels and failures. */
  sibling(): Gpu {
    return new Gpu({ ...this.#opened, target: this.target });
  }

  static adopt(device: GPUDevice): Gpu {
    return new Gpu(adoptDevice(device));
  }

  /** What plans are made for. The start-up self-test removes from it the features that give wrong results. */
  get target(): Target {
    return this.#target;
  }

  /**
   * Kernels are compiled for how rows and elements are assigned: a target that assigns them otherwise needs
   * another device.
   */
  set target(next: Target) {
    const { rowWorkgroup, elements, interleave } = this.#target;
    internal(
      next.rowWorkgroup === rowWorkgroup && next.elements === elements && next.interleave === interleave,
      'a target must keep rowWorkgroup, elements and interleave once its device is open',
    );
    this.#target = next;
    this.memo.clear();
  }

  /** Measured choices of the planner. */
  get tuning(): Tuning | undefined {
    return this.#tuning;
  }

  set tuning(next: Tuning | undefined) {
    this.#tuning = next;
    this.memo.clear();
  }

  /** Pipelines and bind groups made so far. */
  get made(): { bindGroupsCreated: number; pipelinesCreated: number } {
    return this.#pipelines.stats;
  }

  /** Keeps what follows from a call, which will come again: the same object. */
  prepare(kernel: Kernel, call: KernelCall): void {
    this.#launches.set(call, launchOf(this.#pipelines, kernel, call));
  }

  /**
   * Records one run of a kernel.
   *
   * @throws ShapeError when a grid dimension has more workgroups than WebGPU allows
   * @throws MemoryError when an operand is larger than one binding may be
   */
  run(kernel: Kernel, bind: Bindings, call: KernelCall): void {
    const prepared = this.#launches.get(call);
    const launch = prepared?.kernel === kernel ? prepared : launchOf(this.#pipelines, kernel, call);
    const { entry, words, flops } = launch;
    if (launch.groups.includes(0)) return;
    if (this.planned) {
      this.planned.add(entry, bind, flops);
      return;
    }
    void entry.ready;
    const { bindings } = kernel.reflection;
    const ranges = this.#ranges;
    ranges.length = bindings.length;
    let bytes = 0;
    for (let i = 0; i < bindings.length; i++) {
      const range = bind[bindings[i].name]?.range;
      if (range) bytes += range.sizeBytes;
      ranges[i] = range ?? this.#dummy(bindings[i].index, bindings[i].writable);
    }
    bytes = launch.bytes ?? bytes;
    const paramsOffset = entry.immediates || words.length === 0 ? 0 : this.recorder.reserve(words);
    const bindGroup = this.#pipelines.bindGroup(entry, kernel, ranges);
    this.recorder.record({ kind: 'dispatch', launch, bindGroup, paramsOffset, bytes });
    this.#unsubmittedMs += flops / this.#target.gflops / 1e6 + bytes / this.#target.gbPerS / 1e6;
    if (this.#unsubmittedMs > this.submitBudgetMs) this.submit();
  }

  /** Submits what is recorded without waiting for it; a failure shows at the next read. */
  submit(): void {
    this.#unsubmittedMs = 0;
    this.recorder.submit();
  }

  /** Writes bytes in the order of recorded commands; `data` may be changed afterwards. */
  write({ buffer, offset }: BufferRange, data: ArrayBufferView): void {
    if (this.#purpose === 'plan') return;
    if (this.#purpose === 'capture')
      throw new UseError(
        'capture: the step must not write numbers from the host, since a replay could not. Make the tensor before, pass it to capture(), and write() it between replays.',
      );
    let bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    if (bytes.length % 4 !== 0) {
      const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
      whole.set(bytes);
      bytes = whole;
    }
    if (bytes.length > 0) this.recorder.upload(buffer, offset, bytes);
  }

  /** Fills a range with zero bytes. */
  clear({ buffer, offset, sizeBytes }: BufferRange): void {
    const size = Math.ceil(sizeBytes / 4) * 4;
    if (size > 0 && this.#purpose !== 'plan') this.recorder.record({ kind: 'clear', buffer, offset, size });
  }

  /** Copies the source range onto the destination. */
  copy(source: BufferRange, destination: BufferRange): void {
    const size = Math.ceil(source.sizeBytes / 4) * 4;
    if (size > 0 && this.#purpose !== 'plan')
      this.recorder.record({
        kind: 'copy',
        source: source.buffer.gpu,
        sourceOffset: source.offset,
        destination: destination.buffer.gpu,
        destinationOffset: destination.offset,
        size,
      });
  }

  /**
   * Reads bytes back once everything recorded before has run.
   *
   * @throws DeviceLostError, ShaderError
   */
  async read(range: BufferRange): Promise<ArrayBuffer> {
    this.#expectRunning();
    if (range.sizeBytes === 0) return new ArrayBuffer(0);
    const capacity = 2 ** Math.max(8, Math.ceil(Math.log2(range.sizeBytes)));
    const staging =
      this.#staging.get(capacity)?.pop() ??
      this.device.createBuffer({ size: capacity, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    this.recorder.record({
      kind: 'copy',
      source: range.buffer.gpu,
      sourceOffset: range.offset,
      destination: staging,
      destinationOffset: 0,
      size: Math.ceil(range.sizeBytes / 4) * 4,
    });
    await this.#finish(() => staging.mapAsync(GPUMapMode.READ));
    const bytes = staging.getMappedRange().slice(0, range.sizeBytes);
    staging.unmap();
    const spare = this.#staging.get(capacity) ?? [];
    if (spare.length < 4) this.#staging.set(capacity, [...spare, staging]);
    else staging.destroy();
    return bytes;
  }

  /** Resolves when everything recorded so far is submitted. */
  async submitted(): Promise<void> {
    this.#expectRunning();
    this.#unsubmittedMs = 0;
    await this.recorder.flush();
  }

  /** Resolves when everything recorded so far has run. */
  async idle(): Promise<void> {
    this.#expectRunning();
    await this.#finish(async () => {
      await this.device.queue.onSubmittedWorkDone();
    });
  }

  /** Submits, waits by `done`, and throws what failed meanwhile. */
  async #finish(done: () => Promise<void>): Promise<void> {
    await this.recorder.flush();
    this.#unsubmittedMs = 0;
    try {
      await this.withoutSpinning(done());
    } catch (cause) {
      throw (
        this.recorder.failure ??
        (await this.recorder.deviceLossWithin(100)) ??
        new EngineError('validation', `internal: waiting for the GPU failed. ${String(cause)}`)
      );
    }
    await this.pool.checked;
    if (this.recorder.failure) throw this.recorder.failure;
  }

  /** Waits for a promise of a device, on a software adapter without taking a core from its kernels. */
  async withoutSpinning<T>(waiting: Promise<T>): Promise<T> {
    if (this.#opened.spinsWhileWaiting && this.isSoftware) await pollWithSleep(waiting);
    return waiting;
  }

  /** Whether dispatches are timed: `profile` was asked for, and the adapter has timestamps. */
  get timesKernels(): boolean {
    return this.recorder.profiler !== undefined;
  }

  /** Every dispatch since the last call; needs `timesKernels`. */
  async dispatchTimes(): Promise<DispatchTime[]> {
    if (!this.recorder.profiler)
      throw new UseError(
        'engine: kernel times need Engine.create({ profile: true }) on an adapter with timestamp-query.',
      );
    await this.idle();
    return this.recorder.profiler.take();
  }

  /** What operands are checked by. */
  get limits(): DeviceLimits {
    return this.assumedLimits ?? this.device.limits;
  }

  /** Why the current step is recorded; undefined while work runs as usual. */
  get purpose(): StepPurpose | undefined {
    return this.#purpose;
  }

  /**
   * Runs `step` without effect on the device, with a separate pool.
   *
   * @throws UseError when `step` reads or disposes what was made before; or within another such step
   */
  recordStep<T>(purpose: StepPurpose, step: () => T): RecordedStep<T> {
    if (this.#purpose) throw new UseError(`${purpose}: it must not be used within ${this.#purpose}().`);
    const outer = this.pool;
    const dry = purpose === 'plan';
    // Any buffer will do as a stand-in: nothing binds it.
    const pool = new BufferPool(this.device, outer, dry ? this.recorder.ring : undefined);
    pool.onDestroy = outer.onDestroy;
    const work = new PlannedWork();
    const lists: CommandList[] = [];
    this.recorder.beginCapture();
    this.#purpose = outer.closedBy = purpose;
    if (dry) this.planned = work;
    this.pool = pool;
    let done = false;
    try {
      const result = step();
      done = true;
      return { result, pool, lists, work };
    } finally {
      this.#purpose = this.planned = outer.closedBy = undefined;
      this.pool = outer;
      lists.push(...this.recorder.endCapture());
      if (!dry) pool.charge();
      if (!dry && !done) pool.dissolve();
    }
  }

  /** Submits the work of a capture once more. */
  replay(lists: readonly CommandList[]): void {
    this.#expectRunning();
    this.#unsubmittedMs = 0;
    this.recorder.replay(lists);
  }

  #expectRunning(): void {
    if (this.#purpose)
      throw new UseError(
        `${this.#purpose}: the step must not read back, wait or replay. Return the tensor and read it afterwards.`,
      );
  }

  /** Releases every GPU object. A device that was adopted stays alive. */
  destroy(own: boolean): void {
    this.pool.trim();
    this.pool.collect();
    this.device.removeEventListener('uncapturederror', this.#onError);
    if (own) this.device.destroy();
  }

  /** Stands in for an unused optional binding; writable ones get a buffer each, since they must not alias. */
  #dummy(index: number, writable: boolean): BufferRange {
    const key = writable ? index : -1;
    let range = this.#dummies.get(key);
    if (!range) {
      const usage = GPUBufferUsage.STORAGE;
      const buffer = this.pool.adopt(this.device.createBuffer({ size: 16, usage, label: 'unused binding' }));
      range = { buffer, offset: 0, sizeBytes: 16 };
      this.#dummies.set(key, range);
    }
    return range;
  }
}
