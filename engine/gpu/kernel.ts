// A kernel is an entry point of a .wgsl file. Everything the host must know about it (bindings, access, params
// layout, workgroup size) is read from the source by reflection, so it is stated once.
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import cell from '../../shaders/lib/cell.wgsl' with { type: 'text' };
import cubic from '../../shaders/lib/cubic.wgsl' with { type: 'text' };
import erf from '../../shaders/lib/erf.wgsl' with { type: 'text' };
import gelu from '../../shaders/lib/gelu.wgsl' with { type: 'text' };
import index from '../../shaders/lib/index.wgsl' with { type: 'text' };
import lanes from '../../shaders/lib/lanes.wgsl' with { type: 'text' };
import numerics from '../../shaders/lib/numerics.wgsl' with { type: 'text' };
import reduce from '../../shaders/lib/reduce.wgsl' with { type: 'text' };
import scan from '../../shaders/lib/scan.wgsl' with { type: 'text' };
import { internal } from './errors.ts';
import { unroll } from './unroll.ts';

const FRAGMENTS: Record<string, string> = { cell, cubic, erf, gelu, index, lanes, numerics, reduce, scan };

/** Right-hand sides for `const NAME : T = ...;` and `alias NAME = ...;` declarations of a shader. */
export type Define = Readonly<Record<string, string | number | boolean>>;

interface Binding {
  readonly name: string;
  readonly index: number;
  readonly writable: boolean;
}

interface ParamsMember {
  readonly name: string;
  readonly offset: number;
  /** Numbers of 4 bytes. */
  readonly length: number;
  /** f32; otherwise u32 or i32, which differ in nothing when they are written. */
  readonly isFloat: boolean;
}

interface Reflection {
  /** Storage bindings in ascending order. */
  readonly bindings: readonly Binding[];
  readonly params: readonly ParamsMember[];
  readonly paramsBytes: number;
  readonly workgroupSize: number;
  readonly usesParams: boolean;
}

/** `@name(value)` as the reflection gives it. */
interface Attribute {
  readonly name: string;
  readonly value: string | string[] | null;
}

/** Params of up to this size travel as immediates (push constants) where the implementation has them. */
export const IMMEDIATE_BYTES = 64;

let nextId = 0;

/** One entry point of a shader. Holds no GPU object: make it once, at module level, with `kernel()`. */
export class Kernel {
  readonly id: number = nextId++;
  readonly entry: string;
  readonly #raw: string;
  #source: string | undefined;
  #reflection: Reflection | undefined;
  #hasRowWorkgroup: boolean | undefined;

  constructor(raw: string, entry: string) {
    this.entry = entry;
    this.#raw = raw;
  }

  /** The WGSL text with `#import` lines replaced by the fragments of shaders/lib. */
  get source(): string {
    this.#source ??= resolveImports(this.#raw);
    return this.#source;
  }

  get reflection(): Reflection {
    this.#reflection ??= reflect(this.source, this.entry);
    return this.#reflection;
  }

  /** Invocations of a workgroup as the shader states them, by a number or a const; not for shaders that declare WG. */
  get workgroupSize(): number {
    if (this.hasRowWorkgroup)
      internal(false, `${this.entry} has the workgroup size of the device, gpu.rowWorkgroup`);
    return this.reflection.workgroupSize;
  }

  /** True when the shader is specialised by workgroup size (it imports `reduce` or declares WG). */
  get hasRowWorkgroup(): boolean {
    this.#hasRowWorkgroup ??= /^const WG\b/m.test(this.source);
    return this.#hasRowWorkgroup;
  }

