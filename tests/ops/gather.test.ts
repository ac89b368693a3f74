import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, Engine, embedding, scatterRows, type Tensor } from '../../engine/index.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../engine/io/half.ts';
import { size } from '../../engine/tensor/shape.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withBindingLimit,
  withGpuPlans,
} from '../harness.ts';
import * as twin from '../reference/gather.ts';

/** n row numbers below `limit`, with repeats. */
const repeated = (n: number, limit: number, seed: number): Uint32Array =>
  Uint32Array.from(random(n, seed), (u) => Math.min(limit - 1, Math.floor(((u + 1) / 2) * limit)));

/** k different row numbers below N for each of B tables. */
function distinct(B: number, k: number, N: number, seed: number): Uint32Array {
  const rows = Array.from({ length: B }, (_, b) => {
    const keys = random(N, seed + b);
    return Array.from(keys, (_, i) => i).sort((i, j) => keys[i] - keys[j]);
  });
  return Uint32Array.from(rows.flatMap((row) => row.slice(0, k)));
}

/** Gradient of the table for the given gradient of the gathered rows. */
async function gradientOf(table: Tensor, y: Tensor, dy: Float64Array): Promise<ArrayLike<number>> {
  using seed = tensor(dy, y.shape);
  backward(y, { seed });
  using gradient = table.grad!;
  return await gradient.data();
}

for (const [R, C, shape] of [
  [1, 1, [1]],
  [7, 3, [5]],
  [64, 4, [3, 63]],
  [65, 12, [2, 3, 11]],
  [300, 5, [700]],
  [3, 8, [1000]],
] as const)
  test(`gather: rows and dtable match the twin for a [${R}, ${C}] table and [${shape}] indices`, async () => {
    const n = size(shape);
    const list = repeated(n, R, 3);
    using indices = tensor(list, shape);
    const check = () =>
      checkGradients({
        inputs: { table: { data: random(R * C, 1), shape: [R, C] } },
        op: ({ table }) => embedding(table, indices),
        twin: ({ table }) => twin.embedding(table, list, { N: R, C }),
      });
    await check();
    await withGpuPlans(check);
  });

test('gather: dtable is a sum in list order, also for rows used thousands of times', async () => {
  using scope = engine.scope();
  const [R, C, n] = [40, 4, 20_000];
  // Half the list is one row, as padding tokens are; the numbers are small integers, so that sums are exact.
  const list = repeated(n, R, 5).map((row, i) => (i % 2 === 0 ? 17 : row));
  const dy = random(n * C, 6).map((u) => Math.round(u * 8));
  const table = tensor(random(R * C, 1), [R, C], { scope, requiresGrad: true });
  const y = embedding(table, tensor(list, [n], { scope }));
  const want = twin.scatterRows(dy, list, { N: R, C });
  compare('dtable', await gradientOf(table, y, dy), want, TOLERANCE.exact);
});

test('gather: dtable is added to the gradient of a leaf, of which other rows are left alone', async () => {
  using scope = engine.scope();
  for (const [R, C] of [
    [200, 4],
    [130, 3],
  ]) {
    const list = repeated(40, R, 5);
    const dy = random(40 * C, 6).map((u) => Math.round(u * 8));
    const once = twin.scatterRows(dy, list, { N: R, C });
    const table = tensor(random(R * C, 1), [R, C], { scope, requiresGrad: true });
    const indices = tensor(list, [40], { scope });
    const seed = tensor(dy, [40, C], { scope });
    const add = () => backward(embedding(table, indices), { seed });
    add();
    const { grad } = table;
    withBindingLimit(64 * C * 4, add);
    withGpuPlans(add);
    assert.is(table.grad, grad);
    compare(
      'dtable',
      await grad!.data(),
      once.map((sum) => 3 * sum),
      TOLERANCE.exact,
    );
    grad!.dispose();
  }
});

