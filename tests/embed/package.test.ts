// The package that `npm run build` writes: its size, its entry points, and that it works installed, in Node and Deno.
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { specialise } from '../../engine/gpu/specialise.ts';
import { unroll } from '../../engine/gpu/unroll.ts';
import { reflect, type Shader } from '../../engine/wgsl.ts';
import { execute, expectExamples, installProject, newFolder, packPackage, root } from './install.ts';

const embed = suite<{ folder: string; dist: string }>('embed');

embed.before(async (context) => {
  context.folder = await newFolder();
  context.dist = join(context.folder, 'dist');
  await packPackage(context.folder);
});
embed.after(({ folder }) => rm(folder, { recursive: true }));

/** Bundles for a browser an entry that imports `names` of the built engine. */
async function bundle(
  dist: string,
  names: string,
): Promise<{ text: Uint8Array; imports: string[]; files: string[] }> {
  const { outputFiles, metafile } = await esbuild.build({
    stdin: { contents: `export { ${names} } from './engine/index.js'`, resolveDir: dist },
    ...{ bundle: true, minify: true, write: false, metafile: true, format: 'esm', platform: 'browser' },
  });
  const [{ imports, inputs }] = Object.values(metafile.outputs);
  const files = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0);
  return { text: outputFiles[0].contents, imports: imports.map(({ path }) => path), files };
}

const VIT =
  'Engine, Tensor, ParameterStore, AdamW, Weights, linear, linearLayer, layerNorm, layerNormLayer, attention, unpackHeads, gelu, ' +
  'softmax, logSoftmax, sigmoidContrastive, l2Normalize, patchify, add, mul, mean, sum, backward, checkpoint, noGrad, warmupCosine';

embed(
  'the engine with the ops of a ViT is at most 78 KB gzip, in one file that imports nothing',
  async ({ dist }) => {
    const { text, imports, files } = await bundle(dist, VIT);
    const sizeBytes = gzipSync(text, { level: 9 }).byteLength;
    console.log(`engine with the ops of a ViT: ${(sizeBytes / 1000).toFixed(1)} KB gzip`);
    assert.ok(sizeBytes > 10_000 && sizeBytes <= 78_000, `${sizeBytes} bytes`);
    assert.not.ok(
      files.some((path) => /wgsl_reflect|gpu\/reflect\.js/.test(path)),
      'the parser is in it',
    );
    assert.equal(imports, []);
  },
);

embed('a bundle takes the shaders of the ops that are used and no others', async ({ dist }) => {
  const shadersOf = async (names: string): Promise<string[]> =>
    (await bundle(dist, names)).files.flatMap((path) => /(?:lib\/)?\w+\.wgsl\.js$/.exec(path) ?? []);
  assert.equal((await shadersOf('gelu')).sort(), [
    'gelu.wgsl.js',
    'lib/elements.wgsl.js',
    'lib/gelu.wgsl.js',
    'lib/index.wgsl.js',
  ]);
  assert.equal(await shadersOf('Random'), []);
});

embed('publint and attw find nothing', async ({ dist }) => {
  assert.match(
    await execute(
      process.execPath,
      [join(root, 'node_modules/publint/src/cli.js'), 'run', dist, '--strict'],
      root,
    ),
    /All good!/,
  );
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  await execute(process.execPath, [attw, '--pack', dist, '--profile', 'esm-only'], root);
});

embed(
  'the shaders are the sources without comments but marks of loops, with what the parser reads from them',
  async ({ dist }) => {
    for (const file of await readdir(join(root, 'shaders'), { recursive: true })) {
      if (!file.endsWith('.wgsl') || dirname(file) === 'lib') continue;
      const source = reflect(await readFile(join(root, 'shaders', file), 'utf8'));
      const { default: shader } = (await import(join(dist, `shaders/${file}.js`))) as { default: Shader };
      assert.equal(shader.entries, source.entries, file);
      assert.equal(reflect(shader.text).entries, source.entries, file);
      const marks = (text: string): string[] => text.replace(/\/\/.*/g, '').match(/\w+|[^\w\s]/g) ?? [];
      assert.equal(marks(shader.text), marks(source.text), file);
      assert.not.match(shader.text, /\/\/(?! unroll$)/m); // marks of loops stay
      const unrolled = (parsed: Shader): string => unroll(specialise(file, parsed, {}, false));
      assert.equal(marks(unrolled(shader)), marks(unrolled(source)), file);
    }
  },
);

