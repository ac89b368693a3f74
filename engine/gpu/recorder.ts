// Commands are appended to a list and encoded later, in order: one encoder and one compute pass for as long as
// nothing but dispatches comes. A flush waits for the pipelines its list needs, never in the caller's way.
import type { PooledBuffer } from './buffer.ts';
import { internal } from './errors.ts';
import { IMMEDIATE_BYTES } from './kernel.ts';
import type { Profiler } from './profiler.ts';

/** A pipeline that may still be compiling. */
export interface PipelineEntry {
  readonly label: string;
  readonly layout: GPUBindGroupLayout;
  readonly immediates: boolean;
  readonly paramsBytes: number;
  pipeline: GPUComputePipeline | undefined;
  readonly ready: Promise<void>;
}

export interface Dispatch {
  readonly kind: 'dispatch';
  readonly entry: PipelineEntry;
  readonly bindGroup: GPUBindGroup;
  /** Byte offset of this dispatch's params in the list's params block. */
  readonly paramsOffset: number;
  readonly groups: readonly [number, number, number];
  readonly flops: number;
  readonly bytes: number;
}

type Command =
  | Dispatch
  | {
      readonly kind: 'upload';
      readonly buffer: PooledBuffer;
      readonly offset: number;
      readonly data: Uint8Array<ArrayBuffer>;
    }
  | { readonly kind: 'clear'; readonly buffer: PooledBuffer; readonly offset: number; readonly size: number }
  | {
      readonly kind: 'copy';
      readonly source: GPUBuffer;
      readonly sourceOffset: number;
      readonly destination: GPUBuffer;
      readonly destinationOffset: number;
      readonly size: number;
    };

/** Dynamic uniform offsets must be multiples of this. */
export const SLOT_BYTES = 256;
/** 4,096 slots. */
const RING_BYTES = 2 ** 20;

/** Commands that are encoded together, with the params of their dispatches. */
export class CommandList {
  readonly commands: Command[] = [];
  readonly params: ArrayBuffer;
  /** The params as numbers, to write them. */
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
  /** Bytes of `params` in use; the last slot begins at `slot`. */
  paramsBytes = 0;
  slot = 0;
  usesRing = false;
  dispatches = 0;
  /** Whether every pipeline was seen compiled. */
  ready = false;

  constructor(params: ArrayBuffer = new ArrayBuffer(RING_BYTES)) {
    this.params = params;
    this.f32 = new Float32Array(params);
    this.u32 = new Uint32Array(params);
  }

  clear(): void {
    this.commands.length = 0;
    this.paramsBytes = this.dispatches = 0;
    this.usesRing = this.ready = false;
  }

  /** The same commands in a list of their own that holds no more than it needs. */
  copy(): CommandList {
    const copy = new CommandList(this.params.slice(0, this.paramsBytes));
    copy.commands.push(...this.commands);
    copy.paramsBytes = this.paramsBytes;
    copy.usesRing = this.usesRing;
    copy.dispatches = this.dispatches;
    return copy;
  }

  /** Pipelines that are still compiling. */
  pending(): Set<Promise<void>> {
    const pending = new Set<Promise<void>>();
    if (this.ready) return pending;
    for (const command of this.commands)
      if (command.kind === 'dispatch' && !command.entry.pipeline) pending.add(command.entry.ready);
    this.ready = pending.size === 0;
    return pending;
  }
}

export class Recorder {
  readonly stats = { dispatches: 0, submits: 0 };
  /** Params of dispatches without immediates; bound with a dynamic offset. */
  readonly ring: GPUBuffer;
  profiler: Profiler | undefined;
  readonly #device: GPUDevice;
  #list = new CommandList();
  #spare: CommandList[] = [];
  /** While a step is captured: its lists so far. */
  #captured: CommandList[] | undefined;
  /** Ends when every list flushed so far has been submitted. */
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #failure: Error | undefined;
  readonly #onDrained: () => void;

  constructor(device: GPUDevice, onDrained: () => void) {
    this.#device = device;
    this.#onDrained = onDrained;
    this.ring = device.createBuffer({
      size: RING_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      label: 'params ring',
    });
  }

