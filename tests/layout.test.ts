// Holds the tree to "the tree is the architecture diagram", and each rule to a counterexample that it must find.

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FRAGMENTS } from '../engine/gpu/fragments.ts';
import * as rules from './layout_rules.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Paths that git tracks, or all files beside the ignored folders where the sources are no git checkout. */
function listFiles(): string[] {
  if (existsSync(join(root, '.git'))) {
    const paths = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0');
    return paths.filter((path) => path !== '' && existsSync(join(root, path)));
  }
  const ignored = ['node_modules', 'dist', 'docs', 'runs', '.cache'];
  return readdirSync(root)
    .filter((entry) => !ignored.includes(entry))
    .flatMap((entry) =>
      statSync(join(root, entry)).isDirectory()
        ? readdirSync(join(root, entry), { recursive: true, encoding: 'utf8' }).map((path) =>
            join(entry, path),
          )
        : [entry],
    )
    .filter((path) => statSync(join(root, path)).isFile())
    .map((path) => path.split(sep).join('/'));
}

const isRead = (path: string): boolean => /\.(ts|mjs|wgsl|md)$/.test(path) && !path.includes('/fixtures/');
const tree: rules.Tree = new Map(
  listFiles().map((path) => [path, isRead(path) ? readFileSync(join(root, path), 'utf8') : '']),
);

/** Tests a rule twice: on this tree, and on a small tree with exactly the given breaches. */
function rule(
  sentence: string,
  check: rules.Rule,
  example: Record<string, string>,
  breaches: string[],
): void {
  test(`layout: ${sentence}`, () => {
    const found = check(tree);
    if (found.length > 0) assert.unreachable(`${found.length} breaches\n    ${found.join('\n    ')}`);
  });
  test(`layout: finds the place when it does not hold that ${sentence}`, () => {
    assert.equal(
      check(new Map(Object.entries(example))).map((breach) => breach.split(' ')[0]),
      breaches,
    );
  });
}

rule(
  'the top level has no other entries than agreed',
  rules.knownTopLevel,
  { 'README.md': '', 'engine/index.ts': '', 'scripts/build.ts': '', '.env': '' },
  ['scripts:1', '.env:1'],
);

rule(
  'imports point down',
  rules.importsPointDown,
  {
    'engine/gpu/device.ts': "\nimport type { Tensor } from '../tensor/tensor.ts';",
    'engine/gpu/files.ts': "import { fileSystem } from '#system';",
    'engine/tensor/tensor.ts':
      "import { Device } from '../gpu/device.ts';\nexport { ps3 } from '../../ps3/index.ts';",
    'engine/ops/matmul.ts': "import source from '../../shaders/matmul.wgsl' with { type: 'text' };",
    'engine/nn/linear.ts': "const reader = await import('../io/safetensors.ts');",
    'ps3/model/vit.ts':
      "import { Tensor } from 'ps3-webgpu/engine';\nexport type A = import('../data/scenes.ts').A;",
    'ps3/benchmarks/open.ts': "import { DataError } from '../data/errors.ts';\nimport '../train/train.ts';",
    'ps3/train/run.ts': "import { vit } from '../model/vit.ts';\nimport { main } from '../app/cli.ts';",
    'bench/run.ts':
      "import { run } from '../ps3/train/run.ts';\nimport { engine } from '../tests/harness.ts';",
    'bench/ops/gelu.bench.ts': "import { gelu } from '../../tests/reference/gelu.ts';",
    'tests/reference/gelu.ts': "import { gelu } from '../../engine/ops/gelu.ts';",
    'tests/run.test.ts': "import { run } from '../bench/run.ts';",
  },
  [
    'engine/gpu/device.ts:2',
    'engine/gpu/files.ts:1',
    'engine/tensor/tensor.ts:2',
    'engine/nn/linear.ts:1',
    'ps3/model/vit.ts:2',
    'ps3/benchmarks/open.ts:2',
    'ps3/train/run.ts:2',
    'bench/run.ts:2',
    'tests/reference/gelu.ts:1',
  ],
);

rule(
  'no imports form a circle, those of types included',
  rules.noImportCycles,
  {
    'engine/ops/a.ts': "import { b } from './b.ts';",
    'engine/ops/b.ts': "import { c } from './c.ts';",
    'engine/ops/c.ts': "\nimport { a } from './a.ts';",
    'ps3/model/ps3.ts': "import { encode } from './encode.ts';",
    'ps3/model/encode.ts':
      "import { output } from '../../engine/index.ts';\nimport type { PS3 } from './ps3.ts';",
    'engine/tensor/tensor.ts': "import { record } from './autograd.ts';",
    'engine/tensor/autograd.ts': "import type { Tensor } from './tensor.ts';",
  },
  ['engine/ops/c.ts:2', 'ps3/model/encode.ts:2'],
);

