// Sums of 10^5 and 10^6 terms of one sign, whose rounding errors all point the same way: as accurate as PyTorch's.
import { test } from 'uvu';
import * as ops from '../../engine/index.ts';
import { compare, engine, random, tensor, withGpuPlans } from '../harness.ts';
import { binaryCrossEntropy } from '../reference/binary_cross_entropy.ts';
import { sigmoidContrastive } from '../reference/contrastive.ts';
import { cosineMap } from '../reference/cosine.ts';
import { diceLoss } from '../reference/dice.ts';
import { l2Normalize } from '../reference/l2_normalize.ts';
import { layerNorm } from '../reference/layer_norm.ts';
import { logSoftmax, softmax } from '../reference/softmax.ts';

/** Numbers near `centre`, exact in f32. */
const near = (centre: number, n: number, seed: number, spread = 0.01): Float64Array =>
  random(n, seed).map((u) => Math.fround(centre + spread * u));

const relative = { abs: 0, rel: 1.5e-6 };

/** Rows and their lengths: divisible by four and odd, one row and more than a CPU's threads. */
const ROWS = [
  [1, 100_000],
  [2, 100_003],
  [66, 20_001],
  [1, 1_000_001],
] as const;

async function bothPlans(check: () => Promise<void>): Promise<void> {
  await check();
  await withGpuPlans(check);
}

for (const [R, C] of ROWS) {
  test(`layer_norm: y and dx of ${R} rows of ${C} match the twin`, () =>
    bothPlans(async () => {
      using scope = engine.scope();
      const x = near(0.3, R * C, 1, 0.3);
      const gamma = near(1, C, 2);
      const beta = near(0, C, 3);
      const leaf = tensor(x, [R, C], { scope, requiresGrad: true });
      const gain = tensor(gamma, [C], { scope, requiresGrad: true });
      const y = ops.layerNorm(leaf, gain, tensor(beta, [C], { scope }));
      compare('y', await y.data(), layerNorm(x, gamma, beta), relative);
      const dy = near(0.7, R * C, 4);
      ops.backward(y, { seed: tensor(dy, [R, C], { scope }) });
      const { dx, dgamma } = layerNormGradients(x, gamma, dy, C);
      // A difference of terms that are dy / deviation: 0.7 / 0.17.
      compare('dx', await leaf.grad!.data(), dx, { abs: 4 * 1.5e-6, rel: 0 });
      compare('dgamma', await gain.grad!.data(), dgamma, relative);
      leaf.grad!.dispose();
      gain.grad!.dispose();
    }));

  test(`l2_normalize: y and dx of ${R} rows of ${C} match the twin`, () =>
    bothPlans(async () => {
      using scope = engine.scope();
      const x = near(0.1, R * C, 1);
      const leaf = tensor(x, [R, C], { scope, requiresGrad: true });
      const y = ops.l2Normalize(leaf);
      const want = l2Normalize(x, C);
      compare('y', await y.data(), want, relative);
      const dy = near(0.7, R * C, 4);
      ops.backward(y, { seed: tensor(dy, [R, C], { scope }) });
      const dx = new Float64Array(x.length);
      for (let start = 0; start < x.length; start += C) {
        let along = 0;
        for (let e = start; e < start + C; e++) along += want[e] * dy[e];
        const length = x[start] / want[start];
        for (let e = start; e < start + C; e++) dx[e] = (dy[e] - want[e] * along) / length;
      }
      // A difference of terms that are dy / length.
      compare('dx', await leaf.grad!.data(), dx, { abs: (0.7 / (0.1 * Math.sqrt(C))) * 1.5e-6, rel: 0 });
      leaf.grad!.dispose();
    }));

  test(`softmax, logSoftmax: y and dx of ${R} rows of ${C} match the twin`, () =>
    bothPlans(async () => {
      using scope = engine.scope();
      const x = near(2, R * C, 1);
      const dy = near(0.7, R * C, 4, 0.3);
      for (const op of [ops.softmax, ops.logSoftmax]) {
        const isLog = op === ops.logSoftmax;
        const leaf = tensor(x, [R, C], { scope, requiresGrad: true });
        const y = op(leaf);
        compare('y', await y.data(), (isLog ? logSoftmax : softmax)(x, C), relative);
        ops.backward(y, { seed: tensor(dy, [R, C], { scope }) });
        const p = softmax(x, C);
        const dx = new Float64Array(x.length);
        for (let start = 0; start < x.length; start += C) {
          let along = 0;
          for (let e = start; e < start + C; e++) along += isLog ? dy[e] : dy[e] * p[e];
          for (let e = start; e < start + C; e++)
            dx[e] = isLog ? dy[e] - p[e] * along : p[e] * (dy[e] - along);
        }
        // A difference of terms that are p dy, or dy and e^y sum(dy), where f32 rounds y = -14 by 5e-7.
        compare('dx', await leaf.grad!.data(), dx, { abs: isLog ? 2.5e-6 : 1.5e-6 / C, rel: 0 });
        leaf.grad!.dispose();
      }
    }));

  test(`cosine: the map of ${R} features of ${C} matches the twin`, () =>
    bothPlans(async () => {
      using scope = engine.scope();
      const features = near(0.1, R * C, 1);
      const query = near(0.2, C, 2, 0.1);
      const map = ops.cosineMap(tensor(features, [1, R, C], { scope }), tensor(query, [1, C], { scope }));
      compare('map', await map.data(), cosineMap(features, query, { B: 1, N: R, C }), relative);
    }));
}

