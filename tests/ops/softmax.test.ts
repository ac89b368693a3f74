import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { logSoftmax, softmax } from '../../engine/ops/softmax.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withGpuPlans,
} from '../harness.ts';
import { logSoftmax as logTwin, softmax as twin } from '../reference/softmax.ts';

/** Row lengths that plans for a GPU are tried with: each is compiled anew on a CPU, which takes seconds. */
const ON_GPUS = [2, 7, 63, 388];

for (const [R, C] of [
  [1, 1],
  [3, 2],
  [5, 15],
  [2, 17],
  [3, 63],
  [2, 64],
  [4, 65],
  [131, 7],
  [3, 1031],
  [2, 388],
])
  test(`softmax: softmax and logSoftmax of ${R}x${C}, and their gradients, match the twins`, async () => {
    const inputs = { x: { data: random(R * C, C).map((v) => Math.fround(4 * v)), shape: [R, C] } };
    const check = async () => {
      await checkGradients({ inputs, op: ({ x }) => softmax(x), twin: ({ x }) => twin(x, C) });
      await checkGradients({ inputs, op: ({ x }) => logSoftmax(x), twin: ({ x }) => logTwin(x, C) });
    };
    await check();
    if (ON_GPUS.includes(C)) await withGpuPlans(check);
  });

test('softmax: rows sum to 1, and adding a constant to a row changes nothing', async () => {
  using scope = engine.scope();
  const [R, C] = [7, 129];
  const x = random(R * C, 1);
  const y = await softmax(tensor(x, [R, C], { scope })).data();
  for (let r = 0; r < R; r++) compare('sum', [y.subarray(r * C, (r + 1) * C).reduce((a, b) => a + b)], [1]);
  // Multiples of 1/64 survive the shift exactly.
  const coarse = x.map((v) => Math.round(v * 64) / 64);
  const shifted = softmax(
    tensor(
      coarse.map((v) => v + 4096),
      [R, C],
      { scope },
    ),
  );
  compare('shifted', await shifted.data(), await softmax(tensor(coarse, [R, C], { scope })).data());
});

test('softmax: logits up to 1e30 and masks of -3e38 give exact ones and zeros', async () => {
  using scope = engine.scope();
  const rows = [
    [1e30, -1e30, 0, 1],
    [-1e30, -1e30, -3e38, -3e38],
    [-3e38, -3e38, -3e38, -3e38],
    [5, -3e38, -3e38, 5],
  ];
  const want = [1, 0, 0, 0, 0.5, 0.5, 0, 0, 0.25, 0.25, 0.25, 0.25, 0.5, 0, 0, 0.5];
  const x = tensor(new Float64Array(rows.flat()), [4, 4], { scope });
  compare('y', await softmax(x).data(), want);
});

test('softmax: a row of the lowest finite number is uniform; a row whose maximum keeps growing is not lost', async () => {
  using scope = engine.scope();
  const C = 1031;
  const lowest = new Float32Array(C).fill(-3.4028234663852886e38);
  compare('uniform', await softmax(tensor(lowest, [1, C], { scope })).data(), new Array(C).fill(1 / C));
  const rising = Float32Array.from({ length: C }, (_, c) => c / 8 - 1000);
  compare(
    'rising',
    await softmax(tensor(rising, [1, C], { scope })).data(),
    twin(Float64Array.from(rising), C),
  );
});

test('softmax: more rows than a grid dimension holds, and none', async () => {
  using scope = engine.scope();
  const R = 65_537;
  const x = random(R * 3, 2);
  compare('y', await softmax(tensor(x, [R, 3], { scope })).data(), twin(x, 3));
  compare('no rows', await softmax(tensor([], [0, 3], { scope })).data(), []);
  compare('no columns', await softmax(tensor([], [3, 0], { scope })).data(), []);
});

test('softmax: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('softmax')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = name.endsWith('log') ? logSoftmax(x) : softmax(x);
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(vectors.get('dy')!.data, shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

for (const axis of [0, 1, -2, 2])
  test(`softmax: over axis ${axis}, output and gradient match the twin`, async () => {
    const shape = [3, 5, 4];
    const d = axis < 0 ? axis + 3 : axis;
    const stride = shape.slice(d + 1).reduce((a, b) => a * b, 1);
    // Element by element: the row of one element is what differs from it in the axis alone.
    const along = (x: Float64Array, log: boolean): Float64Array =>
      x.map((value, i) => {
        const first = i - (Math.floor(i / stride) % shape[d]) * stride;
        const row = Array.from({ length: shape[d] }, (_, k) => Math.exp(x[first + k * stride]));
        const sum = row.reduce((a, b) => a + b);
        return log ? value - Math.log(sum) : Math.exp(value) / sum;
      });
    for (const [log, op] of [softmax, logSoftmax].entries())
      await checkGradients({
        inputs: { x: { data: random(60, 3), shape } },
        op: ({ x }) => op(x, { axis }),
        twin: ({ x }) => along(Float64Array.from(x), log === 1),
      });
  });

test('softmax: says that a scalar has no axis, and which axes there are', () => {
  using scope = engine.scope();
  throws(() => softmax(tensor([1], [], { scope })), /softmax: x must have an axis, got x \[\]\./);
  const x = tensor([1, 2], [1, 2], { scope });
  for (const axis of [2, -3, 0.5, Number.NaN])
    throws(() => softmax(x, { axis }), /softmax: the axis must lie in \[-2, 2\), got /);
});

test.run();
