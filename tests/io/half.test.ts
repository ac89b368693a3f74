import { getFloat16, setFloat16 } from '@petamoriken/float16';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../engine/io/half.ts';

const everyBits = Uint16Array.from({ length: 65536 }, (_, i) => i);
const view = new DataView(new ArrayBuffer(4));

function f32FromBits(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

test('half: all 65,536 f16 values widen as @petamoriken/float16 says', () => {
  const got = f16ToF32(everyBits);
  for (const bits of everyBits) {
    view.setUint16(0, bits);
    const want = getFloat16(view, 0);
    assert.ok(Object.is(got[bits], want), `f16 0x${bits.toString(16)}: got ${got[bits]}, want ${want}`);
  }
});

test('half: all 65,536 f16 and bf16 values survive widening and narrowing, NaN as some NaN', () => {
  for (const [widen, narrow, exponent] of [
    [f16ToF32, f32ToF16, 0x7c00],
    [bf16ToF32, f32ToBf16, 0x7f80],
  ] as const) {
    const back = narrow(widen(everyBits));
    for (const bits of everyBits) {
      const isNaNBits = (bits & 0x7fff) > exponent;
      if (isNaNBits) assert.ok((back[bits] & 0x7fff) > exponent, `0x${bits.toString(16)} must stay a NaN`);
      else assert.is(back[bits], bits);
    }
  }
});

test('half: f32 rounds to f16 as @petamoriken/float16 does, at every midpoint and its two neighbours', () => {
  const points: number[] = [];
  const positive = f16ToF32(everyBits.subarray(0, 0x7c00));
  for (let i = 0; i < positive.length; i++) {
    const next = i + 1 < positive.length ? positive[i + 1] : 65536;
    view.setFloat32(0, (positive[i] + next) / 2);
    const bits = view.getUint32(0);
    for (const near of [bits - 1, bits, bits + 1]) points.push(f32FromBits(near), -f32FromBits(near));
  }
  points.push(0, -0, Infinity, -Infinity, 3.4e38, 2 ** -149);
  const got = f32ToF16(Float32Array.from(points));
  points.forEach((point, i) => {
    setFloat16(view, 0, point);
    const want = view.getUint16(0);
    assert.is(got[i], want, `f16 of ${point}: got 0x${got[i].toString(16)}, want 0x${want.toString(16)}`);
  });
});

test('half: f32 rounds to the nearest bf16, ties to even, beyond the largest to infinity', () => {
  const cases: [f32Bits: number, bf16Bits: number][] = [
    [0x3f800000, 0x3f80], // 1
    [0x3f808000, 0x3f80], // tie between 0x3f80 and 0x3f81: even
    [0x3f808001, 0x3f81],
    [0x3f818000, 0x3f82], // tie: up to even
    [0x3f817fff, 0x3f81],
    [0x7f7f7fff, 0x7f7f], // largest bf16
    [0x7f7f8000, 0x7f80], // rounds to infinity
    [0xff7fffff, 0xff80],
    [0x7f800000, 0x7f80],
    [0x80000000, 0x8000], // -0
    [0x00008000, 0x0000], // subnormal tie
    [0x00018000, 0x0002],
  ];
  const got = f32ToBf16(new Float32Array(Uint32Array.from(cases, ([bits]) => bits).buffer));
  cases.forEach(([bits, want], i) => {
    assert.is(got[i], want, `bf16 of 0x${bits.toString(16)}: got 0x${got[i].toString(16)}`);
  });
});

test('half: a NaN whose payload bf16 and f16 would drop stays a NaN', () => {
  const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  assert.equal([...bf16ToF32(f32ToBf16(nan))], [Number.NaN, Number.NaN]);
  assert.equal([...f16ToF32(f32ToF16(nan))], [Number.NaN, Number.NaN]);
  assert.equal(
    [...f32ToBf16(nan)].map((bits) => bits >>> 15),
    [0, 1],
  );
});

test.run();
