import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  backward,
  checkpoint,
  layerNorm,
  mul,
  noGrad,
  sum,
  type Tensor,
  take,
  tidy,
} from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

function weights(scope?: ReturnType<typeof engine.scope>): [Tensor, Tensor] {
  return [
    tensor(random(8, 2), [8], { scope, requiresGrad: true }),
    tensor(random(8, 3), [8], { scope, requiresGrad: true }),
  ];
}

test('scope: results live where their inputs live, and go with the scope', async () => {
  const before = engine.stats();
  {
    using scope = engine.scope();
    const x = tensor(random(8, 1), [2, 4], { scope });
    const y = add(add(x, x), x);
    assert.is(y.scope, scope);
    compare(
      '3x',
      await y.data(),
      random(8, 1).map((value) => 3 * value),
    );
  }
  const after = engine.stats();
  assert.is(after.liveTensors, before.liveTensors);
  assert.is(after.liveBytes, before.liveBytes);
});

test('scope: the innermost scope among the inputs takes the result', () => {
  using outer = engine.scope();
  using inner = engine.scope();
  const a = tensor(random(4, 1), [4], { scope: outer });
  const b = tensor(random(4, 2), [4], { scope: inner });
  assert.is(add(a, b).scope, inner);
  assert.is(add(b, a).scope, inner);
  assert.is(add(a, a).scope, outer);
});

test('scope: two flows that await in turns do not catch each other’s tensors', async () => {
  const flow = async (seed: number): Promise<Float32Array> => {
    using scope = engine.scope();
    let x = tensor(random(16, seed), [16], { scope });
    for (let i = 0; i < 3; i++) {
      x = add(x, x);
      await x.data();
      await new Promise((resolve) => setTimeout(resolve, (seed * 7) % 5));
    }
    return await x.data();
  };
  const results = await Promise.all([1, 2, 3, 4].map(flow));
  for (const [i, got] of results.entries()) {
    const want = random(16, i + 1).map((value) => 8 * value);
    compare(`flow ${i}`, got, want);
  }
});

test('scope: keep and moveTo take a tensor out', async () => {
  const scope = engine.scope();
  const kept = add(tensor(random(4, 1), [4], { scope }), tensor(random(4, 1), [4], { scope })).keep();
  scope.dispose();
  compare(
    'kept',
    await kept.data(),
    random(4, 1).map((value) => 2 * value),
  );
  kept.dispose();
  throws(() => kept.range, /tensor \[4\]: it must not be used after it was disposed/);
  throws(() => tensor([1], [1], { scope }), /scope: it must not be used after dispose/);
});

test('tidy: hands its inputs on with their dtypes, and what is undefined', async () => {
  using x = engine.tensor([1, 2], [2]);
  using indices = engine.tensor(Uint32Array.of(1, 0), [2]);
  using y = tidy([x, undefined, indices], (x, nothing, indices) => {
    const both: [Tensor<'f32'>, Tensor<'u32'>] = [x, indices]; // which the compiler checks
    assert.is(nothing, undefined);
    return take(...both);
  });
  assert.equal([...(await y.data())], [2, 1]);
});

test('tidy: frees what was made in between, in training too', async () => {
  using scope = engine.scope();
  const x = tensor(random(16, 1), [2, 8], { scope, requiresGrad: true });
  const [gamma, beta] = weights(scope);
  const live = engine.stats().liveTensors;
  const y = tidy([x], (x) => add(layerNorm(add(x, x), gamma, beta), x));
  // The result, and what backward needs: x + x, gamma, mean, rstd.
  assert.is(engine.stats().liveTensors, live + 1 + 4);
  backward(y, { seed: tensor(random(16, 4), [2, 8], { scope }) });
  assert.is(engine.stats().liveTensors, live + 2 + 3, 'the result, the seed and three gradients');
  for (const leaf of [x, gamma, beta]) leaf.grad!.dispose();
});

