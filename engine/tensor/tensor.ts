// A tensor is a handle on a range of a GPU buffer: contiguous, row-major. Handles share storage by counting
// references; ops never consume their inputs.
//
// Who frees what: `dispose()` or `using` frees one handle. A scope frees every handle that lives in it. Results
// live where their inputs live: in the innermost scope among the inputs. So tagging the input of a computation
// is enough, and nothing depends on which function is running: scopes are safe across `await`.

import type { BufferRange, BufferSlice } from '../gpu/buffer.ts';
import { DTypeError, expect, kindOf, UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { dropVariable, holdVariable, leafVariable, type Node, record } from './autograd.ts';
import { resolveReshape, type Shape, show, size } from './shape.ts';
import { Storage } from './storage.ts';

/** Element types. f32, i32 and u32 compute; u8 holds images; f16 and bf16 are storage. */
export type DType = 'f32' | 'i32' | 'u32' | 'u8' | 'f16' | 'bf16';

export const BYTES_PER_ELEMENT: Readonly<Record<DType, number>> = {
  f32: 4,
  i32: 4,
  u32: 4,
  u8: 1,
  f16: 2,
  bf16: 2,
};

/** What `Tensor.data` returns, by dtype; f16 and bf16 as 16-bit patterns. */
export interface TensorArrays {
  /** Floating-point numbers. */
  f32: Float32Array<ArrayBuffer>;
  /** Signed integers. */
  i32: Int32Array<ArrayBuffer>;
  /** Unsigned integers. */
  u32: Uint32Array<ArrayBuffer>;
  /** Bytes. */
  u8: Uint8Array<ArrayBuffer>;
  /** Bit patterns of halves. */
  f16: Uint16Array<ArrayBuffer>;
  /** The upper halves of the bit patterns of f32. */
  bf16: Uint16Array<ArrayBuffer>;
}

/** What `Tensor.data` returns. */
export type TensorData<D extends DType = DType> = TensorArrays[D];

interface ArrayType<A> {
  new (bytes: ArrayBuffer): A;
  from(numbers: ArrayLike<number>): A;
  readonly name: string;
}

/** The array type of every dtype. */
export const ARRAYS: { readonly [D in DType]: ArrayType<TensorArrays[D]> } = {
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  u8: Uint8Array,
  f16: Uint16Array,
  bf16: Uint16Array,
};

/**
 * Checks what a tensor is made of.
 *
 * @throws ShapeError when the shape is no list of whole numbers from 0
 * @throws DTypeError when there is no such dtype
 */
export function expectNewTensor(op: string, shape: Shape, dtype: DType): void {
  expect(
    Array.isArray(shape),
    op,
    'the shape must be a list of whole numbers from 0',
    `${shape}`,
    'Use [n].',
  );
  const isWhole = shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0);
  expect(isWhole, op, 'every extent must be a whole number from 0', show(shape));
  if (!Object.hasOwn(ARRAYS, dtype))
    throw new DTypeError(`${op}: the dtype must be ${Object.keys(ARRAYS).join(', ')}, got ${dtype}.`);
}

/** What autograd knows of a value; shared by all handles on it. */
export interface Variable {
  requiresGrad: boolean;
  /** The op that made it; undefined for leaves. */
  node: Node | undefined;
  /** Handles and nodes that refer to it. */
  references: number;
  /** Leaves only: the accumulated gradient. */
  grad: Tensor<'f32'> | undefined;
  /** Whether backward made the gradient, and not a store, which keeps it in an arena. */
  ownsGrad: boolean;
  hooks: ((gradient: Tensor<'f32'>) => Tensor<'f32'> | undefined)[];
}

let scopeCount = 0;

/** Owns tensors and frees them together. Make one with `engine.scope()`; results of its tensors join it. */
export class Scope {
  /** Later scopes are inner. */
  readonly order: number = ++scopeCount;
  readonly #tensors = new Set<Tensor>();
  #disposed = false;

