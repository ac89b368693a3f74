import { expect, expectKeys, expectTensor } from '../gpu/errors.ts';
import { output } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { placeInto, slice } from './copy.ts';
import { take } from './elements.ts';

/** How `pad` fills the border. */
export interface PadOptions {
  /** What the border holds: `value`, the nearest element, the reflection without the edge, or the other end. Default constant. */
  readonly mode?: 'constant' | 'edge' | 'reflect' | 'wrap';
  /** Of mode constant. Default 0. */
  readonly value?: number;
}

/**
 * Adds elements before and after each axis; negative counts remove them. Differentiable.
 *
 * @param x     f32, i32 or u32
 * @param pads  elements before and after, one pair per axis
 * @throws ShapeError when there is not one pair per axis, more is removed than there is, or nothing is there to repeat
 */
export function pad<D extends DType>(
  x: Tensor<D>,
  pads: readonly (readonly [number, number])[],
  options: PadOptions = {},
): Tensor<D> {
  expectTensor('pad', 'x', x);
  expectKeys('pad', options, { mode: true, value: true });
  const { mode = 'constant', value = 0 } = options;
  const counts = pads.map(([before, after]) => `${before} and ${after}`).join(', ');
  const got = `${counts} for x ${show(x.shape)}`;
  expect(pads.length === x.shape.length, 'pad', 'there must be a pair of counts for every axis', got);
  let y: Tensor<D> = x;
  const follow = (next: Tensor<D>): void => {
    if (y !== x) y.dispose();
    y = next;
  };
  pads.forEach(([before, after], d) => {
    if (before >= 0 && after >= 0) return;
    const [first, left] = [Math.max(0, -before), y.shape[d] + Math.min(0, before) + Math.min(0, after)];
    expect(left >= 0, 'pad', 'an axis cannot lose more than it has', got);
    follow(slice(y, { axis: d, start: first, length: left }));
  });
  const added = pads.map(([before, after]) => [Math.max(0, before), Math.max(0, after)]);
  if (mode === 'constant') {
    const shape = y.shape.map((extent, d) => extent + added[d][0] + added[d][1]);
    follow(
      placeInto(
        'pad',
        y,
        shape,
        added.map(([before]) => before),
        value,
      ),
    );
    return y;
  }
  added.forEach(([before, after], d) => {
    const n = y.shape[d];
    if (before + after === 0) return;
    expect(n > 0, 'pad', `mode ${mode} must have elements to repeat`, got);
    using indices = output([y], [before + n + after], 'u32');
    indices.write(Uint32Array.from({ length: indices.size }, (_, i) => SOURCE[mode](i - before, n)));
    follow(take(y, indices, { axis: d }));
  });
  return y === x ? x.reshape(x.shape) : y;
}

/** Which of n elements is read at position i, which may be outside [0, n). */
const SOURCE = {
  edge: (i: number, n: number) => Math.min(Math.max(i, 0), n - 1),
  wrap: (i: number, n: number) => ((i % n) + n) % n,
  reflect: (i: number, n: number) => {
    const period = Math.max(1, 2 * (n - 1));
    const at = ((i % period) + period) % period;
    return Math.min(at, period - at);
  },
} as const;
