import { test } from 'uvu';
import { backward, compactMap, selectTopK, topK } from '../../engine/index.ts';
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
import * as twin from '../reference/top_k.ts';

type Row = ArrayLike<number>;

/** Few distinct numbers, so that ties lie on every boundary. */
const coarse = (n: number, seed: number): Float64Array => random(n, seed).map((u) => Math.round(u * 4) / 4);

async function checkSelection(values: Float64Array, B: number, k: number): Promise<void> {
  using scope = engine.scope();
  const N = values.length / B;
  const { indices, map } = selectTopK(tensor(values, [B, N], { scope }), k);
  const gotIndices = await indices.data();
  const gotMap = await map.data();
  for (let row = 0; row < B; row++) {
    const want = twin.selectTopK(values.subarray(row * N, (row + 1) * N), k);
    compare(`indices of row ${row}`, gotIndices.subarray(row * k, (row + 1) * k), want, TOLERANCE.exact);
    const ones = new Float64Array(N);
    for (const index of want) ones[index] = 1;
    compare(`map of row ${row}`, gotMap.subarray(row * N, (row + 1) * N), ones, TOLERANCE.exact);
  }
}

for (const [B, N, k] of [
  [1, 1, 1],
  [1, 1, 0],
  [2, 7, 3],
  [5, 255, 100],
  [3, 256, 256],
  [4, 257, 1],
  [2, 1025, 513],
  [1, 2047, 2047],
  [3, 2049, 700],
  [2, 16_411, 85],
])
  for (const [kind, make] of Object.entries({ random, coarse }))
    test(`top_k: the selection of ${k} from ${B}x${N} ${kind} numbers matches the twin`, () =>
      checkSelection(make(B * N, 11), B, k));

test('top_k: the selection of 2134 from 72,900 numbers matches the twin', () =>
  checkSelection(coarse(72_900, 5), 1, 2134));

test('top_k: a row of equal numbers gives its first k', () =>
  checkSelection(new Float64Array(3 * 5000).fill(-0.25), 3, 2500));

test('top_k: -0 equals +0, and negative numbers keep their order', () =>
  checkSelection(Float64Array.of(-0, 0, -1, -0, 0, -1e-30, 1e-30, -3e38), 1, 5));

test('top_k: numbers below the normal range keep their order', () =>
  checkSelection(Float64Array.of(2 ** -149, 0, -(2 ** -149), 2 ** -140, -(2 ** -140), -0), 1, 4));

test('top_k: used positions at exactly -1 come last', () => {
  const values = random(2000, 9).map((u, i) => (i % 3 === 0 ? -1 : (u + 1) / 2));
  return checkSelection(values, 1, 1500);
});

test('top_k: 2^20 numbers in one row', () => checkSelection(random(2 ** 20, 2), 1, 12_345));

test('top_k: shuffling the batch shuffles the selection, and every map holds exactly k ones', async () => {
  using scope = engine.scope();
  const [B, N, k] = [5, 729, 85];
  const rows = Array.from({ length: B }, (_, b) => coarse(N, b + 1));
  const run = async (order: number[]) => {
    const values = Float64Array.from(order.flatMap((b) => [...rows[b]]));
    const { map } = selectTopK(tensor(values, [B, N], { scope }), k);
    const numbers = await map.data();
    return order.map((_, place) => numbers.slice(place * N, (place + 1) * N));
  };
  const plain = await run([0, 1, 2, 3, 4]);
  const order = [3, 0, 4, 2, 1];
  const shuffled = await run(order);
  for (const [place, b] of order.entries())
    compare(`map of row ${b}`, shuffled[place], plain[b], TOLERANCE.exact);
  for (const map of plain) compare('ones', [map.filter((value) => value === 1).length], [k], TOLERANCE.exact);
});

async function checkSorted(values: Float64Array, B: number, k: number): Promise<void> {
  using scope = engine.scope();
  const N = values.length / B;
  const top = topK(tensor(values, [B, N], { scope }), k);
  const gotIndices = await top.indices.data();
  const gotValues = await top.values.data();
  for (let row = 0; row < B; row++) {
    const own: Row = values.subarray(row * N, (row + 1) * N);
    const want = twin.topK(own, k);
    compare(`indices of row ${row}`, gotIndices.subarray(row * k, (row + 1) * k), want, TOLERANCE.exact);
    const numbers = want.map((i) => own[i]);
    compare(`values of row ${row}`, gotValues.subarray(row * k, (row + 1) * k), numbers, TOLERANCE.exact);
  }
}

for (const [B, N, k] of [
  [1, 1, 1],
  [2, 5, 0],
  [3, 257, 40],
  [2, 300, 300],
  [1, 6000, 4096],
  [2, 5000, 4500],
])
  test(`top_k: values and indices in descending order match the twin for ${k} of ${B}x${N}`, async () => {
    await checkSorted(random(B * N, 21), B, k);
    await checkSorted(coarse(B * N, 22), B, k);
  });

