import { test } from 'uvu';
import { add, addRmsNorm, backward, mul, rmsNorm } from '../../engine/index.ts';
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
import { rmsNorm as twin } from '../reference/rms_norm.ts';

async function bothPlans(check: () => Promise<void>): Promise<void> {
  await check();
  await withGpuPlans(check);
}

for (const [R, C] of [
  [1, 1],
  [3, 7],
  [130, 48],
  [2, 389],
  [5, 896],
]) {
  test(`rms_norm: y and all gradients match the twin at ${R}x${C}`, () =>
    bothPlans(() =>
      checkGradients({
        inputs: {
          x: { data: random(R * C, 1), shape: [R, C] },
          gamma: { data: random(C, 2), shape: [C] },
        },
        op: ({ x, gamma }) => rmsNorm(x, gamma, { eps: 1e-2 }),
        twin: ({ x, gamma }) => twin(x, gamma, 1e-2),
        samples: 8,
      }),
    ));

  test(`rms_norm: after a residual, sum and y and all gradients match the twin at ${R}x${C}`, () =>
    bothPlans(() =>
      checkGradients({
        inputs: {
          x: { data: random(R * C, 1), shape: [R, C] },
          residual: { data: random(R * C, 5), shape: [R, C] },
          gamma: { data: random(C, 2), shape: [C] },
        },
        op: ({ x, residual, gamma }) => {
          const { sum, y } = addRmsNorm(x, residual, gamma, { eps: 1e-2 });
          return add(mul(sum, 0.5), y);
        },
        twin: ({ x, residual, gamma }) => {
          const sum = x.map((value, e) => value + residual[e]);
          return twin(sum, gamma, 1e-2).map((value, e) => value + 0.5 * sum[e]);
        },
        samples: 8,
      }),
    ));
}

test('rms_norm: long rows keep the accuracy of short ones', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    const C = 100_003;
    const x = random(C, 1).map((value) => Math.fround(0.3 + 0.1 * value));
    const gamma = new Float64Array(C).fill(1);
    const y = rmsNorm(tensor(x, [1, C], { scope }), tensor(gamma, [C], { scope }));
    compare('y', await y.data(), twin(x, gamma), { abs: 0, rel: 1.5e-6 });
  }));

test('rms_norm: right from 1e-17 to 1e18, 0 beyond', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    const [R, C] = [3, 65];
    const gamma = random(C, 2);
    const normed = (x: Float64Array, eps?: number) =>
      rmsNorm(tensor(x, [R, C], { scope }), tensor(gamma, [C], { scope }), { eps }).data();
    for (const magnitude of [1e18, 1e10, 1, 1e-10, 1e-17]) {
      const x = random(R * C, 1).map((value) => Math.fround(value * magnitude));
      compare(`${magnitude}`, await normed(x, 0), twin(x, gamma, 0), TOLERANCE.grad);
    }
    const far = random(R * C, 1).map((value) => Math.fround(value * 1e25));
    compare('1e25', await normed(far), new Float64Array(R * C), TOLERANCE.exact);
  }));

test('rms_norm: the gradient of the sum alone goes to both addends', async () => {
  using scope = engine.scope();
  const [x, residual] = [1, 2].map((seed) => tensor(random(12, seed), [3, 4], { scope, requiresGrad: true }));
  const gamma = tensor(random(4, 3), [4], { scope, requiresGrad: true });
  const seed = tensor(random(12, 4), [3, 4], { scope });
  backward(addRmsNorm(x, residual, gamma).sum, { seed });
  for (const leaf of [x, residual]) {
    compare('gradient', await leaf.grad!.data(), random(12, 4), TOLERANCE.exact);
    leaf.grad!.dispose();
  }
});

test('rms_norm: zero rows give zero rows', async () => {
  using scope = engine.scope();
  const y = rmsNorm(tensor([], [0, 8], { scope }), tensor(random(8, 1), [8], { scope }));
  compare('y', await y.data(), []);
});

test('rms_norm: outputs and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('rms_norm')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) => {
      const vector = vectors.get(key);
      return vector && tensor(vector.data, vector.shape, { scope, requiresGrad });
    };
    const [x, gamma, residual] = ['x', 'gamma', 'residual'].map((key) => get(key, true));
    const eps = vectors.get('eps')!.data[0];
    const both = residual && addRmsNorm(x!, residual, gamma!, { eps });
    const y = both ? both.y : rmsNorm(x!, gamma!, { eps });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    if (both) {
      compare(`${name} sum`, await both.sum.data(), vectors.get('sum')!.data);
      backward([both.y, both.sum], { seed: [get('dy')!, get('dsum')!] });
    } else backward(y, { seed: get('dy')! });
    for (const [key, leaf] of Object.entries({ dx: x, dgamma: gamma, dresidual: residual })) {
      if (!leaf) continue;
      compare(`${name} ${key}`, await leaf.grad!.data(), vectors.get(key)!.data, TOLERANCE.grad);
      leaf.grad!.dispose();
    }
  }
});

test('rms_norm: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(8, 1), [2, 4], { scope });
  const gamma = tensor(random(3, 1), [3], { scope });
  throws(
    () => rmsNorm(x, gamma),
    /^rmsNorm: gamma must have the last extent of x, got x \[2, 4\] and gamma \[3\]/,
  );
  throws(
    () => addRmsNorm(x, gamma, gamma),
    /^addRmsNorm: residual must have the shape of x, got x \[2, 4\] and residual \[3\]/,
  );
});

test.run();