embed(
  "installed in Node: the engine trains, a kernel of one's own runs, the command ps3 answers",
  async ({ folder }) => {
    const project = await installProject(folder, 'node');
    const printed = await execute(process.execPath, ['tests/embed/node/main.mjs'], project);
    const { weight, squares } = JSON.parse(/^\{.*\}$/m.exec(printed)![0]) as Record<string, number[]>;
    for (const [i, want] of [3, -2].entries()) {
      assert.ok(Math.abs(weight[i] - want) < 0.05, printed);
      assert.ok(Math.abs(squares[i] - weight[i] ** 2) < 1e-5, printed);
    }
    assert.match(
      await execute(process.execPath, ['node_modules/.bin/ps3', '--version'], project),
      /0\.\d+\.\d+/,
    );
    const check =
      "const { PS3, VisionModel } = await import('ps3-webgpu'); console.log(typeof PS3, typeof VisionModel)";
    assert.match(
      await execute(process.execPath, ['--input-type=module', '-e', check], project),
      /function function/,
    );
  },
);

embed('installed in Node: its declarations compile with those of the runtime', async ({ folder }) => {
  const project = await installProject(folder, 'node');
  await writeFile(
    join(project, 'main.ts'),
    "import { Engine, type Tensor } from 'ps3-webgpu/engine';\nimport { reflect } from 'ps3-webgpu/engine/wgsl';\nimport { PS3 } from 'ps3-webgpu';\n" +
      'const x: Tensor = Engine.prototype.zeros([2]);\nconst n: number = x.size + Object.keys(reflect("").entries).length;\nexport { n, PS3 };\n' +
      '// @ts-expect-error: the shape is missing\nEngine.prototype.zeros();\n',
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--lib',
    'esnext,dom',
  ];
  await execute(process.execPath, [tsc, ...options, 'main.ts'], project);
});

/** Compiles a program beside the built package; rejects with what the compiler says. */
async function compile(
  folder: string,
  name: string,
  program: string,
  compilerOptions: object,
): Promise<void> {
  const project = join(folder, name);
  await mkdir(join(project, 'node_modules'), { recursive: true });
  await symlink(join(folder, 'dist'), join(project, 'node_modules/ps3-webgpu'));
  await symlink(join(root, 'node_modules/@webgpu'), join(project, 'node_modules/@webgpu'));
  const options = { target: 'es2023', module: 'nodenext', strict: true, noEmit: true, ...compilerOptions };
  const files = { 'main.ts': program, 'package.json': '{ "type": "module" }' };
  const config = JSON.stringify({ compilerOptions: options, files: ['main.ts'] });
  for (const [file, text] of Object.entries({ ...files, 'tsconfig.json': config }))
    await writeFile(join(project, file), text);
  await execute(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project);
}

const PROGRAM = `
import { Engine, linear, type Tensor } from 'ps3-webgpu/engine';
import { PS3 } from 'ps3-webgpu';
export async function main(): Promise<Float32Array> {
  const engine = await Engine.create();
  const x: Tensor<'f32'> = engine.tensor([1, 2], [1, 2]);
  using ps3 = await PS3.load(engine, 'folder');
  return linear(x, ps3.logitScale).data();
}
// @ts-expect-error: there is no such dtype
Engine.prototype.zeros([2], { dtype: 'float32' });
// @ts-expect-error: bytes make a tensor of u8, whatever it is taken for
export const bytes: () => Tensor<'f32'> = () => Engine.prototype.tensor(new Uint8Array(4));
// @ts-expect-error: without a dtype, zeros are f32
export const zeros: () => Tensor<'i32'> = () => Engine.prototype.zeros([2]);
`;

embed(
  'its declarations compile without lib dom and without types, every one of them checked',
  async ({ folder }) => {
    const options = { lib: ['es2023'], types: [], skipLibCheck: false };
    await compile(folder, 'no-dom', PROGRAM, options);
    const wrong = await compile(folder, 'no-dom-wrong', `${PROGRAM}\nmain(1);`, options).then(
      () => 'nothing',
      String,
    );
    assert.match(wrong, /main\.ts\(\d+,\d+\): error TS2554/);
  },
);

embed('with WebGPU’s types or lib dom, devices and buffers are those', async ({ folder }) => {
  const program = `
import { Engine } from 'ps3-webgpu/engine';
export async function own(device: GPUDevice, buffer: GPUBuffer): Promise<GPUBuffer> {
  const x = Engine.fromDevice(device).wrapBuffer(buffer, [4]);
  return (await x.buffer()).buffer;
}
// @ts-expect-error: an object is no device
Engine.fromDevice({});
`;
  const lib = ['es2023', 'dom'];
  await compile(folder, 'webgpu-types', program, { lib, types: ['@webgpu/types'], skipLibCheck: true });
  await compile(folder, 'webgpu-dom', program, { lib, types: [], skipLibCheck: false });
});

embed('installed in Deno: the examples run', async ({ folder }) => {
  const project = await installProject(folder, 'deno', '--omit=optional');
  const deno = join(root, 'node_modules/deno/bin.cjs');
  expectExamples(
    await execute(process.execPath, [deno, 'run', '-A', '--quiet', 'tests/embed/deno/main.ts'], project),
  );
});

embed.run();
