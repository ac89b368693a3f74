import source from '../../shaders/quantize.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run, runEach } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { FLOATS } from './matmul/product.ts';
import { bindableRows } from './matmul/rows.ts';

const toIntegers = kernel(source, 'quantize');
const toFloats = kernel(source, 'dequantize');

/** How a matrix is stored in integers. */
export interface QuantizeOptions {
  /** Bits of an integer; default 4. */
  readonly bits?: 4 | 8;
  /** Neighbours of a row that share a factor; default 32. */
  readonly group?: 32 | 128;
}

/**
 * A matrix [N, K] of integers of 4 or 8 bits with a factor for each group of neighbours of a row: a weight of `inferenceLinear` or a
 * table of `embedding`. Made by `quantize`, or of tensors that were stored.
 *
 * Symmetric: a weight is factor times integer, without a zero point, which costs a second sum in every product and gains little
 * on trained weights, whose groups have both signs.
 */
export class QuantizedMatrix {
  /** [N, K] */
  readonly shape: readonly [number, number];
  /** Bits of an integer. */
  readonly bits: 4 | 8;
  /** Neighbours along K that share a factor. */
  readonly group: number;
  /** [N, K bits / 32], the integers in two's complement, the first in the lowest bits. */
  readonly values: Tensor<'u32'>;
  /** [N, K / group], what integers are multiplied by. */
  readonly scales: Tensor<'f16'>;

  /**
   * Takes over both tensors.
   *
   * @throws ShapeError when they do not fit each other; DTypeError when they are not u32 and f16
   */
  constructor(values: Tensor<'u32'>, scales: Tensor<'f16'>, options: { readonly bits: 4 | 8 }) {
    const op = 'QuantizedMatrix';
    expectDType(op, 'values', values, 'u32');
    expectDType(op, 'scales', scales, 'f16');
    expectKeys(op, options, { bits: true });
    const { bits } = options;
    expectBits(op, bits);
    const [N, words] = values.shape;
    const K = (words * 32) / bits;
    const group = K / scales.shape[1];
    expect(
      values.shape.length === 2 && scales.shape.length === 2 && scales.shape[0] === N && isGroup(group),
      op,
      `values must be [N, K / ${32 / bits}] and scales [N, K / 32] or [N, K / 128]`,
      `${show(values.shape)} and ${show(scales.shape)}`,
    );
    this.shape = [N, K];
    this.bits = bits;
    this.group = group;
    this.values = values;
    this.scales = scales;
  }

  /** Bytes of integers and factors. */
  get sizeBytes(): number {
    return this.values.sizeBytes + this.scales.sizeBytes;
  }

  /** Frees both tensors. */
  dispose(): void {
    this.values.dispose();
    this.scales.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What `embedding` does: rows by index, zeros where there is none. @internal */
  rows(indices: Tensor): Tensor<'f32'> {
    const [N, K] = this.shape;
    const y = output([this.values, indices], [...indices.shape, K]);
    const step = bindableRows(this.values, N);
    for (let first = 0; first < N; first += step)
      this.#widen(y, first, Math.min(step, N - first), { first, N }, indices);
    return y;
  }

  /** Rows [first, first + count) in f32; the caller disposes them. @internal */
  strip(first: number, count: number): Tensor {
    const y = output([this.values], [count, this.shape[1]]).keep();
    this.#widen(y, first, count, { first: 0, N: count });
    return y;
  }

  #widen(y: Tensor, row: number, count: number, sees: { first: number; N: number }, indices?: Tensor): void {
    const { values, scales, bits, group } = this;
    const K = this.shape[1];
    const load = 128 / bits;
    using matrix = values.view(row * values.shape[1], [count, values.shape[1]]);
    using row_factors = scales.view(row * scales.shape[1], [count, scales.shape[1]]);
    runEach(toFloats, {
      bind: { matrix, row_factors, indices, y },
      params: { n: y.size / load, loads: K / load, end: sees.first + count, ...sees },
      define: { B_TYPE: `INT${bits}`, LOAD: load, PER_FACTOR: group, HAS_INDICES: indices !== undefined },
      flops: y.size,
    });
  }
}

const isGroup = (group: number): boolean => group === 32 || group === 128;

function expectBits(op: string, bits: number): void {
  expect(bits === 4 || bits === 8, op, 'bits must be 4 or 8', `${bits}`);
}

/**
 * Stores a matrix in integers of 4 or 8 bits, for inference: 4.5 or 8.5 bits a weight with groups of 32.
 *
 * Of a group with m its element of largest magnitude, 8 bits hold round(w / factor) in [-127, 127] with factor |m| / 127; 4 bits
 * hold them in [-8, 7] with factor m / -8, so that m itself is exact. Errors are half a factor at most, a whole one at the end
 * of 4 bits that m does not have.
 *
 * @param weight  [N, K] f32, f16 or bf16; K divides by the group. It stays the caller's
 * @returns       in the scope of weight
 * @throws ShapeError when K does not divide by the group
 */
export function quantize(weight: Tensor, options: QuantizeOptions = {}): QuantizedMatrix {
  const op = 'quantize';
  expectDType(op, 'weight', weight, ...FLOATS);
  expectKeys(op, options, { bits: true, group: true });
  const { bits = 4, group = 32 } = options;
  expectBits(op, bits);
  expect(isGroup(group), op, 'group must be 32 or 128', `${group}`);
  const [N, K] = weight.shape;
  expect(
    weight.shape.length === 2 && K % group === 0,
    op,
    `weight must be [N, K] with K divisible by ${group}`,
    show(weight.shape),
  );
  const values = output([weight], [N, (K * bits) / 32], 'u32');
  const scales = output([weight], [N, K / group], 'f16');
  const step = bindableRows(weight, N);
  for (let first = 0; first < N; first += step) {
    const count = Math.min(step, N - first);
    using source = weight.view(first * K, [count, K]);
    using part = values.view(first * values.shape[1], [count, values.shape[1]]);
    using factors = scales.view(first * scales.shape[1], [count, scales.shape[1]]);
    run(toIntegers, {
      bind: { source, values: part, factors },
      params: { n: factors.size, loads: 0, first: 0, end: 0, N },
      define: {
        SOURCE: weight.dtype.toUpperCase(),
        B_TYPE: `INT${bits}`,
        LOAD: 128 / bits,
        PER_FACTOR: group,
      },
      groups: Math.ceil(factors.size / 2 / toIntegers.workgroupSize),
      flops: 4 * source.size,
    });
  }
  return new QuantizedMatrix(values, scales, { bits });
}