test('gather: a long list into a large table with few columns', async () => {
  using scope = engine.scope();
  const [R, C, n] = [262_144, 1, 100_000];
  const list = repeated(n, R, 8);
  const dy = random(n * C, 9).map((u) => Math.round(u * 8));
  const data = random(R * C, 1);
  const table = tensor(data, [R, C], { scope, requiresGrad: true });
  const y = embedding(table, tensor(list, [n], { scope }));
  compare('y', await y.data(), twin.embedding(data, list, { N: R, C }), TOLERANCE.exact);
  const want = twin.scatterRows(dy, list, { N: R, C });
  compare('dtable', await gradientOf(table, y, dy), want, TOLERANCE.exact);
});

test('gather: a table beyond the binding limit is read and differentiated in pieces', async () => {
  using scope = engine.scope();
  const C = 1024;
  const R = Math.floor(engine.gpu.device.limits.maxStorageBufferBindingSize / (4 * C)) + 130;
  if (R > 50_000) return; // the limit of this adapter is beyond what a test should allocate
  const list = Uint32Array.of(R - 1, 0, R - 131, 5, R - 130, R - 1, R, 64);
  const data = new Float32Array(R * C);
  for (const row of list) data.fill(row, row * C, (row + 1) * C);
  const table = tensor(data, [R, C], { scope, requiresGrad: true });
  const indices = tensor(list, [list.length], { scope });
  const y = embedding(table, indices);
  const want = Float64Array.from({ length: list.length * C }, (_, i) => list[Math.floor(i / C)] % R);
  compare('y', await y.data(), want, TOLERANCE.exact);
  const dy = random(list.length * C, 3);
  const dtable = await gradientOf(table, y, dy);
  for (const row of new Set(list)) {
    const got = Array.from({ length: row < R ? C : 0 }, (_, c) => dtable[row * C + c]);
    const sums = got.map((_, c) =>
      list.reduce((sum, other, m) => sum + (other === row ? dy[m * C + c] : 0), 0),
    );
    compare(`dtable of row ${row}`, got, sums);
  }
});

test('scatter: rows go into a grid beyond the binding limit, and come back', async () => {
  using scope = engine.scope();
  const C = 1024;
  const N = Math.floor(engine.gpu.device.limits.maxStorageBufferBindingSize / (4 * C)) + 130;
  if (N > 50_000) return; // the limit of this adapter is beyond what a test should allocate
  const list = Uint32Array.of(N - 1, 0, N - 131, 5, N - 130, 64);
  const data = random(list.length * C, 2);
  const x = tensor(data, [1, list.length, C], { scope, requiresGrad: true });
  const indices = tensor(list, [1, list.length], { scope });
  const grid = scatterRows(x, indices, N);
  compare('x', await embedding(grid, indices, { unique: true }).data(), data, TOLERANCE.exact);
  const others = tensor(Uint32Array.of(1, N - 132, N - 2), [1, 3], { scope });
  compare('zeros', await embedding(grid, others).data(), new Float64Array(3 * C), TOLERANCE.exact);
});

test('gather: a list of rows beyond the binding limit is written in pieces', async () => {
  using scope = engine.scope();
  const C = 1024;
  const half = Math.floor(engine.gpu.device.limits.maxStorageBufferBindingSize / (8 * C)) + 40;
  if (half > 25_000) return; // the limit of this adapter is beyond what a test should allocate
  // Two tables of two rows; every number tells its row, and each row of indices alternates between them.
  const table = tensor(
    Float64Array.from({ length: 4 * C }, (_, i) => Math.floor(i / C)),
    [2, 2, C],
    { scope },
  );
  const list = Uint32Array.from({ length: 2 * half }, (_, m) => m % 2);
  const y = embedding(table, tensor(list, [2, half], { scope }));
  const got = await y.data();
  let wrong = 0;
  for (let m = 0; m < 2 * half; m++)
    for (const c of [0, 517, C - 1]) if (got[m * C + c] !== (m % 2) + (m >= half ? 2 : 0)) wrong++;
  compare('wrong numbers', [wrong], [0], TOLERANCE.exact);
});

