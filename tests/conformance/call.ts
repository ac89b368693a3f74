// One operator case of a file: its operands on demand, on the device or as numbers, and its attributes.
import {
  cast,
  type Engine,
  type SafetensorsData,
  type SafetensorsDType,
  type Scope,
  type Tensor,
} from '../../engine/index.ts';

/** An operand or a result as the file holds it. */
export interface Value {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly numbers: SafetensorsData;
}

export type Attribute = number | string | readonly number[];

/** The case cannot be replayed, for a reason that many cases share. */
export class Skip extends Error {}

/** Numbers of any array; integers of 64 bits lose what exceeds 2^53. */
export function toNumbers(data: SafetensorsData): number[] {
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

/** What an operator's function works with. Tensors live in the scope of the case. */
export class Call {
  readonly engine: Engine;
  readonly scope: Scope;
  readonly opset: number;
  /** Operands in the order of the definition; undefined where an optional one is absent. */
  readonly values: readonly (Value | undefined)[];
  /** How many results the node asks for; names of absent ones are empty. */
  readonly outputs: readonly string[];
  readonly #attributes: Readonly<Record<string, Attribute>>;

  constructor(
    engine: Engine,
    scope: Scope,
    opset: number,
    values: readonly (Value | undefined)[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
  ) {
    this.engine = engine;
    this.scope = scope;
    this.opset = opset;
    this.values = values;
    this.outputs = outputs;
    this.#attributes = attributes;
  }

  has(i: number): boolean {
    return this.values[i] !== undefined;
  }

  /** Operand i on the device. */
  x(i: number): Tensor {
    const value = this.values[i];
    if (!value) throw new Error(`operand ${i} is absent`);
    return this.upload(value);
  }

  /**
   * A value as the engine computes with it: half precision as f32, BOOL as f32 of 0 and 1, bytes and integers of 64 bits, which
   * must fit, as integers of 32 bits.
   */
  upload({ dtype, shape, numbers }: Value): Tensor {
    const { engine, scope } = this;
    switch (dtype) {
      case 'F32':
      case 'F16':
      case 'BF16':
      case 'BOOL':
        return engine.tensor(Float32Array.from(numbers as Float32Array), shape, { scope });
      case 'U8':
        return cast(engine.tensor(numbers as Uint8Array, shape, { scope, dtype: 'u8' }), 'i32');
      case 'I32':
        return engine.tensor(numbers as Int32Array, shape, { scope });
      case 'U32':
        return engine.tensor(numbers as Uint32Array, shape, { scope });
      case 'I64':
      case 'U64': {
        const exact = toNumbers(numbers);
        const narrow = dtype === 'I64' ? Int32Array.from(exact) : Uint32Array.from(exact);
        if (exact.some((number, e) => number !== narrow[e])) throw new Skip(`${dtype} beyond 32 bits`);
        return engine.tensor(narrow, shape, { scope });
      }
      default:
        throw new Skip(dtype);
    }
  }

  /** Operand i as numbers, for shapes, axes and the like; undefined when it is absent. */
  numbers(i: number): number[] | undefined {
    const value = this.values[i];
    return value && toNumbers(value.numbers);
  }

  number(name: string, otherwise: number): number {
    return (this.#attributes[name] as number | undefined) ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    return (this.#attributes[name] as string | undefined) ?? otherwise;
  }

  list(name: string): readonly number[] | undefined {
    return this.#attributes[name] as readonly number[] | undefined;
  }

  /** A number that broadcasts to anything. */
  constant(value: number, like: Tensor): Tensor {
    return this.engine.full([], value, { dtype: like.dtype, scope: this.scope });
  }
}

/** Runs one operator; a single result stands for a list of one. */
export type Operator = (call: Call) => Tensor | readonly (Tensor | undefined)[];
