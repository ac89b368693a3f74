// Shaders as a build ships them: parsed, so that users need no parser, and without comments.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';
import { packShader } from './gpu/shader.ts';
import { reflect } from './wgsl.ts';

/** Without comments (but marks of loops), indentation, most breaks and most spaces. WGSL has no strings, so `//` always begins a comment. */
export const strip = (text: string): string =>
  text
    .replace(/\/\/(?! unroll$).*$/gm, '')
    .replace(/^[ \t]+|[ \t]+$/gm, '')
    .replace(/\n{2,}/g, '\n')
    .replace(/(?<!>) ?([:;,={}+*]) ?/g, '$1') // `>=` would be one token
    .replace(/ ([/%]|&&|\|\||!=) ?(?![/*])/g, '$1') // two of them would begin a comment
    .replace(/([)\]]) (?![-/])|(?<!\bfor) (?=\()/g, '$1') // loops are found by `for (`
    .replace(/ (->|<<|>>|[<>=]=|[<|^]) /g, '$1')
    .replace(/([,(])\n|\n(?=\))/g, '$1')
    // What is looked for at the beginning of a line stays there.
    .replace(/([{;}])\n(?!\/\/|#|const |alias |enable )/g, '$1')
    .trim();

/**
 * The module of a parsed shader: its own text; the fragments that it imports are modules that shaders share.
 *
 * @param unpack    the module that has `unpackShader`
 * @param fragment  the module of a fragment, by its name
 */
export function shaderModule(source: string, unpack: string, fragment: (name: string) => string): string {
  const shader = reflect(source);
  const names = Object.keys(shader.fragments);
  return [
    `import { unpackShader } from '${unpack}';`,
    ...names.map((name) => `import ${name} from '${fragment(name)}';`),
    `export default /* @__PURE__ */ unpackShader(${JSON.stringify(packShader(strip(source), shader))}, { ${names.join(', ')} });\n`,
  ].join('\n');
}

/** Has esbuild bundle the engine's shaders parsed and leave out the parser. */
export function parsedShaders(): Plugin {
  const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
  return {
    name: 'parsed shaders',
    setup(build) {
      build.onLoad({ filter: /[\\/]shaders[\\/].*\.wgsl$/ }, ({ path }) => {
        const source = readFileSync(path, 'utf8');
        const isFragment = /[\\/]lib[\\/][^\\/]*$/.test(path);
        const contents = isFragment
          ? `export default ${JSON.stringify(strip(source))};`
          : shaderModule(
              source,
              `${root}/engine/gpu/shader.ts`,
              (name) => `${root}/shaders/lib/${name}.wgsl`,
            );
        return { contents, loader: 'js', resolveDir: root };
      });
      build.onLoad({ filter: /[\\/]engine[\\/]gpu[\\/]reflect\.ts$/ }, () => ({ contents: '' }));
    },
  };
}
