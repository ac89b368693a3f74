import { cast, linear, type MatmulOptions, matmul } from '../../engine/index.ts';
import { gelu } from '../../tests/reference/matmul.ts';
import type { BenchCase, Result } from '../harness.ts';
import { wave } from '../operands.ts';

/** Multiples of 1/1024, since matrix units round operands to f16, which then changes nothing. */
const coarse = (n: number, step: number): Float32Array =>
  wave(n, step).map((value) => Math.round(1024 * value) / 1024);

/** Where the strides of both waves agree, a sum grows with its number of terms. */
const TOLERANCE_PER_TERM = 1e-6;

/** Largest error over 64 elements spread over c. */
async function sampledError(out: Result, N: number, want: (m: number, n: number) => number): Promise<number> {
  const got = await out.data();
  let worst = 0;
  for (let i = 0; i < 64; i++) {
    const at = Math.floor(((i + 0.5) / 64) * got.length);
    worst = Math.max(worst, Math.abs(got[at] - want(Math.floor(at / N), at % N)));
  }
  return worst;
}

function matmulCase(
  M: number,
  N: number,
  K: number,
  options: MatmulOptions,
  quick = false,
  op = 'matmul',
): BenchCase {
  const { transposeA, transposeB } = options;
  return {
    op: `${op} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`,
    shape: `${M}x${N}x${K}`,
    flops: 2 * M * N * K,
    bytes: 4 * (M * K + K * N + M * N),
    quick,
    tolerance: TOLERANCE_PER_TERM * K,
    peer: transposeA || transposeB || options.force || K <= 512 ? undefined : { name: 'matmul' },
    prepare: (engine) => {
      const numbers = options.force?.onUnits === 'f32' ? wave : coarse;
      const [left, right] = [numbers(M * K, 0.7), numbers(K * N, 1.3)];
      const a = engine.tensor(left, transposeA ? [K, M] : [M, K]);
      const b = engine.tensor(right, transposeB ? [N, K] : [K, N]);
      return {
        run: () => matmul(a, b, options),
        maxError: (out) =>
          sampledError(out, N, (m, n) => {
            let sum = 0;
            for (let k = 0; k < K; k++)
              sum += left[transposeA ? k * M + m : m * K + k] * right[transposeB ? n * K + k : k * N + n];
            return sum;
          }),
      };
    },
  };
}

function batchedCase(B: number, M: number, N: number, K: number): BenchCase {
  return {
    op: 'matmul NN',
    shape: `${B}x(${M}x${N}x${K})`,
    flops: 2 * B * M * N * K,
    bytes: 4 * B * (M * K + K * N + M * N),
    tolerance: TOLERANCE_PER_TERM * K,
    peer: { name: 'matmul' },
    prepare: (engine) => {
      const [left, right] = [coarse(B * M * K, 0.7), coarse(B * K * N, 1.3)];
      const a = engine.tensor(left, [B, M, K]);
      const b = engine.tensor(right, [B, K, N]);
      return {
        run: () => matmul(a, b),
        maxError: (out) =>
          sampledError(out, N, (row, n) => {
            const batch = Math.floor(row / M);
            let sum = 0;
            for (let k = 0; k < K; k++) sum += left[row * K + k] * right[(batch * K + k) * N + n];
            return sum;
          }),
      };
    },
  };
}

function linearCase(
  M: number,
  N: number,
  K: number,
  quick = false,
  dtype: 'f32' | 'f16' | 'bf16' = 'f32',
): BenchCase {
  return {
    op: dtype === 'f32' ? 'linear + gelu' : `linear + gelu, weight ${dtype}`,
    shape: `${M}x${N}x${K}`,
    flops: 2 * M * N * K,
    bytes: 4 * (M * K + M * N) + (dtype === 'f32' ? 4 : 2) * K * N,
    quick,
    tolerance: TOLERANCE_PER_TERM * K,
    prepare: (engine) => {
      const left = coarse(M * K, 0.7);
      // Multiples of 1/128 below 2: bf16 holds them as well.
      const right = wave(K * N, 1.3).map((value) => Math.round(128 * value) / 128);
      const x = engine.tensor(left, [M, K]);
      const weight = cast(engine.tensor(right, [N, K]), dtype);
      const bias = engine.full([N], 0.5);
      return {
        run: () => linear(x, weight, { bias, gelu: 'tanh' }),
        maxError: (out) =>
          sampledError(out, N, (m, n) => {
            let sum = 0.5;
            for (let k = 0; k < K; k++) sum += left[m * K + k] * right[n * K + k];
            return gelu(sum, 'tanh');
          }),
      };
    },
  };
}

const NT = { transposeB: true };
const TN = { transposeA: true };

