// Operands of 16 bits: every kernel widens them as it reads them, and nobody makes a copy in f32.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, cast, inferenceLinear, linear, matmul } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, withBindingLimit } from '../harness.ts';
import { fromBfloat, fromHalf, toBfloat, toHalf } from '../reference/cast.ts';
import { linear as linearTwin, matmul as twin } from '../reference/matmul.ts';

const DTYPES = ['f16', 'bf16'] as const;

/** The numbers that remain of some in a dtype. */
const rounded = (values: Float64Array, dtype: (typeof DTYPES)[number]): Float64Array =>
  values.map((value) => (dtype === 'f16' ? fromHalf(toHalf(value)) : fromBfloat(toBfloat(value))));

for (const dtype of DTYPES)
  for (const kind of ['register', 'tiled'] as const)
    test(`matmul: operands stored as ${dtype}, ${kind}: products and the gradient of the other one match the twin on rounded numbers`, async () => {
      using scope = engine.scope();
      for (const [M, N, K] of [
        [67, 96, 120],
        [9, 33, 17],
        [70, 5, 34],
        [1, 12, 40],
      ])
        for (const transposeA of [false, true])
          for (const transposeB of [false, true]) {
            const force = { kind };
            const [left, right] = [random(M * K, 1), random(K * N, 2)];
            const aShape = transposeA ? [K, M] : [M, K];
            const x = tensor(left, aShape, { scope, requiresGrad: true });
            const b = cast(tensor(right, transposeB ? [N, K] : [K, N], { scope }), dtype);
            const c = matmul(x, b, { transposeA, transposeB, force });
            const shape = { M, N, K, transposeA, transposeB };
            compare('c', await c.data(), twin(left, rounded(right, dtype), shape));
            const dc = random(M * N, 3);
            backward(c, { seed: tensor(dc, [M, N], { scope }) });
            const da = transposeA
              ? twin(rounded(right, dtype), dc, {
                  M: K,
                  N: M,
                  K: N,
                  transposeA: transposeB,
                  transposeB: true,
                })
              : twin(dc, rounded(right, dtype), { M, N: K, K: N, transposeB: !transposeB });
            compare('da', await x.grad!.data(), da, TOLERANCE.grad);
            const a = cast(tensor(left, aShape, { scope }), dtype);
            const both = matmul(a, b, { transposeA, transposeB, force });
            compare('c of both', await both.data(), twin(rounded(left, dtype), rounded(right, dtype), shape));
          }
    });

test('matmul: a batch of packed operands, one of them shared, in splits', async () => {
  using scope = engine.scope();
  const [batch, M, N, K] = [3, 10, 8, 520];
  for (const dtype of DTYPES)
    for (const kind of ['register', 'tiled'] as const) {
      const [left, right] = [random(M * K, 1), random(batch * K * N, 2)];
      const a = cast(tensor(left, [M, K], { scope }), dtype);
      const b = cast(tensor(right, [batch, K, N], { scope }), dtype);
      const c = matmul(a, b, { force: { kind, splits: 2 } });
      const want = twin(rounded(left, dtype), rounded(right, dtype), { batch, M, N, K, sharedA: true });
      compare(`${dtype} ${kind}`, await c.data(), want);
    }
});

test('matmul: every finite f16, subnormals among them, and every finite bf16 is widened exactly', async () => {
  using scope = engine.scope();
  for (const dtype of DTYPES) {
    const infinity = dtype === 'f16' ? 0x7c00 : 0x7f80;
    const smallest = dtype === 'f16' ? 0 : 0x80; // subnormals of bf16 are subnormals of f32, which GPUs may flush
    const bits = Array.from({ length: 0x10000 }, (_, i) => i).filter(
      (i) => (i & 0x7fff) < infinity && (i & 0x7fff) >= smallest,
    );
    const want = Float64Array.from(bits, dtype === 'f16' ? fromHalf : fromBfloat);
    const b = cast(tensor(want, [1, want.length], { scope }), dtype);
    for (const transposeB of [false, true]) {
      const c = matmul(tensor([1], [1, 1], { scope }), b.reshape(transposeB ? [want.length, 1] : b.shape), {
        transposeB,
        force: { kind: 'register' },
      });
      compare(`${dtype}, transposed ${transposeB}`, await c.data(), want, TOLERANCE.exact);
    }
  }
});

for (const dtype of DTYPES)
  test(`linear: a weight stored as ${dtype} needs no memory beside it, and may fill a whole binding`, async () => {
    const [N, K] = [512, 384];
    const right = random(N * K, 2);
    for (const M of [1, 70]) {
      using scope = engine.scope();
      const left = random(M * K, 1);
      const x = tensor(left, [M, K], { scope });
      const weight = cast(tensor(right, [N, K], { scope }), dtype);
      const before = engine.stats().liveBytes;
      const extraBytes = engine.plan(() => linear(x, weight)).peakBytes - before;
      assert.ok(extraBytes < weight.sizeBytes, `${extraBytes} bytes for ${M} rows`);
      const y = withBindingLimit(weight.sizeBytes, () => linear(x, weight));
      compare('y', await y.data(), linearTwin(left, rounded(right, dtype), K));
    }
  });

test('inferenceLinear: a weight beyond one binding is read in runs of rows, by few rows of x and by many', async () => {
  using scope = engine.scope();
  const [N, K] = [520, 40];
  const [right, bias, limit] = [random(N * K, 2), random(N, 3), 40_000]; // f32 83,200 bytes, halves 41,600
  for (const dtype of ['f32', ...DTYPES] as const)
    for (const M of [1, 2, 9, 70]) {
      const left = random(M * K, 1);
      const weight = cast(tensor(right, [N, K], { scope }), dtype);
      const extra = { bias: random(N, 3), residual: random(M * N, 4) };
      const x = tensor(left, [M, K], { scope });
      const operands = {
        bias: tensor(bias, [N], { scope }),
        residual: tensor(extra.residual, [M, N], { scope }),
      };
      const y = withBindingLimit(Math.max(limit, 4 * M * N), () =>
        inferenceLinear(x, weight, { ...operands, gelu: 'erf' }),
      );
      const numbers = dtype === 'f32' ? right : rounded(right, dtype);
      compare(`${dtype} ${M}`, await y.data(), linearTwin(left, numbers, K, { ...extra, gelu: 'erf' }));
    }
});

test('matmul, linear: an operand beyond one binding is refused by name, with its size and the limit', () => {
  using scope = engine.scope();
  for (const [dtype, sizeBytes, todo] of [
    ['f32', 65_536, 'Store it as f16 or bf16, or multiply by slices of it'],
    ['f16', 32_768, 'Multiply by slices of it'],
    ['bf16', 32_768, 'Multiply by slices of it'],
  ] as const) {
    const x = tensor(random(128, 1), [1, 128], { scope });
    const weight = cast(tensor(random(128 * 128, 2), [128, 128], { scope }), dtype);
    const refused = (name: string) =>
      new RegExp(
        `^${name} must fit into maxStorageBufferBindingSize = 16384 bytes, got ${dtype} \\[128, 128\\] of ${sizeBytes}\\. ${todo}\\.$`,
      );
    throws(() => withBindingLimit(16_384, () => linear(x, weight)), refused('linear: weight'));
    throws(() => withBindingLimit(16_384, () => matmul(x, weight)), refused('matmul: b'));
    throws(
      () => withBindingLimit(16_384, () => matmul(weight, x, { transposeB: true })),
      refused('matmul: a'),
    );
  }
});

test.run();
