import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  add,
  attention,
  backward,
  checkpoint,
  layerNormLayer,
  linear,
  linearLayer,
  matmul,
  mean,
  mul,
  ParameterStore,
  randomNormal,
  square,
  sub,
  sum,
  type Tensor,
  unpackHeads,
  Weights,
} from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

const [B, T, D] = [2, 7, 16];

/** A block of a transformer with its optimizer: two linear layers and attention, layer norms, a residual, gelu. */
function model() {
  const specs = [
    { name: 'embed.weight', shape: [D, D] },
    { name: 'norm1.weight', shape: [D] },
    { name: 'norm1.bias', shape: [D] },
    { name: 'qkv.weight', shape: [3 * D, D] },
    { name: 'qkv.bias', shape: [3 * D] },
    { name: 'norm2.weight', shape: [D] },
    { name: 'norm2.bias', shape: [D] },
    { name: 'fc1.weight', shape: [3 * D, D] },
    { name: 'fc1.bias', shape: [3 * D] },
    { name: 'fc2.weight', shape: [D, 3 * D] },
  ];
  const store = new ParameterStore(engine, specs);
  specs.forEach(({ name, shape }, i) => {
    const n = shape.reduce((a, b) => a * b);
    store
      .get(name)
      .write(Float32Array.from(random(n, 50 + i), (u) => 0.3 * u + (/norm..w/.test(name) ? 1 : 0)));
  });
  const optimizer = new AdamW(store, { betas: [0.9, 0.999], weightDecay: [0.01] });
  const weights = new Weights(store);
  const block = (x: Tensor): Tensor => {
    const qkv = linearLayer(layerNormLayer(x, weights.in('norm1'), { eps: 1e-5 }), weights.in('qkv'));
    const y = add(x, attention(...unpackHeads(qkv, { parts: 3, heads: 2 })).reshape(x.shape));
    const hidden = linearLayer(layerNormLayer(y, weights.in('norm2'), { eps: 1e-5 }), weights.in('fc1'), {
      gelu: 'tanh',
    });
    return linearLayer(hidden, weights.in('fc2'), { residual: y });
  };
  /** Forward, backward and update; the loss and the squared norm of its gradient. */
  const step = (x: Tensor, target: Tensor, recompute: boolean) => {
    const embedded = linearLayer(x, weights.in('embed'));
    const y = recompute ? checkpoint(block, embedded) : block(embedded);
    const loss = mean(square(sub(y, target)));
    backward(loss);
    optimizer.step();
    return { loss };
  };
  const bits = async () => {
    const values = await Promise.all(
      [...store.arenas.map((arena) => arena.values), ...optimizer.moments.flat(), optimizer.steps].map((t) =>
        t.data(),
      ),
    );
    return values.flatMap((array) => Array.from(array));
  };
  return {
    optimizer,
    step,
    bits,
    dispose: () => {
      optimizer.dispose();
      store.dispose();
    },
  };
}

const inputOf = (step: number): Float32Array => Float32Array.from(random(B * T * D, 100 + step));
const rateOf = (step: number): number => 0.02 / (1 + step);

/** Weights, moments and losses after some steps, each run by `run`. */
async function trained(recompute: boolean, captured: boolean, steps: number) {
  using scope = engine.scope();
  const { optimizer, step, bits, dispose } = model();
  const x = tensor(inputOf(0), [B, T, D], { scope });
  const target = tensor(random(B * T * D, 99), [B, T, D], { scope });
  const losses: number[] = [];
  const note = async ({ loss }: { loss: Tensor }): Promise<void> => {
    losses.push((await loss.data())[0], (await optimizer.gradNormSquared.data())[0]);
  };
  if (captured) {
    using capture = engine.capture((x, target) => step(x, target, recompute), x, target);
    for (let i = 0; i < steps; i++) {
      x.write(inputOf(i));
      optimizer.set({ lr: rateOf(i), maxNorm: 1 });
      capture.replay();
      await note(capture.outputs);
    }
  } else
    for (let i = 0; i < steps; i++) {
      using inner = engine.scope();
      x.write(inputOf(i));
      optimizer.set({ lr: rateOf(i), maxNorm: 1 });
      await note(step(x.in(inner), target.in(inner), recompute));
    }
  const state = await bits();
  dispose();
  return { losses, state };
}

