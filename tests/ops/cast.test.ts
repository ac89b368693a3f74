import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { cast } from '../../engine/ops/cast.ts';
import { compare, engine, random, TOLERANCE, tensor, torchCases } from '../harness.ts';
import { fromBfloat, fromHalf, toBfloat, toHalf, toInteger } from '../reference/cast.ts';

const HALVES = { f16: { to: toHalf, back: fromHalf }, bf16: { to: toBfloat, back: fromBfloat } } as const;
const EDGES = [
  0,
  1,
  -1,
  2 ** -14,
  2 ** -15,
  2 ** -24,
  2 ** -25,
  3 * 2 ** -26,
  2 ** -26,
  65504,
  65519,
  65519.996,
];

for (const dtype of ['f16', 'bf16'] as const) {
  const { to, back } = HALVES[dtype];

  test(`cast: f32 to ${dtype} rounds to nearest even, bit by bit like the twin, for even and odd counts`, async () => {
    using scope = engine.scope();
    for (const n of [1, 2, 127, 128, 129, 1031]) {
      const x = random(n, n).map((v, i) => Math.fround(EDGES[i] ?? v * 10 ** ((i % 12) - 8)));
      const y = cast(tensor(x, [n], { scope }), dtype);
      compare('bits', await y.data(), Array.from(x, to), TOLERANCE.exact);
      compare(
        'back',
        await cast(y, 'f32').data(),
        Array.from(x, (v) => back(to(v))),
        TOLERANCE.exact,
      );
    }
  });

  test(`cast: every finite ${dtype} pattern survives the way to f32 and back`, async () => {
    using scope = engine.scope();
    const exponent = dtype === 'f16' ? 0x7c00 : 0x7f80;
    const all = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter(
      (bits) => (bits & exponent) !== exponent,
    );
    const x = tensor(all, [all.length], { scope, dtype });
    const y = cast(x, 'f32');
    compare('numbers', await y.data(), Array.from(all, back), TOLERANCE.exact);
    compare('bits', await cast(y, dtype).data(), all, TOLERANCE.exact);
  });

  test(`cast: ${dtype} patterns and numbers equal PyTorch's`, async () => {
    using scope = engine.scope();
    const vectors = (await torchCases('cast')).get(dtype)!;
    const { data, shape } = vectors.get('x')!;
    const y = cast(tensor(data, shape, { scope }), dtype);
    compare('bits', await y.data(), vectors.get('bits')!.data, TOLERANCE.exact);
    compare('back', await cast(y, 'f32').data(), vectors.get('back')!.data, TOLERANCE.exact);
  });

  test(`cast: gradients pass through ${dtype} unchanged, in f32`, async () => {
    using scope = engine.scope();
    const x = tensor(random(5, 1), [5], { scope, requiresGrad: true });
    const dy = random(5, 2);
    backward(cast(cast(x, dtype), 'f32'), { seed: tensor(dy, [5], { scope }) });
    compare('dx', await x.grad!.data(), dy, TOLERANCE.exact);
    x.grad!.dispose();
  });
}

test('cast: f16 saturates, bf16 overflows, NaN stays NaN', async () => {
  using scope = engine.scope();
  const bits = new Uint32Array([0x477ff000, 0xcf000000, 0x7f800000, 0x7f7fffff, 0x7f800001, 0xffc00000]);
  const x = tensor(new Float32Array(bits.buffer), [6], { scope });
  compare(
    'f16',
    await cast(x, 'f16').data(),
    [0x7bff, 0xfbff, 0x7bff, 0x7bff, 0x7e00, 0xfe00],
    TOLERANCE.exact,
  );
  compare(
    'bf16',
    await cast(x, 'bf16').data(),
    [0x4780, 0xcf00, 0x7f80, 0x7f80, 0x7fc0, 0xffc0],
    TOLERANCE.exact,
  );
});

test('cast: floats to integers truncate and saturate', async () => {
  using scope = engine.scope();
  const values = [
    0,
    -0,
    0.99,
    -0.99,
    1.5,
    -1.5,
    254.99,
    255,
    255.5,
    256,
    2 ** 31,
    -(2 ** 31),
    2 ** 32,
    1e30,
    -1e30,
  ].map(Math.fround);
  const x = tensor(new Float64Array(values), [15], { scope });
  const want = (low: number, high: number) => values.map((value) => toInteger(value, low, high));
  compare('i32', await cast(x, 'i32').data(), want(-(2 ** 31), 2 ** 31 - 1), TOLERANCE.exact);
  compare('u32', await cast(x, 'u32').data(), want(0, 2 ** 32 - 1), TOLERANCE.exact);
  compare('u8', await cast(x, 'u8').data(), want(0, 255), TOLERANCE.exact);
  const nan = tensor(new Float32Array(new Uint32Array([0x7fc00000]).buffer), [1], { scope });
  compare('NaN', await cast(nan, 'i32').data(), [0], TOLERANCE.exact);
});

test('cast: integers to floats and to each other', async () => {
  using scope = engine.scope();
  const bytes = Uint8Array.from({ length: 263 }, (_, i) => i * 7);
  const x = tensor(bytes, [263], { scope });
  compare('u8 to f32', await cast(x, 'f32').data(), bytes, TOLERANCE.exact);
  compare('u8 to bf16', await cast(x, 'bf16').data(), Array.from(bytes, toBfloat), TOLERANCE.exact);
  compare('u8 to i32 to u8', await cast(cast(x, 'i32'), 'u8').data(), bytes, TOLERANCE.exact);
  const y = tensor(new Int32Array([-1, 2 ** 31 - 1, -(2 ** 24) - 1, 300]), [4], { scope });
  compare('i32 to f32', await cast(y, 'f32').data(), [-1, 2 ** 31, -(2 ** 24), 300], TOLERANCE.exact);
  compare(
    'i32 to u32',
    await cast(y, 'u32').data(),
    [2 ** 32 - 1, 2 ** 31 - 1, 2 ** 32 - 2 ** 24 - 1, 300],
    TOLERANCE.exact,
  );
  compare('i32 to u8', await cast(y, 'u8').data(), [255, 255, 255, 44], TOLERANCE.exact);
});

test('cast: no element, the same dtype, and more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  compare('empty', await cast(tensor([], [0], { scope }), 'f16').data(), []);
  const same = tensor(random(3, 1), [3], { scope });
  compare('same', await cast(same, 'f32').data(), await same.data(), TOLERANCE.exact);
  const n = 65_536 * 64 + 1;
  const x = tensor(
    Uint8Array.from({ length: n }, (_, i) => i),
    [n],
    { scope },
  );
  const y = await cast(x, 'f32').data();
  compare('last', y.subarray(-3), [254, 255, 0], TOLERANCE.exact);
});

test.run();
