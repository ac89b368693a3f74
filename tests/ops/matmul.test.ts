import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, cast, Engine, linear, matmul, type Tensor } from '../../engine/index.ts';
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
import { fromBfloat, fromHalf, toBfloat, toHalf } from '../reference/cast.ts';
import { linear as linearTwin, type Product, matmul as twin } from '../reference/matmul.ts';

const numbers = (x: Tensor<'f32'>): Promise<Float32Array> => x.data();

const VARIANTS = ['registers', 'tiled'] as const;
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

for (const variant of VARIANTS)
  for (const [transposeA, transposeB] of LAYOUTS)
    test(`matmul: ${variant}, ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}: c and both gradients match the twin at every shape`, async () => {
      for (const [M, N, K] of SHAPES)
        await checkGradients({
          inputs: {
            a: { data: random(M * K, 1), shape: transposeA ? [K, M] : [M, K] },
            b: { data: random(K * N, 2), shape: transposeB ? [N, K] : [K, N] },
          },
          op: ({ a, b }) => matmul(a, b, { transposeA, transposeB, scale: 0.7, force: { variant } }),
          twin: ({ a, b }) => twin(a, b, { M, N, K, transposeA, transposeB, scale: 0.7 }),
          samples: M * N * K > 50_000 ? 3 : 6,
        });
    });

for (const variant of VARIANTS)
  for (const [transposeA, transposeB] of LAYOUTS)
    for (const shared of ['neither', 'a', 'b'])
      test(`matmul: ${variant}, ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}: a batch of 3 with ${shared} shared`, async () => {
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
          op: ({ a, b }) => matmul(a, b, { transposeA, transposeB, force: { variant } }),
          twin: ({ a, b }) => twin(a, b, { ...product, sharedA: shared === 'a', sharedB: shared === 'b' }),
          samples: 12,
        });
      });

test('matmul: a long sum in slices matches the twin and gives the same bits twice', async () => {
  const [M, N, K] = [12, 20, 1037];
  const a = random(M * K, 1);
  const b = random(K * N, 2);
  for (const variant of VARIANTS)
    for (const transposeA of [false, true]) {
      using scope = engine.scope();
      const left = tensor(a, transposeA ? [K, M] : [M, K], { scope });
      const right = tensor(b, [K, N], { scope });
      const once = () => matmul(left, right, { transposeA, scale: 3, force: { variant, slices: 5 } }).data();
      const first = (await once()) as Float32Array;
      compare('c', first, twin(a, b, { M, N, K, transposeA, scale: 3 }));
      compare('c again', (await once()) as Float32Array, first, TOLERANCE.exact);
    }
});

test('matmul: a transposed b that is turned first gives what it gives in place', async () => {
  using scope = engine.scope();
  const [batch, M, N, K] = [2, 9, 21, 13];
  const a = random(batch * M * K, 1);
  const b = random(batch * N * K, 2);
  const [left, right] = [tensor(a, [batch, M, K], { scope }), tensor(b, [batch, N, K], { scope })];
  const want = twin(a, b, { batch, M, N, K, transposeB: true });
  for (const transposeFirst of [false, true]) {
    const c = matmul(left, right, { transposeB: true, force: { variant: 'registers', transposeFirst } });
    compare('c', await c.data(), want);
  }
});

test('matmul: without subgroups, four rows of a at once, in any layout, batch and part of a sum', async () => {
  const plain = await Engine.create({ tier: 1 });
  using scope = plain.scope();
  for (const [batch, M, N, K, transposeA, transposeB, slices] of [
    [1, 37, 100, 24, false, false, 1],
    [3, 37, 100, 23, false, false, 1], // K and M leave something over
    [3, 38, 97, 12, false, true, 1],
    [2, 36, 20, 23, true, false, 1],
    [2, 41, 20, 23, true, false, 1], // M does not divide: one row at a time
    [1, 9, 100, 600, false, false, 3],
  ] as const) {
    const facts = { M, N, K, transposeA, transposeB, subgroupSize: 1 };
    assert.is(planMatmul({ ...facts, adapterClass: 'software' }).quads, M !== 41);
    const [a, b] = [random(batch * M * K, 1), random(batch * K * N, 2)];
    const left = plain.tensor(a, transposeA ? [batch, K, M] : [batch, M, K], { scope });
    const right = plain.tensor(b, transposeB ? [batch, N, K] : [batch, K, N], { scope });
    const c = matmul(left, right, { transposeA, transposeB, force: { variant: 'registers', slices } });
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
    force: { variant: 'registers' },
  });
  compare(
    'c',
    await c.data(),
    a.map((value) => 3 * value),
  );
});

test('matmul: zero rows give zero rows, and no terms give zeros', async () => {
  using scope = engine.scope();
  for (const variant of VARIANTS) {
    const none = matmul(tensor([], [0, 4], { scope }), tensor(random(8, 1), [4, 2], { scope }), {
      force: { variant },
    });
    assert.equal(none.shape, [0, 2]);
    const zeros = matmul(tensor([], [3, 0], { scope }), tensor([], [0, 2], { scope }), {
      force: { variant },
    });
    compare('c', await zeros.data(), new Float32Array(6));
  }
});