for (const recompute of [false, true])
  test(`capture: replays of a training step${recompute ? ' with checkpoint' : ''} give the bits of eager steps`, async () => {
    const eager = await trained(recompute, false, 6);
    const replayed = await trained(recompute, true, 6);
    assert.ok(new Set(eager.losses).size === eager.losses.length, 'every step does something else');
    compare('losses', replayed.losses, eager.losses, TOLERANCE.exact);
    compare('weights, moments, steps', replayed.state, eager.state, TOLERANCE.exact);
  });

test('capture: its operations are those that its products have', () => {
  using scope = engine.scope();
  const [a, b] = [tensor(random(6, 1), [2, 3], { scope }), tensor(random(15, 2), [3, 5], { scope })];
  using capture = engine.capture((a, b) => ({ once: matmul(a, b), twice: matmul(a, b) }), a, b);
  assert.is(capture.flops, 2 * (2 * 2 * 5 * 3));
  engine.submit();
  const { flops } = engine.stats();
  capture.replay();
  capture.replay();
  assert.is(engine.stats().flops - flops, 2 * capture.flops);
});

test('capture: many replays without a read between them are the steps in order', async () => {
  const eager = model();
  const captured = model();
  using x = tensor(inputOf(0), [B, T, D]);
  using target = tensor(inputOf(1), [B, T, D]);
  const capture = engine.capture((x, target) => captured.step(x, target, false), x, target);
  for (const { optimizer } of [eager, captured]) optimizer.set({ lr: 0.01 });
  for (let i = 0; i < 40; i++) {
    using scope = engine.scope();
    eager.step(x.in(scope), target.in(scope), false);
    capture.replay();
  }
  compare('state', await captured.bits(), await eager.bits(), TOLERANCE.exact);
  capture.dispose();
  for (const { dispose } of [eager, captured]) dispose();
});

test('capture: a step that yields is replayed part by part, and what runs between is seen by the next', async () => {
  using scope = engine.scope();
  const x = tensor([1, 2], [2], { scope, requiresGrad: true });
  const factor = tensor([0], [1], { scope });
  // Zeros, which gradients are added to.
  backward(add(x, x), { seed: tensor([0, 0], [2], { scope }) });
  using capture = engine.capture(
    function* (x, factor) {
      const squares = square(x);
      yield;
      const total = sum(mul(squares, factor));
      backward(total);
      return { squares, total };
    },
    x,
    factor,
  );
  capture.replay(0);
  compare('between', await capture.outputs.squares.data(), [1, 4], TOLERANCE.exact);
  factor.write(Float32Array.of(3));
  capture.replay(1);
  compare('total', await capture.outputs.total.data(), [15], TOLERANCE.exact);
  compare('gradient 2 x factor', await x.grad!.data(), [6, 12], TOLERANCE.exact);
  x.write(Float32Array.of(2, 0));
  capture.replay();
  compare('whole', await capture.outputs.total.data(), [12], TOLERANCE.exact);
  throws(() => capture.replay(2), /^capture: the part must be within 0 to 1, got 2/);
  x.grad!.dispose();
});

