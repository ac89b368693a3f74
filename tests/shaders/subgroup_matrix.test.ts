// Dawn accepts the kernels of tier 3 in every specialisation. Its backend without a GPU has the feature, which no software adapter has.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { create, globals } from 'webgpu';
import { type Define, Kernel } from '../../engine/gpu/kernel.ts';
import { type MatrixShape, planMatrixUnit, type Target } from '../../engine/gpu/target.ts';
import { Engine, linear } from '../../engine/index.ts';
import { MATRIX_TILES } from '../../engine/ops/matmul/plan.ts';
import { fittingTiles, tileBytes, tileColumns, tileDefine } from '../../engine/ops/shared_tile.ts';
import attentionSource from '../../shaders/attention/tiled.wgsl' with { type: 'text' };
import packSource from '../../shaders/matmul/pack.wgsl' with { type: 'text' };
import source from '../../shaders/matmul/subgroup_matrix.wgsl' with { type: 'text' };
import tiledSource from '../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { engine } from '../harness.ts';

const booleans = [false, true];

const UNITS = [
  [8, 8, 8],
  [8, 16, 16],
  [16, 8, 16],
  [16, 8, 8],
  [16, 16, 16],
];

function* products() {
  const epilogue = { HAS_BIAS: true, HAS_RESIDUAL: true, HAS_PRE: true, GELU: 1 };
  for (const [MATRIX_M, MATRIX_N, MATRIX_K] of UNITS)
    for (const [rows, columns] of Object.values(MATRIX_TILES))
      for (const WG of [128, 256])
        for (const UNROLLED of booleans) {
          const parts = { SUBGROUP_TILE_M: rows / 2, SUBGROUP_TILE_N: columns / 2 };
          yield { ...epilogue, ...parts, MATRIX_M, MATRIX_N, MATRIX_K, WG, UNROLLED };
        }
  for (const HAS_BIAS of booleans)
    for (const HAS_RESIDUAL of booleans)
      for (const HAS_PRE of booleans)
        for (const GELU of [0, 1, 2]) yield { HAS_BIAS, HAS_RESIDUAL, HAS_PRE, GELU };
}

/** Tiles on matrix units, of matmul and of attention, with the memory that a workgroup needs. */
function* tiles(): Generator<[define: Define, bytes: number]> {
  const tileOf = (
    target: Target,
    rows: number,
    columns: number,
    unit: MatrixShape,
    components?: 1 | 2,
  ): [Define, number] => [
    tileDefine(target, rows, columns, unit, components),
    tileBytes(rows, columns, unit),
  ];
  for (const [M, N, K] of UNITS)
    for (const subgroupSize of [8, 16, 32, 64])
      for (const unrolled of booleans)
        for (const components of subgroupSize === 32 ? ([1, 2] as const) : ([1] as const)) {
          const target = { ...engine.target, subgroupSize, unrolled, workgroupBytes: 49_152 };
          for (const tile of fittingTiles(target, { M, N, K }, components))
            yield tileOf(target, tile, tileColumns(tile), { M, N, K }, components);
        }
  // Of the whole head: whatever this adapter is, as for one that has units.
  const target = { ...engine.target, subgroupSize: 32, workgroupBytes: 49_152 };
  for (const N of [16, 80, 96]) yield tileOf(target, 128, N, { M: 16, N: 16, K: 16 });
}

function* packings() {
  yield { Vec: 'vec4f', VEC: 4, TRANSPOSED: false, SOURCE: 'F32' };
  for (const SOURCE of ['F32', 'F16', 'BF16'])
    for (const TRANSPOSED of booleans) yield { Vec: 'f32', VEC: 1, TRANSPOSED, SOURCE };
}

