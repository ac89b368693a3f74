// Commands are appended to a list and encoded later, in order: one encoder, and one compute pass for
// consecutive dispatches. A flush waits for the pipelines that its list needs without blocking the caller.
import type { PooledBuffer } from './buffer.ts';
import { type Command, CommandList, RING_BYTES, SLOT_BYTES } from './commands.ts';
import { encode } from './encode.ts';
import type { Profiler } from './profiler.ts';

export class Recorder {
  readonly stats = { dispatches: 0, flops: 0, submits: 0 };
  /** Params of dispatches without immediates; bound with a dynamic offset. */
  readonly ring: GPUBuffer;
  profiler: Profiler | undefined;
  readonly #device: GPUDevice;
  #list = new CommandList();
  #spare: CommandList[] = [];
  /** While a step is captured: its lists so far. */
  #captured: CommandList[] | undefined;
  /** Resolves when every list flushed so far has been submitted. */
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

  /** Makes room for a dispatch's params, which are bound with a dynamic offset. @returns that offset */
  reserve(words: Uint32Array): number {
    if (this.#list.paramsBytes + SLOT_BYTES > RING_BYTES) this.submit();
    const list = this.#list;
    const slot = list.paramsBytes;
    list.params.set(words, slot / 4);
    list.paramsBytes = slot + SLOT_BYTES;
    return slot;
  }

  record(command: Command): void {
    if (command.kind === 'dispatch') {
      this.#list.dispatches++;
      this.#list.flops += command.launch.flops;
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

  /** Ends a list of the capture. @returns how many it has by now */
  cut(): number {
    this.submit();
    return this.#captured?.length ?? 0;
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

  /** The loss of the device, which some implementations tell a little after what it made fail; undefined if there is none by then. */
  deviceLossWithin(milliseconds: number): Promise<Error | undefined> {
    const timeout = new Promise<undefined>((resolve) => setTimeout(resolve, milliseconds));
    return Promise.race([this.#device.lost.then(() => this.#failure), timeout]);
  }

  /**
   * Submits everything recorded to the GPU, immediately if all pipelines are compiled.
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
    this.stats.flops += list.flops;
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
    if (list.paramsBytes > 0) device.queue.writeBuffer(this.ring, 0, list.params.buffer, 0, list.paramsBytes);
    this.stats.submits += encode(device, list, this.profiler);
    if (once) {
      list.clear();
      this.#spare.push(list);
    }
    if (this.#waiting === 0 && this.#list.commands.length === 0) this.#onDrained();
  }
}