test('capture: records without running; its memory is its own until dispose', async () => {
  using scope = engine.scope();
  const n = 173; // a size that no other test leaves in the pool
  const filled = (value: number): Float32Array => new Float32Array(n).fill(value);
  const x = tensor(filled(3), [n], { scope });
  const total = tensor(filled(0), [n], { scope });
  const before = engine.stats();
  const capture = engine.capture((x) => {
    const y = mul(add(x, x), x);
    total.write(add(total.in(x.scope), y));
    return [y];
  }, x);
  compare('nothing ran', await total.data(), filled(0), TOLERANCE.exact);
  capture.replay();
  const others = Array.from({ length: 8 }, (_, i) => tensor(filled(i), [n], { scope }));
  x.write(filled(2));
  capture.replay();
  capture.replay();
  compare('y', await capture.outputs[0].data(), filled(8), TOLERANCE.exact);
  compare('total', await total.data(), filled(18 + 8 + 8), TOLERANCE.exact);
  for (const [i, other] of others.entries())
    compare(`tensor ${i}`, await other.data(), filled(i), TOLERANCE.exact);
  for (const other of others) other.dispose();
  assert.ok(engine.stats().liveBytes > before.liveBytes, 'the memory of a capture counts');
  capture.dispose();
  capture.dispose();
  assert.is(engine.stats().liveBytes, before.liveBytes);
  assert.is(engine.stats().liveTensors, before.liveTensors);
  throws(() => capture.replay(), /capture: it must not be replayed after dispose/);
});

test('capture: what a replay could not do is refused, with what to do; afterwards all is as before', async () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope });
  const before = engine.stats();
  const refused: [(x: Tensor) => unknown, RegExp][] = [
    [
      () => x.write(Float32Array.of(1, 2, 3, 4)),
      /capture: the step must not write numbers .* write\(\) it between/,
    ],
    [
      (x) => add(x, engine.tensor([1, 2, 3, 4], [4], { scope: x.scope })),
      /must not write numbers from the host/,
    ],
    [
      (x) => randomNormal(x, [4], { seed: 3 }),
      /random: a captured step would draw .* seed 3, stream 0 at every replay/,
    ],
    [async (x) => x, /capture: the step must be synchronous, got a promise/],
    [
      (x) => void add(x, x).keep(),
      /capture: the step must dispose or return every tensor it makes, got 1 more/,
    ],
    [() => x.dispose(), /capture: the step must not dispose a tensor that was made before it/],
    [(x) => engine.capture((x) => x, x), /capture: it must not be used within capture\(\)/],
  ];
  for (const [step, message] of refused.slice(0, 5))
    throws(() => engine.capture(step as () => Tensor, x), message);
  throws(() => engine.capture(refused[6][0] as () => Tensor, x), refused[6][1]);
  const read = engine.capture((x) => {
    x.data().then(
      () => assert.unreachable('a read within a step'),
      (error: Error) => assert.match(error.message, /capture: the step must not read back, wait or replay/),
    );
    return undefined;
  }, x);
  read.dispose();
  const y = tensor(random(4, 1), [4]);
  throws(() => engine.capture(() => y.dispose() as undefined), refused[5][1]);
  compare(
    '2x',
    await add(x, x).data(),
    random(4, 1).map((value) => 2 * value),
  );
  assert.ok(
    engine.stats().liveBytes - before.liveBytes <= 64,
    'the sum, the tensor kept above and the one disposed',
  );
});

test('capture and eager loop: no buffer, bind group or pipeline is made after the second step', async () => {
  const { optimizer, step, dispose } = model();
  using x = tensor(inputOf(0), [B, T, D]);
  using target = tensor(inputOf(1), [B, T, D]);
  const made = (): number[] => {
    const { buffersCreated, bindGroupsCreated, pipelinesCreated } = engine.stats();
    return [buffersCreated, bindGroupsCreated, pipelinesCreated];
  };
  const eager = async (): Promise<void> => {
    using scope = engine.scope();
    optimizer.set({ lr: 0.01, maxNorm: 1 });
    const { loss } = step(x.in(scope), target.in(scope), false);
    await loss.data();
  };
  await eager();
  await eager();
  const before = made();
  for (let i = 0; i < 10; i++) await eager();
  assert.equal(made(), before, 'eager');
  using capture = engine.capture((x, target) => step(x, target, false), x, target);
  const captured = made();
  assert.is(captured[2], before[2], 'a capture needs no pipeline that the loop did not have');
  for (let i = 0; i < 10; i++) {
    capture.replay();
    await capture.outputs.loss.data();
  }
  assert.equal(made(), captured, 'replayed');
  dispose();
});

