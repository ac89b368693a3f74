import source from '../../shaders/finite.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

const mark = kernel(source, 'mark_non_finite');
const markVec4 = kernel(source, 'mark_non_finite_vec4');

/** What a flag holds as long as nothing was found. */
export const NOTHING_FOUND = 0xffffffff;

/** Whether four elements are read together; lavapipe gains nothing by it. */
export function planFinite({ kind }: Target, size: number): boolean {
  return kind === 'gpu' && size % 4 === 0;
}

/**
 * Lowers the flag to `opNumber` when an element of x is NaN or infinite. Called after every op with ascending numbers, it tells
 * which op was the first.
 *
 * @param x         f32, any shape
 * @param flag      [1] u32, `NOTHING_FOUND` at the beginning
 * @param opNumber  integer in [0, NOTHING_FOUND)
 * @throws ShapeError when the flag or the number is something else
 */
export function markNonFinite(x: Tensor, flag: Tensor, opNumber: number): void {
  expectDType('markNonFinite', 'x', x, 'f32');
  expectDType('markNonFinite', 'flag', flag, 'u32');
  expect(flag.size === 1, 'markNonFinite', 'the flag must be [1]', show(flag.shape));
  expect(
    Number.isInteger(opNumber) && opNumber >= 0 && opNumber < NOTHING_FOUND,
    'markNonFinite',
    'opNumber must be an integer in [0, 2^32 - 1)',
    `${opNumber}`,
  );
  const byFours = planFinite(x.gpu.target, x.size);
  const n = byFours ? x.size / 4 : x.size;
  run(byFours ? markVec4 : mark, {
    bind: { [byFours ? 'x4' : 'x']: x, flag },
    params: { n, op_number: opNumber },
    groups: Math.ceil(n / mark.workgroupSize),
  });
}
