import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attention, attentionWithScores, permute, slice, type Tensor } from '../../engine/index.ts';
import { size } from '../../engine/tensor/shape.ts';
import { checkGradients, compare, engine, random, tensor, throws } from '../harness.ts';
import { type Heads, type Scores, composedAttention as twin } from '../reference/attention.ts';
import { broadcastTo } from '../reference/reduce.ts';

/** The twin has [B, H, T, K]. */
const byToken = (x: Tensor): Tensor => permute(x, [0, 2, 1, 3]);

interface Case extends Heads {
  readonly scale?: number;
  readonly softcap?: number;
  readonly mask?: number[];
  readonly causal?: boolean;
  /** Of a causal attention: the position of the first query of each batch entry, as a tensor. */
  readonly offsets?: readonly number[];
  readonly sequences?: readonly number[];
  /** Of Tk keys. */
  readonly cached?: number;
  readonly keyMask?: boolean;
}

const CASES: Case[] = [
  { B: 1, H: 1, G: 1, Tq: 1, Tk: 1, K: 1, V: 1 },
  { B: 2, H: 6, G: 2, Tq: 5, Tk: 7, K: 8, V: 3, scale: 0.3 },
  { B: 2, H: 4, G: 1, Tq: 3, Tk: 67, K: 5, V: 8, softcap: 0.7, mask: [3, 67] },
  { B: 1, H: 2, G: 2, Tq: 9, Tk: 9, K: 4, V: 4, causal: true },
  { B: 2, H: 3, G: 3, Tq: 4, Tk: 10, K: 8, V: 8, causal: true, cached: 6, mask: [2, 1, 4, 10] },
  { B: 2, H: 2, G: 1, Tq: 3, Tk: 9, K: 4, V: 6, causal: true, cached: 2, offsets: [4, 0] },
  { B: 2, H: 2, G: 1, Tq: 9, Tk: 9, K: 4, V: 4, causal: true, softcap: 0.7, sequences: [0, 2, 2, 7] },
  { B: 1, H: 2, G: 2, Tq: 7, Tk: 7, K: 4, V: 3, sequences: [0, 3, 7] },
  { B: 3, H: 2, G: 1, Tq: 2, Tk: 9, K: 4, V: 4, cached: 4, keyMask: true },
  { B: 3, H: 2, G: 2, Tq: 4, Tk: 9, K: 4, V: 4, cached: 4, keyMask: true },
];

for (const { scale, softcap, mask, causal, cached = 0, keyMask, offsets, sequences, ...heads } of CASES)
  test(`attention: ${JSON.stringify({ ...heads, scale, softcap, mask, causal, cached, keyMask, offsets, sequences })}: values and gradients match the twin`, async () => {
    const { B, H, G, Tq, Tk, K, V } = heads;
    const bias = mask ?? [1];
    // The last batch entry attends to no key of its own, that is to all of them.
    const attended = Float64Array.from(random(B * (Tk - cached), 9), (value, i) =>
      i < (B - 1) * (Tk - cached) && value > -0.5 ? 1 : 0,
    );
    const hidden = (e: number): boolean => {
      const [b, i, j] = [Math.floor(e / (H * Tq * Tk)), Math.floor(e / Tk) % Tq, e % Tk];
      const masked = keyMask && b < B - 1 && j >= cached && !attended[b * (Tk - cached) + j - cached];
      const apart = sequences?.some((first) => i < first !== j < first);
      return !!masked || !!apart || (!!causal && j > i + cached + (offsets?.[b] ?? 0));
    };
    const seen = (m: Float64Array) =>
      broadcastTo(m, bias, [B, H, Tq, Tk]).map((value, e) => (hidden(e) ? -Infinity : value));
    const factor = scale ?? 1 / Math.sqrt(K);
    const own = (x: Tensor): Tensor => byToken(slice(x, { axis: 2, start: cached, length: Tk - cached }));
    const kept = (x: Tensor): Tensor => byToken(slice(x, { axis: 2, length: cached }));
    await checkGradients<'q' | 'k' | 'v' | 'm'>({
      inputs: {
        q: { data: random(B * H * Tq * K, 1), shape: [B, H, Tq, K] },
        k: { data: random(B * G * Tk * K, 2), shape: [B, G, Tk, K] },
        v: { data: random(B * G * Tk * V, 3), shape: [B, G, Tk, V] },
        m: { data: mask ? random(size(bias), 4) : new Float64Array(1), shape: bias },
      },
      wrt: mask ? ['q', 'k', 'v', 'm'] : ['q', 'k', 'v'],
      op: ({ q, k, v, m }) => {
        const options = {
          ...{ scale, softcap, causal, mask: mask && m },
          cached: cached > 0 ? { k: kept(k), v: kept(v) } : undefined,
          keyMask: keyMask ? tensor(attended, [B, Tk - cached], { scope: q.scope }) : undefined,
          offset: offsets && tensor(Int32Array.from(offsets), [B], { scope: q.scope }),
          sequences: sequences && tensor(Int32Array.from(sequences), [sequences.length], { scope: q.scope }),
        };
        return byToken(attention(byToken(q), own(k), own(v), options));
      },
      twin: ({ q, k, v, m }) => twin(q, k, v, seen(m), heads, factor, softcap).y,
    });
  });