for (const variant of VARIANTS)
  for (const gelu of [undefined, 'erf', 'tanh'] as const)
    for (const [M, N, K] of [
      [1, 7, 3],
      [9, 96, 24],
      [70, 66, 33],
    ])
      test(`linear: ${variant}, gelu ${gelu ?? 'none'}, ${M}x${N}x${K}: y and all four gradients match the twin`, async () => {
        await checkGradients({
          inputs: {
            x: { data: random(M * K, 1), shape: [1, M, K] },
            weight: { data: random(N * K, 2), shape: [N, K] },
            bias: { data: random(N, 3), shape: [N] },
            residual: { data: random(M * N, 4), shape: [1, M, N] },
          },
          op: ({ x, weight, bias, residual }) =>
            linear(x, weight, bias, { gelu, residual, force: { variant } }),
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
    const y = linear(input, weight, undefined, { gelu });
    const want = linearTwin(x, new Float64Array([1]), 1, { gelu });
    compare('y', await y.data(), want, { abs: 1e-6, rel: 1e-7 });
    backward(y, engine.full([200, 1], 1));
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
    const y = linear(x!, weight!, bias, { gelu, residual });
    compare(`${name}/y`, await y.data(), vectors.get('y')!.data);
    backward(y, get('dy')!);
    for (const [key, leaf] of Object.entries({ x, weight, bias, residual }))
      if (leaf)
        compare(`${name}/d${key}`, await leaf.grad!.data(), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
  }
});

test('matmul: the planner gives software adapters registers, GPUs tiles, and splits long sums only', () => {
  const facts = { M: 2304, N: 96, K: 96, transposeA: false, transposeB: true };
  assert.ok(planMatmul({ ...facts, adapterClass: 'software' }).transposeFirst);
  assert.is(planMatmul({ ...facts, adapterClass: 'gpu' }).variant, 'tiled');
  for (const [subgroupSize, quads] of [
    [1, true],
    [4, false],
    [8, false],
  ] as const)
    assert.is(planMatmul({ ...facts, adapterClass: 'software', subgroupSize }).quads, quads);
  const gradient = { M: 96, N: 384, K: 4608, transposeA: true, transposeB: false };
  assert.is(planMatmul({ ...gradient, adapterClass: 'gpu' }).slices, 18);
  const gpu = { adapterClass: 'gpu', workgroupBytes: 49_152, transposeA: false, transposeB: true } as const;
  for (const [M, N, K, epilogue, tile, slices] of [
    [4096, 4096, 4096, true, 128, 1],
    [3289, 1152, 4304, true, 128, 1],
    [2560, 3456, 1152, true, 96, 1],
    [729, 3456, 1152, true, 96, 1],
    [729, 1152, 1152, true, 32, 1],
    [729, 1152, 1152, false, 128, 4],
    [85, 1152, 1152, true, 32, 1],
  ] as const) {
    const plan = planMatmul({ ...gpu, M, N, K, epilogue });
    assert.equal([plan.tile, plan.slices], [tile, slices], `${M}x${N}x${K}`);
  }
  assert.is(planMatmul({ ...gpu, workgroupBytes: 16_384, M: 4096, N: 4096, K: 96 }).tile, 96);
  assert.is(planMatmul({ ...gradient, adapterClass: 'gpu', epilogue: true }).slices, 1);
  assert.is(planMatmul({ ...gradient, adapterClass: 'software' }).slices, 1);
});

for (const dtype of ['f16', 'bf16'] as const)
  for (const variant of VARIANTS)
    test(`matmul: operands stored as ${dtype}, ${variant}: products and the gradient of the other one match the twin on rounded numbers`, async () => {
      using scope = engine.scope();
      const round = dtype === 'f16' ? toHalf : toBfloat;
      const value = dtype === 'f16' ? fromHalf : fromBfloat;
      const rounded = (values: Float64Array) => values.map((v) => value(round(v)));
      for (const [M, N, K] of [
        [67, 96, 120],
        [9, 33, 17],
        [70, 5, 34],
      ])
        for (const transposeB of [false, true]) {
          const force = { variant };
          const [left, right] = [random(M * K, 1), random(K * N, 2)];
          const x = tensor(left, [M, K], { scope, requiresGrad: true });
          const b = cast(tensor(right, transposeB ? [N, K] : [K, N], { scope }), dtype);
          const c = matmul(x, b, { transposeB, force });
          const shape = { M, N, K, transposeB };
          compare('c', await numbers(c), twin(left, rounded(right), shape));
          const dc = random(M * N, 3);
          backward(c, tensor(dc, [M, N], { scope }));
          const da = twin(dc, rounded(right), { M, N: K, K: N, transposeB: !transposeB });
          compare('da', await numbers(x.grad!), da, TOLERANCE.grad);
          const a = cast(tensor(left, [M, K], { scope }), dtype);
          compare(
            'c of both',
            await numbers(matmul(a, b, { transposeB, force })),
            twin(rounded(left), rounded(right), shape),
          );
        }
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
  throws(() => linear(zeros(4, 8), zeros(3, 8), zeros(4)), /^linear: bias must be \[3\], got \[4\]/);
  throws(
    () => linear(zeros(4, 8), zeros(3, 8), undefined, { residual: zeros(4, 8) }),
    /^linear: residual must be \[4, 3\]/,
  );
});

test.run();
