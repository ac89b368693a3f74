import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { conv2d, unfold } from '../../engine/ops/conv.ts';
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
import { type Convolution, conv2d as twin } from '../reference/conv.ts';

const PLAIN: Convolution = {
  ...{ B: 1, C: 1, H: 5, W: 5, O: 1, kH: 3, kW: 3, groups: 1 },
  ...{ strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
};
const CASES: Record<string, Partial<Convolution>> = {
  'one pixel': { H: 1, W: 1, kH: 1, kW: 1 },
  'a batch with channels': { B: 2, C: 3, O: 5, H: 7, W: 6 },
  'strides and uneven padding': { C: 2, O: 3, H: 8, W: 9, strides: [2, 3], pads: [0, 1, 2, 0] },
  'dilated, overlapping': { C: 2, O: 2, H: 11, W: 9, dilations: [3, 2], pads: [2, 2, 2, 2] },
  'groups, a flat kernel': { B: 2, C: 6, O: 4, H: 5, W: 8, kH: 1, kW: 4, groups: 2 },
  depthwise: { B: 3, C: 4, O: 8, H: 6, W: 5, groups: 4, pads: [1, 1, 1, 1] },
  'steps beyond the kernel': { C: 2, O: 2, H: 9, W: 9, kH: 2, kW: 2, strides: [4, 3] },
  'no image': { B: 0, C: 2, O: 2 },
};

for (const [name, change] of Object.entries(CASES))
  test(`conv: ${name}, values and gradients match the twin`, async () => {
    const shape = { ...PLAIN, ...change };
    const { B, C, H, W, O, kH, kW, groups, strides, dilations, pads } = shape;
    const perGroup = C / groups;
    await checkGradients({
      inputs: {
        x: { data: random(B * C * H * W, 1), shape: [B, C, H, W] },
        weight: { data: random(O * perGroup * kH * kW, 2), shape: [O, perGroup, kH, kW] },
        bias: { data: random(O, 3), shape: [O] },
      },
      op: ({ x, weight, bias }) => conv2d(x, weight, { bias, groups, strides, dilations, pads }),
      twin: ({ x, weight, bias }) => twin(x, weight, bias, shape),
    });
  });

test('conv: values and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('conv')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const [x, weight, bias] = [get('x', true), get('weight', true), get('bias', true)];
    const [strideY, strideX, padY, padX, dilationY, dilationX, groups] = vectors.get('options')!.data;
    const y = conv2d(x, weight, {
      bias,
      groups,
      strides: [strideY, strideX],
      pads: [padY, padX, padY, padX],
      dilations: [dilationY, dilationX],
    });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy') });
    for (const [key, leaf] of Object.entries({ dx: x, dweight: weight, dbias: bias })) {
      compare(`${name} ${key}`, await leaf.grad!.data(), vectors.get(key)!.data, TOLERANCE.grad);
      leaf.grad!.dispose();
    }
  }
});

test('conv: unfold holds what the kernel sees, and its gradient adds where windows overlap', async () => {
  const shape = [2, 3, 6, 7];
  await checkGradients({
    inputs: { x: { data: random(252, 1), shape } },
    op: ({ x }) => unfold(x, [3, 2], { strides: [2, 1], dilations: [1, 3] }),
    twin: ({ x }) => {
      const y: number[] = [];
      for (let plane = 0; plane < 6; plane++)
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 2; j++)
            for (let v = 0; v < 2; v++)
              for (let u = 0; u < 4; u++) y.push(x[(plane * 6 + 2 * v + i) * 7 + u + 3 * j]);
      return Float64Array.from(y);
    },
  });
});

test('conv: says what does not fit, and leaves nothing alive', () => {
  const x = tensor(random(50, 1), [1, 2, 5, 5]);
  const weight = tensor(random(18, 1), [2, 1, 3, 3]);
  throws(
    () => conv2d(x, weight),
    /conv2d: the channels must fit the groups, got x \[1, 2, 5, 5\], weight \[2, 1, 3, 3\] and groups 1/,
  );
  throws(
    () => conv2d(x, weight, { groups: 2, dilations: [3, 1] }),
    /unfold: the kernel must fit into the image, got a kernel over \[7, 3\] for x \[1, 2, 5, 5\]/,
  );
  throws(() => conv2d(x, weight, { bias: x, groups: 2 }), /conv2d: bias must be \[2\], got \[1, 2, 5, 5\]/);
  const before = engine.stats().liveTensors;
  using bias = tensor(random(2, 1), [2]);
  conv2d(x, weight, { bias, groups: 2, pads: [1, 1, 1, 1] }).dispose();
  conv2d(x, weight, { groups: 2 }).dispose();
  compare('live tensors', [engine.stats().liveTensors], [before + 1]);
  for (const t of [x, weight]) t.dispose();
});

test.run();
