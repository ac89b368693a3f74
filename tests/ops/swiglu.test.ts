import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, cast, inferenceLinear, swiglu } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withBindingLimit,
  withGpuPlans,
} from '../harness.ts';
import { linear as linearTwin } from '../reference/matmul.ts';
import { swiglu as twin } from '../reference/swiglu.ts';

for (const [R, F] of [
  [1, 1],
  [3, 7],
  [5, 64],
  [67, 12],
  [2, 1031],
])
  test(`swiglu: y and dx match the twin at ${R}x${F}`, () =>
    checkGradients({
      inputs: { x: { data: random(2 * R * F, R).map((v) => Math.fround(5 * v)), shape: [R, 2 * F] } },
      op: ({ x }) => swiglu(x),
      twin: ({ x }) => twin(x, F),
    }));

test('swiglu: gates far from 0 are 0 or themselves, and so are the gradients', async () => {
  using scope = engine.scope();
  const huge = Math.fround(1e30);
  for (const vec of [1, 4]) {
    const repeated = (...values: number[]) => values.flatMap((value) => new Array<number>(vec).fill(value));
    const gates = repeated(-huge, -200, 0, 200, huge);
    const F = gates.length;
    const x = tensor([...gates, ...new Array(F).fill(2)], [1, 2 * F], { scope, requiresGrad: true });
    const y = swiglu(x);
    compare('y', await y.data(), repeated(0, 0, 0, 400, 2 * huge), TOLERANCE.exact);
    backward(y, { seed: tensor(new Array(F).fill(1), [1, F], { scope }) });
    const dx = await x.grad!.data();
    compare('dgate', dx.subarray(0, F), repeated(0, 0, 1, 2, 2), TOLERANCE.exact);
    compare('dup', dx.subarray(F), repeated(0, 0, 0, 200, huge), TOLERANCE.exact);
    x.grad!.dispose();
  }
});

test('swiglu: NaN stays where it is', async () => {
  using scope = engine.scope();
  const x = [Number.NaN, 1, 1, 1, Number.NaN, 1];
  const y = await swiglu(tensor(x, [1, 6], { scope })).data();
  assert.equal(Array.from(y, Number.isNaN), [true, true, false]);
});

test('swiglu: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('swiglu')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = swiglu(x);
    const dy = vectors.get('dy')!;
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(dy.data, dy.shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test('swiglu: no row, and an odd last extent', async () => {
  using scope = engine.scope();
  compare('empty', await swiglu(tensor([], [0, 6], { scope })).data(), []);
  throws(
    () => swiglu(tensor([1, 2, 3], [3], { scope })),
    /^swiglu: the last extent of x must be even, gate and up side by side, got \[3\]/,
  );
});

/** Of rows of x by a weight [2F, K], against the twins of product and gated unit. */
async function checkProduct(M: number, F: number, K: number, limit?: number): Promise<void> {
  const x = random(M * K, 1).map((v) => 4 * v);
  // Multiples of 1/128: exact in each dtype.
  const w = random(2 * F * K, 2).map((v) => Math.round(v * 127) / 128);
  const want = twin(linearTwin(x, w, K), F);
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    using scope = engine.scope();
    const rows = tensor(x, [M, K], { scope });
    const weight = cast(tensor(w, [2 * F, K], { scope }), dtype);
    const run = () => inferenceLinear(rows, weight, { swiglu: true });
    const y = limit === undefined ? run() : withBindingLimit(limit, run);
    assert.equal(y.shape, [M, F]);
    compare(`${M}x${F}x${K} of ${dtype}`, await y.data(), want);
  }
}

for (const [name, plans] of [
  ['', <T>(fn: () => T): T => fn()],
  [', plans for GPUs', withGpuPlans],
] as const)
  test(`inferenceLinear: swiglu after a product of gate and up matches the twins${name}`, () =>
    plans(async () => {
      for (const [M, F, K] of [
        [1, 1, 8],
        [2, 66, 40],
        [8, 7, 72],
        [9, 7, 72],
        [1, 5, 17], // not 16 bytes at a time
      ])
        await checkProduct(M, F, K);
    }));

test('inferenceLinear: swiglu of a weight beyond one binding follows the product', async () => {
  for (const M of [1, 9]) await checkProduct(M, 260, 40, 40_000);
});

test('inferenceLinear: swiglu matches PyTorch', async () => {
  for (const [name, vectors] of await torchCases('swiglu')) {
    const { data, shape } = vectors.get('x')!;
    const want = vectors.get('y')!.data;
    const width = shape.at(-1)!;
    const [R, F] = [data.length / width, width / 2];
    const K = 4 * Math.ceil(R / 4);
    using scope = engine.scope();
    // The product of a row of the identity with x transposed is a row of x.
    const w = Float64Array.from({ length: width * K }, (_, e) =>
      e % K < R ? data[(e % K) * width + Math.floor(e / K)] : 0,
    );
    const weight = tensor(w, [width, K], { scope });
    for (let r = 0; r < R; r++) {
      const row = tensor(new Float64Array(K).fill(1, r, r + 1), [1, K], { scope });
      const y = await inferenceLinear(row, weight, { swiglu: true }).data();
      compare(`${name} ${r}`, y, want.slice(r * F, (r + 1) * F));
    }
  }
});

test('inferenceLinear: swiglu stands alone, on an even number of rows', () => {
  using scope = engine.scope();
  const weight = tensor(random(12, 1), [3, 4], { scope });
  const bias = tensor(random(2, 1), [2], { scope });
  throws(
    () => inferenceLinear(weight, weight, { swiglu: true }),
    /^inferenceLinear: beside swiglu, weight must have an even number of rows, .* got weight \[3, 4\]\.$/,
  );
  throws(
    () => inferenceLinear(weight, weight.view(0, [2, 4]), { swiglu: true, bias, gelu: 'erf' }),
    / bias, gelu and residual must be left out, got weight \[2, 4\], bias, gelu\.$/,
  );
});

test.run();
