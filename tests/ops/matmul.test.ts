import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200, LAVAPIPE, type Target } from '../../engine/gpu/target.ts';
import { backward, Engine, linear, matmul, type Tensor } from '../../engine/index.ts';
import { planMatmul } from '../../engine/ops/matmul/plan.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
} from '../harness.ts';
import { linear as linearTwin, type Product, matmul as twin } from '../reference/matmul.ts';

const numbers = (x: Tensor<'f32'>): Promise<Float32Array> => x.data();

const KINDS = ['register', 'tiled'] as const;
const CPU: Target = { ...LAVAPIPE, subgroupSize: 8, matrixUnit: undefined, workgroupBytes: 16_384 };
const GPU: Target = { ...H200, subgroupSize: 32, matrixUnit: undefined, workgroupBytes: 49_152 };

const LAYOUTS = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

// Around the blocks of 8 rows, 8 to 96 columns and 64 x 64 x 16 tiles; 1, primes, and widths that no vec4 fits.
const SHAPES = [
  [1, 1, 1],
  [3, 5, 7],
  [8, 32, 16],
  [9, 33, 17],
  [65, 119, 31],
  [64, 64, 64],
  [67, 96, 119],
  [130, 132, 20],
];
/** Of tiles, whose kernels a CPU compiles for seconds each: less and more than one, and what fits none. */
const TILED = SHAPES.filter(([M]) => [3, 9, 64, 65, 130].includes(M));

for (const kind of KINDS)
  for (const [transposeA, transposeB] of LAYOUTS)
    test(`matmul: ${kind}, ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}: c and both gradients match the twin at every shape`, async () => {
      for (const [M, N, K] of kind === 'tiled' ? TILED : SHAPES)
        await checkGradients({
          inputs: {
            a: { data: random(M * K, 1), shape: transposeA ? [K, M] : [M, K] },
            b: { data: random(K * N, 2), shape: transposeB ? [N, K] : [K, N] },
          },
          op: ({ a, b }) => matmul(a, b, { transposeA, transposeB, scale: 0.7, force: { kind } }),
          twin: ({ a, b }) => twin(a, b, { M, N, K, transposeA, transposeB, scale: 0.7 }),
          samples: M * N * K > 50_000 ? 3 : 6,
        });
    });

for (const kind of KINDS)
  for (const [transposeA, transposeB] of LAYOUTS)
    for (const shared of ['neither', 'a', 'b'])
      test(`matmul: ${kind}, ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}: a batch of 3 with ${shared} shared`, async () => {
        const [batch, M, N, K] = [3, 5, 12, 9];
        const product: Product = { batch, M, N, K, transposeA, transposeB };
        const aLead = shared === 'a' ? [] : [batch, 1];
        const bLead = shared === 'b' ? [] : [batch, 1];
        await checkGradients({
          inputs: {
            a: {
              data: random((aLead[0] ?? 1) * M * K, 3),
              shape: [...aLead, ...(transposeA ? [K, M] : [M, K])],
            },
            b: {
              data: random((bLead[0] ?? 1) * K * N, 4),
              shape: [...bLead, ...(transposeB ? [N, K] : [K, N])],
            },
          },
          op: ({ a, b }) => matmul(a, b, { transposeA, transposeB, force: { kind } }),
          twin: ({ a, b }) => twin(a, b, { ...product, sharedA: shared === 'a', sharedB: shared === 'b' }),
          samples: 12,
        });
      });

test('matmul: a long sum in splits matches the twin and gives the same bits twice', async () => {
  const [M, N, K] = [12, 20, 1037];
  const a = random(M * K, 1);
  const b = random(K * N, 2);
  for (const kind of KINDS)
    for (const transposeA of [false, true]) {
      using scope = engine.scope();
      const left = tensor(a, transposeA ? [K, M] : [M, K], { scope });
      const right = tensor(b, [K, N], { scope });
      const once = () => matmul(left, right, { transposeA, scale: 3, force: { kind, splits: 5 } }).data();
      const first = await once();
      compare('c', first, twin(a, b, { M, N, K, transposeA, scale: 3 }));
      compare('c again', await once(), first, TOLERANCE.exact);
    }
});

