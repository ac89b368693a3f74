import { test } from 'uvu';
import { fill } from '../../engine/index.ts';
import { compare, engine, TOLERANCE, throws } from '../harness.ts';
import { fill as twin } from '../reference/fill.ts';

for (const n of [0, 1, 63, 64, 65, 4_194_305])
  test(`fill: every one of ${n} elements, and zero again`, async () => {
    using x = engine.empty([n]);
    compare('1.5', await fill(x, 1.5).data(), twin(n, 1.5), TOLERANCE.exact);
    compare('0', await fill(x, 0).data(), twin(n, 0), TOLERANCE.exact);
  });

test('fill: refuses a value other than 0 for integers', () => {
  using x = engine.empty([3], { dtype: 'u32' });
  throws(() => fill(x, 1), /fill: x must be f32, got u32/);
});

test.run();
