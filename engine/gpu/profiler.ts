// Times every dispatch by timestamps at both ends of a pass with it alone, or whole passes of many.

/** What the profiler keeps of a dispatch until its timestamps are read. */
interface Dispatch {
  readonly launch: {
    readonly entry: { readonly label: string };
    readonly groups: readonly [number, number, number];
    readonly flops: number;
  };
  readonly bytes: number;
}

/** One timed dispatch. */
export interface DispatchTime {
  /** Entry point of the kernel. */
  readonly label: string;
  /** Workgroups in x, y and z. */
  readonly groups: readonly [number, number, number];
  /** Since the first dispatch that this engine timed. */
  readonly startUs: number;
  /** GPU time, microseconds. */
  readonly durationUs: number;
  /** Floating-point operations as the op states them. */
  readonly flops: number;
  /** Bytes read and written. */
  readonly bytes: number;
}

/** What one kernel cost in total. */
export interface KernelTime {
  /** Entry point of the kernel. */
  readonly label: string;
  /** Runs since the last call. */
  readonly calls: number;
  /** GPU time of all runs together, milliseconds. */
  readonly ms: number;
  /** Floating-point operations per second, in 10^9. */
  readonly gflops: number;
  /** Bytes read and written per second, in 10^9. */
  readonly gbPerS: number;
}

const CAPACITY = 2048;

export class Profiler {
  /**
   * Passes are as without a profiler, and each counts as its first dispatch: without the cost of a pass per
   * dispatch.
   */
  wholePasses = false;
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  #used: Dispatch[] = [];
  readonly #reads: Promise<void>[] = [];
  #times: DispatchTime[] = [];
  #origin: bigint | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#queries = device.createQuerySet({ type: 'timestamp', count: 2 * CAPACITY });
  }

  get isFull(): boolean {
    return this.#used.length === CAPACITY;
  }

  /** The timestamp writes of a pass that begins with this dispatch. */
  next(dispatch: Dispatch): GPUComputePassTimestampWrites {
    const at = 2 * this.#used.length;
    this.#used.push(dispatch);
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
        this.#origin ??= stamps[0];
        const origin = this.#origin;
        used.forEach(({ launch: { entry, groups, flops }, bytes }, i) => {
          const startUs = Number(stamps[2 * i] - origin) / 1000;
          const durationUs = Number(stamps[2 * i + 1] - stamps[2 * i]) / 1000;
          this.#times.push({ label: entry.label, groups, startUs, durationUs, flops, bytes });
        });
        staging.destroy();
        resolved.destroy();
      }),
    );
  }

  /** Every dispatch since the last call, in order. */
  async take(): Promise<DispatchTime[]> {
    await Promise.all(this.#reads.splice(0));
    return this.#times.splice(0).sort((a, b) => a.startUs - b.startUs);
  }
}

/** Totals per kernel, the costliest first. */
export function kernelTimes(times: readonly DispatchTime[]): KernelTime[] {
  const totals = new Map<string, { calls: number; ms: number; flops: number; bytes: number }>();
  for (const { label, durationUs, flops, bytes } of times) {
    const total = totals.get(label) ?? { calls: 0, ms: 0, flops: 0, bytes: 0 };
    total.calls++;
    total.ms += durationUs / 1000;
    total.flops += flops;
    total.bytes += bytes;
    totals.set(label, total);
  }
  const rows = [...totals].map(([label, { calls, ms, flops, bytes }]) => ({
    label,
    calls,
    ms,
    gflops: flops / ms / 1e6,
    gbPerS: bytes / ms / 1e6,
  }));
  return rows.sort((a, b) => b.ms - a.ms);
}

/** The kernels of a step as a readable table. */
export function formatKernelTimes(rows: readonly KernelTime[]): string {
  const whole = rows.reduce((total, { ms }) => total + ms, 0);
  const width = Math.max(6, ...rows.map(({ label }) => label.length));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(width) : cell.padStart(8))).join('  ');
  return [
    line(['kernel', 'calls', 'ms', '%', 'GFLOP/s', 'GB/s']),
    ...rows.map(({ label, calls, ms, gflops, gbPerS }) =>
      line([
        label,
        `${calls}`,
        ms.toFixed(2),
        ((100 * ms) / whole).toFixed(1),
        gflops > 0 && ms > 0 ? gflops.toFixed(2) : '–',
        ms > 0 ? gbPerS.toFixed(2) : '–',
      ]),
    ),
    line([
      'sum',
      `${rows.reduce((total, { calls }) => total + calls, 0)}`,
      whole.toFixed(2),
      '100.0',
      '',
      '',
    ]),
  ].join('\n');
}

/**
 * Dispatches as a trace that chrome://tracing and Perfetto open, as JSON.
 *
 * Source: "Trace Event Format", complete events ("ph": "X"), times in microseconds.
 */
export function chromeTrace(times: readonly DispatchTime[]): string {
  const traceEvents = times.map(({ label, groups, startUs, durationUs, flops, bytes }) => ({
    name: label,
    cat: 'gpu',
    ph: 'X',
    ts: startUs,
    dur: durationUs,
    pid: 1,
    tid: 1,
    args: { groups: groups.join(' x '), flops, bytes },
  }));
  return JSON.stringify({ displayTimeUnit: 'ms', traceEvents });
}