test('matmul: a transposed b that is transposed first gives what it gives in place', async () => {
  using scope = engine.scope();
  const [batch, M, N, K] = [2, 9, 21, 13];
  const a = random(batch * M * K, 1);
  const b = random(batch * N * K, 2);
  const [left, right] = [tensor(a, [batch, M, K], { scope }), tensor(b, [batch, N, K], { scope })];
  const want = twin(a, b, { batch, M, N, K, transposeB: true });
  for (const transposeFirst of [false, true]) {
    const c = matmul(left, right, { transposeB: true, force: { kind: 'register', transposeFirst } });
    compare('c', await c.data(), want);
  }
});

test('matmul: without subgroups, four rows of a at once, in any layout, batch and part of a sum', async () => {
  const plain = await Engine.create({ tier: 1 });
  using scope = plain.scope();
  for (const [batch, M, N, K, transposeA, transposeB, splits] of [
    [1, 37, 100, 24, false, false, 1],
    [3, 37, 100, 23, false, false, 1], // K and M leave something over
    [3, 38, 97, 12, false, true, 1],
    [2, 36, 20, 23, true, false, 1],
    [2, 41, 20, 23, true, false, 1], // M does not divide: one row at a time
    [1, 9, 100, 600, false, false, 3],
  ] as const) {
    const plan = planMatmul({ ...CPU, subgroupSize: 1 }, { M, N, K, transposeA, transposeB });
    assert.is(plan.kind === 'register' && plan.aVec === 4, M !== 41);
    const [a, b] = [random(batch * M * K, 1), random(batch * K * N, 2)];
    const left = plain.tensor(a, transposeA ? [batch, K, M] : [batch, M, K], { scope });
    const right = plain.tensor(b, transposeB ? [batch, N, K] : [batch, K, N], { scope });
    const c = matmul(left, right, { transposeA, transposeB, force: { kind: 'register', splits } });
    compare(
      `${batch}x${M}x${N}x${K}`,
      await numbers(c),
      twin(a, b, { batch, M, N, K, transposeA, transposeB }),
    );
  }
  plain.destroy();
});

test('matmul: more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  const M = 8 * 65_539;
  const a = random(M, 1);
  const c = matmul(tensor(a, [M, 1], { scope }), tensor([3], [1, 1], { scope }), {
    force: { kind: 'register' },
  });
  compare(
    'c',
    await c.data(),
    a.map((value) => 3 * value),
  );
});

test('matmul: zero rows give zero rows, and no terms give zeros', async () => {
  using scope = engine.scope();
  for (const kind of KINDS) {
    const none = matmul(tensor([], [0, 4], { scope }), tensor(random(8, 1), [4, 2], { scope }), {
      force: { kind },
    });
    assert.equal(none.shape, [0, 2]);
    const zeros = matmul(tensor([], [3, 0], { scope }), tensor([], [0, 2], { scope }), {
      force: { kind },
    });
    compare('c', await zeros.data(), new Float32Array(6));
  }
});

for (const kind of KINDS)
  for (const gelu of [undefined, 'erf', 'tanh'] as const)
    for (const [M, N, K] of [
      [1, 7, 3],
      [9, 96, 24],
      [70, 66, 33],
    ])
      test(`linear: ${kind}, gelu ${gelu ?? 'none'}, ${M}x${N}x${K}: y and all four gradients match the twin`, async () => {
        await checkGradients({
          inputs: {
            x: { data: random(M * K, 1), shape: [1, M, K] },
            weight: { data: random(N * K, 2), shape: [N, K] },
            bias: { data: random(N, 3), shape: [N] },
            residual: { data: random(M * N, 4), shape: [1, M, N] },
          },
          op: ({ x, weight, bias, residual }) => linear(x, weight, { bias, gelu, residual, force: { kind } }),
          twin: ({ x, weight, bias, residual }) => linearTwin(x, weight, K, { bias, residual, gelu }),
          samples: 8,
        });
      });