rule(
  "ps3 and bench use the engine's doors",
  rules.engineByItsDoor,
  {
    'ps3/model/ps3.ts':
      "import { add } from '../../engine/index.ts';\nimport { expect } from '../../engine/gpu/errors.ts';",
    'ps3/app/page/page.ts': 'navigator.gpu.requestAdapter();\nengine.gpu.submit();',
    'ps3/train.ts': "import { kernel } from '../engine/internal.ts';",
    'bench/clock.ts':
      "import { dispatch } from '../engine/internal.ts';\nimport { selfTest } from '../engine/self_test.ts';\n" +
      'const tell = ({ gpu }: Engine) => gpu;\nconst [gpu] = times;\nengine.gpu.submit();',
    'bench/ops/gelu.bench.ts': "import { gelu } from '../../engine/ops/gelu.ts';",
    'bench/page/notices.ts': "import '../../engine/wgsl.ts';\nif (!navigator.gpu) throw none;",
    'engine/engine.ts': "import { dispatch } from './internal.ts';\nengine.gpu.submit();",
    'tests/ops/gelu.test.ts': "import { gelu } from '../../engine/ops/gelu.ts';\nengine.gpu.submit();",
  },
  [
    'ps3/model/ps3.ts:2',
    'ps3/app/page/page.ts:2',
    'ps3/train.ts:1',
    'bench/clock.ts:2',
    'bench/clock.ts:3',
    'bench/clock.ts:5',
    'bench/ops/gelu.bench.ts:1',
    'engine/engine.ts:1',
  ],
);

rule(
  'names of WebGPU stay in engine/gpu',
  rules.webgpuStaysInItsLayer,
  {
    'engine/gpu/buffer.ts': 'const usage: GPUBufferUsageFlags = GPUBufferUsage.STORAGE;',
    'engine/ops/add.ts': '// GPUBuffer\nlet buffer: GPUBuffer;\nconst usage = GPUBufferUsage.STORAGE;',
  },
  ['engine/ops/add.ts:2', 'engine/ops/add.ts:3'],
);

rule(
  'only plans ask what kind of adapter they run on',
  rules.onlyPlansAskTheAdapter,
  {
    'engine/gpu/adapter.ts': 'const kind = opened.isSoftware;',
    'engine/ops/a.ts':
      'function planA({ kind }: Target) { return kind; }\nconst b = ({ kind }: Target) => kind;',
    'engine/ops/b.ts':
      'function planB(gpu) { return gpu.target.kind; }\nfunction b(x) { return x.gpu.target.kind; }',
    'engine/ops/c.ts': 'const { isSoftware } = gpu;\nconst c = gpu.adapterClass;\nconst d = plan.kind;',
  },
  ['engine/ops/a.ts:2', 'engine/ops/b.ts:2', 'engine/ops/c.ts:1', 'engine/ops/c.ts:2'],
);

rule(
  'a kernel family has its op, test, benchmark and float64 twin',
  rules.fourFilesPerKernel,
  {
    'shaders/lib/reduce.wgsl': '',
    'shaders/gelu.wgsl': '',
    'engine/ops/gelu.ts': '',
    'tests/ops/gelu.test.ts': '',
    'bench/ops/gelu.bench.ts': '',
    'shaders/add.wgsl': '',
    'tests/reference/add.ts': '',
    'shaders/scan/up.wgsl': '',
    'shaders/scan/down.wgsl': '',
    'engine/ops/scan/scan.ts': '',
    'tests/ops/scan.test.ts': '',
    'tests/reference/scan.ts': '',
  },
  [
    ...['shaders/gelu.wgsl:1', 'shaders/add.wgsl:1', 'shaders/add.wgsl:1', 'shaders/add.wgsl:1'],
    'shaders/scan/up.wgsl:1',
  ],
);

rule(
  'shaders are named in lower_snake_case',
  rules.lowerSnakeCaseShaders,
  { 'shaders/layer_norm.wgsl': '', 'shaders/lib/topK.wgsl': '' },
  ['shaders/lib/topK.wgsl:1'],
);

rule(
  'every test file ends with .run()',
  rules.testsEndWithRun,
  { 'tests/a.test.ts': 'test.run();\n', 'tests/b.test.ts': 'test();\n\n', 'tests/b.ts': '' },
  ['tests/b.test.ts:1'],
);

rule(
  'no source file is longer than 400 lines',
  rules.atMost400Lines,
  { 'ps3/a.ts': 'x\n'.repeat(400), 'ps3/b.ts': 'x\n'.repeat(401), LICENSE: 'x\n'.repeat(500) },
  ['ps3/b.ts:401'],
);

rule(
  'no line of WGSL is longer than 110 columns',
  rules.shadersAtMost110Columns,
  {
    'shaders/a.wgsl': ['a', 'b'.repeat(110), 'c'.repeat(111)].join('\n'),
    'bench/shaders/b.wgsl': `// ${'d'.repeat(108)}`,
    'engine/a.ts': 'e'.repeat(120),
  },
  ['shaders/a.wgsl:3', 'bench/shaders/b.wgsl:1'],
);

