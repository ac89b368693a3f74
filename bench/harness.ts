import type { Engine, Tensor } from '../engine/index.ts';

/** One op at one shape. */
export interface BenchCase {
  readonly op: string;
  /** As printed: '729x1152'. */
  readonly shape: string;
  /** Of one run. */
  readonly flops?: number;
  /** Bytes read and written by one run, each counted once. */
  readonly bytes?: number;
  /** Part of `--quick`. */
  readonly quick?: boolean;
  /** Makes the inputs. `run` issues the op once; `maxError` compares its result with a reference. */
  prepare(engine: Engine): { run(): Tensor; maxError(out: Tensor): Promise<number> };
}
