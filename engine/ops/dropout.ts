import source from '../../shaders/dropout.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, UseError } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { expectU32 } from '../tensor/random.ts';
import { show } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { RandomKey } from './random.ts';

const drop = kernel(source, 'dropout');

/** What `dropout` leaves out: equal keys and steps leave out the same elements on every adapter. */
export interface DropoutOptions extends RandomKey {
  /** Chance that an element is left out, in [0, 1). */
  readonly p: number;
  /**
   * Number of the step, by which masks differ from one to the next: a whole number, default 0, or u32 [1] on the GPU,
   * which a captured step needs and advances after `backward`, as by `step.write(add(step, 1))`.
   */
  readonly step?: number | Tensor;
}

/**
 * y = x / (1 - p) with probability 1 - p, else 0: for training alone. Layers take different streams. Differentiable;
 * the mask is drawn again in backward and never kept, so that `step` must not change before it.
 *
 * @param x  f32
 * @throws ShapeError when p is outside [0, 1) or the step is not one number; UseError for a number in a capture
 * Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor<'f32'> {
  expectDType('dropout', 'x', x, 'f32');
  expectKeys('dropout', options, { p: true, step: true, seed: true, stream: true });
  const { p, step = 0, seed, stream = 0 } = options;
  expect(p >= 0 && p < 1, 'dropout', 'p must be in [0, 1)', `${p}`);
  expectU32('seed', seed);
  expectU32('stream', stream);
  if (step instanceof Tensor) {
    expectDType('dropout', 'step', step, 'u32');
    expect(step.size === 1, 'dropout', 'step must have one element', show(step.shape));
  } else {
    expectU32('step', step);
    if (x.gpu.purpose === 'capture')
      throw new UseError(
        `dropout: the step must be on the GPU in a capture, whose replays would all leave out the same, got ${step}. Pass u32 [1], and advance it in the capture.`,
      );
  }
  const dropped = (x: Tensor, steps: Tensor | undefined): Tensor<'f32'> => {
    const y = output([x], x.shape);
    runEach(drop, {
      bind: { x, steps, y },
      define: { ON_GPU: steps !== undefined },
      params: {
        ...{ n: Math.ceil(x.size / 2), elements: x.size, seed, stream },
        step: typeof step === 'number' ? step : 0,
        threshold: Math.floor(p * 2 ** 32),
        scale: 1 / (1 - p),
      },
    });
    return y;
  };
  const steps = step instanceof Tensor ? step : undefined;
  return record('dropout', {
    inputs: [x],
    output: dropped(x, steps),
    saved: { steps },
    backward: (dy, { steps }) => [dropped(dy, steps)],
  });
}
