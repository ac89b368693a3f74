// Dawn accepts the kernel of tier 3 in every specialisation. Its backend without a GPU has the feature, which no software adapter has.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { create, globals } from 'webgpu';
import { Kernel } from '../../engine/gpu/kernel.ts';
import { Engine } from '../../engine/index.ts';
import { MATRIX_TILES } from '../../engine/ops/matmul/plan.ts';
import packSource from '../../shaders/matmul/pack.wgsl' with { type: 'text' };
import source from '../../shaders/matmul/subgroup_matrix.wgsl' with { type: 'text' };

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

function* packings() {
  yield { Vec: 'vec4f', VEC: 4, TRANSPOSED: false, SOURCE: 'F32' };
  for (const SOURCE of ['F32', 'F16', 'BF16'])
    for (const TRANSPOSED of booleans) yield { Vec: 'f32', VEC: 1, TRANSPOSED, SOURCE };
}

test('matmul_subgroup_matrix: Dawn makes a pipeline of every specialisation, without a message', async () => {
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
  const pipelineOf = async (code: string, entryPoint = kernel.entry): Promise<string[]> => {
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
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
  assert.is(made, 5 * 4 * 2 * 2 + 24 + 7);
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

test('engine: where no unit fits, tier 3 is tier 2', async () => {
  const engine = await Engine.create({ tier: 3 });
  assert.is(engine.gpu.target.matrixUnit === undefined, engine.tier < 3);
  engine.destroy();
});

test.run();