test('top_k: the gradient goes to the numbers that were taken', async () => {
  for (const [B, N, k] of [
    [1, 1, 1],
    [3, 65, 7],
  ])
    await checkGradients({
      inputs: { values: { data: random(B * N, 31), shape: [B, N] } },
      op: ({ values }) => topK(values, k).values,
      twin: ({ values }) =>
        Float64Array.from({ length: B * k }, (_, i) => {
          const row = values.subarray(Math.floor(i / k) * N, (Math.floor(i / k) + 1) * N);
          return row[twin.topK(row, k)[i % k]];
        }),
    });
});

test('top_k: values, indices and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('top_k')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('values')!;
    const values = tensor(data, shape, { scope, requiresGrad: true });
    const want = vectors.get('top')!;
    const top = topK(values, want.shape[1]);
    compare(`${name} values`, await top.values.data(), want.data, TOLERANCE.exact);
    compare(`${name} indices`, await top.indices.data(), vectors.get('indices')!.data, TOLERANCE.exact);
    backward(top.values, { seed: tensor(vectors.get('dy')!.data, want.shape, { scope }) });
    compare(`${name} dvalues`, await values.grad!.data(), vectors.get('dvalues')!.data, TOLERANCE.exact);
    values.grad!.dispose();
  }
});

for (const [B, N] of [
  [1, 1],
  [2, 63],
  [3, 2049],
  [1, 72_900],
])
  test(`top_k: a map of ${B}x${N} turns into the indices of its nonzero entries`, async () => {
    using scope = engine.scope();
    const values = coarse(B * N, 41);
    const { map, indices } = selectTopK(tensor(values, [B, N], { scope }), Math.ceil(N / 3));
    const compacted = compactMap(map, Math.ceil(N / 3));
    compare('indices', await compacted.data(), await indices.data(), TOLERANCE.exact);
  });

test('top_k: a map may hold any nonzero numbers, and a row with too few is filled up with 0', async () => {
  using scope = engine.scope();
  const map = tensor(Float64Array.of(0, -2, 0.5, 0, -0, 0, 0, 7), [2, 4], { scope });
  compare('indices', await compactMap(map, 2).data(), [1, 2, 3, 0], TOLERANCE.exact);
  compare('indices', await compactMap(map, 1).data(), [1, 3], TOLERANCE.exact);
  compare('indices', await compactMap(map, 0).data(), [], TOLERANCE.exact);
});

test('top_k: many short rows are handled in blocks, with scratch memory for one of them', async () => {
  using scope = engine.scope();
  const [B, N, k] = [8192, 8, 3];
  const numbers = coarse(B * N, 13);
  const values = tensor(numbers, [B, N], { scope });
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  const top = topK(values, k);
  const scratch = engine.stats().peakBytes - before;
  if (scratch > 20 * 2 ** 20)
    throw new Error(`the scratch memory must be at most 20 MiB, got ${scratch} bytes`);
  const gotValues = await top.values.data();
  const gotIndices = await top.indices.data();
  const wantValues = new Float64Array(B * k);
  const wantIndices = new Uint32Array(B * k);
  for (let row = 0; row < B; row++) {
    const own = numbers.subarray(row * N, (row + 1) * N);
    const order = Array.from(own.keys()).sort((i, j) => own[j] - own[i] || i - j);
    for (let place = 0; place < k; place++) {
      wantIndices[row * k + place] = order[place];
      wantValues[row * k + place] = own[order[place]];
    }
  }
  compare('indices', gotIndices, wantIndices, TOLERANCE.exact);
  compare('values', gotValues, wantValues, TOLERANCE.exact);
});

test('top_k: temporaries are freed', async () => {
  const values = tensor(random(3000, 1), [3, 1000]);
  const before = engine.stats().liveTensors;
  const selection = selectTopK(values, 10);
  const top = topK(values, 10);
  compare('live tensors', [engine.stats().liveTensors], [before + 4], TOLERANCE.exact);
  for (const result of [selection.indices, selection.map, top.values, top.indices, values]) result.dispose();
});

test('top_k: zero rows give empty results', async () => {
  using scope = engine.scope();
  const { indices, map } = selectTopK(tensor(new Float64Array(0), [0, 8], { scope }), 3);
  compare('indices', await indices.data(), []);
  compare('map', await map.data(), []);
});

test('top_k: says what is wrong with its arguments', () => {
  using scope = engine.scope();
  const values = tensor(random(8, 1), [2, 4], { scope });
  throws(() => selectTopK(values, 5), /^selectTopK: k must be within 0\.\.N = 4, got 5/);
  throws(() => topK(values, -1), /^topK: k must be within 0\.\.N = 4, got -1/);
  throws(() => selectTopK(values.reshape([8]), 1), /^selectTopK: values must be \[B, N\], got \[8\]/);
  throws(
    () => compactMap(values.reshape([2, 2, 2]), 1),
    /^compactMap: map must be \[B, N\], got \[2, 2, 2\]/,
  );
  throws(
    () => selectTopK(tensor(new Uint32Array(4), [1, 4], { scope }), 1),
    /^selectTopK: values must be f32, got u32/,
  );
});

test.run();
