// Commands are appended to a list and encoded later, in order: one encoder and one compute pass for as long as
// nothing but dispatches comes. A flush waits for the pipelines its list needs, never in the caller's way.
import type { PooledBuffer } from './buffer.ts';
import { internal } from './errors.ts';
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
const SLOT_BYTES = 256;
/** 4,096 slots. */
const RING_BYTES = 2 ** 20;

class CommandList {
  readonly commands: Command[] = [];
  readonly params: DataView = new DataView(new ArrayBuffer(RING_BYTES));
  paramsBytes = 0;
  usesRing = false;
}

export class Recorder {
  readonly stats = { dispatches: 0, submits: 0 };
  /** Params of dispatches without immediates; bound with a dynamic offset. */
  readonly ring: GPUBuffer;
  profiler: Profiler | undefined;
  readonly #device: GPUDevice;
  #list = new CommandList();
  #spare: CommandList[] = [];
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

  /** Reserves room for a dispatch's params; returns the view to pack them into. */
  reserve(): { view: DataView; offset: number } {
    if (this.#list.paramsBytes + SLOT_BYTES > RING_BYTES) this.flush();
    const offset = this.#list.paramsBytes;
    this.#list.paramsBytes += SLOT_BYTES;
    return { view: this.#list.params, offset };
  }

  record(command: Command): void {
    if (command.kind === 'dispatch') {
      this.stats.dispatches++;
      if (!command.entry.immediates && command.entry.paramsBytes > 0) this.#list.usesRing = true;
    } else if (command.kind === 'upload' && this.#list.commands.length === 0 && this.#waiting === 0) {
      this.#device.queue.writeBuffer(command.buffer.gpu, command.offset, command.data);
      return;
    }
    this.#list.commands.push(command);
  }

  /** Fails every later flush: the device is lost or a shader did not compile. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  get failure(): Error | undefined {
    return this.#failure;
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
    this.#list = this.#spare.pop() ?? new CommandList();
    const pending = new Set<Promise<void>>();
    for (const command of list.commands)
      if (command.kind === 'dispatch' && !command.entry.pipeline) pending.add(command.entry.ready);
    if (this.#waiting === 0 && pending.size === 0) {
      this.#encode(list);
      return this.#tail;
    }
    this.#waiting++;
    this.#tail = this.#tail
      .then(() => Promise.all(pending))
      .then(() => {
        this.#waiting--;
        this.#encode(list);
      });
    this.#tail.catch((error: Error) => this.fail(error));
    return this.#tail;
  }

  #encode(list: CommandList): void {
    const device = this.#device;
    if (list.usesRing)
      device.queue.writeBuffer(this.ring, 0, list.params.buffer as ArrayBuffer, 0, list.paramsBytes);
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
      if (this.profiler) {
        pass?.end();
        if (this.profiler.isFull) submit();
        encoder ??= device.createCommandEncoder();
        pass = encoder.beginComputePass({ timestampWrites: this.profiler.next(command) });
        current = undefined;
      } else if (!pass) {
        pass = encoder.beginComputePass();
        current = undefined;
      }
      const { entry } = command;
      internal(entry.pipeline !== undefined, `${entry.label} is not compiled`);
      if (current !== entry) {
        pass.setPipeline(entry.pipeline);
        current = entry;
      }
      if (entry.immediates) {
        if (entry.paramsBytes > 0)
          pass.setImmediates(0, list.params.buffer as ArrayBuffer, command.paramsOffset, entry.paramsBytes);
        pass.setBindGroup(0, command.bindGroup);
      } else if (entry.paramsBytes > 0) pass.setBindGroup(0, command.bindGroup, [command.paramsOffset]);
      else pass.setBindGroup(0, command.bindGroup);
      pass.dispatchWorkgroups(...command.groups);
    }
    submit();
    list.commands.length = 0;
    list.paramsBytes = 0;
    list.usesRing = false;
    this.#spare.push(list);
    if (this.#waiting === 0 && this.#list.commands.length === 0) this.#onDrained();
  }
}