test('matrix units: Dawn makes a pipeline of every specialisation, without a message', async () => {
  Object.assign(globalThis, globals);
  const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await gpu.requestAdapter();
  const feature = 'chromium-experimental-subgroup-matrix';
  if (!adapter?.features.has(feature)) return assert.unreachable(`Dawn without a GPU must have ${feature}`);
  const device = await adapter.requestDevice({
    requiredFeatures: [feature as 'subgroups', 'shader-f16', 'subgroups'],
  });
  const kernel = new Kernel(source, 'matmul_subgroup_matrix');
  const pack = new Kernel(packSource, 'matmul_pack');
  const tiled = new Kernel(tiledSource, 'matmul_tiled');
  const streams = new Kernel(tiledSource, 'matmul_streams');
  const attention = new Kernel(attentionSource, 'attention_tile');
  const most = device.limits.maxComputeWorkgroupStorageSize;
  const pipelineOf = async (code: string, entryPoint = kernel.entry, bytes = 0): Promise<string[]> => {
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    // Of larger tiles this device makes no pipeline.
    if (bytes <= most)
      await device.createComputePipelineAsync({
        layout: 'auto',
        compute: { module, entryPoint },
      });
    return messages.map(({ message }) => message);
  };
  let made = 0;
  for (const define of products()) {
    assert.equal(await pipelineOf(kernel.specialise(define, false)), [], JSON.stringify(define));
    made++;
  }
  for (const define of packings()) {
    const code = pack.specialise(define, false);
    assert.equal(await pipelineOf(code, pack.entry), [], JSON.stringify(define));
    made++;
  }
  for (const [define, bytes] of tiles())
    for (const one of [tiled, streams, attention]) {
      const code = one.specialise(define, false);
      assert.equal(await pipelineOf(code, one.entry, 2 * bytes), [], JSON.stringify(define));
      made++;
    }
  for (const KIND of ['SUMS', 'NORMALISED', 'SCORES', 'WEIGHTS', 'GRADIENTS', 'OUTPUT'])
    for (const MEMBERS of [1, 2]) {
      const code = attention.specialise({ shared_tile: 'matrix_tile', KIND, MEMBERS }, false);
      assert.equal(await pipelineOf(code, attention.entry), [], KIND);
      made++;
    }
  assert.is(made, 5 * 5 * 2 * 2 + 24 + 7 + 3 * (5 * 2 * (4 * 5 + 4) + 3) + 12);
  // It does look: the types of a unit must fit each other.
  device.addEventListener('uncapturederror', (event) => event.preventDefault());
  const wrong = kernel
    .specialise({ MATRIX_M: 8 }, false)
    .replace(
      'subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>',
      'subgroup_matrix_left<f16, MATRIX_M, MATRIX_K>',
    );
  assert.ok(
    await pipelineOf(wrong).then(
      () => false,
      () => true,
    ),
  );
  device.destroy();
});

/** Units as Dawn lists them, by who has them; of those without sums in f32, tier 3 takes none. */
const LISTED = {
  'llvmpipe of Mesa 26': { M: 8, N: 8, K: 8 },
  'Apple and Intel': { M: 8, N: 16, K: 16 },
  'tall ones': { M: 16, N: 8, K: 16 },
  NVIDIA: { M: 16, N: 16, K: 16 },
};

/** Extents of the matrices of a module, whichever entry point uses them: Dawn refuses a pipeline for any that its device lacks. */
function matricesOf(code: string): string[] {
  const extent = (name: string): string => code.match(new RegExp(`^const ${name} : u32 = (\\d+)u;`, 'm'))![1];
  return [...code.matchAll(/subgroup_matrix_(\w+)<(\w+), (\w+), (\w+)>/g)].map(
    ([, kind, scalar, columns, rows]) => `${kind} ${scalar} ${extent(rows)}x${extent(columns)}`,
  );
}

for (const [name, unit] of Object.entries(LISTED))
  test(`matmul_subgroup_matrix: every module of a product has the matrices of the unit of ${name}, and no others`, () => {
    const f16 = { componentType: 'f16', resultComponentType: 'f16', M: 16, N: 16, K: 16 };
    const planned = planMatrixUnit([f16, { ...unit, componentType: 'f16', resultComponentType: 'f32' }]);
    assert.equal(planned, unit);
    assert.is(planMatrixUnit([f16]), undefined, 'sums in f16 are not enough');
    const { gpu } = engine;
    const modules: string[] = [];
    const { run, target } = gpu;
    gpu.target = { ...target, matrixUnit: planned };
    gpu.run = (kernel, _bind, { define = {} }) => {
      modules.push(kernel.specialise(define, false));
    };
    try {
      using scope = engine.scope();
      const [x, weight] = [engine.empty([9, 40], { scope }), engine.empty([24, 40], { scope })];
      for (const tile of [32, 64, 128] as const)
        linear(x, weight, { force: { kind: 'subgroup_matrix', tile } }).moveTo(scope);
    } finally {
      Object.assign(gpu, { run, target });
    }
    const { M, N, K } = unit;
    const all = [`left f16 ${M}x${K}`, `right f16 ${K}x${N}`, `result f32 ${M}x${N}`];
    assert.equal(
      modules.map(matricesOf),
      [1, 2, 3].flatMap(() => [[], [], all]),
    );
  });

test('engine: where no unit fits, tier 3 is tier 2', async () => {
  const opened = await Engine.create({ tier: 3 });
  assert.is(opened.target.matrixUnit === undefined, opened.tier < 3);
  assert.equal(opened.warnings, [], 'what there is passes the self-test');
  opened.destroy();
});

test.run();
