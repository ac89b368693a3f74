import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, cast, crossEntropy, linear, linearCrossEntropy, type Tensor } from '../../engine/index.ts';
import { planCrossEntropy } from '../../engine/ops/cross_entropy.ts';
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
import { logitsOf, crossEntropy as twin } from '../reference/cross_entropy.ts';

/** N labels below V, of which every fourth is ignored. */
const labelsOf = (N: number, V: number): Int32Array =>
  Int32Array.from(random(N, V), (u, n) =>
    n % 4 === 3 ? -100 : Math.min(V - 1, Math.floor(((u + 1) / 2) * V)),
  );

for (const [N, V] of [
  [1, 1],
  [2, 4],
  [7, 33],
  [65, 12],
  [3, 4100],
])
  test(`crossEntropy: the loss and its gradient match the twin for ${N} rows of ${V} logits`, async () => {
    const list = labelsOf(N, V);
    using labels = tensor(list, [N]);
    const check = () =>
      checkGradients({
        inputs: { logits: { data: random(N * V, 1).map((z) => Math.fround(6 * z)), shape: [N, V] } },
        op: ({ logits }) => crossEntropy(logits, labels),
        twin: ({ logits }) => Float64Array.of(twin(logits, list, V)),
      });
    await check();
    await withGpuPlans(check);
  });

const checkLinear = async (N: number, V: number, D: number): Promise<void> => {
  const list = labelsOf(N, V);
  using labels = tensor(list, [N]);
  await checkGradients({
    inputs: {
      x: { data: random(N * D, 1).map((v) => Math.fround(3 * v)), shape: [N, D] },
      weight: { data: random(V * D, 2), shape: [V, D] },
    },
    op: ({ x, weight }) => linearCrossEntropy(x, weight, labels),
    twin: ({ x, weight }) => Float64Array.of(twin(logitsOf(x, weight, D), list, V)),
    samples: 6,
  });
};

for (const [N, V, D] of [
  [1, 1, 1],
  [3, 7, 5],
  [9, 130, 12],
  [70, 33, 8],
])
  test(`linearCrossEntropy: the loss and both gradients match the twin, [${N}, ${D}] by [${V}, ${D}]`, async () => {
    await checkLinear(N, V, D);
    await withGpuPlans(() => checkLinear(N, V, D));
  });

/** Loss and gradients of [N, D] by [V, D]. */
async function trained(
  N: number,
  V: number,
  D: number,
): Promise<Record<'loss' | 'dx' | 'dweight', Float32Array>> {
  using scope = engine.scope();
  const x = tensor(random(N * D, 1), [N, D], { scope, requiresGrad: true });
  const weight = tensor(random(V * D, 2), [V, D], { scope, requiresGrad: true });
  const loss = linearCrossEntropy(x, weight, tensor(labelsOf(N, V), [N], { scope }));
  backward(loss);
  using dx = x.grad!;
  using dweight = weight.grad!;
  return { loss: await loss.data(), dx: await dx.data(), dweight: await dweight.data() };
}

test('linearCrossEntropy: strips of the weight and blocks of rows give the same as one block', async () => {
  const [N, V, D] = [300, 700, 20];
  const whole = await trained(N, V, D);
  const bytes = 4 * 128 * D; // of 128 rows of weight or of x
  assert.equal(planCrossEntropy({ N, V, D }, bytes), { rows: 128, columns: 128 });
  // Parameters within the limit: the whole weight is 56,000 bytes, and its gradient too.
  const { limits } = engine.gpu.device;
  assert.ok(4 * V * D <= limits.maxStorageBufferBindingSize);
  const parts = await withAssumedLimits(bytes, () => trained(N, V, D));
  compare('loss', parts.loss, whole.loss);
  compare('dx', parts.dx, whole.dx);
  compare('dweight', parts.dweight, whole.dweight);
});

/** Plans for a device that binds fewer bytes, to the end of an asynchronous `fn`. */
async function withAssumedLimits<T>(bytes: number, fn: () => Promise<T>): Promise<T> {
  const { gpu } = engine;
  gpu.assumedLimits = { maxBufferSize: gpu.device.limits.maxBufferSize, maxStorageBufferBindingSize: bytes };
  try {
    return await fn();
  } finally {
    gpu.assumedLimits = undefined;
  }
}

test('linearCrossEntropy: the logits are never stored', () => {
  using scope = engine.scope();
  const [N, V, D] = [512, 40_000, 16];
  const x = tensor(random(N * D, 1), [N, D], { scope, requiresGrad: true });
  const weight = tensor(random(V * D, 2), [V, D], { scope, requiresGrad: true });
  const labels = tensor(labelsOf(N, V), [N], { scope });
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  backward(linearCrossEntropy(x, weight, labels));
  const extraBytes = engine.stats().peakBytes - before;
  // One block of logits, its transpose, and the gradient of the weight with its copy; all logits are 82 MB.
  const most = 2 * 2 ** 25 + 3 * 4 * V * D;
  assert.ok(extraBytes < Math.min(most, 4 * N * V), `${extraBytes} bytes, want at most ${most}`);
  for (const { grad } of [x, weight]) grad!.dispose();
});

