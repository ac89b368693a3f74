import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arange, type DType, fullLike, onesLike } from '../../engine/index.ts';
import { fill } from '../../engine/ops/fill.ts';
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
    using index = engine.arange(n);
    compare('index', await index.data(), arangeTwin(n), TOLERANCE.exact);
  });

test('arange: every dtype, in the scope asked for or that of a tensor', async () => {
  using scope = engine.scope();
  const dtypes: ('f32' | 'i32' | 'u32')[] = ['f32', 'i32', 'u32'];
  for (const dtype of dtypes) {
    const made = engine.arange(5, { dtype, scope });
    assert.equal([made.dtype, made.scope], [dtype, scope]);
    assert.equal(Array.from(await made.data()), [0, 1, 2, 3, 4]);
    const like = arange(made, 3, { dtype });
    assert.equal([like.dtype, like.scope, ...(await like.data())], [dtype, scope, 0, 1, 2]);
  }
  throws(() => engine.arange(1.5), /^arange: .*1\.5/);
});

test('ones and full: engine makes them by shape, and fullLike and onesLike by a tensor', async () => {
  using scope = engine.scope();
  const dtypes: DType[] = ['f32', 'i32', 'u32'];
  for (const dtype of dtypes) {
    const ones = engine.ones([2, 3], { dtype, scope });
    assert.equal([ones.dtype, ...(await ones.data())], [dtype, 1, 1, 1, 1, 1, 1]);
    assert.equal(Array.from(await onesLike(ones).data()), [1, 1, 1, 1, 1, 1]);
    assert.equal(Array.from(await fullLike(ones, 7).data()), [7, 7, 7, 7, 7, 7]);
  }
});

test.run();
