import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, chromeTrace, Engine, formatKernelTimes, kernelTimes, matmul } from '../../engine/index.ts';
import { compare, random, TOLERANCE } from '../harness.ts';

const engine = await Engine.create({ profile: true });

test('profiler: every dispatch is timed in order, and the trace is what chrome://tracing opens', async () => {
  if (!engine.gpu.timesKernels) {
    console.log('skipped: needs timestamp-query');
    return;
  }
  const n = 64;
  using scope = engine.scope();
  const a = engine.tensor(Float32Array.from(random(n * n, 1)), [n, n], { scope });
  await engine.dispatchTimes();
  const { dispatches } = engine.stats();
  // More than one set of timestamps holds.
  for (let i = 0; i < 1500; i++) {
    using c = matmul(a, a);
    add(c, a).dispose();
  }
  const times = await engine.dispatchTimes();
  assert.is(times.length, engine.stats().dispatches - dispatches);
  assert.ok(times.length >= 3000);
  const labels = new Set(times.map(({ label }) => label));
  assert.ok(
    labels.has('binary') && [...labels].some((label) => label.startsWith('matmul')),
    [...labels].join(),
  );
  for (const [i, { startUs, durationUs, groups }] of times.entries()) {
    assert.ok(durationUs >= 0 && groups.every((side) => side >= 1), `dispatch ${i}`);
    if (i > 0) assert.ok(startUs >= times[i - 1].startUs, `dispatch ${i} starts after the one before`);
  }

  const trace = JSON.parse(chromeTrace(times)) as { traceEvents: Record<string, unknown>[] };
  assert.is(trace.traceEvents.length, times.length);
  trace.traceEvents.forEach((event, i) => {
    assert.is(event.ph, 'X');
    assert.is(event.name, times[i].label);
    for (const key of ['ts', 'dur', 'pid', 'tid']) assert.type(event[key], 'number');
    assert.is((event.args as { groups: string }).groups, times[i].groups.join(' x '));
  });

  const rows = kernelTimes(times);
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  compare('ms', [sum(rows.map(({ ms }) => ms))], [sum(times.map(({ durationUs }) => durationUs / 1000))], {
    abs: 0,
    rel: 1e-9,
  });
  assert.ok(
    rows.every(({ ms }, i) => i === 0 || ms <= rows[i - 1].ms),
    'the costliest first',
  );
  const product = rows.find(({ label }) => label.startsWith('matmul'))!;
  compare('flops', [product.gflops * product.ms * 1e6], [1500 * 2 * n ** 3], { abs: 0, rel: 1e-9 });
  const lines = formatKernelTimes(rows).split('\n');
  assert.is(lines.length, rows.length + 2);
  assert.match(lines.at(-1)!, new RegExp(`^sum +${times.length} .* 100\\.0`));
  assert.equal(await engine.dispatchTimes(), [], 'nothing is told twice');
});

test('profiler: more runs are submitted at once than one set of timestamps holds', async () => {
  if (!engine.gpu.timesKernels) {
    console.log('skipped: needs timestamp-query');
    return;
  }
  using x = engine.tensor([1], [1]);
  await engine.dispatchTimes();
  const { submits } = engine.stats();
  for (let i = 0; i < 2500; i++) add(x, x).dispose();
  assert.is((await engine.dispatchTimes()).length, 2500);
  assert.is(engine.stats().submits - submits, 2);
});

test('profiler: replays are timed too', async () => {
  if (!engine.gpu.timesKernels) {
    console.log('skipped: needs timestamp-query');
    return;
  }
  using x = engine.tensor([1, 2, 3, 4], [4]);
  using capture = engine.capture((x) => add(add(x, x), x), x);
  await engine.dispatchTimes();
  capture.replay();
  capture.replay();
  assert.equal(
    (await engine.kernelTimes()).map(({ label, calls }) => [label, calls]),
    [['binary', 4]],
  );
  compare('3x', await capture.outputs.data(), [3, 6, 9, 12], TOLERANCE.exact);
});

test('profiler: without profile: true, asking for times says what to do', async () => {
  const plain = await Engine.create();
  const error = await plain.kernelTimes().then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? '', /engine: kernel times need Engine.create\(\{ profile: true \}\)/);
  plain.destroy();
});

test.run();