test('attention: hands out its scores at every stage', async () => {
  using scope = engine.scope();
  const heads: Heads = { B: 2, H: 4, G: 2, Tq: 3, Tk: 5, K: 6, V: 4 };
  const data = [random(2 * 4 * 3 * 6, 1), random(2 * 2 * 5 * 6, 2), random(2 * 2 * 5 * 4, 3)];
  const blocked = Float64Array.from({ length: 15 }, (_, e) => (e % 4 === 1 ? -Infinity : e / 10));
  const want = twin(data[0], data[1], data[2], broadcastTo(blocked, [3, 5], [2, 4, 3, 5]), heads, 0.5, 1.5);
  const [q, k, v] = [
    byToken(tensor(data[0], [2, 4, 3, 6], { scope })),
    byToken(tensor(data[1], [2, 2, 5, 6], { scope })),
    byToken(tensor(data[2], [2, 2, 5, 4], { scope })),
  ];
  const mask = tensor(blocked, [3, 5], { scope });
  for (const stage of ['product', 'capped', 'masked', 'weights'] as (keyof Scores)[]) {
    const options = { scale: 0.5, softcap: 1.5, mask, stage };
    const { out, scores } = attentionWithScores(q, k, v, options);
    compare('out', await byToken(out).data(), want.y);
    const got = Array.from(await scores.data());
    const finite = got.map((value) => (Number.isFinite(value) ? value : 0));
    compare(
      stage,
      finite,
      want.scores[stage].map((value) => (Number.isFinite(value) ? value : 0)),
    );
    assert.equal(
      got.map((value) => value === -Infinity),
      Array.from(want.scores[stage], (value) => value === -Infinity),
    );
  }
});

test('attention: a query that may see no key averages the values', async () => {
  using scope = engine.scope();
  const one = (seed: number) => tensor(random(6, seed), [1, 3, 1, 2], { scope });
  const mask = tensor(new Float64Array(3).fill(-Infinity), [1, 3], { scope });
  const v = random(6, 3);
  const out = attention(one(1), one(2), one(3), { mask });
  const mean = [0, 1].map((d) => (v[d] + v[2 + d] + v[4 + d]) / 3);
  compare('out', await out.data(), [...mean, ...mean, ...mean]);
});

test('attention: leaves nothing alive but its results', () => {
  const q = tensor(random(24, 1), [1, 4, 3, 2]);
  const k = tensor(random(12, 1), [1, 6, 1, 2]);
  const before = engine.stats().liveTensors;
  const { out, scores } = attentionWithScores(q, k, k, { softcap: 2, causal: true, stage: 'masked' });
  out.dispose();
  scores.dispose();
  attention(q, k, k).dispose();
  attention(q, q, q).dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  using other = tensor(random(12, 1), [1, 3, 2, 2]);
  throws(
    () => attentionWithScores(other, q, q),
    /^attentionWithScores: q must be \[1 or B, T, H, K\], .*, got q \[1, 3, 2, 2\], k \[1, 4, 3, 2\]/,
  );
  for (const t of [q, k]) t.dispose();
});

test.run();