test('pool: a fixed-shape loop creates no buffer and no bind group after its second step', async () => {
  using scope = engine.scope();
  const [gamma, beta] = weights(scope);
  const step = async (): Promise<void> => {
    using inner = engine.scope();
    const x = tensor(random(16, 1), [2, 8], { scope: inner, requiresGrad: true });
    const y = layerNorm(add(x, x), gamma, beta);
    backward(y, { seed: tensor(random(16, 2), [2, 8], { scope: inner }) });
    await y.data();
    x.grad!.dispose();
  };
  await step();
  await step();
  const before = engine.stats();
  for (let i = 0; i < 20; i++) await step();
  const after = engine.stats();
  assert.is(after.buffersCreated, before.buffersCreated);
  assert.is(after.liveBytes, before.liveBytes);
  assert.is(after.liveTensors, before.liveTensors);
  assert.is(after.pipelinesCreated, before.pipelinesCreated);
  assert.is(after.bindGroupsCreated, before.bindGroupsCreated);
  for (const leaf of [gamma, beta]) leaf.grad!.dispose();
});

test('pool: a freed buffer may be reused before the work that reads it has run', async () => {
  using scope = engine.scope();
  const kept: Tensor[] = [];
  for (let i = 0; i < 50; i++) {
    using x = tensor(new Float64Array(1024).fill(i), [1024]);
    kept.push(add(x, x).moveTo(scope));
  }
  for (let i = 0; i < 50; i++)
    compare(`sum ${i}`, (await kept[i].data()).subarray(0, 4), [2 * i, 2 * i, 2 * i, 2 * i]);
});

test('backward: gradients accumulate over uses and over calls', async () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const seed = tensor([1, 10, 100, 1000], [4], { scope });
  backward(add(add(x, x), x), { seed });
  compare('once', await x.grad!.data(), [3, 30, 300, 3000], TOLERANCE.exact);
  backward(add(x, x), { seed });
  compare('twice', await x.grad!.data(), [5, 50, 500, 5000], TOLERANCE.exact);
  x.grad!.dispose();
});

test('backward: detach, noGrad and leaves without gradient stop it', async () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const seed = tensor([1, 2, 3, 4], [4], { scope });
  backward(add(add(x, x).detach(), x), { seed });
  compare('through one branch only', await x.grad!.data(), [1, 2, 3, 4], TOLERANCE.exact);
  x.grad!.dispose();
  const y = noGrad(() => add(x, x));
  assert.is(y.requiresGrad, false);
  throws(() => backward(y, { seed }), /backward: the loss must depend on a tensor that requires a gradient/);
  throws(() => noGrad(async () => y), /noGrad: the function must be synchronous, got a promise/);
  throws(() => backward(add(x, x)), /backward: the loss must be a scalar, got \[4\]/);
});

test('backward: several losses give the sum of their gradients, a loss that another one depends on too', async () => {
  using scope = engine.scope();
  const leaf = () => tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const weights = tensor([1, 2, 3, 4], [4], { scope });
  const seed = tensor([1, 10, 100, 1000], [4], { scope });
  const x = leaf();
  const doubled = add(x, x);
  const total = sum(mul(doubled, weights));
  backward([total, doubled], { seed: [undefined, seed] });
  // 2 (weights + seed), by hand
  compare('gradient', await x.grad!.data(), [4, 24, 206, 2008], TOLERANCE.exact);
  throws(() => backward([]), /^backward: there must be a loss, got an empty list/);
  throws(
    () => backward([sum(leaf()), sum(leaf())], { seed: [undefined] }),
    /^backward: there must be a seed for each of 2 losses, got 1/,
  );
  x.grad!.dispose();
});

