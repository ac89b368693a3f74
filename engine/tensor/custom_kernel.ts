// A kernel that a user wrote. Unlike those of the engine, every run is checked against what the WGSL
// declares.

import { SLOT_BYTES } from '../gpu/commands.ts';
import { DTypeError, expectKeys, UseError } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Kernel, kernel } from '../gpu/kernel.ts';
import { type Reflection, type Shader, shaderOf } from '../gpu/shader.ts';
import type { Define } from '../gpu/specialise.ts';
import { run } from './dispatch.ts';
import type { DType, Tensor } from './tensor.ts';

/** One run of a kernel. */
export interface KernelRun {
  /** A tensor for each storage binding, by its name in the WGSL. */
  readonly bind: Readonly<Record<string, Tensor>>;
  /** A number, or the components of a vector, for each member of `struct Params` that the entry point reads. */
  readonly params?: Readonly<Record<string, number | readonly number[]>>;
  /** Workgroups: up to 65,535 as a number (more are folded into x and y), or in x, y and z. */
  readonly groups: number | readonly [number, number, number];
  /**
   * Other values of constants and types that the WGSL declares at the beginning of a line, as `const TILE = 64u;` or
   * `alias Scalar = f32;`; their names begin with a capital. Each set of them is compiled once.
   */
  readonly define?: Define;
  /** Floating-point operations, for `kernelTimes`. */
  readonly flops?: number;
}

const NO_DEFINE: Define = {};

/** Dtypes whose bits an array of a WGSL scalar can hold; 16- and 8-bit elements are read as packed u32. */
const HELD_BY: Readonly<Record<string, readonly DType[]>> = {
  f32: ['f32'],
  i32: ['i32'],
  u32: ['u32', 'u8', 'f16', 'bf16'],
  f16: ['f16'],
};

/**
 * A kernel made by `engine.kernel`. A fault that only the compiler of the device finds shows as ShaderError at the
 * next read.
 */
export class CustomKernel {
  /** Name of the entry point. */
  readonly entry: string;
  readonly #gpu: Gpu;
  readonly #kernel: Kernel;
  readonly #declared: Reflection;

  /** Use `engine.kernel`. */
  constructor(gpu: Gpu, source: string | Shader, entry?: string) {
    const shader = shaderOf(source);
    const names = Object.keys(shader.entries);
    if (entry === undefined ? names.length !== 1 : !names.includes(entry))
      throw new UseError(
        `kernel: the entry point must be one of ${names.join(', ')}, got ${entry ?? 'none'}. Pass its name.`,
      );
    this.#gpu = gpu;
    this.entry = entry ?? names[0];
    this.#kernel = kernel(shader, this.entry);
    this.#declared = shader.entries[this.entry];
    const { paramsBytes } = this.#declared;
    if (paramsBytes > SLOT_BYTES)
      throw new UseError(
        `${this.entry}: struct Params must fit into ${SLOT_BYTES} bytes, got ${paramsBytes}. Bind a tensor instead.`,
      );
  }

  /** Invocations of a workgroup, as the WGSL states them: `define` has no part in it. */
  get workgroupSize(): number {
    return this.#declared.workgroupSize;
  }

  /**
   * Records one run, in order with the ops before and after.
   *
   * @throws UseError when names of bindings or params are missing or unknown, `define` names what is not
   *   declared, a param has the wrong number of components, a tensor is on another device, or one that is written is bound twice
   * @throws DTypeError when a tensor's elements are not what its binding declares
   */
  run(call: KernelRun): void {
    expectKeys(this.entry, call, { bind: true, params: true, groups: true, define: true, flops: true });
    const { bind, params = {}, groups, define = NO_DEFINE, flops } = call;
    const { bindings, params: members } = this.#declared;
    this.#checkNames('bindings', bindings, bind);
    this.#checkNames('params', members, params);
    for (const name in define)
      if (!/^[A-Z]\w*$/.test(name) || !this.#kernel.declares(name))
        throw new UseError(
          `${this.entry}: define must name constants or types that the WGSL declares, got ${name}. Declare const ${name}.`,
        );
    for (const { name, scalar, writable } of bindings) {
      const tensor = bind[name];
      if (tensor.gpu !== this.#gpu)
        throw new UseError(`${this.entry}: ${name} must live on the kernel's device, got one of another.`);
      if (HELD_BY[scalar] && !HELD_BY[scalar].includes(tensor.dtype))
        throw new DTypeError(
          `${this.entry}: ${name} must hold ${scalar} as the WGSL says, got a tensor of ${tensor.dtype}. Use cast().`,
        );
      const other = bindings.find((one) => one.name !== name && overlap(tensor, bind[one.name]));
      if (writable && other)
        throw new UseError(
          `${this.entry}: ${name} is written and must share no memory, got ${other.name} on the same. Bind another tensor.`,
        );
    }
    for (const { name, length } of members) {
      const value = params[name];
      if (value === undefined) continue; // not read
      const count = typeof value === 'number' ? 1 : value.length;
      if (count !== length)
        throw new UseError(`${this.entry}: the param ${name} takes ${length} numbers, got ${count}.`);
    }
    run(this.#kernel, { bind, params, groups, define, flops });
  }

  /** Every name must be declared, and be given unless it is not read. */
  #checkNames(
    what: string,
    declared: readonly { readonly name: string; readonly isRead?: boolean }[],
    given: object,
  ): void {
    const names = declared.map(({ name }) => name);
    const got = Object.keys(given);
    if (
      declared.some(({ name, isRead = true }) => isRead && !got.includes(name)) ||
      got.some((name) => !names.includes(name))
    )
      throw new UseError(
        `${this.entry}: the ${what} must be ${names.join(', ') || 'none'}, got ${got.join(', ') || 'none'}.`,
      );
  }
}

function overlap(a: Tensor, b: Tensor): boolean {
  const [one, two] = [a.range, b.range];
  return (
    one.buffer === two.buffer &&
    one.offset < two.offset + two.sizeBytes &&
    two.offset < one.offset + one.sizeBytes
  );
}