test('gather: the profiler counts the rows that move, not the table', async () => {
  const profiled = await Engine.create({ profile: true });
  using scope = profiled.scope();
  const table = profiled.zeros([10_000, 64], { scope });
  embedding(table, profiled.tensor(Uint32Array.of(3, 9), [2], { scope }));
  const row = (await profiled.kernelTimes()).find(({ label }) => label === 'gather_rows');
  if (row && row.ms > 0) compare('bytes', [row.gbPerS * row.ms * 1e6], [8 + 2 * 2 * 256]);
  profiled.destroy();
});

test('gather: two runs give the same bits', async () => {
  using scope = engine.scope();
  const list = repeated(3000, 11, 4);
  const dy = random(3000 * 8, 2);
  const run = async () => {
    const table = tensor(random(88, 1), [11, 8], { scope, requiresGrad: true });
    return await gradientOf(table, embedding(table, tensor(list, [3000], { scope })), dy);
  };
  compare('dtable', await run(), await run(), TOLERANCE.exact);
});

for (const unique of [false, true])
  for (const [B, N, k, C] of [
    [1, 1, 1, 1],
    [3, 67, 13, 4],
    [2, 130, 130, 3],
  ])
    test(`gather: tokens of each batch element, ${unique ? 'unique' : 'general'}, ${k} of ${B}x${N}x${C}`, async () => {
      const list = distinct(B, k, N, 5);
      using indices = tensor(list, [B, k]);
      await checkGradients({
        inputs: { table: { data: random(B * N * C, 1), shape: [B, N, C] } },
        op: ({ table }) => embedding(table, indices, { unique }),
        twin: ({ table }) => twin.embedding(table, list, { N, C, perTable: k }),
      });
    });

test('gather: an unbatched position table whose rows repeat across the batch', async () => {
  const [B, N, k, C] = [3, 50, 20, 8];
  const list = distinct(B, k, N, 6);
  using indices = tensor(list, [B, k]);
  await checkGradients({
    inputs: { table: { data: random(N * C, 1), shape: [N, C] } },
    op: ({ table }) => embedding(table, indices),
    twin: ({ table }) => twin.embedding(table, list, { N, C }),
  });
});

for (const unique of [false, true])
  test(`gather: an index outside the table reads zeros and gets no gradient (${unique ? 'unique' : 'general'})`, async () => {
    const list = Int32Array.of(2, -1, 0, 5);
    using indices = tensor(list, [2, 2]);
    await checkGradients({
      inputs: { table: { data: random(2 * 3 * 4, 1), shape: [2, 3, 4] } },
      op: ({ table }) => embedding(table, indices, { unique }),
      twin: ({ table }) => twin.embedding(table, list, { N: 3, C: 4, perTable: 2 }),
    });
  });

for (const [B, N, k, C] of [
  [1, 1, 1, 1],
  [2, 63, 30, 5],
  [3, 65, 65, 8],
  [2, 9, 0, 4],
])
  test(`scatter: rows on zeros and dx match the twin for ${k} of ${B}x${N}x${C}`, async () => {
    const list = distinct(B, k, N, 7);
    using indices = tensor(list, [B, k]);
    if (k === 0) {
      using scope = engine.scope();
      const y = scatterRows(tensor(new Float64Array(0), [B, k, C], { scope }), indices, N);
      compare('y', await y.data(), new Float64Array(B * N * C), TOLERANCE.exact);
      return;
    }
    await checkGradients({
      inputs: { x: { data: random(B * k * C, 1), shape: [B, k, C] } },
      op: ({ x }) => scatterRows(x, indices, N),
      twin: ({ x }) => twin.scatterRows(x, list, { N, C, perTable: k, tables: B }),
    });
  });

test('scatter: gathering what was scattered gives it back', async () => {
  using scope = engine.scope();
  const [B, N, k, C] = [2, 2916, 341, 12];
  const x = random(B * k * C, 1);
  const indices = tensor(distinct(B, k, N, 8), [B, k], { scope });
  const y = embedding(scatterRows(tensor(x, [B, k, C], { scope }), indices, N), indices, { unique: true });
  compare('y', await y.data(), x, TOLERANCE.exact);
});

