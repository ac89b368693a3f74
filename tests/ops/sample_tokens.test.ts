import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type SamplingOptions, sampleTokens } from '../../engine/index.ts';
import { engine, random, tensor, throws, withGpuPlans } from '../harness.ts';
import { words } from '../reference/random.ts';
import { candidates, draw } from '../reference/sample_tokens.ts';

const zeros = (B: number): Uint32Array<ArrayBuffer> => new Uint32Array(B);

/** Bits of the ids, for one row of V. */
function bitsOf(ids: Iterable<number>, V: number): Uint32Array {
  const bits = zeros(Math.ceil(V / 32));
  for (const id of ids) bits[id >> 5] |= 1 << (id & 31);
  return bits;
}

/** The uniform of a step of a row: the first word of its block. */
const uniform = (seed: number, row: number, step: number): number =>
  words(2 * step + 1, seed, row)[2 * step] / 2 ** 32;

/** Rows of logits that differ in scale, sampled for some steps; each pick is that of the twin for the same uniform. */
async function checkPicks(V: number, options: SamplingOptions, steps = 6, coarse = false): Promise<void> {
  using scope = engine.scope();
  const B = 3;
  const { temperature = 1, topK, topP, repetitionPenalty: penalty, seed = 0 } = options;
  const numbers = random(B * V, V).map((x, i) =>
    Math.fround(coarse ? Math.round(3 * x) : 3 * (1 + Math.floor(i / V)) * x),
  );
  const logits = tensor(numbers, [B, V], { scope });
  const rows = Array.from({ length: B }, (_, b) => [...numbers.subarray(b * V, (b + 1) * V)]);
  const seenSets = rows.map((_, b) => new Set([b % V, (7 * b + 3) % V]));
  const counter = engine.tensor(zeros(B), [B], { scope });
  const bits = seenSets.flatMap((set) => [...bitsOf(set, V)]);
  const seen = engine.tensor(Uint32Array.from(bits), [B, Math.ceil(V / 32)], { scope });
  let compared = 0;
  for (let step = 0; step < steps; step++) {
    const got = await sampleTokens(logits, { ...options, temperature, steps: counter, seen }).data();
    rows.forEach((row, b) => {
      const kept = candidates(row, { temperature, topK, topP, penalty }, seenSets[b]);
      const { id, margin } = draw(kept, uniform(seed, b, step));
      assert.ok(
        kept.some((one) => one.id === got[b]),
        `row ${b}, step ${step}: ${got[b]} may not be drawn`,
      );
      if (margin > 2e-6) {
        compared++;
        assert.is(got[b], id, `row ${b}, step ${step}, margin ${margin}`);
      }
      if (penalty !== undefined) seenSets[b].add(got[b]);
    });
  }
  assert.ok(compared >= steps * B - 2, `${compared} picks compared`);
  assert.equal([...(await counter.data())], [steps, steps, steps]);
  if (penalty !== undefined)
    assert.equal(
      [...(await seen.data())],
      seenSets.flatMap((set) => [...bitsOf(set, V)]),
    );
}

for (const V of [1, 31, 257, 1031])
  for (const options of [
    {},
    { temperature: 0.4, seed: 7 },
    { topK: 5 },
    { topP: 0.7, seed: 3 },
    { topK: 40, topP: 0.9, temperature: 1.7 },
    { repetitionPenalty: 1.8, topP: 0.95, seed: 5 },
  ])
    test(`sample_tokens: of ${V}, ${JSON.stringify(options)} picks what the twin picks`, () =>
      checkPicks(V, options));

test('sample_tokens: of equal logits at a cut, the lower ids stay', async () => {
  for (const options of [{ topK: 100 }, { topP: 0.5 }, { topK: 300, topP: 0.31 }, { topP: 0.3, topK: 10 }])
    await checkPicks(700, options, 8, true);
});

test('sample_tokens: the plan of a GPU picks the same', () =>
  withGpuPlans(() => checkPicks(1031, { topK: 300, topP: 0.9, repetitionPenalty: 1.3 }, 3)));

test('sample_tokens: of 50,000 tokens, cuts are exact', () =>
  checkPicks(50_021, { topK: 20_000, topP: 0.9 }, 2));

