import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BenchCase } from '../../bench/harness.ts';
import { type Failure, measure, type Row } from '../../bench/measure.ts';
import { Engine, fullLike, mul, type Tensor } from '../../engine/index.ts';
import { rates } from '../../engine/internal.ts';
import { engine } from '../harness.ts';

const PEAKS = { gflops: 10, gbPerS: 4, dispatchUs: 20 };
const SECONDS = 0.01;

/** y = 2 x over 1000 ones; counts its runs. */
function doubling(change: Partial<BenchCase> = {}): { benchCase: BenchCase; runs: () => number } {
  let runs = 0;
  const benchCase: BenchCase = {
    op: 'affine',
    shape: '1000',
    bytes: 8000,
    prepare: (engine) => {
      const x = engine.full([1000], 1);
      return {
        run: () => {
          runs++;
          return mul(x, 2);
        },
        maxError: async (out) => Math.max(...(await out.data()).map((value) => Math.abs(value - 2))),
      };
    },
    ...change,
  };
  return { benchCase, runs: () => runs };
}

/** The same case with another error. */
function withError(error: number, change: Partial<BenchCase> = {}) {
  const { benchCase, runs } = doubling(change);
  const prepare: BenchCase['prepare'] = (engine) => ({
    ...benchCase.prepare(engine),
    maxError: async () => error,
  });
  return { benchCase: { ...benchCase, prepare }, runs };
}

function rowOf(result: Row | Failure): Row {
  if ('reason' in result) assert.unreachable(result.reason);
  return result as Row;
}

function reasonOf(result: Row | Failure): string {
  if (!('reason' in result)) assert.unreachable('it was timed');
  return (result as Failure).reason;
}

test('measure: a case whose error is above its tolerance is run once and not timed', async () => {
  for (const error of [2e-4, Number.NaN, Number.POSITIVE_INFINITY]) {
    const { benchCase, runs } = withError(error);
    assert.match(reasonOf(await measure(engine, benchCase, PEAKS, SECONDS)), /^error .* is above 0.0001$/);
    assert.is(runs(), 1);
  }
});

test('measure: a case states its own tolerance', async () => {
  const { benchCase } = withError(2e-4, { tolerance: 1e-3 });
  assert.is(rowOf(await measure(engine, benchCase, PEAKS, SECONDS)).maxError, 2e-4);
});

test('measure: a right case gives time, rate and percentage that belong together', async () => {
  const row = rowOf(await measure(engine, doubling().benchCase, PEAKS, SECONDS));
  assert.ok(row.medianMs > 0 && row.spreadMs >= 0);
  assert.is(row.maxError, 0);
  assert.ok(Math.abs(row.gbPerS! - 8000 / row.medianMs / 1e6) < 1e-9);
  assert.ok(Math.abs(row.percentOfPeak! - (100 * row.gbPerS!) / PEAKS.gbPerS) < 1e-9);
  assert.is(row.gflops, null);
  assert.is(row.bytes, 8000);
  assert.is(row.peakBytes, 8000, '1000 numbers and their doubles');
});

test('measure: runs take turns on sets of inputs that together exceed the caches', async () => {
  const turns = async (bytes: number | undefined, length: number): Promise<number[]> => {
    const order: number[] = [];
    let sets = 0;
    const result = await measure(
      engine,
      {
        ...doubling().benchCase,
        bytes,
        prepare: (engine) => {
          const set = sets++;
          const x = engine.full([length], 1);
          const run = (): Tensor => {
            order.push(set);
            return mul(x, 2);
          };
          return { run, maxError: async () => 0 };
        },
      },
      PEAKS,
      SECONDS,
    );
    assert.is(rowOf(result).copies, sets);
    const first = order.indexOf(1);
    return first < 0 ? order.slice(0, 20) : order.slice(first - 1, first + 19);
  };
  // 2 x 10 MB a set: four of them exceed 64 MiB.
  const four = await turns(20e6, 2.5e6);
  if (engine.gpu.isSoftware) assert.equal(four.slice(0, 8), [0, 1, 2, 3, 0, 1, 2, 3]);
  assert.equal((await turns(8000, 1000)).slice(0, 18), [...Array(16).keys(), 0, 1], 'at most 16 sets');
  assert.ok(
    (await turns(undefined, 1000)).every((set) => set === 0),
    'a case that counts no bytes',
  );
});

test('measure: device timestamps and the wall clock both time a case', async () => {
  const profiled = await Engine.create({ profile: true });
  if (!profiled.timesKernels) console.log('skipped: needs timestamp-query');
  else {
    const onDevice = rowOf(await measure(profiled, doubling().benchCase, PEAKS, SECONDS));
    const byWall = rowOf(await measure(profiled, doubling({ clock: 'wall' }).benchCase, PEAKS, SECONDS));
    assert.ok(onDevice.medianMs > 0 && byWall.medianMs > 0);
    assert.ok(profiled.timesKernels, 'the profiler is back after the wall clock');
  }
  profiled.destroy();
});

test('measure: leaves no tensor behind, whether the case is timed, fails or throws', async () => {
  const before = engine.stats();
  await measure(engine, doubling().benchCase, PEAKS, SECONDS);
  await measure(engine, withError(1).benchCase, PEAKS, SECONDS);
  const broken: BenchCase = {
    ...doubling().benchCase,
    prepare: (engine) => {
      engine.zeros([64]);
      throw new Error('no such input');
    },
  };
  await measure(engine, broken, PEAKS, SECONDS).then(
    () => assert.unreachable('it should have thrown'),
    () => undefined,
  );
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(engine.stats().liveBytes, before.liveBytes);
});

test('measure: a case that returns one of its inputs keeps it', async () => {
  const inPlace: BenchCase = {
    op: 'fill',
    shape: '64',
    prepare: (engine) => {
      const x = engine.empty([64]);
      return { run: () => fullLike(x, 2), maxError: async (out) => Math.abs((await out.data())[0] - 2) };
    },
  };
  assert.is(rowOf(await measure(engine, inPlace, PEAKS, SECONDS)).maxError, 0);
});

test('measure: a run that leaves tensors behind is refused, and dispose is called', async () => {
  const left: Tensor[] = [];
  const { benchCase } = doubling();
  const leaking: BenchCase = {
    ...benchCase,
    prepare: (engine) => {
      const prepared = benchCase.prepare(engine);
      return {
        ...prepared,
        run: () => {
          left.push(prepared.run());
          return prepared.run();
        },
        dispose: () => {
          for (const tensor of left) tensor.dispose();
        },
      };
    },
  };
  assert.match(reasonOf(await measure(engine, leaking, PEAKS, SECONDS)), /a run leaves 1 tensors behind/);
  assert.ok(left.length > 0 && left.every(({ disposed }) => disposed));
});

test('rates: the percentage is that of the peak which is nearer', () => {
  const { gflops, gbPerS, percentOfPeak } = rates({ flops: 5e6, bytes: 1e6 }, 1, PEAKS);
  assert.equal([gflops, gbPerS, percentOfPeak], [5, 1, 50]);
  assert.is(rates({ flops: 1e6, bytes: 3e6 }, 1, PEAKS).percentOfPeak, 75);
  assert.equal(rates({}, 1, PEAKS), { gflops: null, gbPerS: null, percentOfPeak: null });
});

test.run();
