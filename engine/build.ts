// Writes the package that is published: npm run build [-- FOLDER]          (default: dist)
//
//   *.js, *.d.ts        the sources, compiled file by file, so that bundlers take only what is used
//   engine/disposal.js  what `using` compiles to, which the compiler would repeat in every module
//   **.wgsl.js          parsed shaders without their comments; shaders/lib: the fragments that they share
//   engine/wgsl.js      loads the parser, the package wgsl_reflect, for users' own WGSL; nothing else does
//   ps3/checkpoints     the small model that is part of it, without the page's samples
//   package.json        entry points, and what they need: the engine needs nothing but, in Node, the package webgpu
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import ts from 'typescript';
import { shaderModule, strip } from './parsed_shaders.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { scripts, devDependencies, dependencies, imports, ...manifest } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
) as Manifest;
const ENTRIES = { '.': 'ps3/index', './engine': 'engine/index', './engine/wgsl': 'engine/wgsl' };
const BIN = 'ps3/app/bin';
const WGSL_IMPORT = /\.wgsl' with \{ type: 'text' \}/g;

interface Manifest {
  readonly [field: string]: unknown;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, { browser: string; default: string }>>;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Of WebGPU's names those that stand for no object, hence have no prototype. */
const DICTIONARY = /^GPUComputePassTimestampWrites$/;

/**
 * A declaration that compiles in programs without lib dom and without @webgpu/types: WebGPU's names are those of the
 * program where it has them, else any object, and what `using` needs is asked for.
 */
function withTypes(declaration: string): string {
  const names = [...new Set(declaration.match(/\bGPU[A-Z]\w*/g))].sort();
  const aliases = names.map((name) =>
    DICTIONARY.test(name)
      ? `type ${name} = object;\n`
      : `type ${name} = typeof globalThis extends { ${name}: { prototype: infer T } } ? T : object;\n`,
  );
  const lib = /\b(Async)?Disposable\b|Symbol\.(asyncD|d)ispose/.test(declaration)
    ? '/// <reference lib="esnext.disposable" />\n'
    : '';
  return lib + declaration + aliases.join('');
}

/** What the compiler puts before every module that says `using`. */
const DISPOSAL = /^var __addDisposableResource = [\s\S]*?^var __disposeResources = [\s\S]*?^\}\);\n/m;
const DISPOSAL_MODULE = 'engine/disposal.js';

/** A compiled module that imports those functions; the first of them is written as a module of its own. */
function withDisposal(out: string, path: string, compiled: string): string {
  const names = 'export { __addDisposableResource, __disposeResources };\n';
  return compiled.replace(DISPOSAL, (functions) => {
    write(join(out, DISPOSAL_MODULE), functions + names);
    const from = relative(dirname(path), join(out, DISPOSAL_MODULE));
    return names
      .replace('export', 'import')
      .replace(';', ` from '${from.startsWith('.') ? '' : './'}${from}';`);
  });
}

/** Kernels, and the calls that are worked out once for a shape, as modules declare them. */
const DECLARED = /^(const \w+ = )(?=(?:kernel|memoized|planned|plannedEach)\()/gm;

/** Compiles what the entry points reach, in Node and in browsers. */
function compile(out: string): void {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const files = [...Object.values(ENTRIES), BIN].map((entry) => join(root, `${entry}.ts`));
  const twins = Object.values(imports).map(({ browser }) => join(root, browser));
  const program = ts.createProgram(
    [...files, ...twins, join(root, 'shaders/wgsl.d.ts'), join(root, 'engine/gpu/wgsl_reflect.d.ts')],
    {
      ...options,
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      noEmit: false,
      stripInternal: true, // what needs Node's types
      rootDir: root,
      outDir: out,
    },
  );
  const { diagnostics } = program.emit(undefined, (path, text) => {
    const compiled = text
      .replace(WGSL_IMPORT, ".wgsl.js'")
      .replace(/^import .\.\/reflect\.js.;.*\n/m, '')
      .replace(DECLARED, '$1/* @__PURE__ */ ') // bundlers leave out those that nothing runs
      .replace(/(from '\.[^']*)\.ts'/g, "$1.js'"); // in declarations
    write(path, path.endsWith('.d.ts') ? withTypes(compiled) : withDisposal(out, path, compiled));
  });
  const faults = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (faults.length > 0)
    throw new Error(
      ts.formatDiagnostics(faults, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => root,
        getNewLine: () => '\n',
      }),
    );
}

