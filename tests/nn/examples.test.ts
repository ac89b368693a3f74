// The examples of engine/examples: they learn, and the cache changes nothing. (own_kernel and own_pass: tests/gpu/interop.test.ts)
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attendTokenByToken } from '../../engine/examples/cached_attention.ts';
import { readDigits } from '../../engine/examples/digits.ts';
import { readDigitsByPatches } from '../../engine/examples/vit.ts';
import { compare, engine, random } from '../harness.ts';

/** out[t] = sum_u<=t softmax(q[t] k[u] / sqrt(K)) v[u] per head, in float64. */
function causalAttention(tokens: Float64Array, weight: Float64Array, C: number, heads: number): Float64Array {
  const T = tokens.length / C;
  const K = C / heads;
  const qkv = Float64Array.from({ length: T * 3 * C }, (_, i) => {
    const [t, row] = [Math.floor(i / (3 * C)), i % (3 * C)];
    let sum = 0;
    for (let c = 0; c < C; c++) sum += tokens[t * C + c] * weight[row * C + c];
    return sum;
  });
  const out = new Float64Array(T * C);
  for (let h = 0; h < heads; h++)
    for (let t = 0; t < T; t++) {
      const scores: number[] = [];
      for (let u = 0; u <= t; u++) {
        let score = 0;
        for (let k = 0; k < K; k++) score += qkv[t * 3 * C + h * K + k] * qkv[u * 3 * C + C + h * K + k];
        scores.push(Math.exp(score / Math.sqrt(K)));
      }
      const total = scores.reduce((a, b) => a + b);
      for (let k = 0; k < K; k++)
        for (let u = 0; u <= t; u++)
          out[t * C + h * K + k] += (scores[u] / total) * qkv[u * 3 * C + 2 * C + h * K + k];
    }
  return out;
}

test('example: attention with a cache, token by token, is causal attention', async () => {
  const [T, C, heads] = [13, 24, 3];
  const [tokens, weight] = [random(T * C, 1), random(3 * C * C, 2)];
  const got = await attendTokenByToken(engine, Float32Array.from(tokens), Float32Array.from(weight), heads);
  compare('out', got, causalAttention(tokens, weight, C, heads));
});

test('example: two layers read 9 of 10 drawn digits after 100 steps, and no tensor is left', async () => {
  const before = engine.stats().liveTensors;
  const share = await readDigits(engine, 100);
  assert.ok(share > 0.9, `got ${share}`);
  assert.is(engine.stats().liveTensors, before);
});

test('example: a small vision transformer reads 7 of 10 drawn digits after 120 steps', async () => {
  const share = await readDigitsByPatches(engine, 120);
  assert.ok(share > 0.7, `got ${share}`);
});

test('example: without training the digits are guessed', async () => {
  for (const read of [readDigits, readDigitsByPatches]) {
    const share = await read(engine, 0);
    assert.ok(share < 0.3, `got ${share}`);
  }
});

test.run();
