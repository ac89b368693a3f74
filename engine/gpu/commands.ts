// The work of the GPU as data: commands, and lists of those that are encoded together.
import type { BufferRange, PooledBuffer } from './buffer.ts';
import type { Kernel } from './kernel.ts';

/** A pipeline that may not be compiled yet. */
export interface PipelineEntry {
  readonly label: string;
  readonly layout: GPUBindGroupLayout;
  readonly immediates: boolean;
  readonly paramsBytes: number;
  pipeline: GPUComputePipeline | undefined;
  /** Compilation begins when this is first read. */
  readonly ready: Promise<void>;
}

/** A run of a kernel but for its operands, ready to be encoded. */
export interface Launch {
  readonly kernel: Kernel;
  readonly entry: PipelineEntry;
  /** The params in the layout of the shader's struct. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly groups: readonly [number, number, number];
  readonly flops: number;
  /** Read and written, where that is less than all bound ranges. */
  readonly bytes: number | undefined;
}

export interface Dispatch {
  readonly kind: 'dispatch';
  readonly launch: Launch;
  readonly bindGroup: GPUBindGroup;
  /** Without immediates, byte offset of the params in the list's. */
  readonly paramsOffset: number;
  readonly bytes: number;
}

export type Command =
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
export const RING_BYTES: number = 2 ** 20;

/** Commands that are encoded together, with the params of dispatches that do not take them as immediates. */
export class CommandList {
  readonly commands: Command[] = [];
  /** One slot after the other. */
  readonly params: Uint32Array<ArrayBuffer>;
  /** Bytes of `params` in use. */
  paramsBytes = 0;
  dispatches = 0;
  flops = 0;
  /** Whether every pipeline was seen compiled. */
  ready = false;

  constructor(params: Uint32Array<ArrayBuffer> = new Uint32Array(RING_BYTES / 4)) {
    this.params = params;
  }

  clear(): void {
    this.commands.length = 0;
    this.paramsBytes = this.dispatches = this.flops = 0;
    this.ready = false;
  }

  /** The same commands in a new list that is no longer than needed. */
  copy(): CommandList {
    const copy = new CommandList(this.params.slice(0, this.paramsBytes / 4));
    copy.commands.push(...this.commands);
    copy.paramsBytes = this.paramsBytes;
    copy.dispatches = this.dispatches;
    copy.flops = this.flops;
    return copy;
  }

  /** Pipelines that are still compiling. */
  pending(): Set<Promise<void>> {
    const pending = new Set<Promise<void>>();
    if (this.ready) return pending;
    for (const command of this.commands)
      if (command.kind === 'dispatch' && !command.launch.entry.pipeline)
        pending.add(command.launch.entry.ready);
    this.ready = pending.size === 0;
    return pending;
  }
}

/** What the kernel runs of a plan come to. */
export class PlannedWork {
  readonly pipelines: Set<PipelineEntry> = new Set();
  /** As the ops declare them. */
  flops: number = 0;
  largestBindingBytes: number = 0;
  /** How many runs each one that is added stands for. */
  repeats: number = 1;

  add(
    entry: PipelineEntry,
    bind: Readonly<Record<string, { readonly range: BufferRange } | undefined>>,
    flops = 0,
  ): void {
    this.pipelines.add(entry);
    this.flops += flops * this.repeats;
    for (const name in bind)
      this.largestBindingBytes = Math.max(this.largestBindingBytes, bind[name]?.range.sizeBytes ?? 0);
  }
}
