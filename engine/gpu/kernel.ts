// A kernel is an entry point of a .wgsl file. Everything the host must know about it (bindings, access, params
// layout, workgroup size) is read from the source by reflection, so it is stated once.
import { constantsOf, evaluate } from './constants.ts';
import { internal } from './errors.ts';
import './reflect.ts'; // development only: the build takes this line out and ships parsed shaders
import { type Reflection, type Shader, shaderOf } from './shader.ts';
import { type Define, specialise } from './specialise.ts';

export type { Define };

/** Params of up to this size are passed as immediates (push constants) where the implementation has them. */
export const IMMEDIATE_BYTES = 64;

let nextId = 0;

/** One entry point of a shader. Holds no GPU object: make it once, at module level, with `kernel()`. */
export class Kernel {
  readonly id: number = nextId++;
  readonly entry: string;
  readonly #given: string | Shader;
  #source: string | undefined;
  #reflection: Reflection | undefined;
  readonly #declares = new Map<string, boolean>();
  readonly #constants = new Map<string, number>();

  constructor(source: string | Shader, entry: string) {
    this.entry = entry;
    this.#given = source;
  }

  /** The WGSL as it stands, with its imports. */
  get source(): string {
    this.#source ??= this.specialise({}, false);
    return this.#source;
  }

  get reflection(): Reflection {
    if (!this.#reflection) {
      this.#reflection = shaderOf(this.#given).entries[this.entry];
      internal(this.#reflection !== undefined, `no entry point ${this.entry}`);
    }
    return this.#reflection;
  }

  /** Invocations of a workgroup as the shader states them, by a number or a const; not for shaders that declare ROW_WG. */
  get workgroupSize(): number {
    if (this.hasRowWorkgroup)
      internal(false, `${this.entry} has the workgroup size of the device, gpu.rowWorkgroup`);
    return this.reflection.workgroupSize;
  }

  /** A whole number as the shader states it: `const BINS : u32 = 2048u;`. */
  constant(name: string): number {
    let value = this.#constants.get(name);
    if (value === undefined) {
      value = evaluate(name, constantsOf(this.source));
      internal(!Number.isNaN(value), `${this.entry} declares no whole number ${name}`);
      this.#constants.set(name, value);
    }
    return value;
  }

  /** True when the shader is specialised by workgroup size (it imports `reduce` or declares ROW_WG). */
  get hasRowWorkgroup(): boolean {
    return this.declares('ROW_WG');
  }

  /** Of the device's choices, those for which the shader declares a const. */
  chosen(choices: Define): Define {
    return Object.fromEntries(Object.entries(choices).filter(([name]) => this.declares(name)));
  }

  /** Whether the shader declares a const or an alias of that name. */
  declares(name: string): boolean {
    let declares = this.#declares.get(name);
    if (declares === undefined) {
      declares = new RegExp(`^(?:const|alias)\\s+${name}\\b`, 'm').test(this.source);
      this.#declares.set(name, declares);
    }
    return declares;
  }

  /** The text to compile for one specialisation; see specialise.ts. */
  specialise(define: Define, immediates: boolean): string {
    return specialise(this.entry, shaderOf(this.#given), define, immediates);
  }

  /**
   * Writes named params, of which the entry point's must be given, in the layout of the shader's struct, from
   * byte `offset` (a multiple of 4) on.
   */
  pack(
    params: Readonly<Record<string, number | readonly number[]>>,
    f32: Float32Array,
    u32: Uint32Array,
    offset: number,
  ): void {
    for (const { name, offset: start, length, isFloat, isRead } of this.reflection.params) {
      const value = params[name];
      if (value === undefined) {
        if (isRead) internal(false, `${this.entry} needs the param ${name}`);
        continue;
      }
      const target = isFloat ? f32 : u32;
      const at = (offset + start) / 4;
      if (typeof value === 'number') target[at] = value;
      else for (let i = 0; i < length; i++) target[at + i] = value[i];
    }
  }
}

/* @__NO_SIDE_EFFECTS__ */
/** Declares a kernel. Cheap: nothing is parsed or compiled until the first run. */
export function kernel(source: string | Shader, entry: string): Kernel {
  return new Kernel(source, entry);
}
