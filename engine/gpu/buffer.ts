// Buffers of exact size, kept for reuse.
//
// A freed buffer can be reused immediately: whatever is recorded later also runs later. So a training step of
// fixed shapes finds every buffer of the step before, and `created` does not grow. Unused buffers beyond a
// byte budget are destroyed, oldest first, after the work already recorded has been submitted.
//
// A captured step has a separate pool, so that nobody else gets its buffers; a dry run has one that makes
// none.
import { MemoryError, UseError } from './errors.ts';

/** Bytes that a device allows. */
export interface DeviceLimits {
  /** Of one buffer. */
  readonly maxBufferSize: number;
  /** Of one operand of a kernel. */
  readonly maxStorageBufferBindingSize: number;
}

/** A buffer that the caller made. */
export type BufferHandle = GPUBuffer;

/** Where the elements of a tensor are on the GPU. */
export interface BufferSlice {
  /** The engine's buffer, or the one that was wrapped. */
  readonly buffer: BufferHandle;
  /** First byte; a multiple of 256. */
  readonly offset: number;
  /** Bytes of the elements; the buffer may be larger. */
  readonly sizeBytes: number;
}

/** A GPU buffer with an identity for caching. Its size is a multiple of 16 bytes. */
export interface PooledBuffer {
  readonly id: number;
  readonly sizeBytes: number;
  readonly gpu: GPUBuffer;
  /** Wrapped from outside: never pooled or destroyed. */
  readonly foreign: boolean;
  /** Where it is released to. */
  pool: BufferPool;
}

/** A range of a buffer that a kernel binds. */
export interface BufferRange {
  readonly buffer: PooledBuffer;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface MemoryStats {
  /** Bytes held by live tensors. */
  liveBytes: number;
  /** Highest `liveBytes` since the last `resetPeak`. */
  peakBytes: number;
  /** Bytes kept for reuse. */
  pooledBytes: number;
  /** `createBuffer` calls for tensors since the start. */
  buffersCreated: number;
}

/** Checks that a buffer of the user's allows what tensors need. @throws UseError */
export function expectUsage(buffer: BufferHandle): void {
  const needed = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  if ((buffer.usage & needed) !== needed)
    throw new UseError(
      `wrapBuffer: the usage must include STORAGE, COPY_SRC and COPY_DST (${needed}), got ${buffer.usage}. Add them where the buffer is made.`,
    );
}

let nextId = 1;

export class BufferPool {
  readonly stats: MemoryStats;
  /** Buffers acquired and not yet released. */
  lent = 0;
  /** Called with a buffer that is about to be destroyed or given back to its owner, so that caches can forget it. */
  onDestroy: (buffer: PooledBuffer) => void = () => undefined;
  /** Why nothing may be released at the moment: a step is running that will run again. */
  closedBy: string | undefined;
  /** Called when the system had no memory for a buffer, some time after `acquire` returned it. */
  onFailure: (error: MemoryError) => void = () => undefined;
  /** Resolves when it is known for every buffer so far whether there was memory for it. */
  checked: Promise<unknown> = Promise.resolve();
  readonly #device: GPUDevice;
  readonly #budgetBytes: number;
  readonly #outer: BufferPool | undefined;
  readonly #standIn: GPUBuffer | undefined;
  /** Of the pool of one step: every buffer. */
  readonly #made: PooledBuffer[] = [];
  /** By size; the lowest id last. Insertion order of the map's keys is the order of last use. */
  readonly #free = new Map<number, PooledBuffer[]>();
  #doomed: PooledBuffer[] = [];

  /**
   * @param outer    makes this the pool of one step: its buffers return to `outer` by `dissolve`, its stats
   *                 continue those of `outer`
   * @param standIn  what to return instead of new buffers, in a dry run
   */
  constructor(device: GPUDevice, outer?: BufferPool, standIn?: GPUBuffer) {
    this.#device = device;
    this.#budgetBytes = outer ? Number.POSITIVE_INFINITY : 2 ** 30;
    this.#outer = outer;
    this.#standIn = standIn;
    this.stats = outer
      ? { ...outer.stats, peakBytes: outer.stats.liveBytes }
      : { liveBytes: 0, peakBytes: 0, pooledBytes: 0, buffersCreated: 0 };
  }

