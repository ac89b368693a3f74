import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, backward, embedding, linear, mul, ParameterStore, sum } from '../../engine/index.ts';
import { f32ToBf16 } from '../../engine/io/half.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, withBindingLimit } from '../harness.ts';
import * as gatherTwin from '../reference/gather.ts';

test('parameters: matrices in half precision lie beside vectors in f32, and only f32 can be trained', async () => {
  const store = new ParameterStore(engine, [
    { name: 'weight', shape: [3, 4], dtype: 'bf16', group: 1 },
    { name: 'bias', shape: [3] },
    { name: 'table', shape: [5, 2], dtype: 'f16' },
    { name: 'small table', shape: [2, 2], dtype: 'f16', group: 2 },
  ]);
  assert.equal(
    store.arenas.map(({ values }) => values.dtype),
    ['f32', 'f16', 'bf16'],
  );
  assert.is(store.elementCount, 29);
  store.get('weight').write(f32ToBf16(Float32Array.from({ length: 12 }, (_, i) => i)));
  store.get('bias').write(Float32Array.of(1, 2, 3));
  using x = tensor([1, 1, 1, 1], [1, 4]);
  using y = linear(x, store.get('weight'), { bias: store.get('bias') });
  compare('sums of rows', await y.data(), [6 + 1, 22 + 2, 38 + 3], TOLERANCE.exact);
  throws(() => store.enableGradients(), /parameters: training needs f32, got table in f16/);
  store.dispose();
});

test('parameters: one beyond the binding limit has a buffer of its own, which embedding reads in parts', async () => {
  const numbers = random(200 * 4, 1);
  const specs = [
    { name: 'small', shape: [4] },
    { name: 'large', shape: [200, 4] },
    { name: 'other', shape: [4] },
  ];
  const list = Uint32Array.of(0, 199, 64, 63, 128);
  using indices = tensor(list, [5]);
  const [store, rows] = withBindingLimit(1024, () => {
    const store = new ParameterStore(engine, specs);
    store.get('large').write(Float32Array.from(numbers));
    throws(() => store.enableGradients(), /to be trained, large \[200, 4\] must fit into a binding of 1024/);
    return [store, embedding(store.get('large'), indices)] as const;
  });
  assert.is(store.arenas.length, 3);
  const want = gatherTwin.embedding(numbers, list, { N: 200, C: 4 });
  compare('rows', await rows.data(), want, TOLERANCE.exact);
  rows.dispose();
  store.dispose();
});

test('zeroGrad: frees what backward made, and sets the gradient of a parameter to zero where it is', async () => {
  const store = new ParameterStore(engine, [{ name: 'w', shape: [3] }]);
  store.enableGradients();
  const w = store.get('w');
  using scope = engine.scope();
  const x = engine.tensor([1, 2, 3], [3], { scope, requiresGrad: true });
  for (let round = 0; round < 2; round++) {
    backward(sum(mul(add(w, 1), x)));
    assert.equal([...(await w.grad!.data()), ...(await x.grad!.data())], [1, 2, 3, 1, 1, 1]);
    const { grad } = w;
    w.zeroGrad();
    x.zeroGrad();
    x.zeroGrad();
    assert.is(w.grad, grad);
    assert.equal([...(await w.grad!.data())], [0, 0, 0]);
    assert.is(x.grad, undefined);
  }
  store.dispose();
});

test.run();
