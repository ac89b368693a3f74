import { test } from 'uvu';
import { backward, cosineMap } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withGpuPlans,
} from '../harness.ts';
import { cosineMap as twin } from '../reference/cosine.ts';

for (const [B, N, C, queries] of [
  [1, 1, 1, 1],
  [2, 5, 7, 2],
  [3, 33, 64, 1],
  [2, 65, 63, 2],
  [1, 97, 260, 1],
  [2, 729, 12, 1],
  [2, 3, 389, 2],
])
  test(`cosine: the map and both gradients match the twin for ${B}x${N}x${C} and ${queries} queries`, async () => {
    const check = () =>
      checkGradients({
        inputs: {
          features: { data: random(B * N * C, 1), shape: [B, N, C] },
          query: { data: random(queries * C, 2), shape: [queries, C] },
        },
        op: ({ features, query }) => cosineMap(features, query),
        twin: ({ features, query }) => twin(features, query, { B, N, C }),
        samples: 12,
      });
    await check();
    await withGpuPlans(check);
  });

test('cosine: features and queries shorter than eps are divided by eps', async () => {
  const [B, N, C] = [2, 3, 4];
  const features = random(B * N * C, 3).map((u, i) => Math.fround(i < 8 ? 0.01 * u : u));
  const query = random(B * C, 4).map((u, i) => Math.fround(i < 4 ? 0.02 * u : u));
  await checkGradients({
    inputs: { features: { data: features, shape: [B, N, C] }, query: { data: query, shape: [B, C] } },
    op: ({ features, query }) => cosineMap(features, query, { eps: 0.25 }),
    twin: ({ features, query }) => twin(features, query, { B, N, C, eps: 0.25 }),
  });
});

test('cosine: parallel and opposite features give 1 and -1, whatever their length', async () => {
  using scope = engine.scope();
  const query = random(12, 5);
  const features = Float64Array.from(
    [...query.map((q) => 1e3 * q), ...query.map((q) => -1e-3 * q)],
    Math.fround,
  );
  const map = cosineMap(tensor(features, [1, 2, 12], { scope }), tensor(query, [1, 12], { scope }));
  compare('map', await map.data(), [1, -1]);
});

test('cosine: no tokens give an empty map', async () => {
  using scope = engine.scope();
  const map = cosineMap(
    tensor(new Float64Array(0), [2, 0, 4], { scope }),
    tensor(random(8, 1), [2, 4], { scope }),
  );
  compare('map', await map.data(), []);
});

test('cosine: the map and both gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('cosine')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const features = get('features', true);
    const query = get('query', true);
    const y = cosineMap(features, query);
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy') });
    for (const [key, leaf] of Object.entries({ dfeatures: features, dquery: query })) {
      using gradient = leaf.grad!;
      compare(`${name} ${key}`, await gradient.data(), vectors.get(key)!.data, TOLERANCE.grad);
    }
  }
});

test('cosine: temporaries are freed after backward', () => {
  const features = tensor(random(24, 1), [2, 3, 4], { requiresGrad: true });
  const query = tensor(random(4, 1), [1, 4], { requiresGrad: true });
  const seed = tensor(random(6, 2), [2, 3]);
  const before = engine.stats().liveTensors;
  const map = cosineMap(features, query);
  backward(map, { seed });
  for (const made of [map, features.grad!, query.grad!]) made.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before], TOLERANCE.exact);
  for (const operand of [features, query, seed]) operand.dispose();
});

test('cosine: says what does not fit', () => {
  using scope = engine.scope();
  const features = tensor(random(24, 1), [3, 2, 4], { scope });
  const query = tensor(random(8, 1), [2, 4], { scope });
  throws(
    () => cosineMap(features, query),
    /^cosineMap: features must be \[B, N, C\] and query \[B, C\] or \[1, C\], got features \[3, 2, 4\] and query \[2, 4\]/,
  );
  throws(() => cosineMap(features, query.reshape([1, 8])), /got features \[3, 2, 4\] and query \[1, 8\]/);
});

test.run();
