import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attention } from '../../engine/ops/attention/composed.ts';
import { checkGradients, compare, engine, random, tensor, throws } from '../harness.ts';
import { type Heads, type Scores, composedAttention as twin } from '../reference/attention.ts';
import { broadcastTo } from '../reference/reduce.ts';

const CASES: (Heads & { scale?: number; softcap?: number; mask?: number[]; causal?: number })[] = [
  { B: 1, H: 1, G: 1, Tq: 1, Tk: 1, K: 1, V: 1 },
  { B: 2, H: 6, G: 2, Tq: 5, Tk: 7, K: 8, V: 3, scale: 0.3 },
  { B: 2, H: 4, G: 1, Tq: 3, Tk: 67, K: 5, V: 8, softcap: 0.7, mask: [3, 67] },
  { B: 1, H: 2, G: 2, Tq: 9, Tk: 9, K: 4, V: 4, causal: 0 },
  { B: 2, H: 3, G: 3, Tq: 4, Tk: 10, K: 8, V: 8, causal: 6, mask: [2, 1, 4, 10] },
];

for (const { scale, softcap, mask, causal, ...heads } of CASES)
  test(`attention: ${JSON.stringify({ ...heads, scale, softcap, mask, causal })}: values and gradients match the twin`, async () => {
    const { B, H, G, Tq, Tk, K, V } = heads;
    const bias = mask ?? [1];
    const full = [B, H, Tq, Tk];
    const seen = (m: Float64Array) =>
      broadcastTo(m, bias, full).map((value, e) =>
        causal !== undefined && e % Tk > (Math.floor(e / Tk) % Tq) + causal ? -Infinity : value,
      );
    const factor = scale ?? 1 / Math.sqrt(K);
    await checkGradients<'q' | 'k' | 'v' | 'm'>({
      inputs: {
        q: { data: random(B * H * Tq * K, 1), shape: [B, H, Tq, K] },
        k: { data: random(B * G * Tk * K, 2), shape: [B, G, Tk, K] },
        v: { data: random(B * G * Tk * V, 3), shape: [B, G, Tk, V] },
        m: {
          data: mask
            ? random(
                mask.reduce((n, extent) => n * extent, 1),
                4,
              )
            : new Float64Array(1),
          shape: bias,
        },
      },
      wrt: mask ? ['q', 'k', 'v', 'm'] : ['q', 'k', 'v'],
      op: ({ q, k, v, m }) => attention(q, k, v, { scale, softcap, mask: mask && m, causal }).y,
      twin: ({ q, k, v, m }) => twin(q, k, v, seen(m), heads, factor, softcap).y,
    });
  });

test('attention: hands out its scores at every stage', async () => {
  using scope = engine.scope();
  const heads: Heads = { B: 2, H: 4, G: 2, Tq: 3, Tk: 5, K: 6, V: 4 };
  const [q, k, v] = [random(2 * 4 * 3 * 6, 1), random(2 * 2 * 5 * 6, 2), random(2 * 2 * 5 * 4, 3)];
  const blocked = Float64Array.from({ length: 15 }, (_, e) => (e % 4 === 1 ? -Infinity : e / 10));
  const want = twin(q, k, v, broadcastTo(blocked, [3, 5], [2, 4, 3, 5]), heads, 0.5, 1.5);
  const operands = [
    tensor(q, [2, 4, 3, 6], { scope }),
    tensor(k, [2, 2, 5, 6], { scope }),
    tensor(v, [2, 2, 5, 4], { scope }),
  ] as const;
  const mask = tensor(blocked, [3, 5], { scope });
  for (const stage of ['product', 'capped', 'masked', 'weights'] as (keyof Scores)[]) {
    const { y, scores } = attention(...operands, { scale: 0.5, softcap: 1.5, mask, scores: stage });
    compare('y', await y.data(), want.y);
    const got = Array.from(await scores!.data());
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
  const one = (shape: number[], seed: number) => tensor(random(6, seed), shape, { scope });
  const mask = tensor(new Float64Array(3).fill(-Infinity), [1, 3], { scope });
  const v = random(6, 3);
  const { y } = attention(one([1, 1, 3, 2], 1), one([1, 1, 3, 2], 2), one([1, 1, 3, 2], 3), { mask });
  const mean = [0, 1].map((d) => (v[d] + v[2 + d] + v[4 + d]) / 3);
  compare('y', await y.data(), [...mean, ...mean, ...mean]);
});

test('attention: says what does not fit, and leaves nothing alive but its results', () => {
  const q = tensor(random(24, 1), [1, 3, 4, 2]);
  const k = tensor(random(12, 1), [1, 1, 6, 2]);
  const before = engine.stats().liveTensors;
  const { y, scores } = attention(q, k, k, { softcap: 2, causal: 0, scores: 'masked' });
  y.dispose();
  scores!.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  using other = tensor(random(12, 1), [1, 2, 3, 2]);
  throws(
    () => attention(other, q, q),
    /attention: q must be \[B, H, Tq, K\], .*, got q \[1, 2, 3, 2\], k \[1, 3, 4, 2\]/,
  );
  for (const t of [q, k]) t.dispose();
});

test.run();
