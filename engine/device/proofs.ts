// Every fast kernel against plain arithmetic in float64, at the edges where kernels of this and of other engines went wrong:
// sums that end before, at and behind a step of their loop, rows and columns beyond a tile, lengths around a subgroup,
// and more keys than a step takes. Whole numbers where a kernel can compute them exactly. CPUs, which compile a kernel for half
// a second, prove fewer specialisations, at the same edges.
import type { Engine } from '../engine.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { FastKernel } from '../gpu/target.ts';
import type { MatmulForce } from '../gpu/tuning.ts';
import { attention } from '../ops/attention/attention.ts';
import type { AttentionVariant } from '../ops/attention/plan.ts';
import { inferenceLinear } from '../ops/matmul/inference.ts';
import { MATRIX_TILES, type MatmulShape } from '../ops/matmul/plan.ts';
import { withProducts } from '../ops/matmul/product.ts';
import { QuantizedMatrix } from '../ops/quantize.ts';
import { sum } from '../ops/reduce.ts';
import { fittingTiles, tileColumns } from '../ops/shared_tile.ts';
import { softmax } from '../ops/softmax.ts';
import {
  aroundSteps,
  type Check,
  type FastPath,
  leaveOut,
  type Proof,
  product,
  proveAll,
  SUBGROUP_MATRICES,
  SUBGROUP_ROWS,
  SUBGROUPS,
  unitRow,
  upload,
} from '../self_test.ts';
import { type Scope, Tensor } from '../tensor/tensor.ts';

/** Leaves a kernel out of plans. */
const without =
  (kernel: FastKernel) =>
  (gpu: Gpu): void => {
    gpu.target = { ...gpu.target, without: [...gpu.target.without, kernel] };
  };

/** Products of one kernel with sums of several lengths, all in the same few pipelines. */
const products = (
  gpu: Gpu,
  scope: Scope,
  shape: Omit<MatmulShape, 'K'>,
  lengths: readonly number[],
  force: MatmulForce,
): Check[] => lengths.map((K) => product(gpu, scope, { ...shape, K }, { splits: 1, ...force }));

/** Attention by query blocks in registers, as on CPUs. */
const inRegisters = (gpu: Gpu, scope: Scope): Check[] =>
  attentions(
    gpu,
    scope,
    KEYS.slice(1).map((M) => ({ T: 9, M, H: 2, K: 8 })),
    'query_blocks',
  );

export const BROADCAST: FastPath = {
  ...SUBGROUPS,
  checks: (gpu, scope) => {
    const steps = aroundSteps(gpu.target.subgroupSize);
    const force = { kind: 'register' } as const;
    return [
      ...products(gpu, scope, { M: 17, N: 20 }, steps, force),
      ...products(gpu, scope, { M: 17, N: 20, transposeA: true }, steps, force),
      ...inRegisters(gpu, scope),
    ];
  },
};

export const TILED: FastPath = {
  feature: 'tiles in workgroup memory',
  isTaken: ({ kind }) => kind === 'gpu',
  checks: (gpu, scope) => {
    const fitting = fittingTiles(gpu.target);
    const steps = aroundSteps(16); // TILE_K of the shader
    return fitting.flatMap((tile) => {
      const [M, N, force] = [tile, tileColumns(tile), { kind: 'tiled', tile } as const];
      const odd = products(gpu, scope, { M: M + 1, N: N + 1 }, steps, force);
      const four = products(gpu, scope, { M: M + 4, N: N + 4 }, [4, 16, 20, 64], force);
      const streams = products(gpu, scope, { M: M + 1, N: N + 1 }, [50], { ...force, streams: 5 });
      if (tile > 32) return [...odd, ...four, ...streams];
      return [
        ...odd,
        ...four,
        ...streams,
        ...products(gpu, scope, { M: M + 4, N: N + 4, transposeB: true }, [15, 17], force),
        ...products(gpu, scope, { M: M + 4, N: N + 4, transposeA: true }, [16, 20], force),
        ...products(gpu, scope, { M, N }, [50], { ...force, splits: 2 }),
      ];
    });
  },
  disable: without('tiled'),
};

