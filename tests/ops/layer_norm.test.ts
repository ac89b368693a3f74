import { test } from 'uvu';
import { backward, layerNorm } from '../../engine/index.ts';
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
import { layerNorm as twin } from '../reference/layer_norm.ts';

/** Row lengths that plans for a GPU are tried with: each is compiled anew on a CPU, which takes seconds. */
const ON_GPUS = [7, 63, 96, 1152];

for (const [R, C] of [
  [1, 1],
  [3, 7],
  [5, 63],
  [2, 65],
  [64, 64],
  [130, 96],
  [7, 1152],
  [300, 48],
  [2, 389],
])
  test(`layer_norm: y and all gradients match the twin at ${R}x${C}`, async () => {
    const check = () =>
      checkGradients({
        inputs: {
          x: { data: random(R * C, 1), shape: [R, C] },
          gamma: { data: random(C, 2), shape: [C] },
          beta: { data: random(C, 3), shape: [C] },
        },
        op: ({ x, gamma, beta }) => layerNorm(x, gamma, beta, { eps: 1e-2 }),
        twin: ({ x, gamma, beta }) => twin(x, gamma, beta, 1e-2),
      });
    await check();
    if (ON_GPUS.includes(C)) await withGpuPlans(check);
  });

test('layer_norm: a mean a thousand times the deviation does not cancel', async () => {
  using scope = engine.scope();
  const C = 96;
  const x = random(C, 1).map((value) => Math.fround(1000 + value));
  const ones = new Float64Array(C).fill(1);
  const zeros = new Float64Array(C);
  const y = layerNorm(
    tensor(x, [1, C], { scope }),
    tensor(ones, [C], { scope }),
    tensor(zeros, [C], { scope }),
  );
  // The mean itself rounds at 1000 * 2^-24, that is 6e-5 of the deviation.
  compare('y', await y.data(), twin(x, ones, zeros), { abs: 2e-4, rel: 0 });
});

test('layer_norm: more rows than a grid dimension holds', async () => {
  using scope = engine.scope();
  const R = 65_539;
  const x = random(R * 2, 5);
  const gamma = new Float64Array([1, 2]);
  const beta = new Float64Array([0.5, -0.5]);
  const y = layerNorm(
    tensor(x, [R, 2], { scope }),
    tensor(gamma, [2], { scope }),
    tensor(beta, [2], { scope }),
    { eps: 1e-3 },
  );
  compare('y', await y.data(), twin(x, gamma, beta, 1e-3), { abs: 1e-4, rel: 0 });
});

test('layer_norm: zero rows give zero rows', async () => {
  using scope = engine.scope();
  const y = layerNorm(
    tensor(new Float64Array(0), [0, 8], { scope }),
    tensor(random(8, 1), [8], { scope }),
    tensor(random(8, 2), [8], { scope }),
  );
  compare('y', await y.data(), []);
});

test('layer_norm: output and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('layer_norm')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) => {
      const { data, shape } = vectors.get(key)!;
      return tensor(data, shape, { scope, requiresGrad });
    };
    const x = get('x', true);
    const gamma = get('gamma', true);
    const beta = get('beta', true);
    const y = layerNorm(x, gamma, beta, { eps: vectors.get('eps')!.data[0] });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy') });
    for (const [key, leaf] of Object.entries({ dx: x, dgamma: gamma, dbeta: beta })) {
      compare(`${name} ${key}`, await leaf.grad!.data(), vectors.get(key)!.data, TOLERANCE.grad);
      leaf.grad!.dispose();
    }
  }
});

test('layer_norm: says which parameter does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(8, 1), [2, 4], { scope });
  const good = tensor(random(4, 1), [4], { scope });
  const bad = tensor(random(3, 1), [3], { scope });
  throws(
    () => layerNorm(x, good, bad),
    /^layerNorm: beta must have the last extent of x, got x \[2, 4\] and beta \[3\]/,
  );
});

test.run();
