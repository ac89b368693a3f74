import { test } from 'uvu';
import { markNonFinite, NOTHING_FOUND } from '../../engine/ops/finite.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, withGpuPlans } from '../harness.ts';
import { firstNonFinite } from '../reference/finite.ts';

async function found(arrays: ReadonlyMap<number, Float32Array>): Promise<ArrayLike<number>> {
  using scope = engine.scope();
  const flag = tensor(new Uint32Array([NOTHING_FOUND]), [1], { scope });
  for (const [opNumber, x] of arrays) markNonFinite(tensor(x, [x.length], { scope }), flag, opNumber);
  return await flag.data();
}

test('finite: the largest, the smallest and the zeros are finite', async () => {
  const edges = new Float32Array([
    0,
    -0,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    2 ** -149,
    -(2 ** -149),
    1e30,
  ]);
  compare('flag', await found(new Map([[0, edges]])), [NOTHING_FOUND], TOLERANCE.exact);
  compare('empty', await found(new Map([[0, new Float32Array(0)]])), [NOTHING_FOUND], TOLERANCE.exact);
});

for (const bits of [0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001])
  test(`finite: the pattern ${bits.toString(16)} is found wherever it stands`, async () => {
    for (const n of [1, 63, 64, 65, 1031])
      for (const at of new Set([0, n >> 1, n - 1])) {
        const x = Float32Array.from(random(n, n));
        new Uint32Array(x.buffer)[at] = bits;
        const find = () => found(new Map([[5, x]]));
        compare(`${at} of ${n}`, await find(), [5], TOLERANCE.exact);
        compare(`${at} of ${n}, by fours`, await withGpuPlans(find), [5], TOLERANCE.exact);
      }
  });

test('finite: the lowest op number stays, whatever the order', async () => {
  const good = Float32Array.from(random(100, 1));
  const bad = good.with(50, Number.NaN);
  const arrays = new Map([
    [9, bad],
    [3, good],
    [7, bad.with(1, Number.POSITIVE_INFINITY)],
    [8, bad],
  ]);
  compare('flag', await found(arrays), [firstNonFinite(arrays)!], TOLERANCE.exact);
});

test('finite: an element behind more workgroups than a grid dimension holds', async () => {
  const x = new Float32Array(65_536 * 64 + 1);
  x[x.length - 1] = Number.NEGATIVE_INFINITY;
  compare('flag', await found(new Map([[1, x]])), [1], TOLERANCE.exact);
});

test('finite: says what the flag and the number must be', () => {
  using scope = engine.scope();
  const x = tensor([1, 2], [2], { scope });
  const flag = tensor(new Uint32Array(1), [1], { scope });
  throws(() => markNonFinite(x, x, 0), /markNonFinite: flag must be u32, got f32/);
  throws(
    () => markNonFinite(x, tensor(new Uint32Array(2), [2], { scope }), 0),
    /the flag must be \[1\], got \[2\]/,
  );
  throws(() => markNonFinite(x, flag, -1), /opNumber must be an integer in \[0, 2\^32 - 1\), got -1/);
});

test.run();