test('backward: a hook sees the whole gradient and may replace it', async () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const middle = add(x, x);
  const seen: string[] = [];
  middle.onGrad((gradient) => {
    seen.push('middle');
    return add(gradient, gradient);
  });
  x.onGrad(() => {
    seen.push('x');
    return undefined;
  });
  backward(add(middle, middle), { seed: tensor([1, 2, 3, 4], [4], { scope }) });
  assert.equal(seen, ['middle', 'x']);
  compare('2 * 2 * 2', await x.grad!.data(), [8, 16, 24, 32], TOLERANCE.exact);
  x.grad!.dispose();
});

test('backward: a second run over the same tape is an error that says so', () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const y = add(x, x);
  const seed = tensor([1, 2, 3, 4], [4], { scope });
  backward(y, { seed });
  throws(() => backward(y, { seed }), /add: backward runs once per forward/);
  x.grad!.dispose();
});

test('checkpoint: same bits as without, fewer saved tensors, gradients of closed-over parameters too', async () => {
  using scope = engine.scope();
  const [gamma, beta] = weights(scope);
  const x = tensor(random(16, 1), [2, 8], { scope, requiresGrad: true });
  const seed = tensor(random(16, 5), [2, 8], { scope });
  const body = (x: Tensor): Tensor => layerNorm(add(layerNorm(x, gamma, beta), x), gamma, beta);
  const run = async (y: Tensor): Promise<ArrayLike<number>[]> => {
    backward(y, { seed });
    const results = [await y.data()];
    for (const leaf of [x, gamma, beta]) {
      results.push(await leaf.grad!.data());
      leaf.grad!.dispose();
      leaf.variable.grad = undefined;
    }
    return results;
  };
  const plain = await run(body(x));
  const live = engine.stats().liveTensors;
  const y = checkpoint(body, x);
  assert.is(engine.stats().liveTensors, live + 2, 'the result and the saved input');
  for (const [i, got] of (await run(y)).entries()) compare(`result ${i}`, got, plain[i], TOLERANCE.exact);
});

test('checkpoint: several results, and an input that others use too, get the bits that they get without', async () => {
  using scope = engine.scope();
  const [gamma, beta] = weights(scope);
  const x = tensor(random(16, 1), [2, 8], { scope, requiresGrad: true });
  const seed = tensor(random(16, 5), [2, 8], { scope });
  const body = (x: Tensor): [Tensor, Tensor] => {
    const normed = layerNorm(x, gamma, beta);
    return [add(layerNorm(add(normed, x), gamma, beta), x), normed];
  };
  const run = async (part: typeof body): Promise<ArrayLike<number>[]> => {
    const middle = add(x, x); // gets a gradient by four ways, added up in the order of the tape
    const [first, second] = part(middle);
    const third = add(layerNorm(first, gamma, beta), layerNorm(middle, gamma, beta));
    backward(add(third, second), { seed });
    const results = [await third.data()];
    for (const leaf of [x, gamma, beta]) {
      results.push(await leaf.grad!.data());
      leaf.grad!.dispose();
      leaf.variable.grad = undefined;
    }
    return results;
  };
  const plain = await run(body);
  const again = await run((x) => checkpoint(body, x));
  for (const [i, got] of again.entries()) compare(`result ${i}`, got, plain[i], TOLERANCE.exact);
});

test('reshape: shares storage, passes the gradient on, refuses another number of elements', async () => {
  using scope = engine.scope();
  const x = tensor(random(6, 1), [2, 3], { scope, requiresGrad: true });
  const bytes = engine.stats().liveBytes;
  const y = x.reshape([3, -1]);
  assert.equal(y.shape, [3, 2]);
  assert.is(engine.stats().liveBytes, bytes);
  backward(y, { seed: tensor([1, 2, 3, 4, 5, 6], [3, 2], { scope }) });
  assert.equal(x.grad!.shape, [2, 3]);
  compare('dx', await x.grad!.data(), [1, 2, 3, 4, 5, 6], TOLERANCE.exact);
  x.grad!.dispose();
  throws(
    () => x.reshape([4, 2]),
    /reshape: the number of elements must stay the same, got \[2, 3\] to \[4, 2\]/,
  );
});

test.run();