export const MATRICES: FastPath = {
  ...SUBGROUP_MATRICES,
  checks: (gpu, scope) => {
    const steps = [...aroundSteps(gpu.target.matrixUnit!.K), ...aroundSteps(32).slice(1)];
    const tiles = gpu.target.kind === 'cpu' ? ([32] as const) : ([128, 64, 32] as const);
    const shapes = tiles.flatMap((tile) => {
      const [rows, columns] = MATRIX_TILES[tile];
      const shape = { M: rows + 1, N: columns + 1 };
      return products(gpu, scope, shape, steps, { kind: 'subgroup_matrix', tile });
    });
    const small = { kind: 'subgroup_matrix', tile: 32 } as const;
    return [
      ...shapes,
      ...products(gpu, scope, { M: 20, N: 36, transposeA: true, transposeB: true }, [31, 36], small),
      ...products(gpu, scope, { M: 20, N: 36 }, [70], { ...small, splits: 2 }),
    ];
  },
};

interface Heads {
  readonly T: number;
  /** Of the cached segment, and own. */
  readonly cached?: number;
  readonly M: number;
  readonly H: number;
  readonly K: number;
  readonly causal?: boolean;
  /** Heads of q that share one of keys. */
  readonly group?: number;
}

/** Attention whose weights are of one order, so that no key can be left out unseen. */
function attended(gpu: Gpu, scope: Scope, sizes: Heads, allowed: number, force?: AttentionVariant): Check {
  const { T, M, H, K, cached = 0, causal = false, group = 1 } = sizes;
  const G = H / group;
  const q = (t: number, h: number, d: number): number => (((5 * t + 3 * h + 2 * d) % 7) - 3) / 4;
  const k = (m: number, h: number, d: number): number => (((3 * m + h + 5 * d) % 5) - 2) / 2;
  const v = (m: number, h: number, d: number): number => ((7 * m + 2 * d + h) % 13) - 6;
  const rows = (first: number, count: number, heads: number, at: typeof q) => {
    const numbers = Array.from({ length: count * heads * K }, (_, i) =>
      at(first + Math.floor(i / heads / K), Math.floor(i / K) % heads, i % K),
    );
    return upload(gpu, scope, [1, count, heads, K], numbers);
  };
  const scale = 0.25;
  const want = new Float64Array(T * H * K);
  for (let t = 0; t < T; t++)
    for (let h = 0; h < H; h++) {
      const at = (t * H + h) * K;
      const head = Math.floor(h / group);
      const seen = causal ? cached + Math.min(M, M - T + t + 1) : cached + M;
      let total = 0;
      for (let m = 0; m < seen; m++) {
        let score = 0;
        for (let d = 0; d < K; d++) score += q(t, h, d) * k(m, head, d);
        const weight = Math.exp(scale * score);
        total += weight;
        for (let d = 0; d < K; d++) want[at + d] += weight * v(m, head, d);
      }
      for (let d = 0; d < K; d++) want[at + d] /= total;
    }
  const result = attention(rows(0, T, H, q), rows(cached, M, G, k), rows(cached, M, G, v), {
    ...{ scale, causal, force },
    offset: causal ? M - T : undefined,
    cached: cached > 0 ? { k: rows(0, cached, G, k), v: rows(0, cached, G, v) } : undefined,
  });
  const what = `attention of ${T} queries to ${cached} + ${M} keys in ${H} heads of ${K}`;
  return { result, want, what, allowed };
}

/** @param allowed  error; operands are exact in f16, and weights are not */
const attentions = (
  gpu: Gpu,
  scope: Scope,
  sizes: readonly Heads[],
  force?: AttentionVariant,
  allowed = 1e-4,
): Check[] => sizes.map((one) => attended(gpu, scope, one, allowed, force));

/** Where a step of 16 or 32 keys, or a tile of 32, ends. */
const KEYS = [1, 15, 16, 17, 31, 32, 33, 65];

const TILED_HEADS: readonly Heads[] = [
  ...KEYS.map((M) => ({ T: 33, M, H: 2, K: 8 })),
  ...[31, 33].map((M) => ({ T: 17, M, H: 2, K: 72, cached: 5 })),
  { T: 33, M: 37, H: 4, K: 8, group: 2, causal: true },
  { T: 9, M: 33, H: 2, K: 5 },
  // Tiles of 64 and of 128 are for many heads.
  { T: 65, M: 65, H: 160, K: 8 },
  { T: 65, M: 129, H: 171, K: 8 },
];

