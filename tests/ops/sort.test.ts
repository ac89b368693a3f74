import { test } from 'uvu';
import { sortKeys } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, torchCases, withGpuPlans } from '../harness.ts';
import { sortedOrder } from '../reference/sort.ts';

const unsigned = (n: number, seed: number, limit: number): Uint32Array =>
  Uint32Array.from(random(n, seed), (u) => Math.floor(((u + 1) / 2) * (limit - 1)));

async function checkRows(keys: Uint32Array, B: number, bits?: number): Promise<void> {
  using scope = engine.scope();
  const N = keys.length / B;
  const sorted = sortKeys(tensor(keys, [B, N], { scope }), { bits });
  const gotKeys = await sorted.keys.data();
  const gotOrder = await sorted.order.data();
  for (let row = 0; row < B; row++) {
    const own = keys.subarray(row * N, (row + 1) * N);
    const order = sortedOrder(own);
    compare(`order of row ${row}`, gotOrder.subarray(row * N, (row + 1) * N), order, TOLERANCE.exact);
    const want = order.map((i) => own[i]);
    compare(`keys of row ${row}`, gotKeys.subarray(row * N, (row + 1) * N), want, TOLERANCE.exact);
  }
}

for (const [B, N] of [
  [1, 1],
  [2, 63],
  [3, 65],
  [5, 1023],
  [2, 1025],
  [1, 5003],
])
  test(`sort: keys and order match the twin at ${B}x${N}`, () => checkRows(unsigned(B * N, 7, 2 ** 32), B));

test('sort: equal keys keep their order across tiles and splits', () => checkRows(unsigned(4099, 3, 5), 1));

test('sort: on a GPU more are ranked together, with the same result', () =>
  withGpuPlans(async () => {
    await checkRows(unsigned(4099, 3, 5), 1);
    await checkRows(unsigned(2 * 513, 4, 2 ** 32), 2);
  }));

test('sort: keys below 2^bits need only one pass per eight bits', async () => {
  await checkRows(unsigned(2000, 4, 2 ** 8), 2, 8);
  await checkRows(unsigned(2000, 5, 2 ** 18), 1, 18);
});

test('sort: many short rows are handled in blocks, with scratch memory for one of them', async () => {
  const [B, N] = [40_000, 3];
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  await checkRows(unsigned(B * N, 6, 5), B, 8);
  const scratch = engine.stats().peakBytes - before;
  if (scratch > 20 * 2 ** 20)
    throw new Error(`the scratch memory must be at most 20 MiB, got ${scratch} bytes`);
});

test('sort: the temporaries of all passes are freed', async () => {
  const keys = tensor(unsigned(3000, 1, 2 ** 32), [3, 1000]);
  const before = engine.stats().liveTensors;
  const sorted = sortKeys(keys);
  compare('live tensors', [engine.stats().liveTensors], [before + 2], TOLERANCE.exact);
  for (const result of [sorted.keys, sorted.order, keys]) result.dispose();
});

test('sort: zero rows and empty rows are allowed', async () => {
  using scope = engine.scope();
  for (const shape of [
    [0, 5],
    [3, 0],
  ]) {
    const { order } = sortKeys(tensor(new Uint32Array(0), shape, { scope }));
    compare('order', await order.data(), [], TOLERANCE.exact);
  }
});

test('sort: order matches the stable sort of PyTorch', async () => {
  for (const [name, vectors] of await torchCases('sort')) {
    using scope = engine.scope();
    const high = vectors.get('keys_high')!;
    const low = vectors.get('keys_low')!.data;
    const keys = Uint32Array.from(high.data, (value, i) => value * 65_536 + low[i]);
    const { order } = sortKeys(tensor(keys, high.shape, { scope }));
    compare(name, await order.data(), vectors.get('order')!.data, TOLERANCE.exact);
  }
});

test('sort: says what is wrong with its arguments', () => {
  using scope = engine.scope();
  const keys = tensor(new Uint32Array(4), [4], { scope });
  throws(() => sortKeys(keys), /^sortKeys: keys must be \[B, N\], got \[4\]/);
  throws(
    () => sortKeys(keys.reshape([1, 4]), { bits: 33 }),
    /^sortKeys: bits must be within 1\.\.32, got 33/,
  );
  throws(() => sortKeys(tensor(random(4, 1), [1, 4], { scope })), /^sortKeys: keys must be u32, got f32/);
});

test.run();
