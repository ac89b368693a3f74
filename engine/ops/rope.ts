import source from '../../shaders/rope.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { expectSequences, sequenceParams } from './sequences.ts';

const rotate = kernel(source, 'rope');

/** What `rope` rotates, and by how much. */
export interface RopeOptions {
  /** Heads to rotate, the first of a token; columns after them are copied. Default: all. */
  readonly heads?: number;
  /**
   * Position of the first token, default 0; or i32 on the GPU, where it may change from replay to replay of a
   * capture: [1] for the whole batch, or [B]. A negative one leaves room for padding on the left.
   */
  readonly offset?: number | Tensor;
  /**
   * In place of offset: where sequences begin that lie behind each other in each row, and where the last one ends, i32
   * [S + 1] or [B, S + 1], as `attention` takes them. Positions are counted from the first token of each.
   */
  readonly sequences?: Tensor;
}

/**
 * Rotary position embedding: token t of each row is rotated by the angles (offset + t) frequencies, or by those of its
 * place in its sequence, the coordinate i of a head with i + K/2 ("rotate half"). Differentiable in x.
 *
 *     const [q, k, v] = unpackHeads(rope(qkv, frequencies, { heads: 2 * H }), { parts: 3, heads: H });
 *
 * @param x            [B, T, ...] f32; the columns of a token are heads of K and, after them, what is only copied
 * @param frequencies  [K / 2] f32, usually theta^(-2i / K); angles are products in f32
 * @returns            the shape of x
 * @throws ShapeError when the heads do not fit a token, or offset or sequences have another shape
 * Source: Su et al. 2021, arXiv:2104.09864.
 */
export function rope(x: Tensor, frequencies: Tensor, options: RopeOptions = {}): Tensor<'f32'> {
  expectDType('rope', 'x', x, 'f32');
  expectDType('rope', 'frequencies', frequencies, 'f32');
  expectKeys('rope', options, { heads: true, offset: true, sequences: true });
  const rule = 'x must be [B, T, ...] and frequencies [K / 2]';
  const given = `x ${show(x.shape)} and frequencies ${show(frequencies.shape)}`;
  expect(x.shape.length >= 3 && frequencies.shape.length === 1 && frequencies.size > 0, 'rope', rule, given);
  const [B, T] = x.shape;
  const width = x.shape.slice(2).reduce((columns, extent) => columns * extent, 1);
  const K = 2 * frequencies.size;
  const { heads = width / K, offset = 0, sequences } = options;
  expect(
    Number.isInteger(heads) && heads >= 1 && heads * K <= width,
    'rope',
    `the heads of ${K} columns must fit a token of ${width}`,
    `heads = ${heads}`,
  );
  if (offset instanceof Tensor) {
    expectDType('rope', 'offset', offset, 'i32');
    expect(
      offset.shape.length === 1 && (offset.size === 1 || offset.size === B),
      'rope',
      `offset must be [1] or [${B}]`,
      show(offset.shape),
    );
  } else expect(Number.isInteger(offset), 'rope', 'offset must be a whole number or a tensor', `${offset}`);

  if (sequences) {
    expectSequences('rope', sequences, B);
    expect(options.offset === undefined, 'rope', 'sequences must stand without offset', 'both');
  }

  const offsets = offset instanceof Tensor ? offset : undefined;
  const rotated = (x: Tensor, saved: Readonly<Record<string, Tensor | undefined>>, sign: 1 | -1) => {
    const y = output([x], x.shape);
    const { offsets, sequences } = saved;
    run(rotate, {
      bind: { x, ...saved, y },
      params: {
        ...{ rows: B * T, T, pairs: K / 2, heads, width, sign },
        offset: typeof offset === 'number' ? offset : 0,
        ...(sequences ? sequenceParams(sequences) : { boundaries: 0, sequences_row: 0 }),
      },
      define: {
        OFFSET: offsets ? (offsets.size === 1 ? 'SHARED' : 'OWN') : 'NUMBER',
        RESTARTS: sequences !== undefined,
      },
      groups: Math.ceil((B * T * K) / 2 / rotate.workgroupSize),
      flops: 6 * B * T * heads * K,
    });
    return y;
  };
  const saved = { frequencies, offsets, sequences };
  return record('rope', {
    inputs: [x],
    output: rotated(x, saved, 1),
    saved,
    backward: (dy, saved) => [rotated(dy, saved, -1)],
  });
}