  /** Reserves room for a dispatch's params: at `slot` of the list that it returns. */
  reserve(immediates: boolean): CommandList {
    const slotBytes = immediates ? IMMEDIATE_BYTES : SLOT_BYTES;
    if (alignUp(this.#list.paramsBytes, slotBytes) + slotBytes > RING_BYTES) this.submit();
    const list = this.#list;
    list.slot = alignUp(list.paramsBytes, slotBytes);
    list.paramsBytes = list.slot + slotBytes;
    return list;
  }

  record(command: Command): void {
    if (command.kind === 'dispatch') {
      const { entry } = command;
      this.#list.dispatches++;
      if (!entry.immediates && entry.paramsBytes > 0) this.#list.usesRing = true;
    }
    this.#list.commands.push(command);
  }

  /** Writes into a buffer in the order of the commands, without delay if there are none; copies `data` if it must. */
  upload(buffer: PooledBuffer, offset: number, data: Uint8Array<ArrayBuffer>): void {
    if (this.#list.commands.length === 0 && this.#waiting === 0)
      this.#device.queue.writeBuffer(buffer.gpu, offset, data);
    else this.#list.commands.push({ kind: 'upload', buffer, offset, data: data.slice() });
  }

  /** From now on commands are kept instead of submitted. */
  beginCapture(): void {
    this.submit();
    this.#captured = [];
  }

  /** What was recorded since `beginCapture`, for `replay`. */
  endCapture(): CommandList[] {
    this.submit();
    const captured = this.#captured!;
    this.#captured = undefined;
    return captured;
  }

  /** Submits captured lists once more, after everything recorded so far. */
  replay(lists: readonly CommandList[]): void {
    this.submit();
    if (!this.#failure) for (const list of lists) this.#send(list, false);
  }

  /** Flushes without waiting; a failure shows at the next read. */
  submit(): void {
    this.flush().catch((error: Error) => this.fail(error));
  }

  /** Fails every later flush: the device is lost or a shader did not compile. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** The loss of the device, which some implementations tell a little after what it made fail. */
  lostSoon(): Promise<Error | undefined> {
    const soon = new Promise<undefined>((resolve) => setTimeout(resolve, 100));
    return Promise.race([this.#device.lost.then(() => this.#failure), soon]);
  }

  /**
   * Hands everything recorded to the GPU. Without waiting when all pipelines are compiled.
   *
   * @returns settled when it is submitted; rejects when a shader failed or the device is lost
   */
  flush(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#list.commands.length === 0) return this.#tail;
    const list = this.#list;
    if (this.#captured) {
      this.#captured.push(list.copy());
      list.clear();
      return this.#tail;
    }
    this.#list = this.#spare.pop() ?? new CommandList();
    return this.#send(list, true);
  }

  /** @param once  the list may be used for other commands afterwards */
  #send(list: CommandList, once: boolean): Promise<void> {
    this.stats.dispatches += list.dispatches;
    const pending = list.pending();
    if (this.#waiting === 0 && pending.size === 0) {
      this.#encode(list, once);
      return this.#tail;
    }
    this.#waiting++;
    this.#tail = this.#tail
      .then(() => Promise.all(pending))
      .then(() => {
        this.#waiting--;
        this.#encode(list, once);
      });
    this.#tail.catch((error: Error) => this.fail(error));
    return this.#tail;
  }

  #encode(list: CommandList, once: boolean): void {
    const device = this.#device;
    if (list.usesRing) device.queue.writeBuffer(this.ring, 0, list.params, 0, list.paramsBytes);
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    const submit = (): void => {
      pass?.end();
      if (encoder) {
        this.profiler?.resolve(encoder);
        device.queue.submit([encoder.finish()]);
        this.stats.submits++;
      }
      encoder = pass = undefined;
    };
    let current: PipelineEntry | undefined;
    for (const command of list.commands) {
      if (command.kind === 'upload') {
        submit();
        device.queue.writeBuffer(command.buffer.gpu, command.offset, command.data);
        continue;
      }
      encoder ??= device.createCommandEncoder();
      if (command.kind !== 'dispatch') {
        pass?.end();
        pass = undefined;
        if (command.kind === 'clear') encoder.clearBuffer(command.buffer.gpu, command.offset, command.size);
        else
          encoder.copyBufferToBuffer(
            command.source,
            command.sourceOffset,
            command.destination,
            command.destinationOffset,
            command.size,
          );
        continue;
      }
      if (this.profiler && !(pass && this.profiler.wholePasses)) {
        pass?.end();
        pass = undefined;
        if (this.profiler.isFull) submit();
        encoder ??= device.createCommandEncoder();
        pass = encoder.beginComputePass({ timestampWrites: this.profiler.next(command) });
        current = undefined;
      } else if (!pass) {
        pass = encoder.beginComputePass();
        current = undefined;
      }
      const { entry } = command;
      if (!entry.pipeline) internal(false, `${entry.label} is not compiled`);
      if (current !== entry) {
        pass.setPipeline(entry.pipeline);
        current = entry;
      }
      if (entry.immediates) {
        if (entry.paramsBytes > 0)
          pass.setImmediates(0, list.params, command.paramsOffset, entry.paramsBytes);
        pass.setBindGroup(0, command.bindGroup);
      } else if (entry.paramsBytes > 0) pass.setBindGroup(0, command.bindGroup, [command.paramsOffset]);
      else pass.setBindGroup(0, command.bindGroup);
      const { groups } = command;
      pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    }
    submit();
    if (once) {
      list.clear();
      this.#spare.push(list);
    }
    if (this.#waiting === 0 && this.#list.commands.length === 0) this.#onDrained();
  }
}

function alignUp(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}