test('linear: gelu keeps its tails where the inputs are large', async () => {
  using scope = engine.scope();
  const x = Float64Array.from({ length: 200 }, (_, i) => Math.fround(-100 + i));
  for (const gelu of ['erf', 'tanh'] as const) {
    const input = tensor(x, [200, 1], { scope, requiresGrad: true });
    const weight = tensor([1], [1, 1], { scope });
    const y = linear(input, weight, { gelu });
    const want = linearTwin(x, new Float64Array([1]), 1, { gelu });
    compare('y', await y.data(), want, { abs: 1e-6, rel: 1e-7 });
    backward(y, { seed: engine.full([200, 1], 1) });
    const dx = await input.grad!.data();
    compare('dx', [dx[0], dx[80], dx[120], dx[199]], [0, 0, 1, 1], { abs: 1e-6, rel: 0 });
  }
});

test('linear: output and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('matmul')) {
    using scope = engine.scope();
    const get = (key: string) => {
      const vector = vectors.get(key);
      return vector && tensor(vector.data, vector.shape, { scope, requiresGrad: key !== 'dy' });
    };
    const [x, weight, bias, residual] = ['x', 'weight', 'bias', 'residual'].map(get);
    const gelu = name.startsWith('erf') ? 'erf' : name.startsWith('tanh') ? 'tanh' : undefined;
    const y = linear(x!, weight!, { bias, gelu, residual });
    compare(`${name}/y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy')! });
    for (const [key, leaf] of Object.entries({ x, weight, bias, residual }))
      if (leaf)
        compare(`${name}/d${key}`, await leaf.grad!.data(), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
  }
});

test('matmul: the plan gives CPUs registers, GPUs tiles, and splits long sums only', () => {
  const product = { M: 2304, N: 96, K: 96, transposeB: true };
  for (const [subgroupSize, aVec] of [
    [1, 4],
    [4, 1],
    [8, 1],
  ] as const) {
    const plan = planMatmul({ ...CPU, subgroupSize }, product);
    assert.equal(plan.kind === 'register' && [plan.transposeFirst, plan.aVec], [true, aVec]);
  }
  assert.is(planMatmul(GPU, product).kind, 'tiled');
  const gradient = { M: 96, N: 384, K: 4608, transposeA: true };
  assert.is(planMatmul(GPU, gradient).splits, 18);
  for (const [M, N, K, epilogue, tile, splits] of [
    [4096, 4096, 4096, true, 128, 1],
    [3289, 1152, 4304, true, 128, 1],
    [2560, 3456, 1152, true, 96, 1],
    [729, 3456, 1152, true, 96, 1],
    [729, 1152, 1152, true, 32, 1],
    [729, 1152, 1152, false, 128, 4],
    [85, 1152, 1152, true, 32, 1],
  ] as const) {
    const plan = planMatmul(GPU, { M, N, K, epilogue, transposeB: true });
    assert.equal(plan, { kind: 'tiled', tile, splits }, `${M}x${N}x${K}`);
  }
  const wide = { M: 4096, N: 4096, K: 96, transposeB: true };
  assert.equal(planMatmul({ ...GPU, workgroupBytes: 16_384 }, wide), { kind: 'tiled', tile: 96, splits: 1 });
  assert.is(planMatmul(GPU, { ...gradient, epilogue: true }).splits, 1);
  assert.is(planMatmul(CPU, gradient).splits, 1);
});

test('matmul: shapes that do not fit are named', () => {
  using scope = engine.scope();
  const zeros = (...shape: number[]) =>
    tensor(new Float64Array(shape.reduce((n, extent) => n * extent, 1)), shape, { scope });
  throws(
    () => matmul(zeros(4, 8), zeros(6, 2)),
    /^matmul: inner dimensions must agree, got a \[4, 8\] and b \[6, 2\] \(8 != 6\)\./,
  );
  throws(() => matmul(zeros(2, 4, 8), zeros(3, 8, 2)), /^matmul: leading extents must be equal/);
  throws(() => matmul(zeros(4), zeros(4, 2)), /^matmul: a must have two axes or more, got \[4\]/);
  throws(
    () => linear(zeros(4, 8), zeros(8, 4)),
    /^linear: weight must be \[N, K\].*got x \[4, 8\] and weight \[8, 4\]/,
  );
  throws(
    () => linear(zeros(4, 8), zeros(3, 8), { bias: zeros(4) }),
    /^linear: bias must be \[3\], got \[4\]/,
  );
  throws(
    () => linear(zeros(4, 8), zeros(3, 8), { residual: zeros(4, 8) }),
    /^linear: residual must be \[4, 3\]/,
  );
});

test.run();