  /**
   * A buffer of at least `sizeBytes`, contents undefined.
   *
   * @param shape  of the tensor it is for, to name it by
   * @throws MemoryError when the device's limit does not allow it
   */
  acquire(sizeBytes: number, shape: readonly number[]): PooledBuffer {
    const size = Math.max(16, Math.ceil(sizeBytes / 16) * 16);
    const stats = this.stats;
    stats.liveBytes += size;
    stats.peakBytes = Math.max(stats.peakBytes, stats.liveBytes);
    this.lent++;
    const list = this.#free.get(size);
    const reused = list?.pop();
    if (reused) {
      stats.pooledBytes -= size;
      if (list!.length === 0) this.#free.delete(size);
      return reused;
    }
    const label = `tensor [${shape.join(', ')}]`;
    const limit = this.#device.limits.maxBufferSize;
    if (!this.#standIn && size > limit) {
      stats.liveBytes -= size;
      this.lent--;
      throw new MemoryError(
        `${label}: a tensor must fit into maxBufferSize = ${limit} bytes, got ${size} bytes (peak so far ${stats.peakBytes}). Split it.`,
      );
    }
    stats.buffersCreated++;
    const gpu = this.#standIn ?? this.#create(size, label);
    const buffer = { id: nextId++, sizeBytes: size, gpu, foreign: false, pool: this };
    if (this.#outer) this.#made.push(buffer);
    return buffer;
  }

  #create(size: number, label: string): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const { liveBytes, pooledBytes, peakBytes } = this.stats;
    const root = this.#outer ?? this;
    this.#device.pushErrorScope('out-of-memory');
    const gpu = this.#device.createBuffer({ size, usage, label });
    const check = this.#device.popErrorScope().then(
      (error) => {
        if (error)
          root.onFailure(
            new MemoryError(
              `${label}: the system must have room for ${size} bytes, got none with ${liveBytes} live and ${pooledBytes} kept for reuse (peak ${peakBytes}). Make a new engine with a smaller batch, or dispose tensors earlier.`,
            ),
          );
      },
      () => undefined, // the device is gone, which engine.lost tells
    );
    root.checked = Promise.all([root.checked, check]);
    return gpu;
  }

  /** @throws UseError while a step runs that must not release what was made before it */
  release(buffer: PooledBuffer): void {
    if (this.closedBy)
      throw new UseError(
        `${this.closedBy}: the step must not dispose a tensor that was made before it, since it runs again. Dispose it afterwards.`,
      );
    if (buffer.foreign) {
      this.onDestroy(buffer);
      return;
    }
    this.lent--;
    this.stats.liveBytes -= buffer.sizeBytes;
    this.stats.pooledBytes += buffer.sizeBytes;
    const list = this.#free.get(buffer.sizeBytes) ?? [];
    this.#free.delete(buffer.sizeBytes);
    // Sorted, so that a loop that frees everything finds the same buffers again: its bind groups are cached.
    let at = list.length;
    while (at > 0 && list[at - 1].id < buffer.id) at--;
    list.splice(at, 0, buffer);
    this.#free.set(buffer.sizeBytes, list);
    while (this.stats.pooledBytes > this.#budgetBytes) this.#evictOldest();
  }

  /** Wraps a buffer that the engine does not own. */
  adopt(gpu: GPUBuffer): PooledBuffer {
    return { id: nextId++, sizeBytes: gpu.size, gpu, foreign: true, pool: this };
  }

  /** Of the pool of one step: has the outer pool count all its buffers as in use. */
  charge(): void {
    const { stats } = this.#outer!;
    for (const { sizeBytes } of this.#made) stats.liveBytes += sizeBytes;
    stats.peakBytes = Math.max(stats.peakBytes, stats.liveBytes);
    stats.buffersCreated += this.#made.length;
    this.#outer!.lent += this.#made.length;
  }

  /** Of the pool of one step, once charged: gives its buffers to the outer pool, those in use when they are released. */
  dissolve(): void {
    for (const buffer of this.#made) buffer.pool = this.#outer!;
    for (const list of this.#free.values()) for (const buffer of list) this.#outer!.release(buffer);
    this.#free.clear();
  }

  #evictOldest(): void {
    const [size, list] = this.#free.entries().next().value!;
    this.#doomed.push(list.shift()!);
    this.stats.pooledBytes -= size;
    if (list.length === 0) this.#free.delete(size);
  }

  /** Destroys evicted buffers; call when no recorded work that is not yet submitted can refer to them. */
  collect(): void {
    for (const buffer of this.#doomed) {
      this.onDestroy(buffer);
      buffer.gpu.destroy();
    }
    this.#doomed = [];
  }

  /** Gives every unused buffer back to the system. */
  trim(): void {
    while (this.#free.size > 0) this.#evictOldest();
  }

  resetPeak(): void {
    this.stats.peakBytes = this.stats.liveBytes;
  }
}
