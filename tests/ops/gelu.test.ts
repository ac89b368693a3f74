import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { gelu } from '../../engine/ops/gelu.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
} from '../harness.ts';
import { gelu as twin } from '../reference/gelu.ts';

for (const form of ['erf', 'tanh'] as const) {
  test(`gelu: the ${form} form and its gradient match the twin, with and without vec4`, async () => {
    for (const n of [1, 3, 63, 64, 257, 260, 1031])
      await checkGradients({
        inputs: { x: { data: random(n, n).map((v) => Math.fround(5 * v)), shape: [n] } },
        op: ({ x }) => gelu(x, { form }),
        twin: ({ x }) => twin(x, form),
      });
  });

  test(`gelu: the ${form} form is 0 or x far from 0, and so is its gradient`, async () => {
    using scope = engine.scope();
    const x = tensor(new Float64Array([-1e30, -200, -11, 11, 200, 2 ** 100]), [6], {
      scope,
      requiresGrad: true,
    });
    const y = gelu(x, { form });
    compare('y', await y.data(), [0, 0, 0, 11, 200, 2 ** 100], TOLERANCE.exact);
    backward(y, { seed: tensor([1, 1, 1, 1, 1, 1], [6], { scope }) });
    compare('dx', await x.grad!.data(), [0, 0, 0, 1, 1, 1], TOLERANCE.exact);
    x.grad!.dispose();
  });
}

test('gelu: output and gradient match PyTorch', async () => {
  for (const [form, vectors] of await torchCases('gelu')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = gelu(x, { form: form === 'erf' ? 'erf' : 'tanh' });
    // Absolute: the largest magnitude, 100, says nothing about the interesting values.
    compare(`${form} y`, await y.data(), vectors.get('y')!.data, { abs: 2e-6, rel: 0 });
    backward(y, { seed: tensor(vectors.get('dy')!.data, shape, { scope }) });
    compare(`${form} dx`, await x.grad!.data(), vectors.get('dx')!.data, { abs: 2e-6, rel: 0 });
    x.grad!.dispose();
  }
});

test('gelu: no element, and more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  compare('empty', await gelu(tensor([], [0], { scope })).data(), []);
  const n = 65_536 * 64 + 3;
  const x = Float32Array.from({ length: n }, (_, i) => (i % 7) - 3);
  const y = await gelu(tensor(x, [n], { scope })).data();
  compare('last', y.subarray(-3), twin(Float64Array.from(x.subarray(-3)), 'erf'));
});

test('gelu: says which forms and dtypes there are', () => {
  using scope = engine.scope();
  throws(
    () => gelu(tensor([1], [1], { scope }), { form: 'quick' as 'erf' }),
    /gelu: the form must be 'erf' or 'tanh', got 'quick'/,
  );
  throws(() => gelu(tensor([1], [1], { scope, dtype: 'i32' })), /gelu: x must be f32, got i32/);
});

test.run();
