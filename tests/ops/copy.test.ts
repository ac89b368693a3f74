import { test } from 'uvu';
import { concat, permute, placeInto, slice } from '../../engine/ops/copy.ts';
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
  withBindingLimit,
} from '../harness.ts';
import * as twin from '../reference/copy.ts';

for (const [shape, axes] of [
  [[1], [0]],
  [[], []],
  [
    [7, 13],
    [1, 0],
  ],
  [
    [8, 64],
    [1, 0],
  ],
  [
    [3, 5, 8],
    [1, 0, 2],
  ],
  [
    [2, 7, 3, 4],
    [0, 2, 1, 3],
  ],
  [
    [2, 3, 4, 5],
    [3, 1, 0, 2],
  ],
  [
    [2, 3, 2, 3, 2, 3],
    [5, 3, 1, 4, 2, 0],
  ],
  [
    [2, 1, 3, 1, 2, 1, 5],
    [6, 4, 1, 3, 5, 2, 0],
  ],
] as [number[], number[]][])
  test(`copy: permute [${shape}] by [${axes}] and its gradient match the twin`, async () => {
    await checkGradients({
      inputs: { x: { data: random(size(shape), 1), shape } },
      op: ({ x }) => permute(x, axes),
      twin: ({ x }) => twin.permute(x, shape, axes),
    });
  });

for (const [shape, axis, start, length] of [
  [[1], 0, 0, 1],
  [[67], 0, 3, 61],
  [[5, 12], 1, 4, 8],
  [[5, 12], 1, 3, 4],
  [[6, 8], 0, 2, 3],
  [[3, 7, 5], 1, 6, 1],
  [[3, 7, 4], -2, 0, 7],
  [[3, 7, 4], 1, 2, 0],
] as [number[], number, number, number][])
  test(`copy: ${length} of axis ${axis} of [${shape}] from ${start} on, and the gradient, match the twin`, async () => {
    await checkGradients({
      inputs: { x: { data: random(size(shape), 2), shape } },
      op: ({ x }) => slice(x, { axis, start, length }),
      twin: ({ x }) => twin.slice(x, shape, axis < 0 ? axis + shape.length : axis, start, length),
    });
  });

for (const [shape, axis, start, length, step] of [
  [[67], 0, 66, 67, -1],
  [[67], 0, 1, 22, 3],
  [[5, 12], 1, 11, 3, -4],
  [[3, 8, 4], 1, 0, 4, 2],
  [[3, 8, 4], 1, 7, 8, -1],
  [[3, 7, 5], -3, 2, 2, -2],
  [[3, 7, 5], 1, -1, 0, -1],
] as [number[], number, number, number, number][])
  test(`copy: ${length} of axis ${axis} of [${shape}] from ${start} on by ${step}, and the gradient, match the twin`, async () => {
    const d = axis < 0 ? axis + shape.length : axis;
    await checkGradients({
      inputs: { x: { data: random(size(shape), 2), shape } },
      op: ({ x }) => slice(x, { axis, start, length, step }),
      twin: ({ x }) => twin.slice(x, shape, d, start, length, step),
    });
  });

for (const [shape, to, at] of [
  [[1], [1], [0]],
  [[67], [131], [63]],
  [
    [4, 8],
    [6, 16],
    [1, 4],
  ],
  [
    [3, 5, 4],
    [3, 9, 4],
    [0, 4, 0],
  ],
  [
    [0, 3],
    [2, 3],
    [1, 0],
  ],
])
  test(`copy: [${shape}] embedded at [${at}] of [${to}], and the gradient, match the twin`, async () => {
    await checkGradients({
      inputs: { x: { data: random(size(shape), 5), shape } },
      op: ({ x }) => placeInto('pad', x, to, at, -1.5),
      twin: ({ x }) => twin.placeInto(x, shape, to, at, -1.5),
    });
  });

for (const [a, b, axis] of [
  [[1], [1], 0],
  [[5], [0], 0],
  [[3, 4], [3, 8], 1],
  [[3, 4], [3, 5], 1],
  [[2, 3, 5], [2, 4, 5], 1],
  [[7, 2], [61, 2], -2],
] as [number[], number[], number][])
  test(`copy: [${a}] and [${b}] joined along axis ${axis}, and the gradients, match the twin`, async () => {
    await checkGradients({
      inputs: { a: { data: random(size(a), 3), shape: a }, b: { data: random(size(b), 4), shape: b } },
      op: ({ a, b }) => concat([a, b, a], { axis }),
      twin: (x) => twin.concat([x.a, x.b, x.a], [a, b, a], axis < 0 ? axis + a.length : axis),
    });
  });

