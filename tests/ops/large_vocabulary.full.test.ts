// A vocabulary of Qwen2's size, whose table of 544 MB is beyond the binding limit of most devices: embedding and head, trained.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, embedding, linearCrossEntropy, ParameterStore } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';

const [N, V, D] = [2048, 151_936, 896];
/** Hidden states that differ; the others repeat them, so that float64 needs two rows of logits. */
const KINDS = 2;

const values = new Float32Array(V * D);
const wave = random(65_521, 1);
for (let i = 0; i < values.length; i++) values[i] = 0.1 * wave[i % wave.length];
const rows = Float32Array.from(random(KINDS * D, 2));
const labels = Int32Array.from({ length: N }, (_, n) => (n % 3 === 2 ? -100 : (n * 7919) % V));

/** Logits of one hidden state. */
function logitsOf(kind: number): Float64Array {
  return Float64Array.from({ length: V }, (_, v) => {
    let sum = 0;
    for (let d = 0; d < D; d++) sum += rows[kind * D + d] * values[v * D + d];
    return sum;
  });
}

test('large vocabulary: embedding and head of 151,936 rows train in 300 MB beside weight and gradient', async () => {
  const store = new ParameterStore(engine, [{ name: 'table', shape: [V, D] }]);
  const table = store.get('table');
  table.write(values);
  store.enableGradients();
  await engine.idle();
  using x = tensor(
    Float32Array.from({ length: N * D }, (_, i) => rows[i % (KINDS * D)]),
    [N, D],
    { requiresGrad: true },
  );
  using list = tensor(labels, [N]);
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  const loss = linearCrossEntropy(x, table, list);
  backward(loss);
  const extraBytes = engine.stats().peakBytes - before;
  console.log(`extra memory: ${(extraBytes / 1e6).toFixed(0)} MB`);
  assert.ok(extraBytes < 300e6, `${extraBytes} bytes`);

  const logits = Array.from({ length: KINDS }, (_, kind) => logitsOf(kind));
  const lses = logits.map((row) => {
    const highest = row.reduce((most, z) => Math.max(most, z), Number.NEGATIVE_INFINITY);
    return highest + Math.log(row.reduce((sum, z) => sum + Math.exp(z - highest), 0));
  });
  const counted = [...labels.keys()].filter((n) => labels[n] >= 0);
  const kindOf = (n: number): number => n % KINDS;
  const want = counted.reduce((sum, n) => sum + lses[kindOf(n)] - logits[kindOf(n)][labels[n]], 0);
  compare('loss', await loss.data(), [want / counted.length]);
  /** Gradient of a logit. */
  const slope = (n: number, v: number): number =>
    (Math.exp(logits[kindOf(n)][v] - lses[kindOf(n)]) - Number(labels[n] === v)) / counted.length;
  const rowOf = async (v: number): Promise<Float32Array> => {
    using row = table.grad!.view(Math.floor(v / 64) * 64 * D, [Math.min(64, V - Math.floor(v / 64) * 64), D]);
    return (await row.data()).subarray((v % 64) * D, (v % 64) * D + D) as Float32Array;
  };
  const headRow = (v: number): Float64Array =>
    Float64Array.from({ length: D }, (_, d) =>
      counted.reduce((sum, n) => sum + slope(n, v) * rows[kindOf(n) * D + d], 0),
    );
  const sampled = [0, labels[0], labels[4], 75_000, V - 1];
  for (const v of sampled) compare(`dtable[${v}]`, await rowOf(v), headRow(v), TOLERANCE.grad);
  const dx = (await x.grad!.data()).subarray(0, D);
  const wantDx = new Float64Array(D);
  for (let v = 0; v < V; v++) {
    const g = slope(0, v);
    for (let d = 0; d < D; d++) wantDx[d] += g * values[v * D + d];
  }
  compare('dx[0]', dx, wantDx, TOLERANCE.grad);
  x.grad!.dispose();

  // The same table as embedding: its gradient is added to the head's.
  store.zeroGradients();
  const ids = Uint32Array.from({ length: N }, (_, n) => (n % 2 === 0 ? 7 : V - 1 - n));
  using indices = tensor(ids, [N]);
  engine.resetPeak();
  const hidden = embedding(table, indices);
  const second = linearCrossEntropy(hidden, table, list);
  backward(second, {});
  const tiedBytes = engine.stats().peakBytes - before;
  console.log(`extra memory with the embedding: ${(tiedBytes / 1e6).toFixed(0)} MB`);
  assert.ok(tiedBytes < 300e6, `${tiedBytes} bytes`);
  assert.ok(Number.isFinite((await second.data())[0]));
  const seen = await rowOf(7);
  assert.ok(seen.some((value) => value !== 0) && seen.every(Number.isFinite));
  for (const made of [loss, hidden, second]) made.dispose();
  store.dispose();
});

test.run();