test('gather: a table without rows gives zeros', async () => {
  using scope = engine.scope();
  const table = tensor([], [0, 4], { scope });
  const y = embedding(table, tensor(Uint32Array.of(0, 1), [2], { scope }));
  compare('y', await y.data(), new Float64Array(8), TOLERANCE.exact);
});

test('gather: no indices give no rows and a gradient of zeros', async () => {
  using scope = engine.scope();
  const table = tensor(random(12, 1), [3, 4], { scope, requiresGrad: true });
  const y = embedding(table, tensor(new Uint32Array(0), [0], { scope }));
  compare('y', await y.data(), []);
  compare('dtable', await gradientOf(table, y, new Float64Array(0)), new Float64Array(12), TOLERANCE.exact);
});

test('gather: rows and gradient match the embedding of PyTorch', async () => {
  for (const [name, vectors] of await torchCases('gather')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('table')!;
    const table = tensor(data, shape, { scope, requiresGrad: true });
    const list = vectors.get('indices')!;
    const indices = tensor(Int32Array.from(list.data), list.shape, { scope });
    const y = embedding(table, indices);
    compare(`${name} y`, await y.data(), vectors.get('y')!.data, TOLERANCE.exact);
    const dy = Float64Array.from(vectors.get('dy')!.data);
    compare(`${name} dtable`, await gradientOf(table, y, dy), vectors.get('dtable')!.data, TOLERANCE.grad);
  }
});

for (const dtype of ['f16', 'bf16'] as const)
  test(`gather: rows of a table stored as ${dtype}, in pieces too`, async () => {
    using scope = engine.scope();
    for (const [R, C] of [
      [5, 2],
      [130, 12],
      [200, 6],
    ]) {
      const halves = (dtype === 'f16' ? f32ToF16 : f32ToBf16)(Float32Array.from(random(R * C, 7)));
      const wide = (dtype === 'f16' ? f16ToF32 : bf16ToF32)(halves);
      const list = repeated(30, R, 3);
      const indices = tensor(list, [5, 6], { scope });
      const table = tensor(halves, [R, C], { dtype, scope });
      const want = twin.embedding(Float64Array.from(wide), list, { N: R, C });
      compare('whole', await embedding(table, indices).data(), want, TOLERANCE.exact);
      const split = withBindingLimit(64 * C * 2, () => embedding(table, indices));
      compare('pieces', await split.data(), want, TOLERANCE.exact);
    }
    const odd = tensor(new Uint16Array(9), [3, 3], { dtype, scope });
    const one = tensor(new Uint32Array(1), [1], { scope });
    throws(() => embedding(odd, one), /^embedding: C must be even in b?f16, got \[3, 3\]. Store it as f32/);
  });

test('gather: temporaries are freed after backward', async () => {
  const table = tensor(random(40, 1), [10, 4], { requiresGrad: true });
  const indices = tensor(repeated(300, 10, 1), [300]);
  const before = engine.stats().liveTensors;
  const y = embedding(table, indices);
  await gradientOf(table, y, random(1200, 2));
  y.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before], TOLERANCE.exact);
  table.dispose();
  indices.dispose();
});

test('gather: says what is wrong with its arguments', () => {
  using scope = engine.scope();
  const table = tensor(random(24, 1), [2, 3, 4], { scope });
  const indices = tensor(new Uint32Array(3), [3], { scope });
  throws(
    () => embedding(table, indices),
    /^embedding: table must be \[R, C\], or \[B, N, C\] with indices \[B, k\], got table \[2, 3, 4\] and indices \[3\]/,
  );
  throws(() => embedding(table.reshape([6, 4]), table), /^embedding: indices must be u32 or i32, got f32/);
  throws(() => embedding(indices, indices), /^embedding: table must be f32 or f16 or bf16, got u32/);
  throws(
    () => scatterRows(table, indices, 9),
    /^scatterRows: x must be \[B, k, C\] and indices \[B, k\], got x \[2, 3, 4\] and indices \[3\]/,
  );
});

test.run();
