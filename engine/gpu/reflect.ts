// Reads the interface of a shader from its text, so that nothing that the WGSL declares is repeated on the
// host.
import { ResourceType, type TypeInfo, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { constantsOf, evaluate } from './constants.ts';
import { ShaderError } from './errors.ts';
import { FRAGMENTS } from './fragments.ts';
import { importsOf, type Reflection, resolveImports, type Shader, setParser } from './shader.ts';

/** `@name(value)` as the reflection gives it. */
interface Attribute {
  readonly name: string;
  readonly value: string | string[] | null;
}

/**
 * Parses a shader: bindings, params, workgroup size of every compute entry point.
 *
 * Bindings are in group 0. Storage buffers are bound by their names; a uniform `params` of `struct Params` at
 * binding 0 holds the numbers that change from run to run.
 *
 * @param source  WGSL
 * @throws ShaderError when the text cannot be parsed, has no compute entry point or binds anything else
 */
export function reflect(source: string): Shader {
  const fragments = importsOf(source, FRAGMENTS);
  const text = resolveImports(source, fragments);
  const parsed = parsedText(text);
  const struct = parsed.structs.find(({ name }) => name === 'Params');
  const params = (struct?.members ?? []).map(({ name, offset, size, type }) => ({
    name,
    offset,
    length: Math.ceil(size / 4),
    isFloat: scalarOf(type) === 'f32',
  }));
  const entries: Record<string, Reflection> = {};
  for (const { name, resources, attributes } of parsed.entry.compute) {
    const uniform = resources.find((resource) => resource.resourceType === ResourceType.Uniform);
    const read = paramsRead(parsed, name);
    const storage = resources.filter((resource) => resource !== uniform);
    for (const { name: bound, group, binding, resourceType } of resources)
      if (
        group !== 0 ||
        (binding === 0) !== (bound === 'params') ||
        (binding > 0 && resourceType !== ResourceType.Storage)
      )
        throw new ShaderError(
          `${name}: bindings must be storage buffers from @binding(1) on and the uniform params at @binding(0), all in @group(0), got ${bound} at @group(${group}) @binding(${binding}).`,
        );
    entries[name] = {
      bindings: storage
        .map((resource) => ({
          name: resource.name,
          index: resource.binding,
          writable: resource.access === 'read_write',
          scalar: scalarOf(resource.type),
        }))
        .sort((a, b) => a.index - b.index),
      params: uniform ? params.map((param) => ({ ...param, isRead: !read || read.has(param.name) })) : [],
      paramsBytes: uniform ? (struct?.size ?? 0) : 0,
      workgroupSize: workgroupSizeOf(text, attributes),
      usesParams: uniform !== undefined,
    };
  }
  return { text: source, fragments, entries };
}

/** The members of `params` that a function reads, or those that it calls; undefined: all, since one takes it as a whole. */
function paramsRead({ _functions: functions }: WgslReflect, entry: string): Set<string> | undefined {
  const members = new Set<string>();
  const reached = new Set([entry]);
  let asWhole = false;
  for (const name of reached) // grows as it is walked
    functions.get(name)?.node.search((node) => {
      if (!('name' in node && typeof node.name === 'string')) return;
      const isCall = node.astNodeType === 'callExpr' || node.astNodeType === 'call';
      if (isCall && functions.has(node.name)) reached.add(node.name);
      if (node.astNodeType !== 'varExpr' || node.name !== 'params') return;
      const member = 'postfix' in node ? (node.postfix as { value?: unknown } | null)?.value : undefined;
      if (typeof member === 'string') members.add(member);
      else asWhole = true;
    });
  return asWhole ? undefined : members;
}

function parsedText(text: string): WgslReflect {
  try {
    const parsed = new WgslReflect(withoutMatrices(text));
    if (parsed.entry.compute.length > 0) return parsed;
  } catch (cause) {
    throw new ShaderError(`kernel: the WGSL must parse, got ${String(cause)}.`);
  }
  throw new ShaderError('kernel: the WGSL must have a @compute entry point, got none.');
}

/** The parser does not know the types of subgroup matrices, nor builtins with a list of types; no interface depends on them. */
function withoutMatrices(text: string): string {
  return text.replace(/\bsubgroup_matrix_\w+<[^>]*>/g, 'f32').replace(/\b(subgroupMatrix\w+)<[^>]*>/g, '$1');
}

function workgroupSizeOf(text: string, attributes: readonly Attribute[] | null): number {
  const value = attributes?.find(({ name }) => name === 'workgroup_size')?.value ?? [];
  return evaluate([value].flat().join('*') || '1', constantsOf(text));
}

/** f32 of f32, vec4f, vec4<f32>, array<f32> and atomic<f32>; the name of a struct. */
function scalarOf(type: TypeInfo): string {
  if ('format' in type && type.format) return scalarOf(type.format as TypeInfo);
  const short = /^(?:vec[234]|mat[234]x[234])([fiuh])$/.exec(type.name)?.[1];
  return short ? { f: 'f32', i: 'i32', u: 'u32', h: 'f16' }[short]! : type.name;
}

setParser(reflect);
