// A step whose work is kept instead of submitted, to be replayed many times, or only inspected.

import type { DeviceLimits } from '../gpu/buffer.ts';
import { UseError } from '../gpu/errors.ts';
import type { Gpu, RecordedStep, StepPurpose } from '../gpu/gpu.ts';
import { Scope, Tensor } from './tensor.ts';

/** What a step may return. */
export type StepResult = Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>> | undefined;

/** A step; one that yields is cut there into parts, which can be replayed one by one. */
export type Step<T extends StepResult> = (...inputs: Tensor[]) => T | Generator<undefined, T, undefined>;

/** What a step needs. */
export interface StepPlan {
  /** Highest bytes of live tensors while it runs, those that are alive already included. */
  readonly peakBytes: number;
  /** Different kernels, specialisations counted apart. */
  readonly kernels: number;
  /** Floating-point operations of matrix products, attention and the other kernels that declare them. */
  readonly flops: number;
  /** Bytes of the largest operand; a device binds `maxStorageBufferBindingSize` of them. */
  readonly largestBindingBytes: number;
}

/** The recorded work of a step. Make one with `engine.capture()`. */
export class Capture<T extends StepResult> {
  /** What the step returned, overwritten by each replay; without gradients. They live as long as the capture. */
  readonly outputs: T;
  /** Floating-point operations of one replay, as the kernels declare them: as in `StepPlan`. */
  readonly flops: number;
  readonly #gpu: Gpu;
  readonly #step: RecordedStep<Tensor[]>;
  /** Command lists before each cut of the step. */
  readonly #cuts: readonly number[];
  #disposed = false;

  /** @param step  its result are the tensors of `outputs` */
  constructor(gpu: Gpu, outputs: T, step: RecordedStep<Tensor[]>, cuts: readonly number[]) {
    this.#gpu = gpu;
    this.outputs = outputs;
    this.#step = step;
    this.#cuts = cuts;
    this.flops = step.lists.reduce((sum, { flops }) => sum + flops, 0);
  }

  /**
   * Runs the step once more, after everything called so far.
   *
   * @param part  of a step that yields: the part to run, from 0; all by default
   * @throws UseError after dispose() and for a part that there is not
   */
  replay(part?: number): void {
    if (this.#disposed) throw new UseError('capture: it must not be replayed after dispose().');
    const { lists } = this.#step;
    const ends = [...this.#cuts, lists.length];
    if (part !== undefined && ends[part] === undefined)
      throw new UseError(`capture: the part must be within 0 to ${ends.length - 1}, got ${part}.`);
    this.#gpu.replay(part === undefined ? lists : lists.slice(ends[part - 1] ?? 0, ends[part]));
  }

  /** Frees the outputs and every buffer between. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const tensor of this.#step.result) tensor.dispose();
    this.#step.pool.dissolve();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Records `step` on inputs that exist; nothing runs. */
export function capture<T extends StepResult>(
  gpu: Gpu,
  step: Step<T>,
  inputs: readonly Tensor[],
): Capture<T> {
  let outputs: T | undefined;
  const cuts: number[] = [];
  const whole = (...inputs: Tensor[]): T => {
    const result = step(...inputs);
    if (!isGenerator(result)) return result;
    for (;;) {
      const { done, value } = result.next();
      if (done) return value;
      cuts.push(gpu.recorder.cut());
    }
  };
  const recorded = recordStep(gpu, 'capture', whole, inputs, (result) => {
    const [kept, tensors] = detached(gpu, result);
    outputs = kept;
    return tensors;
  });
  return new Capture(gpu, outputs as T, recorded, cuts);
}

function isGenerator<T extends StepResult>(
  result: T | Generator<undefined, T, undefined>,
): result is Generator<undefined, T, undefined> {
  return result !== undefined && typeof (result as Generator).next === 'function';
}

/** Traces `step` without running or keeping anything. */
export function dryRun(
  gpu: Gpu,
  step: (...inputs: Tensor[]) => StepResult,
  limits?: DeviceLimits,
): RecordedStep<Tensor[]> {
  gpu.assumedLimits = limits;
  try {
    return recordStep(gpu, 'plan', step, [], (result) => {
      for (const tensor of detached(gpu, result)[1]) tensor.dispose();
      return [];
    });
  } finally {
    gpu.assumedLimits = undefined;
  }
}

/** @param keep  takes what the step returned; gives back the tensors that may outlive it */
function recordStep<T extends StepResult>(
  gpu: Gpu,
  purpose: StepPurpose,
  step: (...inputs: Tensor[]) => T,
  inputs: readonly Tensor[],
  keep: (result: T) => Tensor[],
): RecordedStep<Tensor[]> {
  const recorded = gpu.recordStep(purpose, () => {
    using scope = new Scope();
    const result = step(...inputs.map((tensor) => tensor.in(scope)));
    if (result instanceof Promise)
      throw new UseError(
        `${purpose}: the step must be synchronous, got a promise. Read results after it, not within it.`,
      );
    return keep(result);
  });
  const buffers = new Set(recorded.result.map((tensor) => tensor.range.buffer));
  const made = [...buffers].filter(({ pool }) => pool === recorded.pool).length;
  const left = recorded.pool.lent - made;
  if (left === 0) return recorded;
  for (const tensor of recorded.result) tensor.dispose();
  if (purpose === 'capture') recorded.pool.dissolve();
  throw new UseError(
    `${purpose}: the step must dispose or return every tensor it makes, got ${left} more. Use a scope or the inputs that it is called with, and have gradients made before (zeros in \`grad\`, or enableGradients()).`,
  );
}

/** Handles on the tensors of a result that are detached and in no scope, in the form of the result. */
function detached<T extends StepResult>(gpu: Gpu, result: T): [T, Tensor[]] {
  if (!result) return [result, []];
  const tensors: Tensor[] = [];
  const cut = (tensor: Tensor): Tensor => {
    const handle = tensor.alias();
    if (handle.range.buffer.pool === gpu.pool) tensor.dispose(); // else it was there before
    tensors.push(handle);
    return handle;
  };
  const kept =
    result instanceof Tensor
      ? cut(result)
      : Array.isArray(result)
        ? result.map(cut)
        : Object.fromEntries(Object.entries(result).map(([name, tensor]) => [name, cut(tensor as Tensor)]));
  return [kept as T, tensors];
}
