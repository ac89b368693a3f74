// The text that the compiler gets for one specialisation of a shader, in four steps:
//
//   imports      `#import name` becomes the fragment of that name; `#import one or other` the one that
//                `define` names, by default `one`
//   definitions  right-hand sides of `const` and `alias` declarations become those of `define`
//   loops        those marked `// unroll` are unrolled if UNROLLED is defined as true
//   directives   `enable` lines of fragments move to the head; params become immediates where the device has them
//
// Every file with its imports is valid WGSL as it stands, and a definition replaces nothing but what it names.
import { internal } from './errors.ts';
import { resolveImports, type Shader } from './shader.ts';
import { unroll } from './unroll.ts';

/**
 * Right-hand sides for `const NAME : T = ...;` and `alias NAME = ...;` declarations of a shader, and the chosen bodies of its fragments:
 * `{ THREAD_M: 8, Vec: 'vec4f', broadcast: 'broadcast_subgroup' }`.
 */
export type Define = Readonly<Record<string, string | number | boolean>>;

/** Names of fragments are lower case, those of constants and types begin with a capital. */
const isFragment = (name: string): boolean => /^[a-z]/.test(name);

/**
 * The text to compile.
 *
 * @param entry       the kernel, for messages
 * @param immediates  whether params are passed as immediates instead of a uniform buffer
 */
export function specialise(entry: string, shader: Shader, define: Define, immediates: boolean): string {
  let text = resolveImports(shader.text, shader.fragments, define);
  for (const [name, value] of Object.entries(define))
    if (!isFragment(name)) text = defined(entry, text, name, value);
  if (define.UNROLLED) text = unroll(text);
  return withDirectives(text, immediates);
}

function defined(entry: string, text: string, name: string, value: string | number | boolean): string {
  const declaration = new RegExp(`^((?:const|alias)\\s+${name}\\b[^=]*=)[^;]*;`, 'm');
  const found = declaration.exec(text);
  internal(found !== null, `${entry} declares no const or alias ${name}`);
  const literal = typeof value === 'number' && /:\s*u32/.test(found![1]) ? `${value}u` : value;
  return text.replace(declaration, `$1 ${literal};`);
}

/** Directives at the head, all in the first line: messages count lines as the source does. */
function withDirectives(text: string, immediates: boolean): string {
  const directives = new Set<string>();
  let body = text.replace(/^enable [^;]*;/gm, (directive) => {
    directives.add(directive);
    return '';
  });
  if (immediates) {
    directives.add('requires immediate_address_space;');
    body = body.replace(/@group\(0\)\s*@binding\(0\)\s*var<uniform>/, 'var<immediate>');
  }
  return [...directives, body].join(' ');
}
