import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward } from '../../engine/ops/backward.ts';
import { depthwiseConv } from '../../engine/ops/depthwise_conv.ts';
import {
  checkGradients,
  compare,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withGpuPlans,
} from '../harness.ts';
import { depthwiseConv as twin } from '../reference/depthwise_conv.ts';

/** B, Y, X, C, kernel side: windows of 8 pixels with and without rest, vec4 and scalar channels, kernels over the image, two splits of rows. */
const CASES: readonly (readonly [number, number, number, number, number])[] = [
  [1, 1, 1, 1, 7],
  [2, 9, 16, 8, 7],
  [1, 19, 17, 3, 7],
  [2, 5, 7, 4, 3],
  [1, 3, 2, 12, 5],
  [3, 2, 13, 5, 1],
  [1, 12, 10, 4, 9],
];

function operands([B, Y, X, C, side]: readonly [number, number, number, number, number]) {
  return {
    x: { data: random(B * Y * X * C, 1), shape: [B, Y * X, C] },
    weight: { data: random(C * side * side, 2), shape: [C, 1, side, side] },
    bias: { data: random(C, 3), shape: [C] },
  };
}

test('depthwise_conv: matches float64 with and without bias, for pixels beside whole windows and kernels larger than the map', async () => {
  for (const shape of CASES) {
    const [B, Y, X, C, side] = shape;
    const { x, weight, bias } = operands(shape);
    const [tx, tw, tb] = [x, weight, bias].map(({ data, shape }) => tensor(data, shape));
    for (const b of [bias.data, undefined]) {
      using y = depthwiseConv(tx, tw, [Y, X], { bias: b && tb });
      assert.equal(y.shape, x.shape);
      const want = twin(x.data, weight.data, b, B, [Y, X], C, side);
      compare(`${shape.join('x')}, ${b ? 'bias' : 'no bias'}`, await y.data(), want, TOLERANCE.f32);
    }
  }
});

test('depthwise_conv: dx, dweight and dbias match central differences', async () => {
  for (const shape of CASES) {
    const [B, Y, X, C, side] = shape;
    const check = () =>
      checkGradients({
        inputs: operands(shape),
        op: ({ x, weight, bias }) => depthwiseConv(x, weight, [Y, X], { bias }),
        twin: ({ x, weight, bias }) => twin(x, weight, bias, B, [Y, X], C, side),
      });
    await check();
    await withGpuPlans(check);
  }
});

test('depthwise_conv: dx and dweight match central differences without a bias', async () => {
  const { x, weight } = operands([2, 4, 9, 4, 7]);
  await checkGradients({
    inputs: { x, weight },
    op: ({ x, weight }) => depthwiseConv(x, weight, [4, 9]),
    twin: ({ x, weight }) => twin(x, weight, undefined, 2, [4, 9], 4, 7),
  });
});

test('depthwise_conv: dweight is right when splits hold several image rows', async () => {
  // 300 image rows of one channel: more than MOST_SPLITS, so splits are uneven.
  await checkGradients({
    inputs: operands([100, 3, 2, 1, 3]),
    op: ({ x, weight, bias }) => depthwiseConv(x, weight, [3, 2], { bias }),
    twin: ({ x, weight, bias }) => twin(x, weight, bias, 100, [3, 2], 1, 3),
  });
});

test('depthwise_conv: the result and all gradients equal PyTorch', async () => {
  for (const [name, vectors] of await torchCases('depthwise_conv')) {
    const [, Y, X] = /x(\d+)x(\d+) kernel/.exec(name)!.map(Number);
    const upload = (key: string, requiresGrad: boolean) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { requiresGrad });
    const inputs = { x: upload('x', true), weight: upload('weight', true), bias: upload('bias', true) };
    using y = depthwiseConv(inputs.x, inputs.weight, [Y, X], { bias: inputs.bias });
    compare(`${name}: y`, await y.data(), vectors.get('y')!.data, TOLERANCE.f32);
    backward(y, { seed: upload('dy', false) });
    for (const [key, input] of Object.entries(inputs))
      compare(`${name}: d${key}`, await input.grad!.data(), vectors.get(`d${key}`)!.data, TOLERANCE.f32);
  }
});

test('depthwise_conv: two runs give the same bits', async () => {
  const bits: string[] = [];
  for (let run = 0; run < 2; run++) {
    const inputs = operands([2, 9, 16, 8, 7]);
    const weight = tensor(inputs.weight.data, inputs.weight.shape, { requiresGrad: true });
    const x = tensor(inputs.x.data, inputs.x.shape);
    using y = depthwiseConv(x, weight, [9, 16]);
    backward(y, { seed: x });
    bits.push((await weight.grad!.data()).join());
  }
  assert.is(bits[0], bits[1]);
});

test('depthwise_conv: wrong shapes and dtypes are named', () => {
  const x = tensor(new Float32Array(24), [1, 6, 4]);
  const weight = tensor(new Float32Array(36), [4, 1, 3, 3]);
  throws(
    () => depthwiseConv(x, weight, [2, 2]),
    /^depthwiseConv: x must be \[B, Y \* X, C\], got x \[1, 6, 4\] and grid \[2, 2\]\.$/,
  );
  throws(
    () => depthwiseConv(x, tensor(new Float32Array(27), [3, 1, 3, 3]), [2, 3]),
    /^depthwiseConv: weight must be \[C, 1, k, k\], got weight \[3, 1, 3, 3\] and C = 4\.$/,
  );
  throws(
    () => depthwiseConv(x, tensor(new Float32Array(16), [4, 1, 2, 2]), [2, 3]),
    /^depthwiseConv: the kernel side must be odd, got k = 2\.$/,
  );
  throws(
    () => depthwiseConv(x, weight, [2, 3], { bias: tensor(new Float32Array(3), [3]) }),
    /^depthwiseConv: bias must be \[C\], got bias \[3\] and C = 4\.$/,
  );
  throws(
    () => depthwiseConv(tensor(new Uint32Array(24), [1, 6, 4], { dtype: 'u32' }), weight, [2, 3]),
    /^depthwiseConv: x must be f32, got u32/,
  );
});

test.run();
