import type { DType, Engine, Tensor } from '../engine/index.ts';

/** One op at one shape. */
export interface BenchCase {
  readonly op: string;
  /** As printed: '729x1152'. */
  readonly shape: string;
  /** Of the operands; f32 by default. */
  readonly dtype?: DType;
  /** Of one run. */
  readonly flops?: number;
  /** Bytes read and written by one run, each counted once. */
  readonly bytes?: number;
  /** Part of `--quick`. */
  readonly quick?: boolean;
  /** Largest `maxError` that counts as right; default 1e-4, for sums of moderate length of numbers of size 1. */
  readonly tolerance?: number;
  /**
   * `device` (default) adds up the kernels' own times. `wall` is for runs of which clears, copies or the host's work are
   * a part: those have no timestamps.
   */
  readonly clock?: 'device' | 'wall';
  /** Makes the inputs: tensors of the engine given are freed after the case. */
  prepare(engine: Engine): Prepared;
}

export interface Prepared {
  /** Issues the op once. The result is disposed, unless it is one of the inputs. */
  run(): Tensor;
  /** Compares the result with a reference. */
  maxError(out: Tensor): Promise<number>;
  /** Frees what else `prepare` made. */
  dispose?(): void;
}

export const DEFAULT_TOLERANCE = 1e-4;