  /** The text to compile: `define` applied, constant loops written out, broadcasts enabled or left out, params moved to immediates if asked for. */
  specialise(define: Define, immediates: boolean, unrolls = false): string {
    let text = this.source;
    for (const [name, value] of Object.entries(define)) {
      const declaration = new RegExp(`^((?:const|alias)\\s+${name}\\b[^=]*=)[^;]*;`, 'm');
      internal(declaration.test(text), `${this.entry} declares no const or alias ${name}`);
      const literal =
        typeof value === 'number' && /:\s*u32/.test(declaration.exec(text)![1]) ? `${value}u` : value;
      text = text.replace(declaration, `$1 ${literal};`);
    }
    if (text.includes('subgroupBroadcast(')) {
      if (unrolls) text = unroll(text);
      if (Number(define.LANES ?? 1) > 1) text = `enable subgroups;\n${text}`;
      else text = text.replace(/(?:subgroupBroadcast|lane_of)\((\w+), \w+\)/g, '$1');
    }
    if (!immediates) return text;
    const moved = text.replace(/@group\(0\)\s*@binding\(0\)\s*var<uniform>/, 'var<immediate>');
    return `requires immediate_address_space;\n${moved}`;
  }

  /** Writes named params as the shader's struct lays them out, from byte `offset` (a multiple of 4) on. */
  pack(
    params: Readonly<Record<string, number | readonly number[]>>,
    f32: Float32Array,
    u32: Uint32Array,
    offset: number,
  ): void {
    for (const { name, offset: start, length, isFloat } of this.reflection.params) {
      const value = params[name];
      if (value === undefined) internal(false, `${this.entry} needs the param ${name}`);
      const target = isFloat ? f32 : u32;
      const at = (offset + start) / 4;
      if (typeof value === 'number') target[at] = value;
      else for (let i = 0; i < length; i++) target[at + i] = value[i];
    }
  }
}

/** Declares a kernel. Cheap: nothing is parsed or compiled until the first run. */
export function kernel(source: string, entry: string): Kernel {
  return new Kernel(source, entry);
}

/** Replaces every `#import name` line by the fragment, once, imports of imports included. */
function resolveImports(text: string, seen: Set<string> = new Set()): string {
  return text.replace(/^#import (\w+).*$/gm, (_line, name: string) => {
    internal(name in FRAGMENTS, `shaders/lib has no ${name}.wgsl`);
    if (seen.has(name)) return '';
    seen.add(name);
    return resolveImports(FRAGMENTS[name], seen);
  });
}

function reflect(source: string, entryName: string): Reflection {
  const parsed = new WgslReflect(source);
  const entry = parsed.entry.compute.find((candidate) => candidate.name === entryName);
  internal(entry !== undefined, `no entry point ${entryName}`);
  const bindings = entry.resources
    .filter((resource) => resource.binding > 0)
    .map((resource) => ({
      name: resource.name,
      index: resource.binding,
      writable: resource.access === 'read_write',
    }))
    .sort((a, b) => a.index - b.index);
  const usesParams = entry.resources.some((resource) => resource.name === 'params');
  const struct = usesParams ? parsed.structs.find((candidate) => candidate.name === 'Params') : undefined;
  const params: ParamsMember[] = [];
  for (const member of struct?.members ?? []) {
    const type = member.type.name + (scalarOf(member.type) ?? '');
    const isFloat = /f32$|f$/.test(type);
    params.push({ name: member.name, offset: member.offset, length: Math.ceil(member.size / 4), isFloat });
  }
  return {
    bindings,
    params,
    paramsBytes: struct?.size ?? 0,
    workgroupSize: workgroupSizeOf(source, entry.attributes),
    usesParams,
  };
}

function workgroupSizeOf(source: string, attributes: readonly Attribute[] | null): number {
  const value = attributes?.find(({ name }) => name === 'workgroup_size')?.value ?? [];
  const sides = (Array.isArray(value) ? value : [value]).map((side) => {
    const declared = new RegExp(`^const ${side}\\b[^=]*=\\s*(\\d+)`, 'm').exec(source);
    return Number(declared ? declared[1] : String(side).replace(/u$/, ''));
  });
  return sides.reduce((product, side) => product * side, 1);
}

/** The component type of `vec4<u32>`; undefined where the name already tells it, as in `vec4u`. */
function scalarOf(type: object): string | undefined {
  return 'format' in type && type.format && typeof type.format === 'object' && 'name' in type.format
    ? String(type.format.name)
    : undefined;
}
