// Numbers of JavaScript that become a tensor: what is taken as which dtype, and what is refused.
import { DTypeError, expect, kindOf } from '../gpu/errors.ts';
import { ARRAYS, type DType } from './tensor.ts';

/** Numbers in JavaScript: a typed array or a list. */
export type NumberArray = ArrayLike<number> & (ArrayBufferView | readonly number[]);

/** The dtype that an array is uploaded as unless another is asked for. */
export type DTypeOfArray<A extends NumberArray> = A extends Int32Array
  ? 'i32'
  : A extends Uint32Array
    ? 'u32'
    : A extends Uint8Array | Uint8ClampedArray
      ? 'u8'
      : 'f32';

const TOLD: readonly (readonly [new (length: number) => ArrayBufferView, DType])[] = [
  [Float32Array, 'f32'],
  [Float64Array, 'f32'],
  [Int32Array, 'i32'],
  [Uint32Array, 'u32'],
  [Uint8Array, 'u8'],
  [Uint8ClampedArray, 'u8'],
];

/**
 * The array that is uploaded as a dtype: `data` itself where it has the type, a converted one otherwise.
 *
 * @param dtype  default: told by the array
 * @throws ShapeError when `data` is no list of numbers, or a number of it does not exist in an integer dtype
 * @throws DTypeError when the array tells no dtype
 */
export function numbersOf(
  data: unknown,
  dtype?: DType,
): { dtype: DType; numbers: ArrayBufferView & ArrayLike<number> } {
  const told = Array.isArray(data) ? 'f32' : TOLD.find(([Numbers]) => data instanceof Numbers)?.[1];
  const list = listOf(data);
  const asked = dtype ?? told;
  if (asked === undefined)
    throw new DTypeError(
      `tensor: the dtype of ${kindOf(data)} must be named, got none. Pass { dtype }, or convert the array.`,
    );
  const Numbers = ARRAYS[asked];
  if (Numbers === undefined)
    throw new DTypeError(
      `tensor: the dtype must be ${Object.keys(ARRAYS).join(', ')}, got ${asked}. Pass one of these.`,
    );
  if (data instanceof Numbers) return { dtype: asked, numbers: data };
  if (asked === 'f16' || asked === 'bf16')
    throw new DTypeError(
      `tensor: ${asked} must come as 16-bit patterns in a Uint16Array, got ${kindOf(data)}. Use cast().`,
    );
  const numbers = Numbers.from(list);
  const lost = asked === 'f32' ? -1 : numbers.findIndex((value, i) => value !== list[i]);
  expect(lost < 0, 'tensor', `data must be whole numbers that ${asked} has`, `${list[lost]} at ${lost}`);
  return { dtype: asked, numbers };
}

/** The numbers as a list. @throws ShapeError when there is something else among them */
function listOf(data: unknown): ArrayLike<number> {
  const todo = 'Pass one of these.';
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  if (ArrayBuffer.isView(data) && 'length' in data && !isBig)
    return data as ArrayBufferView & ArrayLike<number>;
  expect(
    Array.isArray(data),
    'tensor',
    'data must be a typed array or a list of numbers',
    kindOf(data),
    todo,
  );
  const list: readonly unknown[] = data;
  const at = list.findIndex((value) => typeof value !== 'number');
  const flatten = Array.isArray(list[at]) ? 'Flatten it, and pass its shape.' : 'Convert it to a number.';
  expect(at < 0, 'tensor', 'every item of data must be a number', `${kindOf(list[at])} at ${at}`, flatten);
  return data;
}

const INTEGERS = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** The bit pattern of a number in a dtype. @throws ShapeError for one that an integer dtype does not have */
export function bitsOf(op: string, value: number, dtype: DType): number {
  if (dtype !== 'i32' && dtype !== 'u32') return new Uint32Array(Float32Array.of(value).buffer)[0];
  const [low, high] = INTEGERS[dtype];
  const fits = Number.isInteger(value) && value >= low && value <= high;
  expect(
    fits,
    op,
    `a number beside ${dtype} must be a whole number from ${low} to ${high}`,
    `${value}`,
    'Use cast().',
  );
  return value >>> 0;
}
