import type { DType, Engine, Tensor, Tier } from '../engine/index.ts';
import type { PeerOp } from './peers/peer.ts';

/** This engine, among the libraries that are measured. */
export const LIBRARY = 'ps3-webgpu';
export const isOurs = ({ library }: { readonly library: string }): boolean => library === LIBRARY;

/** One op at one shape. */
export interface BenchCase {
  readonly op: string;
  /** As printed: '729x1152'. */
  readonly shape: string;
  /** Lowest tier of an engine that has the kernel; default 0. */
  readonly tier?: Tier;
  /** Of the operands; f32 by default. */
  readonly dtype?: DType;
  /** Of one run. */
  readonly flops?: number;
  /** Bytes read and written by one run, each counted once. */
  readonly bytes?: number;
  /** Part of `--quick`, unless this adapter is too slow for it. */
  readonly quick?: boolean;
  /** Largest `maxError` that counts as right; default 1e-4, for sums of moderate length of numbers of size 1. */
  readonly tolerance?: number;
  /**
   * `device` (default) is the device's own time of many runs in one pass. `wall` is for runs of which clears, copies or the host's work are
   * a part: those have no timestamps. `host` is the time until everything is submitted.
   */
  readonly clock?: 'device' | 'wall' | 'host';
  /** What other libraries are asked for, on the operands that `prepare` uploads. */
  readonly peer?: PeerOp;
  /** Makes the inputs: tensors of the engine given are freed after the case. */
  prepare(engine: Engine): Prepared;
}

/** What a check reads: a tensor, or the result of another library. */
export type Result = Pick<Tensor, 'data' | 'dispose'>;

/** What the host does in a step of the trainer, once everything is recorded and compiled. */
export interface StepCosts {
  /** From the batch in host memory to the losses read back, medians of some steps. */
  readonly recordedStepMs: number;
  /** Of it, until everything is submitted: JavaScript and what the device's API does within. */
  readonly hostMs: number;
  readonly buffersPerStep: number;
  readonly bindGroupsPerStep: number;
}

export interface Prepared {
  /** What a run consists of, if its time is to be given per part. */
  readonly parts?: number;
  /** Issues the op once. The result is disposed, unless it is one of the inputs. */
  run(): Tensor;
  /** Compares the result with a reference; `again` runs the op once more, for those whose runs build on each other. */
  maxError(out: Result, again: () => Result): Promise<number>;
  /** Of a training step: what the host does in the trainer's own. */
  stepCosts?(): Promise<StepCosts>;
  /** Frees what else `prepare` made. */
  dispose?(): void;
}

export const DEFAULT_TOLERANCE = 1e-4;
