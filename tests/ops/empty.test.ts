// Tensors without elements: what PyTorch gives, or a sentence that names the function.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../engine/index.ts';
import { compare, engine, throws } from '../harness.ts';

/** An exported function, called as JavaScript calls it. */
const call = (name: string, ...args: readonly unknown[]) =>
  Reflect.apply(Reflect.get(ops, name), undefined, args);

/** Results of PyTorch for x of [0, 4] and [3, 0]: a shape and what it is full of, or what must be said. */
test('ops: empty axes give what PyTorch gives, or are refused by name', async () => {
  for (const shape of [
    [0, 4],
    [3, 0],
  ]) {
    using scope = engine.scope();
    const x = engine.zeros(shape, { scope });
    const [rows, columns] = shape;
    const same = 'abs gelu l2Normalize log logSoftmax softmax relu sin erf zerosLike'.split(' ');
    const folds = { sum: 0, prod: 1, max: -Infinity, min: Infinity };
    const expected: (readonly [
      name: string,
      rest: readonly unknown[],
      shape: readonly number[],
      value: number,
    ])[] = [
      ...same.map((name): [string, [], number[], number] => [name, [], shape, 0]),
      ...Object.entries(folds).flatMap(([name, value]): [string, object[], number[], number][] => [
        [name, [], [], value],
        [name, [{ axis: 0 }], [columns], value],
        [name, [{ axis: 1 }], [rows], value],
      ]),
      ['add', [2], shape, 0],
      ['matmul', [engine.zeros([columns, 2], { scope })], [rows, 2], 0],
      [
        'linear',
        [engine.zeros([5, columns], { scope }), { bias: engine.full([5], 3, { scope }) }],
        [rows, 5],
        3,
      ],
      ['take', [engine.zeros([0], { scope, dtype: 'i32' })], [0, columns], 0],
      ['cast', ['i32'], shape, 0],
      ['permute', [[1, 0]], [columns, rows], 0],
      ['broadcastTo', [[2, ...shape]], [2, ...shape], 0],
    ];
    for (const [name, args, wantShape, value] of expected) {
      const y = call(name, x, ...args);
      if (!(y instanceof ops.Tensor)) throw new Error(`${name} ${shape}: got no tensor`);
      if (`${y.shape}` !== `${wantShape}`) throw new Error(`${name} ${shape}: got [${y.shape}]`);
      assert.equal([...(await y.data())], new Array(y.size).fill(value), `${name} of [${shape}]`);
    }
    for (const name of ['mean', 'argMax'])
      throws(() => call(name, x), new RegExp(`^${name}: there must be an`));
    throws(() => call('adaptiveMaxPool', x, [0, 4], [1, 1]), /^adaptiveMaxPool: /);
  }
  const none = engine.zeros([0, 4]);
  throws(
    () => ops.sigmoidContrastive(none, none, engine.zeros([1]), engine.zeros([1])),
    /^sigmoidContrastive: the batch must not be empty/,
  );
  compare(
    'matmul',
    await ops.matmul(engine.zeros([2, 3, 0]), engine.zeros([2, 0, 4])).data(),
    new Float32Array(24),
  );
});

test.run();