test('linearCrossEntropy: a weight in half precision gives the loss and dx of its widened numbers', async () => {
  using scope = engine.scope();
  const [N, V, D] = [9, 150, 8];
  const x = tensor(random(N * D, 1), [N, D], { scope, requiresGrad: true });
  const labels = tensor(labelsOf(N, V), [N], { scope });
  for (const dtype of ['f16', 'bf16'] as const) {
    const half = cast(tensor(random(V * D, 2), [V, D], { scope }), dtype);
    const results: Float32Array[] = [];
    for (const weight of [half, cast(half, 'f32')]) {
      const loss = linearCrossEntropy(x, weight, labels);
      backward(loss);
      results.push(Float32Array.of(...(await loss.data()), ...(await x.grad!.data())));
      x.zeroGrad();
    }
    compare(dtype, results[0], results[1], TOLERANCE.f32);
  }
});

test('linearCrossEntropy: a batch of rows, u32 labels, and another label to ignore', async () => {
  using scope = engine.scope();
  const [B, T, V, D] = [2, 3, 9, 4];
  const [x, weight] = [random(B * T * D, 1), random(V * D, 2)];
  const list = [0, 5, 8, 0, 2, 0];
  const labels = tensor(Uint32Array.from(list), [B, T], { scope });
  const rows = tensor(x, [B, T, D], { scope });
  const loss = linearCrossEntropy(rows, tensor(weight, [V, D], { scope }), labels, { ignoreIndex: 0 });
  compare('loss', await loss.data(), [twin(logitsOf(x, weight, D), list, V, 0)]);
});

test('crossEntropy: no row that counts gives 0 and no gradient, a label outside NaN', async () => {
  using scope = engine.scope();
  const logits = tensor(random(12, 1), [3, 4], { scope, requiresGrad: true });
  const ignored = crossEntropy(logits, tensor(Int32Array.of(-100, -100, -100), [3], { scope }));
  compare('loss', await ignored.data(), [0], TOLERANCE.exact);
  backward(ignored);
  compare('dlogits', await logits.grad!.data(), new Float64Array(12), TOLERANCE.exact);
  logits.grad!.dispose();
  for (const label of [4, -1]) {
    const outside = crossEntropy(logits, tensor(Int32Array.of(0, label, 1), [3], { scope }));
    assert.ok(Number.isNaN((await outside.data())[0]), `label ${label}`);
  }
});

test('crossEntropy: logits of hundreds and -infinity are finite, NaN and infinity are not', async () => {
  using scope = engine.scope();
  const lossOf = async (row: number[]): Promise<number> =>
    (
      await crossEntropy(
        tensor(row, [1, row.length], { scope }),
        tensor(Int32Array.of(1), [1], { scope }),
      ).data()
    )[0];
  const far = Number.NEGATIVE_INFINITY;
  compare('huge', [await lossOf([800, -800, 0])], [1600]);
  compare('masked', [await lossOf([far, 3, 3, far, far])], [Math.LN2]);
  compare('certain', [await lossOf([far, 3, far, far])], [0], TOLERANCE.exact);
  for (const row of [
    [1, Number.NaN, 2],
    [Number.NaN, 1, 2, 3],
    [Number.POSITIVE_INFINITY, 1, 2],
    [far, far, far],
  ])
    assert.ok(Number.isNaN(await lossOf(row)), row.join());
});

test('crossEntropy: both forms and all gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('cross_entropy')) {
    using scope = engine.scope();
    const leaf = (key: string): Tensor => {
      const { data, shape } = vectors.get(key)!;
      return tensor(data, shape, { scope, requiresGrad: true });
    };
    const { data, shape } = vectors.get('labels')!;
    const labels = tensor(Int32Array.from(data), shape, { scope });
    const [x, weight, logits] = ['x', 'weight', 'logits'].map(leaf);
    for (const loss of [linearCrossEntropy(x, weight, labels), crossEntropy(logits, labels)]) {
      compare(`${name} loss`, await loss.data(), vectors.get('loss')!.data);
      backward(loss);
    }
    for (const [key, { grad }] of Object.entries({ x, weight, logits })) {
      compare(`${name} d${key}`, await grad!.data(), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
      grad!.dispose();
    }
  }
});

test('linearCrossEntropy: the same as crossEntropy of linear, in a replayed capture too', async () => {
  using scope = engine.scope();
  const [N, V, D] = [6, 40, 8];
  const x = tensor(random(N * D, 1), [N, D], { scope });
  const weight = tensor(random(V * D, 2), [V, D], { scope });
  const labels = tensor(labelsOf(N, V), [N], { scope });
  using capture = engine.capture((x) => linearCrossEntropy(x, weight, labels), x);
  for (const seed of [1, 5]) {
    x.write(Float32Array.from(random(N * D, seed)));
    capture.replay();
    const want = await crossEntropy(linear(x, weight), labels).data();
    compare('loss', await capture.outputs.data(), want);
  }
});

test('crossEntropy: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(8, 1), [2, 4], { scope });
  const labels = tensor(Int32Array.of(0, 1, 2), [3], { scope });
  throws(
    () => crossEntropy(x, labels),
    /^crossEntropy: labels must be \[2\], one for each row of logits, got \[3\]/,
  );
  throws(
    () => linearCrossEntropy(x, x.reshape([4, 2]), labels),
    /^linearCrossEntropy: weight must be \[V, D\] with the last extent of x as D, got x \[2, 4\] and weight \[4, 2\]/,
  );
  throws(() => linearCrossEntropy(x, x, x), /^linearCrossEntropy: labels must be u32 or i32, got f32/);
  const two = tensor(Int32Array.of(0, 1), [2], { scope });
  throws(
    () => crossEntropy(x, two, { ignoreIndex: 0.5 }),
    /^crossEntropy: ignoreIndex must be a whole number, got 0.5/,
  );
});

test.run();
