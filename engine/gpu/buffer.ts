// Buffers of exact size, kept for reuse.
//
// A freed buffer is reusable at once: whatever is recorded later also runs later. So a fixed-shape training step
// finds every buffer of the step before, and `created` stands still. What lies unused beyond a byte budget is
// destroyed, oldest first, after the work already recorded has been submitted.
import { MemoryError } from './errors.ts';

/** A buffer that somebody else made. */
export type BufferHandle = GPUBuffer;

/** A GPU buffer with an identity for caching. Its size is a multiple of 16 bytes. */
export interface PooledBuffer {
  readonly id: number;
  readonly sizeBytes: number;
  readonly gpu: GPUBuffer;
  /** Wrapped from outside or an arena: never pooled or destroyed by the engine's pool. */
  readonly foreign: boolean;
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

let nextId = 1;

export class BufferPool {
  readonly stats: MemoryStats = { liveBytes: 0, peakBytes: 0, pooledBytes: 0, buffersCreated: 0 };
  /** Called with a buffer that is about to be destroyed or given back to its owner, so that caches can forget it. */
  onDestroy: (buffer: PooledBuffer) => void = () => undefined;
  readonly #device: GPUDevice;
  readonly #budgetBytes: number;
  /** By size; the lowest id last. Insertion order of the map's keys is the order of last use. */
  readonly #free = new Map<number, PooledBuffer[]>();
  #doomed: PooledBuffer[] = [];

  constructor(device: GPUDevice, budgetBytes: number = 2 ** 30) {
    this.#device = device;
    this.#budgetBytes = budgetBytes;
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
    const list = this.#free.get(size);
    const reused = list?.pop();
    if (reused) {
      stats.pooledBytes -= size;
      if (list!.length === 0) this.#free.delete(size);
      return reused;
    }
    const label = `tensor [${shape.join(', ')}]`;
    const limit = this.#device.limits.maxBufferSize;
    if (size > limit) {
      stats.liveBytes -= size;
      throw new MemoryError(
        `${label}: a tensor must fit into maxBufferSize = ${limit} bytes, got ${size} bytes (peak so far ${stats.peakBytes}). Split it.`,
      );
    }
    stats.buffersCreated++;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return {
      id: nextId++,
      sizeBytes: size,
      gpu: this.#device.createBuffer({ size, usage, label }),
      foreign: false,
    };
  }

  release(buffer: PooledBuffer): void {
    if (buffer.foreign) {
      this.onDestroy(buffer);
      return;
    }
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
  static adopt(gpu: GPUBuffer): PooledBuffer {
    return { id: nextId++, sizeBytes: gpu.size, gpu, foreign: true };
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