export const ATTENTION_TILED: FastPath = {
  feature: 'attention in tiles',
  isTaken: ({ kind }) => kind === 'gpu',
  checks: (gpu, scope) => withProducts('f32', () => attentions(gpu, scope, TILED_HEADS, 'query_blocks')),
  disable: without('attention_tiled'),
};

export const ATTENTION_MATRICES: FastPath = {
  feature: 'attention on matrix units',
  isTaken: ({ kind, matrixUnit, without }) =>
    kind === 'gpu' && matrixUnit !== undefined && !without.includes('attention_tiled'),
  checks: (gpu, scope) => attentions(gpu, scope, TILED_HEADS, 'query_blocks', 5e-3),
  disable: without('attention_matrices'),
};

export const SPLIT_KV: FastPath = {
  feature: 'attention in splits of the keys',
  isTaken: () => true,
  checks: (gpu, scope) =>
    attentions(
      gpu,
      scope,
      [
        ...KEYS.map((M) => ({ T: 2, M, H: 2, K: 8 })),
        { T: 1, M: 33, H: 2, K: 8, cached: 40 },
        ...(gpu.target.kind === 'cpu'
          ? []
          : [
              { T: 1, M: 33, H: 2, K: 72, cached: 40 },
              { T: 1, M: 65, H: 4, K: 8, group: 2, causal: true },
              { T: 1, M: 33, H: 2, K: 5 },
            ]),
      ],
      'split_kv',
    ),
  disable: without('split_kv'),
};

/** x weight^T for a few rows, of a weight of whole numbers, stored in f32 or in integers with factors of one. */
function fewRows(gpu: Gpu, scope: Scope, M: number, N: number, K: number, bits: 4 | 8 | 32): Check {
  const weight = (n: number, k: number): number => ((11 * n + 7 * k) % 16) - 8;
  const x = (m: number, k: number): number => ((5 * m + 3 * k) % 11) - 5;
  const rows = Array.from({ length: M * K }, (_, i) => x(Math.floor(i / K), i % K));
  const want = Array.from({ length: M * N }, (_, i) => {
    let total = 0;
    for (let k = 0; k < K; k++) total += x(Math.floor(i / N), k) * weight(i % N, k);
    return total;
  });
  const matrix =
    bits === 32
      ? upload(
          gpu,
          scope,
          [N, K],
          Array.from({ length: N * K }, (_, i) => weight(Math.floor(i / K), i % K)),
        )
      : integers(gpu, scope, N, K, bits, weight);
  const result = inferenceLinear(upload(gpu, scope, [M, K], rows), matrix);
  const stored = bits === 32 ? 'f32' : `int${bits}`;
  return { result, want, what: `${M} rows times a ${stored} matrix of ${N}x${K}`, allowed: 0 };
}

function integers(
  gpu: Gpu,
  scope: Scope,
  N: number,
  K: number,
  bits: 4 | 8,
  at: (n: number, k: number) => number,
): QuantizedMatrix {
  const [perWord, mask] = [32 / bits, 2 ** bits - 1];
  const words = new Uint32Array((N * K) / perWord);
  for (let i = 0; i < N * K; i++)
    words[Math.floor(i / perWord)] |= (at(Math.floor(i / K), i % K) & mask) << (bits * (i % perWord));
  const values = Tensor.empty(gpu, [N, K / perWord], 'u32', scope);
  values.write(words);
  const scales = Tensor.empty(gpu, [N, K / 32], 'f16', scope);
  scales.write(new Uint16Array(scales.size).fill(0x3c00)); // 1
  return new QuantizedMatrix(values, scales, { bits });
}

export const ROWS: FastPath = {
  feature: 'products of few rows',
  isTaken: () => true,
  checks: (gpu, scope) => {
    const { subgroupSize, kind } = gpu.target;
    // A step of a subgroup is a load of 16 bytes for each of its invocations.
    const lengths = (load: number): number[] =>
      aroundSteps(kind === 'gpu' ? Math.max(subgroupSize, 2) : 2).map((loads) => loads * load);
    const int4 = lengths(32).map((K) => fewRows(gpu, scope, 1, 33, K, 4));
    if (kind === 'cpu') return int4;
    return [
      ...int4,
      ...lengths(32).map((K) => fewRows(gpu, scope, 2, 5, K, 8)),
      ...lengths(4).map((K) => fewRows(gpu, scope, 2, 33, K, 32)),
    ];
  },
  disable: without('rows'),
};