test('copy: results equal PyTorch', async () => {
  using scope = engine.scope();
  const cases = await torchCases('permute_slice_concat');
  const get = (name: string, key: string) => {
    const { data, shape } = cases.get(name)!.get(key)!;
    return tensor(data, shape, { scope });
  };
  const want = (name: string) => cases.get(name)!.get('y')!.data;
  const axes = Array.from(cases.get('permute')!.get('axes')!.data);
  compare('permute', await permute(get('permute', 'x'), axes).data(), want('permute'), TOLERANCE.exact);
  compare(
    'slice',
    await slice(get('slice', 'x'), { axis: 2, start: 1, length: 3 }).data(),
    want('slice'),
    TOLERANCE.exact,
  );
  const joined = concat([get('concat', 'a'), get('concat', 'b')], { axis: 2 });
  compare('concat', await joined.data(), want('concat'), TOLERANCE.exact);
});

test('copy: integers keep their bits, also those that would be NaN or denormal as floats', async () => {
  using scope = engine.scope();
  const bits = new Uint32Array([1, 0xffffffff, 0x7f800001, 0x80000000, 7, 0x7fffffff]);
  const y = permute(tensor(bits, [2, 3], { scope }), [1, 0]);
  compare('bits', await y.data(), [1, 0x80000000, 0xffffffff, 7, 0x7f800001, 0x7fffffff], TOLERANCE.exact);
});

test('copy: more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  const R = 65_537;
  const x = Float32Array.from({ length: R * 65 }, (_, i) => i);
  const y = await permute(tensor(x, [R, 65], { scope }), [1, 0]).data();
  for (const [c, r] of [
    [0, 0],
    [1, 0],
    [33, 40_000],
    [64, R - 1],
  ])
    compare(`row ${c}, column ${r}`, [y[c * R + r]], [r * 65 + c], TOLERANCE.exact);
});

test('slice, concat: operands beyond the binding limit, from buffer to buffer', async () => {
  using scope = engine.scope();
  const [a, b] = [
    tensor(random(2 * 30 * 4, 1), [2, 30, 4], { scope }),
    tensor(random(40, 2), [2, 5, 4], { scope }),
  ];
  const whole = [
    concat([a, b, a], { axis: 1 }),
    slice(a, { axis: 1, start: 7, length: 20 }),
    slice(a, { axis: 2, start: 1, length: 2 }),
    slice(a, { axis: 0, start: 1, length: 1 }),
  ];
  const split = withBindingLimit(256, () => [
    concat([a, b, a], { axis: 1 }),
    slice(a, { axis: 1, start: 7, length: 20 }),
    slice(a, { axis: 2, start: 1, length: 2 }),
    slice(a, { axis: 0, start: 1, length: 1 }),
  ]);
  for (const [i, want] of whole.entries())
    compare(`case ${i}`, await split[i].data(), await want.data(), TOLERANCE.exact);
});

test('copy: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(6, 1), [2, 3], { scope });
  throws(
    () => permute(x, [0, 0]),
    /permute: every axis must be named once, got axes \[0, 0\] for x \[2, 3\]\./,
  );
  throws(
    () => slice(x, { axis: 1, start: 2, length: 2 }),
    /slice: the first and the last element must lie within the axis, got start 2, length 2 and step 1/,
  );
  throws(() => slice(x, { axis: 2, length: 1 }), /slice: the axis must lie in \[-2, 2\), got 2/);
  throws(() => slice(x, { axis: 1, length: 2, step: 0 }), /slice: .* got start 0, length 2 and step 0/);
  throws(
    () => placeInto('pad', x, [2, 4], [0, 2], 0),
    /pad: x must lie within the result, got x \[2, 3\] at \[0, 2\]/,
  );
  throws(() => concat([], { axis: 0 }), /concat: there must be a tensor to join, got none/);
  throws(
    () => concat([x, tensor(random(8, 1), [2, 4], { scope })], { axis: 0 }),
    /concat: extents must be equal but on axis 0/,
  );
});

test.run();
