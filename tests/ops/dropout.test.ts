import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, backward, checkpoint, dropout, mul, size, sum } from '../../engine/index.ts';
import { checkGradients, compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';
import { dropout as twin } from '../reference/dropout.ts';

for (const [shape, options] of [
  [[1], { p: 0.5, seed: 0 }],
  [[7, 3], { p: 0.1, seed: 3, stream: 2 }],
  [[2, 129], { p: 0.75, seed: 4_294_967_295, step: 4_294_967_295 }],
  [[1031], { p: 0, seed: 1 }],
] as const)
  test(`dropout: y and dx match the twin at [${shape}], ${JSON.stringify(options)}`, () =>
    checkGradients({
      inputs: {
        x: {
          data: random(size(shape), 5),
          shape: [...shape],
        },
      },
      op: ({ x }) => dropout(x, options),
      twin: ({ x }) => twin(x, options),
    }));

test('dropout: a share of p is left out, and the mean stays', async () => {
  using scope = engine.scope();
  const n = 40_000;
  const y = await dropout(engine.ones([n], { scope }), { p: 0.3, seed: 8 }).data();
  const left = y.filter((value) => value === 0).length / n;
  assert.ok(Math.abs(left - 0.3) < 4 * Math.sqrt((0.3 * 0.7) / n), `${left}`);
  assert.ok(Math.abs(y.reduce((total, value) => total + value, 0) / n - 1) < 0.014);
});

test('dropout: each replay of a captured step leaves out others, backward the same ones', async () => {
  using scope = engine.scope();
  const data = random(64, 1);
  const x = tensor(data, [64], { scope, requiresGrad: true });
  backward(sum(mul(x, 0))); // there must be a gradient to add to
  const total = new Float64Array(64);
  const step = engine.tensor(Uint32Array.of(5), [1], { scope });
  using captured = engine.capture(
    (x, step) => {
      const y = dropout(x, { p: 0.5, seed: 2, step });
      backward(sum(mul(y, y)));
      step.write(add(step, 1));
      return y.detach();
    },
    x,
    step,
  );
  for (let k = 0; k < 3; k++) {
    captured.replay();
    const want = twin(data, { p: 0.5, seed: 2, step: 5 + k });
    compare(`y of replay ${k}`, await captured.outputs.data(), want, TOLERANCE.f32);
    for (let e = 0; e < 64; e++) total[e] += 4 * want[e]; // y = 2 x where kept, y^2 has the slope 4 y
    compare(`dx up to replay ${k}`, await x.grad!.data(), total, TOLERANCE.grad);
  }
  assert.equal([...(await step.data())], [8]);
});

test('dropout: what runs again in backward leaves out the same', async () => {
  using scope = engine.scope();
  const data = random(33, 6);
  const gradients: Float32Array[] = [];
  for (const isCheckpoint of [false, true]) {
    const x = tensor(data, [33], { scope, requiresGrad: true });
    const f = (x: ReturnType<typeof tensor>) => {
      const y = dropout(x, { p: 0.4, seed: 11, stream: 1 });
      return mul(y, y);
    };
    backward(sum(isCheckpoint ? checkpoint(f, x) : f(x)));
    gradients.push(await x.grad!.data());
    x.grad!.dispose();
  }
  compare('dx', gradients[1], gradients[0], TOLERANCE.exact);
});

test('dropout: what is out of range is refused, and a number as the step of a capture', () => {
  using scope = engine.scope();
  const x = engine.zeros([4], { scope });
  throws(() => dropout(x, { p: 1, seed: 0 }), /^dropout: p must be in \[0, 1\), got 1\./);
  throws(() => dropout(x, { p: 0.5, seed: -1 }), /seed must be an integer in \[0, 2\^32\), got -1/);
  const steps = engine.zeros([2], { dtype: 'u32', scope });
  throws(() => dropout(x, { p: 0.5, seed: 0, step: steps }), /step must have one element, got \[2\]/);
  const captured = () => engine.capture((x) => dropout(x, { p: 0.5, seed: 0 }), x);
  throws(captured, /^dropout: the step must be on the GPU in a capture, .* got 0\. Pass u32 \[1\]/);
});

test.run();
