// Encodes a list of commands into command buffers: one encoder, and one compute pass for consecutive
// dispatches.
import type { Command, CommandList, Dispatch, PipelineEntry } from './commands.ts';
import { internal } from './errors.ts';
import type { Profiler } from './profiler.ts';

/**
 * Submits a list whose pipelines are all compiled.
 *
 * @returns  how many command buffers that took
 */
export function encode(device: GPUDevice, list: CommandList, profiler: Profiler | undefined): number {
  const encoding = new Encoding(device, profiler);
  for (const command of list.commands) {
    if (command.kind === 'dispatch') encoding.dispatch(command);
    else if (command.kind === 'upload') encoding.upload(command);
    else encoding.transfer(command);
  }
  encoding.submit();
  return encoding.submits;
}

type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

/** An encoder, its open pass, and the pipeline that is set in it. */
class Encoding {
  submits = 0;
  readonly #device: GPUDevice;
  readonly #profiler: Profiler | undefined;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #current: PipelineEntry | undefined;

  constructor(device: GPUDevice, profiler: Profiler | undefined) {
    this.#device = device;
    this.#profiler = profiler;
  }

  /** The queue writes immediately, so what is encoded is submitted first. */
  upload({ buffer, offset, data }: CommandOf<'upload'>): void {
    this.submit();
    this.#device.queue.writeBuffer(buffer.gpu, offset, data);
  }

  /** Clears and copies are encoded between passes. */
  transfer(command: CommandOf<'clear'> | CommandOf<'copy'>): void {
    this.#endPass();
    this.#encoder ??= this.#device.createCommandEncoder();
    if (command.kind === 'clear') this.#encoder.clearBuffer(command.buffer.gpu, command.offset, command.size);
    else
      this.#encoder.copyBufferToBuffer(
        command.source,
        command.sourceOffset,
        command.destination,
        command.destinationOffset,
        command.size,
      );
  }

  dispatch(command: Dispatch): void {
    const pass = this.#passFor(command);
    const { launch, bindGroup, paramsOffset } = command;
    const { entry, words, groups } = launch;
    if (!entry.pipeline) internal(false, `${entry.label} is not compiled`);
    if (this.#current !== entry) {
      pass.setPipeline(entry.pipeline);
      this.#current = entry;
    }
    if (words.length === 0) pass.setBindGroup(0, bindGroup);
    else if (entry.immediates) {
      pass.setImmediates(0, words);
      pass.setBindGroup(0, bindGroup);
    } else pass.setBindGroup(0, bindGroup, [paramsOffset]);
    // Numbers that are left out are 1: each that is given costs a conversion.
    if (groups[1] === 1 && groups[2] === 1) pass.dispatchWorkgroups(groups[0]);
    else pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
  }

  submit(): void {
    this.#endPass();
    if (!this.#encoder) return;
    this.#profiler?.resolve(this.#encoder);
    this.#device.queue.submit([this.#encoder.finish()]);
    this.submits++;
    this.#encoder = undefined;
  }

  /** The open pass, or a new one: with a profiler that times each dispatch, always a new one. */
  #passFor(command: Dispatch): GPUComputePassEncoder {
    const profiler = this.#profiler;
    if (this.#pass && (!profiler || profiler.wholePasses)) return this.#pass;
    this.#endPass();
    if (profiler?.isFull) this.submit();
    this.#encoder ??= this.#device.createCommandEncoder();
    const timestampWrites = profiler?.next(command);
    this.#pass = this.#encoder.beginComputePass(timestampWrites && { timestampWrites });
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#current = undefined;
  }
}