/** dx and dgamma of the twin of layer_norm, with mean and deviation in float64. */
function layerNormGradients(
  x: Float64Array,
  gamma: Float64Array,
  dy: Float64Array,
  C: number,
): { dx: Float64Array; dgamma: Float64Array } {
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(C);
  const ones = new Float64Array(C).fill(1);
  const h = layerNorm(x, ones, new Float64Array(C));
  for (let start = 0; start < x.length; start += C) {
    let [mean, variance, meanG, meanGh] = [0, 0, 0, 0];
    for (let c = 0; c < C; c++) mean += x[start + c] / C;
    for (let c = 0; c < C; c++) {
      variance += (x[start + c] - mean) ** 2 / C;
      meanG += (dy[start + c] * gamma[c]) / C;
      meanGh += (dy[start + c] * gamma[c] * h[start + c]) / C;
      dgamma[c] += dy[start + c] * h[start + c];
    }
    const rstd = 1 / Math.sqrt(variance + 1e-6);
    for (let c = 0; c < C; c++)
      dx[start + c] = rstd * (dy[start + c] * gamma[c] - meanG - h[start + c] * meanGh);
  }
  return { dx, dgamma };
}

test('layer_norm: gradients of the weights over 300000 rows match the twin', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    const [R, C] = [300_000, 4];
    // Every row is 0, 1, 2, 4 times a number: its normalised values repeat, and their products with dy add up.
    const x = near(3, R, 1, 1).reduce(
      (all, u, r) => {
        for (let c = 0; c < C; c++) all[C * r + c] = Math.fround(u * [0, 1, 2, 4][c]);
        return all;
      },
      new Float64Array(R * C),
    );
    const gamma = near(1, C, 2);
    const dy = near(0.7, R * C, 4);
    const gain = tensor(gamma, [C], { scope, requiresGrad: true });
    const shift = tensor(near(1, C, 3), [C], { scope, requiresGrad: true });
    ops.backward(ops.layerNorm(tensor(x, [R, C], { scope }), gain, shift), {
      seed: tensor(dy, [R, C], { scope }),
    });
    const dbeta = new Float64Array(C);
    dy.forEach((value, e) => {
      dbeta[e % C] += value;
    });
    compare('dgamma', await gain.grad!.data(), layerNormGradients(x, gamma, dy, C).dgamma, relative);
    compare('dbeta', await shift.grad!.data(), dbeta, relative);
    gain.grad!.dispose();
    shift.grad!.dispose();
  }));

test('cosine: the gradient of a query shared by 500000 tokens matches the twin', () =>
  bothPlans(async () => {
    using scope = engine.scope();
    const [B, N, C] = [2, 250_000, 3];
    const features = near(0.1, B * N * C, 1);
    const query = Float64Array.of(0.5, -0.25, 1);
    const leaf = tensor(query, [1, C], { scope, requiresGrad: true });
    ops.backward(ops.sum(ops.cosineMap(tensor(features, [B, N, C], { scope }), leaf)));
    const length = Math.hypot(...query);
    const du = new Float64Array(C);
    for (let start = 0; start < features.length; start += C) {
      const token = Math.hypot(...features.subarray(start, start + C));
      for (let c = 0; c < C; c++) du[c] += features[start + c] / token;
    }
    const along = du.reduce((total, value, c) => total + (value * query[c]) / length, 0);
    const want = du.map((value, c) => (value - (along * query[c]) / length) / length);
    compare('dquery', await leaf.grad!.data(), want, relative);
    leaf.grad!.dispose();
  }));

test('dice, binary_cross_entropy: losses of a million cells match the twins', async () => {
  for (const [B, N] of [
    [1, 1_000_001],
    [100, 10_000],
    [200_000, 5],
  ]) {
    using scope = engine.scope();
    const p = near(0.1, B * N, 1);
    const y = near(0.3, B * N, 2);
    const maps = [tensor(p, [B, N], { scope }), tensor(y, [B, N], { scope })] as const;
    compare(`dice ${B}x${N}`, await ops.diceLoss(...maps).data(), [diceLoss(p, y, { N })], relative);
    const loss = await ops.binaryCrossEntropy(...maps).data();
    compare(`bce ${B}x${N}`, loss, [binaryCrossEntropy(p, y, { N })], relative);
  }
});

test('contrastive: loss and gradients of the scalars of 3000 x 3000 pairs match the twin', async () => {
  using scope = engine.scope();
  const [B, D] = [3000, 1];
  const images = near(0.5, B * D, 1);
  const texts = near(0.5, B * D, 2);
  const [logScale, bias] = [Math.fround(0.3), Math.fround(-0.7)];
  const scale = tensor([logScale], [1], { scope, requiresGrad: true });
  const shift = tensor([bias], [1], { scope, requiresGrad: true });
  const loss = ops.sigmoidContrastive(
    tensor(images, [B, D], { scope }),
    tensor(texts, [B, D], { scope }),
    scale,
    shift,
  );
  compare('loss', await loss.data(), [sigmoidContrastive(images, texts, logScale, bias, B)], relative);
  ops.backward(loss);
  let [dscale, dbias] = [0, 0];
  for (let i = 0; i < B; i++)
    for (let j = 0; j < B; j++) {
      const scaled = Math.exp(logScale) * images[i] * texts[j];
      const z = i === j ? 1 : -1;
      const slope = -z / (1 + Math.exp(z * (scaled + bias))) / B;
      dscale += slope * scaled;
      dbias += slope;
    }
  compare('dscale', await scale.grad!.data(), [dscale], relative);
  compare('dbias', await shift.grad!.data(), [dbias], relative);
  scale.grad!.dispose();
  shift.grad!.dispose();
});

test.run();
