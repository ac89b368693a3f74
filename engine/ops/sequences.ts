// Where sequences lie behind each other in rows of tokens: the host's side of shaders/lib/sequence.wgsl.
import { expect, expectDType } from '../gpu/errors.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** @throws ShapeError unless they are i32 [S + 1] or [B, S + 1] */
export function expectSequences(op: string, sequences: Tensor, B: number): void {
  expectDType(op, 'sequences', sequences, 'i32');
  const { shape, size } = sequences;
  const fits = shape.length === 1 || (shape.length === 2 && shape[0] === B);
  expect(fits && size > 0, op, `sequences must be [S + 1] or [${B}, S + 1]`, show(shape));
}

/** Params of a kernel that reads them. */
export function sequenceParams({ shape }: Tensor): { boundaries: number; sequences_row: number } {
  const boundaries = shape.at(-1)!;
  return { boundaries, sequences_row: shape.length === 1 ? 0 : boundaries };
}
