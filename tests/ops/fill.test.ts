import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arange, fill } from '../../engine/index.ts';
import { compare, engine, TOLERANCE, throws } from '../harness.ts';
import { arange as arangeTwin, fill as twin } from '../reference/fill.ts';

for (const n of [0, 1, 63, 64, 65, 4_194_305])
  test(`fill: every one of ${n} elements, and zero again`, async () => {
    using x = engine.empty([n]);
    compare('1.5', await fill(x, 1.5).data(), twin(n, 1.5), TOLERANCE.exact);
    compare('0', await fill(x, 0).data(), twin(n, 0), TOLERANCE.exact);
  });

test('fill: integers, infinities, and no bytes other than 0', async () => {
  for (const [dtype, value] of [
    ['i32', -(2 ** 31)],
    ['u32', 2 ** 32 - 1],
    ['f32', -Infinity],
  ] as const) {
    using x = engine.empty([67], { dtype });
    assert.equal(Array.from(await fill(x, value).data()), Array.from(twin(67, value)), dtype);
  }
  using bytes = engine.empty([3], { dtype: 'u8' });
  throws(() => fill(bytes, 1), /fill: x must be f32 or i32 or u32, got u8/);
});

for (const n of [0, 1, 511, 513, 70_000 * 64])
  test(`arange: ${n} elements are their own indices`, async () => {
    using x = engine.empty([n], { dtype: 'u32' });
    compare('index', await arange(x).data(), arangeTwin(n), TOLERANCE.exact);
  });

test('arange: only u32', () => {
  using x = engine.empty([3]);
  throws(() => arange(x), /arange: x must be u32, got f32/);
});

test.run();