rule(
  'every binding states the shape of what it binds',
  rules.bindingsStateTheirShape,
  {
    'shaders/a.wgsl': [
      'struct Node { next : u32 }',
      '@group(0) @binding(0) var<uniform> params : Params;',
      '@group(0) @binding(1) var<storage, read> x : array<f32>; // [R, C]',
      '@group(0) @binding(2) var<storage, read> y : array<f32>; // the input',
      '@group(0) @binding(3) var<storage, read> z : array<f32>;',
      '@group(0) @binding(4) var<storage, read> nodes : array<Node>; // one Node per row',
      '@group(0) @binding(5)',
      'var<storage, read_write> w : array<f32>; // [R]',
    ].join('\n'),
  },
  ['shaders/a.wgsl:4', 'shaders/a.wgsl:5'],
);

rule(
  'no name is a catch-all',
  rules.noCatchAllNames,
  { 'engine/utils/a.ts': '', 'ps3/helpers.ts': '', 'ps3/common_words.ts': '', 'ps3/misc.test.ts': '' },
  ['engine/utils/a.ts:1', 'ps3/helpers.ts:1', 'ps3/misc.test.ts:1'],
);

rule(
  'a promise is awaited where what it uses is disposed of',
  rules.promisesAwaitedUnderUsing,
  {
    'engine/a.ts':
      'const read = async (): Promise<number> => 1;\nasync function early() {\n  using x = take();\n  return read();\n}\n' +
      'async function late() {\n  using x = take();\n  return await read();\n}\nasync function none() {\n  return read();\n}',
    'ps3/b.ts':
      'async function nested() {\n  using x = take();\n  if (x) {\n    return ok ? x.read() : 1;\n  }\n  return [1].map(() => 1);\n}\n' +
      'async function apart() {\n  { using x = take(); }\n  return read();\n}',
  },
  ['engine/a.ts:4', 'ps3/b.ts:4'],
);

rule(
  'no type is escaped from',
  rules.noEscapesFromTypes,
  {
    'ps3/a.ts':
      "// any\nlet a: any;\nlet b = 'any' as unknown as number;\nlet c = a as unknown;\nlet d: any[];",
  },
  ['ps3/a.ts:2', 'ps3/a.ts:3', 'ps3/a.ts:5'],
);

rule(
  'no error is dropped',
  rules.noEmptyCatch,
  { 'ps3/a.ts': 'try { a(); } catch { b(); }\ntry { a(); } catch { /* fine */ }\ntry { a(); } catch (e) {}' },
  ['ps3/a.ts:2', 'ps3/a.ts:3'],
);

rule(
  'exports are listed',
  rules.noExportStar,
  { 'ps3/a.ts': "export { a } from './b.ts';\nexport * from './c.ts';" },
  ['ps3/a.ts:2'],
);

rule(
  'the subject is an image',
  rules.subjectIsAnImage,
  {
    'ps3/a.ts': `// "Picture_1A" is an image.\nconst crop${'Pict'}ure = 1;`,
    'README.md': `Encodes\n${'pict'}ures.`,
  },
  ['ps3/a.ts:2', 'README.md:2'],
);

rule(
  'no task is left open',
  rules.noOpenTasks,
  { 'ps3/a.ts': `// TO${'DO'} later\nconst todo = 1;`, 'shaders/a.wgsl': `\n// FIX${'ME'}` },
  ['ps3/a.ts:1', 'shaders/a.wgsl:2'],
);

rule(
  'shaders and engine have one word per concept, the one of the field',
  rules.privateWords,
  {
    'shaders/a.wgsl': [
      'const WG : u32 = 64u;  // LANES',
      'const LANES : u32 = 64u;',
      'alias Lane = f32;',
      '@compute @workgroup_size(SCAN_WG)',
      '@compute @workgroup_size(SIZE)',
    ].join('\n'),
    'shaders/lib/b.wgsl': [
      'struct Params {',
      '  split_rows : u32,',
      '  chunks : u32,',
      '}',
      'const STRIPS : u32 = 2u;',
      'const NEAR_M = 4u;',
      '// Barriers are dear.',
    ].join('\n'),
    'engine/c.ts':
      "const LANES = 4;\n// A matrix that is turned.\nreturned();\n/** A kernel of one's own. */",
    'ps3/d.ts': '// The head is turned.',
  },
  [
    ...['shaders/a.wgsl:5', 'shaders/a.wgsl:2', 'shaders/a.wgsl:3'],
    ...['shaders/lib/b.wgsl:6', 'shaders/lib/b.wgsl:3', 'shaders/lib/b.wgsl:5', 'shaders/lib/b.wgsl:7'],
    ...['engine/c.ts:2', 'engine/c.ts:4'],
  ],
);

test('layout: engine/gpu/fragments.ts imports every file of shaders/lib', () => {
  const names = [...tree.keys()].flatMap((path) => /^shaders\/lib\/(\w+)\.wgsl$/.exec(path)?.[1] ?? []);
  assert.equal(Object.keys(FRAGMENTS), names.sort());
});

test.run();
