// Losses over all captions against float64 loops and central differences.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, sigmoid } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { saliency, saliencyLogits } from '../../ps3/model/vision/selection.ts';
import { allCaptionsLoss, byCaption, crossLoss } from '../../ps3/train/caption_losses.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';

const [B, Q, N] = [3, 5, 4];
const logits = Float64Array.from(random(Q * B * N, 7), (x) => 3 * x);
/** [B, Q, N]; the last caption is shown nowhere. */
const shares = Float64Array.from(random(B * Q * N, 8), (x, i) =>
  Math.floor(i / N) % Q === Q - 1 ? 0 : Math.max(0, x),
);
const shareOf = (q: number, b: number, n: number): number => shares[(b * Q + q) * N + n];

function logSoftmaxOf(z: readonly number[]): number[] {
  const sum = Math.log(z.reduce((total, x) => total + Math.exp(4 * x), 0));
  return z.map((x) => 4 * x - sum);
}

/** `crossLoss` in plain loops. */
function crossTwin(z: Float64Array): number {
  const M = B * N;
  const cells = [...Array(M).keys()];
  const s = (q: number, c: number): number => shareOf(q, Math.floor(c / N), c % N);
  let [places, names, shown, all] = [0, 0, 0, 0];
  for (let q = 0; q < Q; q++) {
    const total = cells.reduce((sum, c) => sum + s(q, c), 0);
    if (total === 0) continue;
    shown++;
    const logs = logSoftmaxOf(cells.map((c) => z[q * M + c]));
    for (const c of cells) places += (s(q, c) / total) * logs[c];
  }
  for (const c of cells) {
    const logs = logSoftmaxOf([...Array(Q).keys()].map((q) => z[q * M + c]));
    for (let q = 0; q < Q; q++) {
      names += s(q, c) * logs[q];
      all += s(q, c);
    }
  }
  return -places / shown - names / all;
}

/** Cross-entropy and DICE over pairs of image and caption in plain loops, DICE with the reference's hundredths. */
function mapsTwin(z: Float64Array): number {
  let [entropy, dice, pairs] = [0, 0, 0];
  for (let b = 0; b < B; b++)
    for (let q = 0; q < Q - 1; q++) {
      let [both, sumP, sumY] = [0, 0, 0];
      for (let n = 0; n < N; n++) {
        const p = 1 / (1 + Math.exp(-z[q * B * N + b * N + n]));
        const y = shareOf(q, b, n);
        entropy -= (y * Math.log(p) + (1 - y) * Math.log(1 - p)) / N;
        both += (p / 100) * y;
        sumP += p / 100;
        sumY += y / 100;
      }
      dice += 1 - (2 * both + 1e-6) / (sumP + sumY + 1e-6);
      pairs++;
    }
  return (entropy + 0.5 * dice) / pairs;
}

for (const [name, twin, loss] of [
  ['crossLoss', crossTwin, crossLoss],
  ['allCaptionsLoss', mapsTwin, (z, s) => allCaptionsLoss(z, s, N, 0.5)],
] as [string, typeof crossTwin, typeof crossLoss][])
  test(`${name} and its gradient are those of plain loops and central differences`, async () => {
    const z = engine.tensor(Float32Array.from(logits), [Q, B * N]).setRequiresGrad(true);
    const s = byCaption(engine.tensor(Float32Array.from(shares), [B, Q, N]));
    const value = loss(z, s);
    compare(name, await value.data(), Float64Array.of(twin(logits)), TOLERANCE.f32);
    backward(value);
    const gradient = Float64Array.from(logits, (_, i) => {
      const at = (step: number): number => twin(logits.map((x, j) => (i === j ? x + step : x)));
      return (at(1e-5) - at(-1e-5)) / 2e-5;
    });
    compare(`d ${name}`, await z.grad!.data(), gradient, TOLERANCE.grad);
  });

test('a batch that shows nothing that is named has no loss', async () => {
  const z = engine.tensor(Float32Array.from(logits), [Q, B * N]).setRequiresGrad(true);
  const none = engine.zeros([Q, B * N]);
  assert.equal([...(await crossLoss(z, none).data())], [-0]);
  assert.equal([...(await allCaptionsLoss(z, none, N, 1).data())], [0]);
});

test('saliencyLogits has the maps of one query after another', async () => {
  for (const aux of [true, false]) {
    const config = presetConfig(trainConfig({ preset: 'smoke', set: [`method.auxEncoder=${aux}`] }), 8);
    using model = PS3.create(engine, config, 3, { layerScale: 0.1 });
    const { vision } = model;
    const image = engine.tensor(Float32Array.from(random(2 * 3 * 112 * 112, 3)), [2, 3, 112, 112]);
    const features = vision.selectionFeatures(image, vision.lowRes(image));
    const queries = Float32Array.from(random(3 * 32, 4));
    const got = sigmoid(
      saliencyLogits(features, engine.tensor(queries, [3, 32]), vision.weights, vision.config),
    );
    for (let q = 0; q < 3; q++) {
      const query = engine.tensor(queries.slice(q * 32, (q + 1) * 32), [1, 32]);
      const want = await saliency(features, query, vision.weights, vision.config).data();
      compare(`query ${q}`, (await got.data()).subarray(q * want.length, (q + 1) * want.length), want);
    }
  }
});

test.run();
