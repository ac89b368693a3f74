// What the host knows of a .wgsl file: its text and, by reflection, the interface of each of its entry points.
//
// In the repository and for a user's own WGSL the parser of reflect.ts reads the text when it is first needed. In the
// published package shaders come as `Shader` objects made by the build, and nothing loads the parser.
import { internal, UseError } from './errors.ts';

/** A storage binding of an entry point. */
export interface ShaderBinding {
  /** As the WGSL names it. */
  readonly name: string;
  /** The number in `@binding(n)`, all in group 0. */
  readonly index: number;
  /** Declared `read_write`. */
  readonly writable: boolean;
  /** Scalar type of the elements, such as f32. */
  readonly scalar: string;
}

/** A member of `struct Params`. */
export interface ShaderParam {
  /** As the WGSL names it. */
  readonly name: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Numbers of 4 bytes: 1 for a scalar, 3 for a vec3. */
  readonly length: number;
  /** f32; otherwise u32 or i32, which are written alike. */
  readonly isFloat: boolean;
  /** Whether the entry point or a function that it calls reads it; a run need not give the others. */
  readonly isRead: boolean;
}

/** The interface of one entry point. */
export interface Reflection {
  /** Storage bindings in ascending order. */
  readonly bindings: readonly ShaderBinding[];
  /** Members of `struct Params`, which the uniform `params` holds. */
  readonly params: readonly ShaderParam[];
  /** Size of `struct Params`. */
  readonly paramsBytes: number;
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** Whether the entry point reads `params`. */
  readonly usesParams: boolean;
}

/** A parsed shader: plain data, so that a build can store it as JSON and ship without the parser. */
export interface Shader {
  /** WGSL with its `#import` lines. */
  readonly text: string;
  /** What these name, by name; of the engine's own shaders. */
  readonly fragments: Readonly<Record<string, string>>;
  /** By the names of the compute entry points. */
  readonly entries: Readonly<Record<string, Reflection>>;
}

let parse: ((text: string) => Shader) | undefined;

/** Has shaders that come as text parsed by `parser`; undefined: by none. */
export function setParser(parser: typeof parse): void {
  parse = parser;
}

const parsed = new Map<string, Shader>();

/**
 * The shader of a text; a parsed one as it is. A text is parsed once.
 *
 * @throws UseError for a text when no parser is loaded
 */
export function shaderOf(source: string | Shader): Shader {
  if (typeof source !== 'string') return source;
  let shader = parsed.get(source);
  if (!shader) {
    if (!parse)
      throw new UseError(
        "kernel: WGSL text needs the parser, got none. Add: import 'ps3-webgpu/engine/wgsl', or pass what its reflect() returned.",
      );
    shader = parse(source);
    parsed.set(source, shader);
  }
  return shader;
}

/** `#import one`, or `#import one or other` for a fragment that has two bodies. */
const IMPORT = /^#import (\w+)(?: or (\w+))?.*$/gm;

/** The fragments that a text imports, those of fragments and all bodies included. */
export function importsOf(
  text: string,
  fragments: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const names = new Set<string>();
  const add = (part: string): void => {
    for (const [, one, other] of part.matchAll(IMPORT)) {
      names.add(one);
      if (other) names.add(other);
    }
  };
  add(text);
  for (const name of names) {
    internal(name in fragments, `shaders/lib has no ${name}.wgsl`);
    add(fragments[name]); // grows as it is walked
  }
  return Object.fromEntries([...names].map((name) => [name, fragments[name]]));
}

/** Replaces every `#import` line by its fragment, once, imports of imports included; `chosen` has the other bodies, by the first. */
export function resolveImports(
  text: string,
  fragments: Readonly<Record<string, string>>,
  chosen: Readonly<Record<string, unknown>> = {},
  seen: Set<string> = new Set(),
): string {
  return text.replace(IMPORT, (_line, one: string, other?: string) => {
    const name = String(chosen[one] ?? one);
    internal(name === one || name === other, `${one} has no other body ${name}`);
    internal(name in fragments, `shaders/lib has no ${name}.wgsl`);
    if (seen.has(name)) return '';
    seen.add(name);
    return resolveImports(fragments[name], fragments, chosen, seen);
  });
}

/** A `Shader` as the published package holds it: what its text does not say. */
export interface PackedShader {
  /** With `#import` lines, without comments. */
  readonly text: string;
  /** Scalar types of the storage bindings, in the order of the text. */
  readonly scalars: string;
  /** workgroupSize; the params that it reads, a bit each; and its bindings by their places in the text */
  readonly entries: Readonly<Record<string, readonly [number, number, readonly number[]]>>;
}

const BINDING = /@binding\((\d+)\)\s*var<storage,\s*(\w+)>\s*(\w+)/g;
const MEMBER = /(\w+)\s*:\s*((?:vec(\d))?[^,]*)/g;

/** Members and size of `struct Params`, scalars and vectors of 4 bytes each, by the rules of WGSL. */
function paramsOf(text: string): { params: Omit<ShaderParam, 'isRead'>[]; paramsBytes: number } {
  const struct = /struct Params\s*{([^}]*)}/.exec(text)?.[1] ?? '';
  let [end, widest] = [0, 4];
  const params = Array.from(struct.matchAll(MEMBER), ([, name, type, lanes = '1']) => {
    const length = Number(lanes);
    const align = 4 * (length === 3 ? 4 : length);
    const offset = Math.ceil(end / align) * align;
    end = offset + 4 * length;
    widest = Math.max(widest, align);
    return { name, offset, length, isFloat: /f/.test(type) };
  });
  return { params, paramsBytes: Math.ceil(end / widest) * widest };
}

/** Packs a parsed shader; `text` says the same as its own. */
export function packShader(text: string, { entries }: Shader): PackedShader {
  const names = Array.from(text.matchAll(BINDING), ([, , , name]) => name);
  const all = Object.entries(entries);
  const bindings = all.flatMap(([, entry]) => entry.bindings);
  const packed: PackedShader = {
    text,
    scalars: names.map((name) => bindings.find((one) => one.name === name)?.scalar).join(' '),
    entries: Object.fromEntries(
      all.map(([name, { workgroupSize, params, bindings }]) => [
        name,
        [
          workgroupSize,
          params.reduce((sum, { isRead }, i) => sum + Number(isRead) * 2 ** i, 0),
          bindings.map((one) => names.indexOf(one.name)),
        ],
      ]),
    ),
  };
  const again = JSON.stringify(unpackShader(packed, {}).entries);
  internal(again === JSON.stringify(entries), `the text must say what the parser read, got ${again}`);
  return packed;
}

/** What `packShader` packed. */
export function unpackShader(
  { text, scalars, entries }: PackedShader,
  fragments: Readonly<Record<string, string>>,
): Shader {
  const { params, paramsBytes } = paramsOf(text);
  const types = scalars.split(' ');
  const all = Array.from(text.matchAll(BINDING), ([, index, access, name], i) => ({
    name,
    index: Number(index),
    writable: access === 'read_write',
    scalar: types[i],
  }));
  return {
    text,
    fragments,
    entries: Object.fromEntries(
      Object.entries(entries).map(([entry, [workgroupSize, read, bindings]]) => [
        entry,
        {
          bindings: bindings.map((i) => all[i]),
          params: read
            ? params.map((one, i) => ({ ...one, isRead: Math.floor(read / 2 ** i) % 2 === 1 }))
            : [],
          paramsBytes: read ? paramsBytes : 0,
          workgroupSize,
          usesParams: read > 0,
        },
      ]),
    ),
  };
}
