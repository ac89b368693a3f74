/** Every error the engine throws on purpose. `code` is stable; the message says what to do. */
export class EngineError extends Error {
  /** Kind of error, the same in all versions: shape, dtype, use, device-lost, adapter, memory, shader and others. */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Shapes or arguments do not fit together. Thrown synchronously by the op that was called. */
export class ShapeError extends EngineError {
  constructor(message: string) {
    super('shape', message);
  }
}

/** An operand has a dtype the op does not take. */
export class DTypeError extends EngineError {
  constructor(message: string) {
    super('dtype', message);
  }
}

/** A tensor or scope was used after it was disposed, or tensors of two devices were mixed. */
export class UseError extends EngineError {
  constructor(message: string) {
    super('use', message);
  }
}

/** The GPU device is gone; pending reads reject with this. */
export class DeviceLostError extends EngineError {
  constructor(message: string) {
    super('device-lost', message);
  }
}

/** No adapter, or one that lacks what was asked for. */
export class AdapterError extends EngineError {
  constructor(message: string) {
    super('adapter', message);
  }
}

/** A buffer does not fit into the device's limits or memory. */
export class MemoryError extends EngineError {
  constructor(message: string) {
    super('memory', message);
  }
}

/** A shader did not compile; the message holds the numbered source around the fault. */
export class ShaderError extends EngineError {
  constructor(message: string) {
    super('shader', message);
  }
}

/** What a value is, for messages: `undefined`, `a number`, `an Int8Array`, `a list`. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return `${value}`;
  if (Array.isArray(value)) return 'a list';
  const name = typeof value === 'object' ? (value.constructor?.name ?? 'Object') : typeof value;
  return `${/^[aeiou]/i.test(name) && !name.startsWith('Ui') ? 'an' : 'a'} ${name}`;
}

/**
 * Checks an op's argument: throws `<op>: <rule>, got <got>. <todo>` when `condition` is false.
 *
 * @throws ShapeError
 */
export function expect(
  condition: boolean,
  op: string,
  rule: string,
  got: string,
  todo = '',
): asserts condition {
  if (!condition) throw new ShapeError(`${op}: ${rule}, got ${got}.${todo ? ` ${todo}` : ''}`);
}

/**
 * Checks that options are an object of known keys: a misspelt option would be left unused.
 *
 * @param known  all keys of T, which the compiler checks
 * @throws ShapeError
 */
export function expectKeys<T extends object>(
  op: string,
  options: T,
  known: Readonly<Record<keyof T, true>>,
): void {
  const isObject = typeof options === 'object' && options !== null;
  const names = Object.keys(known).join(', ');
  expect(isObject, op, `options must be an object of ${names}`, kindOf(options));
  for (const key in options) expect(Object.hasOwn(known, key), op, `an option must be one of ${names}`, key);
}

/**
 * Checks that an op's operand is a tensor, for callers without TypeScript. An op begins with this or `expectDType`.
 *
 * @throws ShapeError
 */
export function expectTensor(op: string, name: string, tensor: { readonly dtype: string }): void {
  // What is no tensor comes here too, as undefined or null.
  const isTensor = typeof tensor?.dtype === 'string' && 'shape' in tensor;
  expect(isTensor, op, `${name} must be a tensor`, kindOf(tensor), 'Make one by engine.tensor().');
}

/**
 * Checks the dtype of an op's operand, and that it is a tensor.
 *
 * @throws DTypeError when it is none of `allowed`; ShapeError when it is no tensor
 */
export function expectDType(
  op: string,
  name: string,
  tensor: { readonly dtype: string },
  ...allowed: readonly string[]
): void {
  expectTensor(op, name, tensor);
  if (!allowed.includes(tensor.dtype))
    throw new DTypeError(`${op}: ${name} must be ${allowed.join(' or ')}, got ${tensor.dtype}. Use cast().`);
}

/** Our own broken invariant. */
export function internal(condition: boolean, what: string): asserts condition {
  if (!condition) throw new EngineError('internal', `internal: ${what}`);
}
