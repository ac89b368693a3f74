import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../engine/ops/pointwise.ts';
import { size } from '../../engine/tensor/shape.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
import { checkGradients, compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

const bitsOf = async (x: Tensor): Promise<Uint32Array> => new Uint32Array((await x.data()).buffer);
const NUMBERS = {
  f32: [0.1, -0, -2.5, 3, Number.POSITIVE_INFINITY, Number.NaN],
  i32: [-7, 0, 3],
  u32: [0, 3, 4294967295],
};
const { where: _where, ...BINARY } = ops;

for (const [dtype, numbers] of Object.entries(NUMBERS) as [keyof typeof NUMBERS, number[]][])
  test(`broadcasting: a number beside ${dtype} gives the bits that a tensor of it gives`, async () => {
    using scope = engine.scope();
    for (const shape of [[67], [4, 12]]) {
      const n = size(shape);
      const values = Array.from(random(n, 5), (u, i) =>
        dtype === 'f32' ? u : Math.floor((u + (dtype === 'u32' ? 1 : 0)) * 50) + (i % 2),
      );
      const x = engine.tensor(values, shape, { dtype, scope });
      for (const number of numbers) {
        const full = engine.tensor(new Array<number>(n).fill(number), shape, { dtype, scope });
        for (const [name, op] of Object.entries(BINARY) as [string, typeof ops.greater][])
          for (const [got, want] of [
            [op(x, number), op(x, full)],
            [op(number, x), op(full, x)],
          ])
            assert.equal([...(await bitsOf(got))], [...(await bitsOf(want))], `${name} with ${number}`);
        const cond = engine.tensor(Float32Array.from(random(n, 6), Math.round), shape, { scope });
        assert.equal(
          [...(await bitsOf(ops.where(cond, x, number)))],
          [...(await bitsOf(ops.where(cond, x, full)))],
        );
        assert.equal(
          [...(await bitsOf(ops.where(cond, number, x)))],
          [...(await bitsOf(ops.where(cond, full, x)))],
        );
      }
    }
  });

test('broadcasting: numbers make no tensor, and broadcast over operands that alternate', async () => {
  using scope = engine.scope();
  const a = tensor(random(12, 1), [2, 1, 2, 1, 3], { scope });
  const before = engine.stats().liveTensors;
  using y = ops.mul(a, 0.5);
  compare('live tensors', [engine.stats().liveTensors], [before + 1]);
  compare(
    'y',
    await y.data(),
    random(12, 1).map((value) => value / 2),
  );
  const cond = tensor([1, 0, 1], [3, 1, 1, 1, 1, 1], { scope });
  const either = await ops.where(cond, 2, -1).data();
  compare('either', either, [2, -1, 2], TOLERANCE.exact);
});

test('broadcasting: gradients beside numbers match central differences', async () => {
  const x = random(30, 3).map((value) => 1.5 + value);
  const check = (op: (x: Tensor) => Tensor, twin: (value: number) => number) =>
    checkGradients({
      inputs: { x: { data: x, shape: [5, 6] } },
      op: ({ x }) => op(x),
      twin: ({ x }) => x.map(twin),
    });
  await check(
    (t) => ops.add(t, 3),
    (v) => v + 3,
  );
  await check(
    (t) => ops.sub(t, 3),
    (v) => v - 3,
  );
  await check(
    (t) => ops.sub(3, t),
    (v) => 3 - v,
  );
  await check(
    (t) => ops.mul(0.25, t),
    (v) => v / 4,
  );
  await check(
    (t) => ops.div(t, 3),
    (v) => v / 3,
  );
  await check(
    (t) => ops.div(2, t),
    (v) => 2 / v,
  );
  await check(
    (t) => ops.pow(t, 3),
    (v) => v ** 3,
  );
  await check(
    (t) => ops.pow(2, t),
    (v) => 2 ** v,
  );
  await check(
    (t) => ops.maximum(t, 1.4),
    (v) => Math.max(v, 1.4),
  );
  await check(
    (t) => ops.minimum(1.4, t),
    (v) => Math.min(v, 1.4),
  );
});

test('broadcasting: says which numbers do not fit', () => {
  using scope = engine.scope();
  const counts = tensor(Uint32Array.of(1, 2), [2], { scope });
  throws(
    () => ops.add(counts, 0.5),
    /^add: a number beside u32 must be a whole number from 0 to 4294967295, got 0\.5/,
  );
  throws(() => ops.sub(-1, counts), /^sub: a number beside u32 must be .*, got -1/);
  throws(() => ops.less(1, 2), /^less: an operand must be a tensor, got the numbers 1 and 2/);
});

test.run();