  /** Lets a tensor live here; tensors do so themselves. @throws UseError after dispose() */
  add(tensor: Tensor): void {
    if (this.#disposed) throw new UseError('scope: it must not be used after dispose().');
    this.#tensors.add(tensor);
  }

  /** Releases a tensor from the scope without freeing it. */
  remove(tensor: Tensor): void {
    this.#tensors.delete(tensor);
  }

  /** Frees every tensor that lives here. */
  dispose(): void {
    this.#disposed = true;
    for (const tensor of [...this.#tensors]) tensor.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * A handle on elements on the GPU: contiguous, row-major. Made by `engine.tensor` and by ops; see the guide
 * "Tensors and memory". `Tensor` alone is one of any dtype.
 */
export class Tensor<D extends DType = DType> {
  /** The device that it lives on. */
  readonly gpu: Gpu;
  /** Extents, outermost first. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: D;
  /** Number of elements. */
  readonly size: number;
  /** What autograd knows of the value; shared by handles from `in` and `reshape`. */
  readonly variable: Variable;
  /** The memory that it shares with other handles. @internal */
  readonly storage: Storage;
  readonly #range: BufferRange;
  #scope: Scope | undefined;
  #disposed = false;

  /** Takes over one reference on the storage. */
  constructor(
    storage: Storage,
    offsetBytes: number,
    shape: Shape,
    dtype: D,
    scope: Scope | undefined,
    variable?: Variable,
  ) {
    this.gpu = storage.gpu;
    this.shape = shape;
    this.dtype = dtype;
    this.size = size(shape);
    this.storage = storage;
    this.#range = { buffer: storage.buffer, offset: offsetBytes, sizeBytes: this.sizeBytes };
    this.variable = holdVariable(variable ?? leafVariable());
    this.#scope = scope;
    scope?.add(this);
    this.gpu.stats.liveTensors++;
  }

  /** A new tensor, contents undefined. */
  static empty<D extends DType>(gpu: Gpu, shape: Shape, dtype: D, scope?: Scope): Tensor<D> {
    expectNewTensor('tensor', shape, dtype);
    const bytes = size(shape) * BYTES_PER_ELEMENT[dtype];
    return new Tensor(new Storage(gpu, gpu.pool.acquire(bytes, shape)), 0, shape, dtype, scope);
  }

  /** Bytes of the elements. */
  get sizeBytes(): number {
    return this.size * BYTES_PER_ELEMENT[this.dtype];
  }

  /** The scope that it lives in; undefined when the caller owns it. */
  get scope(): Scope | undefined {
    return this.#scope;
  }

  /** Whether this handle was freed. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Whether `backward` brings a gradient to this value. */
  get requiresGrad(): boolean {
    return this.variable.requiresGrad;
  }

  /** The accumulated gradient of a leaf. */
  get grad(): Tensor<'f32'> | undefined {
    return this.variable.grad;
  }

  /** The bytes a kernel binds. @throws UseError after dispose() */
  get range(): BufferRange {
    if (this.#disposed)
      throw new UseError(
        `tensor ${show(this.shape)}: it must not be used after it was disposed. Dispose it later, or take it out of its scope by keep().`,
      );
    return this.#range;
  }

  /** Another handle on the same value, in `scope` (or owned by the caller). Gradients flow through it. */
  in(scope: Scope | undefined): Tensor<D> {
    return this.#handle(this.shape, scope, this.variable);
  }

  /** Another handle on the same elements, detached from autograd, in the same scope. */
  detach(): Tensor<D> {
    return this.#handle(this.shape, this.#scope);
  }

  /** A handle for saving: detached and owned by the caller. @internal */
  alias(shape: Shape = this.shape): Tensor<D> {
    return this.#handle(shape, undefined);
  }

  /** Another handle on the same elements, whose gradient goes to `variable`, in `scope`. @internal */
  as(variable: Variable, scope: Scope): Tensor<D> {
    return this.#handle(this.shape, scope, variable);
  }

  /** Moves this handle out of its scope; the caller owns it from now on. */
  keep(): this {
    this.#scope?.remove(this);
    this.#scope = undefined;
    return this;
  }

  /** Moves this handle into another scope. */
  moveTo(scope: Scope | undefined): this {
    this.keep();
    this.#scope = scope;
    scope?.add(this);
    return this;
  }

  /**
   * The same elements in another shape, differentiable. One extent may be -1.
   *
   * @throws ShapeError when the element counts differ
   */
  reshape(shape: Shape): Tensor<D> {
    const view = this.#handle(resolveReshape(this.shape, shape), this.#scope);
    const from = this.shape;
    return record('reshape', {
      inputs: [this],
      output: view,
      saved: {},
      backward: (dy) => [dy.reshape(from)],
    });
  }

  /**
   * A detached handle on part of the storage, as arenas give. @internal
   *
   * @param start  first element; its byte offset must be a multiple of 256
   */
  view(start: number, shape: Shape): Tensor<D> {
    const offset = this.range.offset + start * BYTES_PER_ELEMENT[this.dtype];
    return new Tensor(this.storage.retain(), offset, shape, this.dtype, undefined);
  }

  /** Drops the accumulated gradient; that of a parameter, which a `ParameterStore` holds, is set to zero. */
  zeroGrad(): void {
    const { grad } = this.variable;
    if (!grad) return;
    if (this.variable.ownsGrad) {
      grad.dispose();
      this.variable.grad = undefined;
    } else grad.gpu.clear(grad.range);
  }

  /** Sets whether this leaf requires a gradient. */
  setRequiresGrad(requiresGrad: boolean): this {
    this.variable.requiresGrad = requiresGrad;
    return this;
  }

  /** Calls `hook` with the gradient of this value during backward; what it returns replaces the gradient. */
  onGrad(hook: (gradient: Tensor<'f32'>) => Tensor<'f32'> | undefined): void {
    this.variable.hooks.push(hook);
  }

  /**
   * Reads the elements back; f16 and bf16 as their 16-bit patterns.
   *
   * @throws DeviceLostError
   */
  async data(): Promise<TensorData<D>> {
    return new ARRAYS[this.dtype](await this.gpu.read(this.range));
  }

  /**
   * Where the elements are on the GPU, for a custom compute pass: nothing is copied. Resolves when everything
   * called so far is submitted, so that a pass submitted afterwards reads results; what is called after that pass
   * reads what the pass wrote. Other handles on the value, and what autograd has saved of it, see such writes too.
   *
   * @returns  valid until the tensor is disposed: then the engine reuses the buffer
   * @throws UseError after dispose(), ShaderError, DeviceLostError
   */
  async buffer(): Promise<BufferSlice> {
    const { buffer, offset, sizeBytes } = this.range;
    await this.gpu.submitted();
    return { buffer: buffer.gpu, offset, sizeBytes };
  }

  /** Resolves when the GPU has computed the value, and everything called before. @throws as `buffer` */
  async ready(): Promise<void> {
    if (this.range.sizeBytes > 0) await this.gpu.idle();
  }

  /**
   * Overwrites the elements, in the order of recorded work.
   *
   * @param data  an array of the dtype's type, or a tensor of the same device
   * @throws UseError when the sizes or the devices differ
   * @throws DTypeError for an array or a tensor of another dtype
   */
  write(data: ArrayBufferView | Tensor): void {
    const Numbers = ARRAYS[this.dtype];
    const isPixels = this.dtype === 'u8' && data instanceof Uint8ClampedArray;
    const fits = data instanceof Tensor ? data.dtype === this.dtype : data instanceof Numbers || isPixels;
    const got = data instanceof Tensor ? data.dtype : kindOf(data);
    if (!fits)
      throw new DTypeError(
        `tensor ${show(this.shape)}: write needs ${Numbers.name} or a tensor of ${this.dtype}, got ${got}.`,
      );
    const { byteLength } = data instanceof Tensor ? { byteLength: data.sizeBytes } : data;
    if (byteLength !== this.sizeBytes)
      throw new UseError(
        `tensor ${show(this.shape)}: write needs ${this.sizeBytes} bytes, got ${byteLength}.`,
      );
    if (data instanceof Tensor && data.gpu !== this.gpu)
      throw new UseError(
        `tensor ${show(this.shape)}: write needs a tensor of its own device, got one of another. Read it back first.`,
      );
    if (data instanceof Tensor) this.gpu.copy(data.range, this.range);
    else this.gpu.write(this.range, data);
  }

  /** Frees this handle; the memory goes with the last handle on it. A second call does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#scope?.remove(this);
    this.#scope = undefined;
    this.gpu.stats.liveTensors--;
    dropVariable(this.variable);
    this.storage.release();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #handle(shape: Shape, scope: Scope | undefined, variable?: Variable): Tensor<D> {
    const { offset } = this.range;
    return new Tensor(this.storage.retain(), offset, shape, this.dtype, scope, variable);
  }
}
