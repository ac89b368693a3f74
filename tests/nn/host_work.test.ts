// What a training step asks of the host: how many kernels it runs, and what it makes for them.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cases as steps } from '../../bench/dispatch.bench.ts';
import type { Kernel } from '../../engine/gpu/kernel.ts';
import { add, backward, layerNorm, linear, mul, record, sum, type Tensor } from '../../engine/index.ts';
import { noGrad } from '../../engine/tensor/autograd.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';

/** Entry points of the kernels that `fn` runs. */
function kernelsOf(fn: () => void): string[] {
  const { gpu } = engine;
  const { run } = gpu;
  const entries: string[] = [];
  gpu.run = (kernel: Kernel, bind, call) => {
    entries.push(kernel.entry);
    run.call(gpu, kernel, bind, call);
  };
  try {
    fn();
  } finally {
    gpu.run = run;
  }
  return entries;
}

test('host: a training step adds gradients up in the kernels that make them, and makes nothing that the step before made', async () => {
  const prepared = steps[0].prepare(engine);
  const step = (): void => prepared.run().dispose();
  step();
  await engine.idle();
  const before = engine.stats();
  const entries = kernelsOf(step);
  await engine.idle();
  const after = engine.stats();
  prepared.dispose?.();
  for (const alone of ['accumulate', 'binary', 'place']) assert.is(entries.includes(alone), false, alone);
  // Of four blocks and the loss: 186 on a CPU and 170 on a GPU where each gradient is added by a kernel of its own.
  const { kind, subgroupSize } = engine.target;
  if (kind === 'gpu' || subgroupSize > 1) assert.is(entries.length, kind === 'gpu' ? 126 : 142);
  assert.is(after.dispatches - before.dispatches, entries.length);
  assert.equal(
    [after.bindGroupsCreated, after.pipelinesCreated, after.buffersCreated, after.submits - before.submits],
    [before.bindGroupsCreated, before.pipelinesCreated, before.buffersCreated, 1],
  );
});

test('host: two backward passes leave twice the gradients of one, for a tensor that several ops share too', async () => {
  using scope = engine.scope();
  const [R, C] = [5, 12];
  const leaf = (n: number, seed: number, shape: number[]): Tensor<'f32'> =>
    tensor(Float32Array.from(random(n, seed)), shape, { scope, requiresGrad: true });
  const leaves = [
    leaf(R * C, 1, [R, C]),
    leaf(C, 2, [C]),
    leaf(C, 3, [C]),
    leaf(C * C, 4, [C, C]),
    leaf(C, 5, [C]),
    leaf(C * C, 6, [C, C]),
  ];
  const pass = (): void => {
    const [x, gamma, beta, weight, bias, other] = leaves;
    const h = mul(x, 2); // no leaf: its gradient comes from the norm, both products and the sum
    const y = linear(layerNorm(h, gamma, beta), weight, { bias, residual: h });
    const loss = sum(mul(add(linear(h, other), h), y));
    backward(loss);
  };
  pass();
  const once = await Promise.all(leaves.map(({ grad }) => grad!.data()));
  pass();
  for (const [i, { grad }] of leaves.entries())
    compare(
      `gradient ${i}`,
      await grad!.data(),
      once[i].map((g) => 2 * g),
      TOLERANCE.exact,
    );
});

test('host: a gradient that somebody else sees is not added to', async () => {
  using scope = engine.scope();
  const x = tensor([1, -2, 3, 4], [2, 2], { scope, requiresGrad: true });
  const [weight, h] = [tensor([1, 2, 3, 4], [2, 2], { scope }), mul(x, 1)];
  let seen: Tensor<'f32'> | undefined;
  // Between the sum and the product, on the way back: what it hands on, it keeps.
  const kept = record('kept', {
    inputs: [h],
    output: noGrad(() => mul(h, 1)),
    saved: {},
    backward: (dy) => {
      seen = dy.in(undefined);
      return [dy];
    },
  });
  backward(sum(add(linear(h, weight), kept)));
  using held = seen!;
  compare('what was handed on', await held.data(), [1, 1, 1, 1], TOLERANCE.exact);
  compare('dx', await x.grad!.data(), [5, 7, 5, 7], TOLERANCE.exact);
});

test('host: a custom op adds to a gradient in place, and only where there is one', async () => {
  using scope = engine.scope();
  const x = tensor([1, 2, 3, 4], [4], { scope, requiresGrad: true });
  const totals: (Tensor | undefined)[] = [];
  const doubled = (): Tensor =>
    record('doubled', {
      inputs: [x],
      output: noGrad(() => mul(x, 2)),
      saved: {},
      addsTo: [0],
      backward: (dy, _saved, _needs, _all, [total]) => {
        totals.push(total);
        const dx = mul(dy, 2);
        if (!total) return [dx];
        total.write(add(total, dx));
        return [total];
      },
    });
  backward(sum(doubled()));
  backward(sum(doubled()));
  assert.equal(
    totals.map((total) => total !== undefined),
    [false, true],
  );
  compare('dx', await x.grad!.data(), [4, 4, 4, 4], TOLERANCE.exact);
});

test.run();
