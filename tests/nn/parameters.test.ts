import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  add,
  backward,
  embedding,
  linear,
  linearCrossEntropy,
  mul,
  ParameterStore,
  sum,
} from '../../engine/index.ts';
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
    return [store, embedding(store.get('large'), indices)] as const;
  });
  assert.is(store.arenas.length, 3);
  const want = gatherTwin.embedding(numbers, list, { N: 200, C: 4 });
  compare('rows', await rows.data(), want, TOLERANCE.exact);
  rows.dispose();
  store.dispose();
});

test('parameters: one beyond the binding limit trains, as table and as head, like any other', async () => {
  const [V, D, N] = [700, 8, 9];
  const specs = [
    { name: 'small', shape: [D], group: 1 },
    { name: 'large', shape: [V, D], group: 1 },
  ];
  const labels = tensor(
    Int32Array.from({ length: N }, (_, n) => (n === 2 ? -100 : (n * 97) % V)),
    [N],
  );
  const ids = tensor(Uint32Array.from([699, 0, 64, 63, 64, 128, 500, 64, 1]), [N]);
  const steps = (): { store: ParameterStore; optimizer: AdamW } => {
    const store = new ParameterStore(engine, specs);
    store.get('large').write(Float32Array.from(random(V * D, 1)));
    store.get('small').write(Float32Array.from(random(D, 2)));
    const optimizer = new AdamW(store, {
      ...{ lr: 0.01, maxNorm: 0.1, weightDecay: [0, 0.5], averageDecay: 0.9 },
    });
    for (let step = 0; step < 2; step++) {
      const table = store.get('large');
      using hidden = mul(embedding(table, ids), store.get('small'));
      using loss = linearCrossEntropy(hidden, table, labels);
      backward(loss);
      optimizer.step();
      optimizer.updateAverages();
    }
    return { store, optimizer };
  };
  const whole = steps();
  const split = withBindingLimit(8192, steps);
  assert.is(split.store.arenas.length, 2);
  const norms = [whole, split].map(({ optimizer }) => optimizer.gradNormSquared.data());
  compare('norm', await norms[1], await norms[0]);
  for (const name of ['small', 'large'])
    compare(name, await split.store.get(name).data(), await whole.store.get(name).data());
  const [together, alone] = [whole.optimizer.averages[0], split.optimizer.averages[1]];
  const want = (await together.data()).subarray(64, 64 + V * D); // after the 256 bytes of the small one
  compare('average', (await alone.data()).subarray(0, V * D), want);
  for (const { store, optimizer } of [whole, split]) {
    optimizer.dispose();
    store.dispose();
  }
  for (const made of [labels, ids]) made.dispose();
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