/** The same products by each kernel that GPUs have for them. */
const tiled = { force: { kind: 'tiled' } } as const;
const streams = { force: { kind: 'tiled', tile: 128, streams: 264 } } as const;
const matrix = { force: { kind: 'subgroup_matrix' } } as const;
const onUnits = { force: { kind: 'tiled', onUnits: true } } as const;
const large = { force: { kind: 'tiled', onUnits: true, tile: 256 } } as const;
const f32OnUnits = { force: { kind: 'tiled', onUnits: 'f32' } } as const;

const variants: BenchCase[] = [
  matmulCase(256, 256, 256, tiled, true, 'matmul_tiled'),
  matmulCase(729, 1152, 1152, { ...tiled, ...NT }, false, 'matmul_tiled'),
  matmulCase(2560, 3456, 1152, { ...tiled, ...NT }, false, 'matmul_tiled'),
  matmulCase(2560, 1152, 4304, tiled, false, 'matmul_tiled'),
  matmulCase(4304, 1152, 3289, { ...tiled, ...TN }, false, 'matmul_tiled'),
  matmulCase(256, 256, 256, { force: { kind: 'tiled', streams: 6 } }, true, 'matmul_tiled in streams'),
  matmulCase(729, 3456, 1152, { ...streams, ...NT }, false, 'matmul_tiled in streams'),
  matmulCase(729, 1152, 1152, { ...streams, ...NT }, false, 'matmul_tiled in streams'),
  matmulCase(1152, 4304, 2560, { ...streams, ...TN }, false, 'matmul_tiled in streams'),
  ...[
    matmulCase(256, 256, 256, matrix, true, 'matmul_subgroup_matrix'),
    matmulCase(2048, 2048, 2048, matrix, false, 'matmul_subgroup_matrix'),
    matmulCase(729, 1152, 1152, { ...matrix, ...NT }, false, 'matmul_subgroup_matrix'),
    matmulCase(2560, 3456, 1152, { ...matrix, ...NT }, false, 'matmul_subgroup_matrix'),
    matmulCase(2560, 1152, 4304, matrix, false, 'matmul_subgroup_matrix'),
    // Unmeasured on hardware so far.
    matmulCase(256, 256, 256, onUnits, true, 'matmul_tiled on units'),
    matmulCase(729, 1152, 1152, { ...onUnits, ...NT }, false, 'matmul_tiled on units'),
    matmulCase(2560, 3456, 1152, { ...onUnits, ...NT }, false, 'matmul_tiled on units'),
    matmulCase(4096, 4096, 4096, onUnits, false, 'matmul_tiled on units'),
    matmulCase(256, 256, 256, large, true, 'matmul_tiled on units, 256 rows'),
    matmulCase(2560, 3456, 1152, { ...large, ...NT }, false, 'matmul_tiled on units, 256 rows'),
    matmulCase(4096, 4096, 4096, large, false, 'matmul_tiled on units, 256 rows'),
    matmulCase(256, 256, 256, f32OnUnits, true, 'matmul_tiled on units in f32'),
    matmulCase(2560, 3456, 1152, { ...f32OnUnits, ...NT }, false, 'matmul_tiled on units in f32'),
    matmulCase(4304, 1152, 3289, { ...f32OnUnits, ...TN }, false, 'matmul_tiled on units in f32'),
    matmulCase(4096, 4096, 4096, f32OnUnits, false, 'matmul_tiled on units in f32'),
  ].map((one) => ({ ...one, tier: 3 as const })),
];

export const cases: BenchCase[] = [
  matmulCase(512, 512, 512, {}, true),
  matmulCase(1024, 1024, 1024, {}),
  matmulCase(2048, 2048, 2048, {}),
  matmulCase(4096, 4096, 4096, {}),
  matmulCase(256, 4304, 1152, {}),
  batchedCase(16, 729, 729, 72),
  matmulCase(512, 512, 512, NT),
  matmulCase(512, 512, 512, TN),
  matmulCase(2304, 96, 96, NT, true),
  matmulCase(2304, 384, 96, NT),
  matmulCase(2304, 96, 384, NT),
  matmulCase(96, 384, 2304, TN, true),
  matmulCase(85, 1152, 1152, NT),
  matmulCase(729, 1152, 588, NT),
  matmulCase(729, 3456, 1152, NT),
  matmulCase(2560, 4304, 1152, NT),
  matmulCase(3289, 1152, 4304, {}),
  matmulCase(1152, 4304, 2560, TN),
  linearCase(64, 96, 96, true),
  linearCase(729, 4304, 1152),
  linearCase(2560, 4304, 1152),
  linearCase(64, 96, 96, true, 'f16'),
  linearCase(64, 96, 96, true, 'bf16'),
  linearCase(729, 4304, 1152, false, 'f16'),
  linearCase(729, 4304, 1152, false, 'bf16'),
  ...variants,
];