test('capture: through the uniform ring, where there are no immediates, and beyond its size', async () => {
  const { Engine } = await import('../../engine/index.ts');
  const { openDevice } = await import('../../engine/gpu/adapter.ts');
  const { device } = await openDevice();
  const adopted = Engine.fromDevice(device);
  const total = adopted.zeros([4]);
  const one = adopted.tensor([1, 2, 3, 4], [4]);
  using capture = adopted.capture(() => {
    for (let i = 0; i < 4500; i++) {
      using sum = add(total, one);
      total.write(sum);
    }
    return undefined;
  });
  capture.replay();
  capture.replay();
  compare('total', await total.data(), [9000, 18000, 27000, 36000], TOLERANCE.exact);
  device.destroy();
});

test('plan: counts the operations of a product and of its gradients, and the largest operand', () => {
  const [M, K, N] = [12, 40, 24];
  const x = engine.zeros([M, K], { requiresGrad: true });
  const weight = engine.zeros([N, K], { requiresGrad: true });
  const step = (train: boolean) => (): undefined => {
    using scope = engine.scope();
    const y = linear(x.in(scope), weight.in(scope));
    if (train) backward(y, { seed: engine.zeros([M, N], { scope }) });
  };
  const forward = engine.plan(step(false));
  assert.equal([forward.flops, forward.largestBindingBytes], [2 * M * K * N, 4 * N * K]);
  for (const leaf of [x, weight]) backward(sum(leaf)); // gradients exist from now on
  assert.is(engine.plan(step(true)).flops, 3 * forward.flops, 'the products add to them');
  for (const leaf of [x, weight]) {
    leaf.zeroGrad();
    leaf.dispose();
  }
});

test('plan: the peak it predicts is the peak that is observed, and nothing runs', async () => {
  const { optimizer, step, bits, dispose } = model();
  optimizer.set({ lr: 0.01 });
  const run = (): Tensor => {
    using scope = engine.scope();
    const x = tensor(inputOf(0), [B, T, D], { scope });
    const target = tensor(inputOf(1), [B, T, D], { scope });
    const { loss } = step(x, target, false);
    return loss.moveTo(undefined);
  };
  const state = await bits();
  const before = engine.stats();
  const { peakBytes, kernels } = engine.plan(run);
  assert.equal(engine.stats(), before, 'no trace is left');
  compare('state', await bits(), state, TOLERANCE.exact);
  assert.ok(kernels > 10);
  engine.resetPeak();
  using loss = run();
  await loss.data();
  const observed = engine.stats().peakBytes;
  assert.ok(
    observed > before.liveBytes && Math.abs(peakBytes / observed - 1) < 0.05,
    `${peakBytes} of ${observed}`,
  );
  throws(
    () => engine.plan(() => void tensor([1], [1]).keep() as undefined),
    /plan: the step must dispose or return/,
  );
  dispose();
});

test('warmup: compiles every kernel of a step with progress, so that the step itself compiles none', async () => {
  const { Engine } = await import('../../engine/index.ts');
  const fresh = await Engine.create();
  const step = (): Tensor => {
    using scope = fresh.scope();
    const x = fresh.tensor(Float32Array.from(random(12, 1)), [3, 4], { scope, dtype: 'f32' });
    return mean(square(x)).keep();
  };
  const progress: string[] = [];
  await fresh.warmup(step, (done, total) => progress.push(`${done}/${total}`));
  const { pipelinesCreated, dispatches } = fresh.stats();
  assert.equal(
    progress,
    Array.from({ length: pipelinesCreated }, (_, i) => `${i + 1}/${pipelinesCreated}`),
  );
  assert.is(dispatches, 0);
  using loss = step();
  const want = random(12, 1).reduce((total, value) => total + value * value, 0) / 12;
  compare('loss', await loss.data(), [want]);
  assert.is(fresh.stats().pipelinesCreated, pipelinesCreated);
  fresh.destroy();
});

test.run();