test('sample_tokens: without temperature the first of the largest, after the penalty', async () => {
  using scope = engine.scope();
  const rows = [1, 3, 3, -1, 2, 2, -2, -1, -3, -1, -2, -9, Number.NaN, 1, 5, 4, Infinity, 3, -Infinity, 1];
  const logits = engine.tensor(Float32Array.from(rows), [5, 4], { scope });
  const steps = engine.tensor(zeros(5), [5], { scope });
  assert.equal([...(await sampleTokens(logits, { steps }).data())], [1, 0, 1, 0, 0]);
  const seen = engine.tensor(Uint32Array.of(2, 1, 2, 0, 0), [5, 1], { scope });
  const picked = sampleTokens(logits, { steps, seen, repetitionPenalty: 3 });
  assert.equal([...(await picked.data())], [2, 1, 2, 0, 0]);
  assert.equal([...(await seen.data())], [6, 3, 6, 1, 1]);
});

test('sample_tokens: tokens come as often as their probabilities say', async () => {
  using scope = engine.scope();
  const p = [0.1, 0.4, 0.2, 0.3];
  const B = 4000;
  const logits = tensor(
    Float64Array.from({ length: 4 * B }, (_, i) => Math.log(p[i % 4]) + 5),
    [B, 4],
    { scope },
  );
  const steps = engine.tensor(zeros(B), [B], { scope });
  const cases: [SamplingOptions, number[]][] = [
    [{}, p],
    [{ temperature: 0.5 }, [1 / 30, 16 / 30, 4 / 30, 9 / 30]], // squares: 0.01, 0.16, 0.04, 0.09 of 0.3
    [{ topK: 2 }, [0, 4 / 7, 0, 3 / 7]],
    [{ topP: 0.69 }, [0, 4 / 7, 0, 3 / 7]],
    [{ topP: 0.71 }, [0, 4 / 9, 2 / 9, 3 / 9]],
    [{ topK: 3, topP: 0.7 }, [0, 4 / 7, 0, 3 / 7]],
  ];
  for (const [options, want] of cases) {
    const counts = [0, 0, 0, 0];
    for (const id of await sampleTokens(logits, { temperature: 1, ...options, steps }).data()) counts[id]++;
    want.forEach((share, id) => {
      const deviations = Math.abs(counts[id] / B - share) / Math.sqrt((share * (1 - share)) / B || 1 / B);
      assert.ok(deviations < 4, `${JSON.stringify(options)}: ${counts[id] / B} of token ${id}, not ${share}`);
    });
  }
});

test('sample_tokens: each replay of a capture draws the next token', async () => {
  using scope = engine.scope();
  const logits = tensor(random(50, 2), [1, 50], { scope });
  const [counter, other] = [0, 1].map(() => engine.tensor(zeros(1), [1], { scope }));
  const options = { temperature: 1, seed: 9 };
  using step = engine.capture((logits) => sampleTokens(logits, { ...options, steps: counter }), logits);
  const picks: number[] = [];
  for (let k = 0; k < 12; k++) {
    step.replay();
    const [got] = await step.outputs.data();
    assert.is(got, (await sampleTokens(logits, { ...options, steps: other }).data())[0]);
    picks.push(got);
  }
  assert.ok(new Set(picks).size > 3, `${picks}`);
});

test('sample_tokens: wrong extents and options are refused', () => {
  using scope = engine.scope();
  const logits = engine.zeros([2, 40], { scope });
  const steps = engine.zeros([2], { dtype: 'u32', scope });
  throws(
    () => sampleTokens(logits.reshape([80]), { steps }),
    /^sampleTokens: logits must be \[B, V\], got \[80\]/,
  );
  throws(() => sampleTokens(logits, { steps: steps.reshape([1, 2]) }), /steps must be \[2\], got \[1, 2\]/);
  throws(
    () => sampleTokens(logits, { steps, repetitionPenalty: 2 }),
    /seen must be \[2, 2\] for a penalty, got none/,
  );
  throws(() => sampleTokens(logits, { steps, topP: 0 }), /topP must be in \(0, 1\], got 0/);
  throws(() => sampleTokens(logits, { steps, seed: -1 }), /seed must be in \[0, 2\^32\), got -1/);
  throws(() => sampleTokens(logits, { steps, heat: 1 } as { steps: typeof steps }), /heat/);
});

test.run();
