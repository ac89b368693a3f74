import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ALL_CASES } from '../../bench/cases.ts';
import type { BenchCase } from '../../bench/harness.ts';
import { Engine } from '../../engine/index.ts';
import { deviceClock, measurePeaks, wallClock } from '../../engine/internal.ts';

test('bench cases: the list holds every case of every file of bench/ops, and each file has a quick one', async () => {
  const folder = new URL('../../bench/ops/', import.meta.url);
  for (const name of readdirSync(folder)) {
    const { cases }: { cases: BenchCase[] } = await import(new URL(name, folder).href);
    assert.ok(
      cases.some(({ quick }) => quick),
      `${name} has no quick case`,
    );
    for (const one of cases) assert.ok(ALL_CASES.includes(one), `${name}: ${one.op} ${one.shape}`);
  }
});

test('bench cases: no two share op and shape', () => {
  const names = ALL_CASES.map(({ op, shape }) => `${op} ${shape}`);
  assert.equal(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test('peaks: are positive, with either clock', async () => {
  const engine = await Engine.create({ profile: true });
  for (const clock of engine.timesKernels ? [deviceClock, wallClock] : [wallClock]) {
    const { gflops, gbPerS, dispatchUs } = await measurePeaks(engine, clock, 0.01);
    assert.ok(
      gflops > 0 && gbPerS > 0 && dispatchUs > 0,
      `${gflops} GFLOP/s, ${gbPerS} GB/s, ${dispatchUs} µs`,
    );
  }
  engine.destroy();
});

test.run();
