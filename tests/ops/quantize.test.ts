import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cast, embedding, inferenceLinear, QuantizedMatrix, quantize } from '../../engine/index.ts';
import {
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
import { fromHalf } from '../reference/cast.ts';
import { embedding as embeddingTwin } from '../reference/gather.ts';
import { linear as linearTwin } from '../reference/matmul.ts';
import * as twin from '../reference/quantize.ts';
import { swiglu as swigluTwin } from '../reference/swiglu.ts';

const FORMS = [
  [4, 32],
  [4, 128],
  [8, 32],
  [8, 128],
] as const;

/** The integers and factors that a matrix holds. */
async function readBack({ values, scales, bits }: QuantizedMatrix): Promise<twin.Quantized> {
  const words = await values.data();
  const perWord = 32 / bits;
  const integers = Int8Array.from({ length: words.length * perWord }, (_, e) => {
    const word = words[Math.floor(e / perWord)];
    return (word << (32 - bits - bits * (e % perWord))) >> (32 - bits);
  });
  return { integers, factors: Float64Array.from(await scales.data(), fromHalf) };
}

for (const [bits, group] of FORMS)
  test(`quantize: ${bits} bits in groups of ${group} are those of the twin, of all float dtypes`, async () => {
    for (const N of [1, 65])
      for (const dtype of ['f32', 'f16', 'bf16'] as const) {
        using scope = engine.scope();
        const K = 3 * group;
        // Multiples of 1/128: exact in each dtype. Three groups in a row, hence odd numbers of them too.
        const w = random(N * K, N).map((x) => Math.round(x * 127) / 128);
        const matrix = quantize(cast(tensor(w, [N, K], { scope }), dtype), { bits, group });
        const want = twin.quantize(w, bits, group);
        const got = await readBack(matrix);
        compare('factors', got.factors, want.factors, TOLERANCE.f16);
        // Of the factors that there are, which may be a half's last place off, each integer is the nearest.
        const [lowest, highest] = bits === 4 ? [-8, 7] : [-127, 127];
        const exact = w.map((x, e) => x / got.factors[Math.floor(e / group)]);
        const worst = exact.reduce((most, quotient, e) => {
          const inside = Math.min(highest, Math.max(lowest, quotient));
          return Math.max(most, Math.abs(inside - got.integers[e]));
        }, 0);
        assert.ok(worst <= 0.5001, `off by ${worst}`);
        if (bits === 4) compare('integers', got.integers, want.integers, TOLERANCE.exact);
        assert.is(matrix.sizeBytes, (N * K * bits) / 8 + (2 * N * K) / group);
      }
  });

test('quantize: groups of zeros, of one sign and of tiny numbers', async () => {
  using scope = engine.scope();
  const w = new Float64Array(4 * 32);
  w.fill(1, 32, 64)
    .fill(-3, 64, 96)
    .fill(2 ** -30, 96);
  for (const [bits, highest] of [
    [4, -8],
    [8, 127],
  ] as const) {
    const got = await readBack(quantize(tensor(w, [1, 128], { scope }), { bits }));
    assert.is(got.integers[40], bits === 4 ? -8 : 127);
    assert.is(got.integers[70], bits === 4 ? -8 : -127);
    assert.equal([got.integers[0], got.factors[0], got.factors[3]], [0, 0, 0]);
    assert.is(got.factors[1], fromHalf((await tensorOfHalf(1 / highest))[0]));
  }
});

/** The f16 pattern of a number by the engine's own cast, which has its own test. */
async function tensorOfHalf(value: number): Promise<Uint16Array> {
  using x = tensor([value], [1]);
  using half = cast(x, 'f16');
  return await half.data();
}

/** x [M, K] by a matrix [N, K] in integers, against the twin on the numbers that these stand for. */
async function checkLinear(M: number, N: number, K: number, bits: 4 | 8, group: 32 | 128): Promise<void> {
  using scope = engine.scope();
  const [x, w, b, r] = [random(M * K, 1), random(N * K, 2), random(N, 3), random(M * N, 4)];
  const matrix = quantize(tensor(w, [N, K], { scope }), { bits, group });
  const numbers = twin.dequantize(await readBack(matrix));
  const rows = tensor(x, [M, K], { scope });
  const bias = tensor(b, [N], { scope });
  const residual = tensor(r, [M, N], { scope });
  compare('y', await inferenceLinear(rows, matrix).data(), linearTwin(x, numbers, K));
  const whole = inferenceLinear(rows, matrix, { bias, gelu: 'tanh', residual });
  compare('epilogue', await whole.data(), linearTwin(x, numbers, K, { bias: b, gelu: 'tanh', residual: r }));
  if (N % 2 > 0) return;
  const gated = inferenceLinear(rows, matrix, { swiglu: true });
  compare('swiglu', await gated.data(), swigluTwin(linearTwin(x, numbers, K), N / 2));
}

for (const [bits, group] of FORMS)
  test(`inferenceLinear: a weight of ${bits} bits in groups of ${group} gives the product with its numbers`, async () => {
    for (const [M, N] of [
      [1, 1],
      [3, 67],
      [1, 2],
      [3, 70],
      [9, 130],
    ])
      await checkLinear(M, N, 2 * group, bits, group);
    for (const N of [13, 14]) await withGpuPlans(() => checkLinear(8, N, 2 * group, bits, group));
  });

test('inferenceLinear, embedding: integers beyond the binding limit are read in runs of rows', async () => {
  using scope = engine.scope();
  const [N, K] = [600, 128];
  const w = random(N * K, 2);
  const weight = tensor(w, [N, K], { scope });
  const list = Uint32Array.of(599, 0, 128, 127, N, 300);
  const indices = tensor(list, [2, 3], { scope });
  for (const bits of [4, 8] as const) {
    const whole = quantize(weight, { bits });
    // A strip in f32 has 65,536 bytes, the integers 38,400 or 76,800.
    const limit = bits === 4 ? 20_000 : 40_000;
    const matrix = withBindingLimit(70_000, () => quantize(weight, { bits }));
    compare('integers', await matrix.values.data(), await whole.values.data(), TOLERANCE.exact);
    compare('factors', await matrix.scales.data(), await whole.scales.data(), TOLERANCE.exact);
    const numbers = twin.dequantize(await readBack(matrix));
    const rows = withBindingLimit(limit, () => embedding(matrix, indices));
    compare('rows', await rows.data(), embeddingTwin(numbers, list, { N, C: K }), TOLERANCE.f32);
    for (const M of [1, 2]) {
      const x = random(M * K, 1);
      const y = withBindingLimit(limit, () => inferenceLinear(tensor(x, [M, K], { scope }), matrix));
      compare(`y of ${M}`, await y.data(), linearTwin(x, numbers, K));
    }
    const [x, b, r] = [random(9 * K, 1), random(N, 3), random(9 * N, 4)];
    const [bias, residual] = [tensor(b, [N], { scope }), tensor(r, [9, N], { scope })];
    const many = tensor(x, [9, K], { scope });
    const y = withBindingLimit(70_000, () => inferenceLinear(many, matrix, { bias, residual }));
    compare('y of 9', await y.data(), linearTwin(x, numbers, K, { bias: b, residual: r }));
  }
});

test('inferenceLinear: a matrix of integers is never widened as a whole', () => {
  using scope = engine.scope();
  const [N, K, M] = [40_000, 256, 16];
  const matrix = quantize(cast(tensor(new Float32Array(N * K), [N, K], { scope }), 'bf16'));
  const x = tensor(random(M * K, 1), [M, K], { scope });
  const before = engine.stats().liveBytes;
  const { peakBytes } = engine.plan(() => inferenceLinear(x, matrix));
  const most = 2 * 2 ** 24 + 2 * 4 * M * N; // a strip, its transpose, the result and a part of it
  assert.ok(
    peakBytes - before <= most && most < 4 * N * K,
    `${peakBytes - before} bytes, want at most ${most}`,
  );
});

test('quantize: integers, factors and products are those of PyTorch', async () => {
  for (const [name, vectors] of await torchCases('quantize')) {
    using scope = engine.scope();
    const get = (key: string) => vectors.get(key)!;
    const { data, shape } = get('weight');
    const bits = name === 'int8' ? 8 : 4;
    const group = name.endsWith('128') ? 128 : 32;
    const matrix = quantize(tensor(data, shape, { scope }), { bits, group });
    const { integers, factors } = await readBack(matrix);
    compare(`${name} integers`, integers, get('integers').data, TOLERANCE.exact);
    compare(`${name} scales`, factors, get('scales').data, TOLERANCE.exact);
    const x = get('x');
    const y = inferenceLinear(tensor(x.data, x.shape, { scope }), matrix);
    compare(`${name} y`, await y.data(), get('y').data);
  }
});

test('quantize: what was stored is read as it is, and a captured product replays', async () => {
  using scope = engine.scope();
  const [N, K] = [66, 64];
  const made = quantize(tensor(random(N * K, 2), [N, K], { scope }), { bits: 8 });
  const values = tensor(await made.values.data(), made.values.shape, { scope });
  const scales = tensor(await made.scales.data(), made.scales.shape, { scope, dtype: 'f16' });
  const matrix = new QuantizedMatrix(values, scales, { bits: 8 });
  assert.equal([matrix.shape, matrix.group], [[N, K], 32]);
  const x = tensor(random(K, 1), [1, K], { scope });
  using capture = engine.capture((x) => inferenceLinear(x, matrix), x);
  x.write(Float32Array.from(random(K, 5)));
  capture.replay();
  compare('y', await capture.outputs.data(), await inferenceLinear(x, made).data(), TOLERANCE.exact);
});

test('quantize: says what does not fit', () => {
  using scope = engine.scope();
  const weight = tensor(random(2 * 48, 1), [2, 48], { scope });
  throws(() => quantize(weight), /^quantize: weight must be \[N, K\] with K divisible by 32, got \[2, 48\]/);
  const matrix = quantize(tensor(random(64, 1), [2, 32], { scope }));
  throws(
    () => inferenceLinear(weight, matrix),
    /^inferenceLinear: weight must be \[N, K\] with the last extent of x as K, got x \[2, 48\] and weight \[2, 32\]/,
  );
  throws(
    () => new QuantizedMatrix(matrix.values, matrix.scales, { bits: 8 }),
    /^QuantizedMatrix: values must be \[N, K \/ 4\] and scales \[N, K \/ 32\] or \[N, K \/ 128\], got \[2, 4\] and \[2, 1\]/,
  );
});

test.run();
