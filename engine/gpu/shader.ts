// What the host knows of a .wgsl file: its text and, by reflection, the interface of each of its entry points.
//
// In the repository and for a user's own WGSL the parser of reflect.ts reads the text when it is first needed. In the
// published package shaders come as `Shader` objects made by the build, and nothing loads the parser.
import { UseError } from './errors.ts';

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
  /** f32; otherwise u32 or i32, which differ in nothing when they are written. */
  readonly isFloat: boolean;
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
  /** WGSL with its imports resolved. */
  readonly text: string;
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
