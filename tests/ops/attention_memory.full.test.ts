import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attention, backward, unpackHeads } from '../../engine/index.ts';
import { engine, random, tensor } from '../harness.ts';
import { selfAttention } from './packed_attention.ts';

test('attention: forward and backward of one look of 2560 patches stay below three times queries, keys, values and results', async () => {
  using scope = engine.scope();
  const [T, N, C, heads] = [2560, 729, 1152, 16];
  const leaf = (rows: number, seed: number) =>
    tensor(random(rows * 3 * C, seed), [1, rows, 3 * C], { scope, requiresGrad: true });
  const before = engine.stats().liveBytes;
  const [qkv, cached] = [leaf(T, 1), leaf(N, 2)];
  const dout = tensor(random(T * C, 3), [1, T, C], { scope });
  await engine.idle();
  engine.resetPeak();
  backward(selfAttention(qkv, { heads, cached }), { seed: dout });
  await engine.idle();
  // All that is alive, inputs and gradients included; the scores alone would be 4 * 16 * 2560 * 3289 B = 539 MB.
  const peak = engine.stats().peakBytes - before;
  const operands = 4 * C * (T + 2 * (N + T) + T);
  assert.ok(peak < 3 * operands, `got ${peak} B, ${(peak / operands).toFixed(2)} times the operands`);
  assert.ok((await qkv.grad!.data()).every(Number.isFinite));
});

test('attention: forward and backward of 4096 causal tokens, 14 heads on 2, stay below four times queries, keys, values and results', async () => {
  using scope = engine.scope();
  const [T, H, G, K] = [4096, 14, 2, 64];
  const width = (H + 2 * G) * K;
  const qkv = tensor(random(T * width, 1), [1, T, width], { scope, requiresGrad: true });
  const dout = tensor(random(T * H * K, 3), [1, T, H, K], { scope });
  await engine.idle();
  const before = engine.stats().liveBytes - qkv.sizeBytes - dout.sizeBytes;
  engine.resetPeak();
  const [q, k, v] = unpackHeads(qkv, { parts: 3, heads: H, kvHeads: G });
  backward(attention(q, k, v, { causal: true }), { seed: dout });
  await engine.idle();
  // The scores alone would be 4 * 14 * 4096 * 4096 B = 940 MB.
  const peak = engine.stats().peakBytes - before;
  const operands = 4 * T * (width + H * K);
  assert.ok(peak < 4 * operands, `got ${peak} B, ${(peak / operands).toFixed(2)} times the operands`);
  assert.ok((await qkv.grad!.data()).every(Number.isFinite));
});

test.run();
