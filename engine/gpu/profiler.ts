// Times every dispatch by a timestamp at each end of a pass of its own.
import type { Dispatch } from './recorder.ts';

/** What one kernel cost in total. */
export interface KernelTime {
  readonly label: string;
  readonly calls: number;
  readonly ms: number;
  readonly gflops: number;
  readonly gbPerS: number;
}

const CAPACITY = 2048;

export class Profiler {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  #used: { label: string; flops: number; bytes: number }[] = [];
  readonly #reads: Promise<void>[] = [];
  readonly #totals = new Map<string, { calls: number; ms: number; flops: number; bytes: number }>();

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 * CAPACITY });
  }

  get isFull(): boolean {
    return this.#used.length === CAPACITY;
  }

  /** The timestamp writes of a pass that holds just this dispatch. */
  next(dispatch: Dispatch): GPUComputePassTimestampWrites {
    const at = 2 * this.#used.length;
    this.#used.push({ label: dispatch.entry.label, flops: dispatch.flops, bytes: dispatch.bytes });
    return { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** Copies the timestamps out; call before the encoder is finished. */
  resolve(encoder: GPUCommandEncoder): void {
    const used = this.#used;
    if (used.length === 0) return;
    this.#used = [];
    const size = 16 * used.length;
    const device = this.#device;
    const resolved = device.createBuffer({
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.resolveQuerySet(this.#queries, 0, 2 * used.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.#reads.push(
      Promise.resolve().then(async () => {
        await staging.mapAsync(GPUMapMode.READ);
        const stamps = new BigUint64Array(staging.getMappedRange());
        used.forEach((dispatch, i) => {
          const total = this.#totals.get(dispatch.label) ?? { calls: 0, ms: 0, flops: 0, bytes: 0 };
          total.calls++;
          total.ms += Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6;
          total.flops += dispatch.flops;
          total.bytes += dispatch.bytes;
          this.#totals.set(dispatch.label, total);
        });
        staging.destroy();
        resolved.destroy();
      }),
    );
  }

  /** Totals since the last call, the costliest kernel first. */
  async take(): Promise<KernelTime[]> {
    await Promise.all(this.#reads.splice(0));
    const rows = [...this.#totals].map(([label, { calls, ms, flops, bytes }]) => ({
      label,
      calls,
      ms,
      gflops: flops / ms / 1e6,
      gbPerS: bytes / ms / 1e6,
    }));
    this.#totals.clear();
    return rows.sort((a, b) => b.ms - a.ms);
  }
}
