import { test } from 'uvu';
import { pad } from '../../engine/ops/pad.ts';
import { size } from '../../engine/tensor/shape.ts';
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
import { pad as twin } from '../reference/pad.ts';

const MODES = ['constant', 'edge', 'reflect', 'wrap'] as const;

for (const [shape, pads] of [
  [[1], [[2, 3]]],
  [[67], [[63, 1]]],
  [
    [5, 12],
    [
      [0, 0],
      [3, 0],
    ],
  ],
  [
    [3, 4, 8],
    [
      [1, 2],
      [0, 1],
      [4, 4],
    ],
  ],
  [
    [2, 3, 5],
    [
      [-1, 2],
      [7, 9],
      [1, -2],
    ],
  ],
  [
    [4, 3],
    [
      [0, 0],
      [0, 0],
    ],
  ],
] as [number[], [number, number][]][])
  test(`pad: [${shape}] by ${JSON.stringify(pads)} in every mode, and the gradient, match the twin`, async () => {
    for (const mode of MODES)
      await checkGradients({
        inputs: { x: { data: random(size(shape), 1), shape } },
        op: ({ x }) => pad(x, pads, { mode, value: 0.5 }),
        twin: ({ x }) => twin(x, shape, pads, mode, 0.5),
      });
  });

test('pad: matches PyTorch', async () => {
  for (const [name, vectors] of await torchCases('pad')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const counts = vectors.get('pads')!.data; // as torch has them: pairs from the last axis on
    const pads = shape.map((_extent, d): [number, number] => {
      const k = 2 * (shape.length - 1 - d);
      return [counts[k] ?? 0, counts[k + 1] ?? 0];
    });
    const mode = name.split('_')[0] as 'constant';
    const y = pad(tensor(data, shape, { scope }), pads, { mode, value: 2.5 });
    compare(name, await y.data(), vectors.get('y')!.data, TOLERANCE.exact);
  }
});

test('pad: integers, infinities and axes without elements', async () => {
  using scope = engine.scope();
  const whole = tensor(new Int32Array([1, -2]), [2], { scope });
  compare('i32', await pad(whole, [[1, 1]], { value: -9 }).data(), [-9, 1, -2, -9], TOLERANCE.exact);
  compare('edge', await pad(whole, [[2, 0]], { mode: 'edge' }).data(), [1, 1, 1, -2], TOLERANCE.exact);
  const none = tensor(new Float64Array(0), [0], { scope });
  compare('none', await pad(none, [[1, 2]], { value: 3 }).data(), [3, 3, 3], TOLERANCE.exact);
  const [border] = await pad(whole, [[-2, 1]], { value: 5 }).data();
  compare('all removed', [border], [5]);
});

test('pad: says what does not fit, and leaves nothing alive', () => {
  const x = tensor(random(6, 1), [2, 3]);
  throws(
    () => pad(x, [[1, 1]]),
    /pad: there must be a pair of counts for every axis, got 1 and 1 for x \[2, 3\]/,
  );
  throws(
    () =>
      pad(x, [
        [0, 0],
        [-2, -2],
      ]),
    /pad: an axis cannot lose more than it has, got 0 and 0, -2 and -2 for x/,
  );
  const before = engine.stats().liveTensors;
  for (const mode of MODES)
    pad(
      x,
      [
        [-1, 2],
        [1, 1],
      ],
      { mode },
    ).dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  x.dispose();
});

test.run();
