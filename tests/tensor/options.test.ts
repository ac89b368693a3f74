// Arguments as JavaScript passes them: axes and lists that are none, tensors among options, tensors of other devices.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as door from '../../engine/index.ts';
import { Engine, type Tensor, UseError } from '../../engine/index.ts';
import { engine, throws } from '../harness.ts';

/** An exported function, called as JavaScript calls it. */
const call = (name: string, ...args: readonly unknown[]) =>
  Reflect.apply(Reflect.get(door, name), undefined, args);

test('options: an axis out of range, fractional or no number is refused by name', () => {
  using scope = engine.scope();
  const x = engine.zeros([3, 4], { scope });
  const indices = engine.zeros([3, 4], { scope, dtype: 'i32' });
  const calls: Readonly<Record<string, (axis: unknown) => unknown>> = {
    ...Object.fromEntries(
      ['argMax', 'max', 'mean', 'min', 'prod', 'sum', 'softmax', 'logSoftmax', 'l2Normalize'].map((name) => [
        name,
        (axis: unknown) => call(name, x, { axis }),
      ]),
    ),
    take: (axis) => call('take', x, indices, { axis }),
    gather: (axis) => call('gather', x, indices, { axis }),
    scatter: (axis) => call('scatter', x, indices, x, { axis }),
    concat: (axis) => call('concat', [x, x], { axis }),
    slice: (axis) => call('slice', x, { axis }),
  };
  for (const [name, run] of Object.entries(calls))
    for (const axis of [2, -3, 0.5, Number.NaN, Infinity, '0', true, [5], [0.5], ['0']])
      throws(() => run(axis), new RegExp(`^${name}: (the )?axis must `));
  for (const name of ['sum', 'max'])
    for (const axis of [
      [0, 0],
      [-1, 1],
    ])
      throws(() => call(name, x, { axis }), new RegExp(`^${name}: an axis may be named once`));
});

test('options: shapes and axes that are no lists, and unknown reductions, are refused by name', () => {
  using scope = engine.scope();
  const x = engine.zeros([3, 4], { scope });
  const indices = engine.zeros([3, 4], { scope, dtype: 'i32' });
  for (const list of [undefined, null, '12', 12, {}]) {
    throws(() => call('permute', x, list), /^permute: axes must be a list of whole numbers, got /);
    throws(
      () => call('broadcastTo', x, list),
      /^broadcastTo: the shape must be a list of whole numbers, got /,
    );
    throws(() => call('sumTo', x, list), /^sumTo: the shape must be a list of whole numbers, got /);
    throws(
      () => Reflect.apply(x.reshape, x, [list]),
      /^reshape: the shape must be a list of whole numbers, got /,
    );
  }
  throws(
    () => call('scatter', x, indices, x, { reduction: 'avg' }),
    /^scatter: the reduction must be one of none, add, mul, min, max, got avg\./,
  );
  for (const bounds of [
    ['a', 'b'],
    [0, undefined],
    [Number.NaN, 1],
    [2, 1],
  ])
    throws(() => call('clamp', x, ...bounds), /^clamp: low and high must be numbers, low not above, got /);
});

/** Calls with one operand, of shape `shape`, that `make` makes; what is named is how messages call it. */
function calls(make: (shape: number[], dtype?: 'u32' | 'i32') => unknown): Record<string, () => unknown> {
  const zeros = (...shape: number[]): Tensor => engine.zeros(shape);
  const attention = (options: object) =>
    call('attention', zeros(1, 2, 1, 4), zeros(1, 3, 1, 4), zeros(1, 3, 1, 4), options);
  return {
    'linear weight': () => call('linear', zeros(2, 4), make([5, 4])),
    'linear bias': () => call('linear', zeros(2, 4), zeros(5, 4), { bias: make([5]) }),
    'linear residual': () => call('linear', zeros(2, 4), zeros(5, 4), { residual: make([2, 5]) }),
    'attention mask': () => attention({ mask: make([2, 3]) }),
    'attention keyMask': () => attention({ keyMask: make([1, 3]) }),
    'attention cached.k': () => attention({ cached: { k: make([1, 3, 1, 4]), v: make([1, 3, 1, 4]) } }),
    'binaryCrossEntropy rowWeight': () =>
      call('binaryCrossEntropy', zeros(2, 4), zeros(2, 4), { rowWeight: make([2]) }),
    'diceLoss rowWeight': () => call('diceLoss', zeros(2, 4), zeros(2, 4), { rowWeight: make([2]) }),
    'sigmoidContrastive positives': () =>
      call('sigmoidContrastive', zeros(2, 4), zeros(2, 4), zeros(1), zeros(1), {
        positives: make([2], 'u32'),
      }),
    'conv2d bias': () => call('conv2d', zeros(1, 3, 4, 4), zeros(5, 3, 2, 2), { bias: make([5]) }),
    'backward seed': () => call('backward', door.mul(zeros(2).setRequiresGrad(true), 2), { seed: make([2]) }),
    'layerNorm gamma': () => call('layerNorm', zeros(2, 4), make([4]), zeros(4)),
    'take indices': () => call('take', zeros(4), make([2], 'i32')),
    'add b': () => call('add', zeros(2), make([2])),
    'concat x': () => call('concat', [zeros(2), make([2])]),
    'squaredNorm x': () => call('squaredNorm', [zeros(2), make([2])]),
  };
}

test('options: tensors of another device are refused, among options too, and write takes none', async () => {
  const other = await Engine.create();
  const foreign = calls((shape, dtype) => other.zeros<door.DType>(shape, { dtype }));
  for (const [name, run] of Object.entries(foreign)) {
    throws(run, /must live on (one|the loss's) device, got/);
    assert.instance(errorOf(run), UseError, name);
  }
  throws(
    () => engine.zeros([2]).write(other.zeros([2])),
    /write needs a tensor of its own device, got one of/,
  );
  // Nothing was recorded that the device refuses.
  assert.equal([...(await door.add(engine.full([2], 1), 1).data())], [2, 2]);
  other.destroy();
});

test('options: tensors that were disposed are refused, among options too', () => {
  const gone = calls((shape, dtype) => {
    const x = engine.zeros<door.DType>(shape, { dtype });
    x.dispose();
    return x;
  });
  for (const [name, run] of Object.entries(gone)) {
    throws(run, /^tensor \[.*\]: it must not be used after it was disposed\./);
    assert.instance(errorOf(run), UseError, name);
  }
});

test('options: what is no tensor, or has another dtype, is refused by the name of the op', () => {
  for (const [wrong, rule] of [
    [() => 'x', 'must be a tensor, got a string\\.'],
    [(shape: number[]) => engine.zeros(shape, { dtype: 'u8' }), 'must be .*, got u8\\.'],
  ] as const)
    for (const [name, run] of Object.entries(calls(wrong)))
      throws(run, new RegExp(`^${name.split(' ')[0]}: [\\w.]+( \\w+)* ${rule}`));
  const widened = calls((shape, dtype) => engine.zeros<door.DType>([...shape, 7], { dtype }));
  for (const [name, run] of Object.entries(widened))
    if (!/^take|^squaredNorm/.test(name)) throws(run, new RegExp(`^${name.split(' ')[0]}: `));
});

/** What a call throws. */
function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

test('options: attention of heads without elements is refused', () => {
  const [q, k] = [engine.zeros([1, 2, 1, 0]), engine.zeros([1, 3, 1, 0])];
  for (const name of ['attention', 'attentionWithScores'])
    throws(
      () => call(name, q, k, k),
      new RegExp(`^${name}: a head must have elements, got q \\[1, 2, 1, 0\\]`),
    );
});

test.run();