/** Rows of weights that add up to one. */
function normalised(gpu: Gpu, scope: Scope, R: number, C: number): Check {
  const x = (r: number, c: number): number => ((5 * r + 3 * c) % 7) / 4;
  const want = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    let total = 0;
    for (let c = 0; c < C; c++) total += Math.exp(x(r, c));
    for (let c = 0; c < C; c++) want[r * C + c] = Math.exp(x(r, c)) / total;
  }
  const numbers = Array.from(want, (_, i) => x(Math.floor(i / C), i % C));
  return {
    result: softmax(upload(gpu, scope, [R, C], numbers)),
    ...{ want, what: `a softmax of ${R}x${C}`, allowed: 1e-4 / C }, // one element more or less changes 1 / C^2
  };
}

export const SUBGROUP_SUMS: FastPath = {
  ...SUBGROUP_ROWS,
  checks: (gpu, scope) => {
    const { subgroupSize: size } = gpu.target;
    return [
      ...[size - 1, size, size + 1, 2 * size - 1, 4 * size, 4 * size + 4].map((C) => unitRow(gpu, scope, C)),
      ...[size - 1, size + 1].map((C) => normalised(gpu, scope, 3, C)),
    ];
  },
};

export const HELD: FastPath = {
  feature: 'rows in registers',
  isTaken: ({ kind }) => kind === 'gpu',
  checks: (gpu, scope) => {
    // With more than a subgroup holds, if there is one; hence a workgroup for each row.
    const { subgroupSize, rowWorkgroup } = gpu.target;
    const over = subgroupSize > 1 ? 48 * subgroupSize : 0;
    return [rowWorkgroup - 1, rowWorkgroup, rowWorkgroup + 1].flatMap((more) => [
      unitRow(gpu, scope, over + more),
      normalised(gpu, scope, 3, over + more),
    ]);
  },
  disable: without('held'),
};

/** Sums of whole numbers along rows. */
function rowSums(gpu: Gpu, scope: Scope, R: number, C: number): Check {
  const numbers = Array.from({ length: R * C }, (_, i) => ((7 * i) % 13) - 6);
  const want = Array.from({ length: R }, (_, r) =>
    numbers.slice(r * C, (r + 1) * C).reduce((total, value) => total + value, 0),
  );
  return {
    result: sum(upload(gpu, scope, [R, C], numbers), { axis: 1 }),
    ...{ want, what: `sums of ${R} rows of ${C}`, allowed: 0 },
  };
}

/** What is left where all others fail. */
export const PLAIN: FastPath = {
  feature: 'plain kernels',
  isTaken: () => true,
  checks: (gpu, scope) => [
    ...products(gpu, scope, { M: 7, N: 12 }, aroundSteps(4), { kind: 'register' }),
    ...[65, 71, 73].map((R) => rowSums(gpu, scope, R, 33)),
    ...(gpu.target.kind === 'cpu' ? [normalised(gpu, scope, 65, 33)] : [rowSums(gpu, scope, 1, 8193)]),
  ],
  disable: undefined,
};

export const PLAIN_ATTENTION: FastPath = {
  feature: 'plain attention',
  isTaken: (target) =>
    !SUBGROUPS.isTaken(target) && (target.kind === 'cpu' || target.without.includes('attention_tiled')),
  checks: inRegisters,
  disable: undefined,
};

/** In this order, since one that fails changes what takes the place of it. */
export const FAST_PATHS: readonly FastPath[] = [
  PLAIN,
  BROADCAST,
  SUBGROUP_SUMS,
  MATRICES,
  TILED,
  ROWS,
  HELD,
  SPLIT_KV,
  ATTENTION_TILED,
  ATTENTION_MATRICES,
  PLAIN_ATTENTION,
];

/**
 * Proves every fast kernel that plans for this device take, on small operands whose results are known, and leaves out those
 * that fail; other work may run meanwhile.
 *
 * @param onProof  after each
 * @returns        what was found, and a sentence for each that is left out
 * @throws DeviceLostError, MemoryError: then nothing is known
 */
export async function proveKernels(
  engine: Engine,
  onProof?: (proof: Proof) => void,
): Promise<{ readonly proofs: readonly Proof[]; readonly warnings: readonly string[] }> {
  const proofs = await proveAll(engine.gpu, FAST_PATHS, onProof);
  return { proofs, warnings: leaveOut(engine.gpu, FAST_PATHS, proofs) };
}