function writeShaders(out: string): void {
  const sourcesOf = (folder: string): [name: string, source: string][] =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.wgsl'))
      .map((file) => [file.slice(0, -5), readFileSync(join(root, folder, file), 'utf8')]);
  for (const [name, source] of sourcesOf('shaders/lib'))
    write(join(out, `shaders/lib/${name}.wgsl.js`), `export default ${JSON.stringify(strip(source))};\n`);
  const families = readdirSync(join(root, 'shaders'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'lib')
    .map(({ name }) => `shaders/${name}`);
  for (const folder of ['shaders', ...families, 'engine/device/shaders'])
    for (const [name, source] of sourcesOf(folder)) {
      const up = folder.replace(/\w+/g, '..');
      const module = shaderModule(
        source,
        `${up}/engine/gpu/shader.js`,
        (part) => `${up}/shaders/lib/${part}.wgsl.js`,
      );
      write(join(out, folder, `${name}.wgsl.js`), module);
    }
}

/** Packages that modules import, statically from an entry point or anywhere in the package. */
async function packagesOf(
  out: string,
  entries: readonly string[],
): Promise<{ needed: string[]; used: string[] }> {
  const { metafile } = await esbuild.build({
    entryPoints: entries.map((entry) => join(out, `${entry}.js`)),
    bundle: true,
    write: false,
    metafile: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    outdir: out,
  });
  const imports = Object.values(metafile.inputs)
    .flatMap((input) => input.imports)
    .filter(({ external, path }) => external && !path.startsWith('node:'));
  const name = ({ path }: { path: string }): string =>
    path
      .split('/')
      .slice(0, path.startsWith('@') ? 2 : 1)
      .join('/');
  return {
    needed: imports.filter(({ kind }) => kind === 'import-statement').map(name),
    used: imports.map(name),
  };
}

async function writeManifest(out: string): Promise<void> {
  const built = {
    ...manifest,
    bin: { ps3: `./${BIN}.js` },
    exports: {
      ...Object.fromEntries(
        Object.entries(ENTRIES).map(([name, file]) => [
          name,
          { types: `./${file}.d.ts`, default: `./${file}.js` },
        ]),
      ),
      './ps3/checkpoints/*': './ps3/checkpoints/*',
      './package.json': './package.json',
    },
    imports: JSON.parse(JSON.stringify(imports).replaceAll('.ts"', '.js"')),
    sideEffects: ['./engine/gpu/reflect.js', './engine/wgsl.js', `./${BIN}.js`],
  };
  const save = (fields: object): void =>
    write(join(out, 'package.json'), `${JSON.stringify(fields, null, 2)}\n`);
  save(built); // bundling needs its imports
  const { needed } = await packagesOf(out, Object.values(ENTRIES));
  const { used } = await packagesOf(out, [...Object.values(ENTRIES), BIN]);
  const versions = (names: readonly string[]): Record<string, string> =>
    Object.fromEntries(Object.entries(dependencies).filter(([name]) => names.includes(name)));
  save({
    ...built,
    dependencies: versions(needed),
    optionalDependencies: versions(used.filter((name) => !needed.includes(name))),
  });
}

const out = resolve(process.argv[2] ?? join(root, 'dist'));
rmSync(out, { recursive: true, force: true });
compile(out);
writeShaders(out);
await writeManifest(out);
cpSync(join(root, 'ps3/checkpoints'), join(out, 'ps3/checkpoints'), {
  recursive: true,
  filter: (path) => !path.endsWith('/samples'),
});
for (const name of ['README.md', 'LICENSE', 'NOTICE', 'CHANGELOG.md'])
  copyFileSync(join(root, name), join(out, name));
console.log(`wrote ${relative(process.cwd(), out) || '.'}`);
