import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward } from '../../engine/index.ts';
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

test.run();
