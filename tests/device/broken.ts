// Engines whose kernels are wrong on purpose, for the proofs that must find them.
import * as assert from 'uvu/assert';
import type { Gpu } from '../../engine/gpu/gpu.ts';
import { Kernel } from '../../engine/gpu/kernel.ts';
import type { FastKernel, Target } from '../../engine/gpu/target.ts';
import { Engine } from '../../engine/index.ts';
import { tileBytes } from '../../engine/ops/shared_tile.ts';
import { type FastPath, leaveOut, proveAll } from '../../engine/self_test.ts';
import { askedTier, engine } from '../harness.ts';

/** Tiles of 32 alone, and five numbers per row for attention: a CPU compiles larger ones for minutes. */
const SMALL = { workgroupBytes: tileBytes(32, 80) + 20 * 32 };

/** An engine planned as for a GPU, or as it is. */
export const opened = (kind: Target['kind']): Promise<Engine> =>
  Engine.create({ tier: askedTier, target: { ...engine.target, ...(kind === 'gpu' && SMALL), kind } });

/** Has every kernel of that entry be tried with a part of its text replaced. */
export function breakKernel(gpu: Gpu, entry: string, part: string, replacement: string): void {
  const { sibling } = gpu;
  const broken = new Map<Kernel, Kernel>();
  gpu.sibling = () => {
    const trial = sibling.call(gpu);
    const { run } = trial;
    trial.run = (kernel, bind, call) => {
      let used = kernel;
      if (kernel.entry === entry) {
        const source = kernel.source.replace(part, replacement);
        assert.is.not(source, kernel.source, `${entry} has no "${part}"`);
        used = broken.get(kernel) ?? new Kernel(source, entry);
        broken.set(kernel, used);
      }
      run.call(trial, used, bind, call);
    };
    return trial;
  };
}

/** A fault: the entry point that has it, the part of its text that is replaced, and by what. */
export interface Fault {
  readonly path: FastPath;
  readonly kind: Target['kind'];
  readonly entry: string;
  readonly part: string;
  readonly replacement: string;
  /** What is then left out. */
  readonly kernel: FastKernel;
}

/** Throws unless the fault is found, named and left out. */
export async function expectFound({ path, kind, entry, part, replacement, kernel }: Fault): Promise<void> {
  const other = await opened(kind);
  breakKernel(other.gpu, entry, part, replacement);
  const proofs = await proveAll(other.gpu, [path]);
  assert.is(proofs.length, 1);
  assert.match(proofs[0].fault ?? 'no fault', /^\S+ instead of \S+ as number \d+ of /);
  const [sentence] = leaveOut(other.gpu, [path], proofs);
  assert.match(sentence, new RegExp(`^engine: ${path.feature} must compute what plain kernels do, got `));
  assert.match(sentence, / They are not used; update the driver\.$/);
  assert.equal(other.target.without, [kernel]);
  other.destroy();
}
