// Which kernel for which matmul: a pure function of the target and the sizes. The package has no table of
// measured choices: `engine.tune()` makes one for the current adapter, and Engine.create takes it.
//
//   register         CPUs, always (lavapipe in Node, `matmul NN 512x512x512`: 11.6 ms), since barriers are
//                    expensive there; GPUs for M <= 8, which would leave most of a tile unused
//   tiled            GPUs (NVIDIA H200, `matmul_tiled NT 2560x3456x1152`: 0.517 ms). In streams no core waits in
//                    a last wave of tiles; unmeasured on hardware, so that only tuning and `streams` choose it.
//   subgroup_matrix  GPUs on tier 3, which rounds operands to f16 (the same matmul on the same H200: 0.175
//                    ms). Tiled on units, it needs no packed copies of its operands, and tiles of 256 x 128
//                    stage fewer bytes for each term; unmeasured on hardware, so that only tuning and `onUnits`
//                    choose it. As two f16 for each operand, which keeps the accuracy of f32, only
//                    `onUnits: 'f32'` does.
import type { MatrixShape, Target } from '../../gpu/target.ts';
import type { MatmulForce, Tuning } from '../../gpu/tuning.ts';
import type { ProductDType } from '../../tensor/autograd.ts';
import { planRegisterTile, type RegisterTile } from '../register_tile.ts';
import { fittingTiles, TILE_GROUPS, TILES, type Tile, tileColumns } from '../shared_tile.ts';

/** c [M, N] = op(a) op(b), or a batch of them. Rows of a under one shared b count as M. */
export interface MatmulShape {
  /** Rows of the product. */
  readonly M: number;
  /** Columns of the product. */
  readonly N: number;
  /** Products summed per element. */
  readonly K: number;
  /** Matrices; default 1. */
  readonly batch?: number;
  /** a is [K, M]. */
  readonly transposeA?: boolean;
  /** b is [N, K]. */
  readonly transposeB?: boolean;
}

/** What a plan depends on beside the target. */
export interface MatmulProblem extends MatmulShape {
  /** Bias, gelu or residual follow; then K stays whole, since only complete sums may pass through them. */
  readonly epilogue?: boolean;
  /** f32: operands must not be rounded; f16: they shall be, on matrix units. Default: as is faster. */
  readonly products?: ProductDType;
  /** a or b has two elements of 16 bits in a word. */
  readonly packedA?: boolean;
  readonly packedB?: boolean;
}

/** A kernel with its parameters; `splits` parts of K are summed separately and added in a second pass. */
export type MatmulPlan =
  | ({
      readonly kind: 'register';
      readonly splits: number;
      /** Columns of c, and of b, in a Vec. */
      readonly vec: 1 | 4;
      /** Rows of a that are read together, out of [K, M]; an a that is not transposed is transposed first. */
      readonly aVec: 1 | 4;
      /** Transpose a transposed b back into [K, N] first. */
      readonly transposeFirst: boolean;
    } & RegisterTile)
  | {
      readonly kind: 'tiled';
      readonly splits: number;
      readonly tile: Tile;
      /** Multiplies the tiles, of operands in f16. */
      readonly unit?: MatrixShape;
      /** f16 that an operand is the sum of; default: 1, rounded. */
      readonly components?: 2;
      /** Workgroups that share all steps of all tiles; else each has a tile and a split. */
      readonly streams?: number;
    }
  | {
      readonly kind: 'subgroup_matrix';
      readonly splits: number;
      readonly unit: MatrixShape;
      readonly tileM: number;
      readonly tileN: number;
    };

export type RegisterPlan = Extract<MatmulPlan, { kind: 'register' }>;
export type TiledPlan = Extract<MatmulPlan, { kind: 'tiled' }>;
export type SubgroupMatrixPlan = Extract<MatmulPlan, { kind: 'subgroup_matrix' }>;

/** Measured on lavapipe. */
const LAVAPIPE = {
  /** Rows of c from which transposing b costs less than it saves: 20 % at 2304 rows. */
  transposeRows: 64,
  /** Columns of c from which transposing a costs less than it saves. */
  aVecColumns: 96,
} as const;

/** Measured on an NVIDIA H200. */
const H200 = {
  /** Rows of c up to which registers are enough. */
  registerRows: 8,
  /** Workgroups of the larger tiles that a core works on at a time. */
  tiles: { 128: 2, 96: 3 },
  /** Time of a workgroup alone on a core, relative to half the time of two that share one. */
  alone: 1.6,
  /** TFLOP/s of the larger tiles of subgroup matrices where the GPU is full, and how many a core works on at a time. */
  matrixRate: { 128: 200, 64: 168 },
  matrixTiles: { 128: 2, 64: 3 },
} as const;

/** Fewest terms of a split; with fewer the second pass costs more than it saves. */
const SPLIT_TERMS = 256;

/** Most splits of a sum over K. */
const mostSplits = (K: number): number => Math.max(1, Math.min(64, Math.floor(K / SPLIT_TERMS)));

/** Splits of a sum over K that make `wanted` workgroups of `groups`. */
const splitsOf = (wanted: number, groups: number, K: number): number =>
  Math.min(Math.ceil(wanted / Math.max(1, groups)), mostSplits(K));

/** Time of a core that runs `together` workgroups at a time for its share of `groups`, in workgroups. */
function coreTime({ cores }: Target, together: number, groups: number): number {
  const round = cores * together;
  const rest = Math.ceil((groups % round) / cores);
  return Math.floor(groups / round) * together + (rest === 1 ? H200.alone : rest);
}

/**
 * The largest tile that gives enough workgroups or, where K may be split, is mostly used; the tile wanted, if
 * it fits.
 */
function planTile(
  target: Target,
  { M, N, K, batch = 1, epilogue = false }: MatmulProblem,
  wanted?: Tile,
  unit?: MatrixShape,
  components?: 2,
): Tile {
  const groups = (tile: Tile): number => batch * Math.ceil(M / tile) * Math.ceil(N / tileColumns(tile));
  const suits = (tile: Exclude<Tile, 256>): boolean =>
    groups(tile) >= TILE_GROUPS[tile] || (!epilogue && K >= 2 * SPLIT_TERMS && Math.min(M, N) > 0.75 * tile);
  const fitting = fittingTiles(target, unit, components);
  const tile = fitting.find((tile) => (wanted ? tile === wanted : tile !== 256 && suits(tile))) ?? 32;
  if (tile !== 128 || wanted) return tile;
  const time = (tile: keyof typeof H200.tiles): number => {
    const splits = epilogue ? 1 : splitsOf(target.fillGroups, groups(tile), K);
    return (tile * coreTime(target, H200.tiles[tile], groups(tile) * splits)) / splits;
  };
  return time(96) < time(128) ? 96 : 128;
}

/** Rows and columns of c that the four subgroups of a workgroup of `subgroup_matrix` compute, by the tile that `force` names. */
export const MATRIX_TILES: Readonly<Record<Tile, readonly [number, number]>> = {
  256: [128, 128],
  128: [128, 128],
  96: [128, 128],
  64: [128, 64],
  32: [64, 64],
};

function planMatrixTile(
  target: Target,
  { M, N, batch = 1 }: MatmulProblem,
  wanted?: Tile,
): readonly [number, number] {
  const groups = (tile: Tile): number => {
    const [rows, columns] = MATRIX_TILES[tile];
    return batch * Math.ceil(M / rows) * Math.ceil(N / columns);
  };
  const time = (tile: keyof typeof H200.matrixTiles): number =>
    (tile * coreTime(target, H200.matrixTiles[tile], groups(tile))) / H200.matrixRate[tile];
  const planned = groups(64) < target.cores ? 32 : time(64) < time(128) ? 64 : 128;
  return MATRIX_TILES[wanted ?? planned];
}

/** How a matmul in registers reads its operands, and its tile. */
function planRegister(
  target: Target,
  { M, N, transposeA, transposeB, packedA, packedB }: MatmulProblem,
  force: MatmulForce,
): Omit<RegisterPlan, 'splits'> {
  const transposeFirst =
    !!transposeB && !packedB && (force.transposeFirst ?? (M >= LAVAPIPE.transposeRows && N > 1));
  const vec = N % 4 === 0 && (!transposeB || transposeFirst) ? 4 : 1;
  const tile = planRegisterTile(target, M, N / vec, vec);
  const four = transposeA ? M % 4 === 0 : !packedA && N >= LAVAPIPE.aVecColumns;
  const aVec = target.kind === 'cpu' && tile.broadcast === 1 && M >= 8 && four ? 4 : 1;
  return { kind: 'register', transposeFirst, vec, aVec, ...tile };
}

/**
 * Chooses kernel, tile and splits for one (batched) matmul.
 *
 * @param force   overrides every other choice
 * @param tuning  measured choices, which come before those made here
 */
export function planMatmul(
  target: Target,
  problem: MatmulProblem,
  force: MatmulForce = {},
  tuning?: Tuning,
): MatmulPlan {
  const tuned = tuning?.matmul[matmulKey(problem)];
  if (tuned) return planMatmul(target, problem, { ...tuned, ...force });
  const { M, N, K, batch = 1, epilogue, products, packedA, packedB } = problem;
  const unit = products === 'f32' ? undefined : target.matrixUnit;
  const inRegisters =
    (target.kind === 'cpu' && products !== 'f16') ||
    M <= H200.registerRows ||
    (!unit && target.without.includes('tiled'));
  const kind = force.kind ?? (inRegisters ? 'register' : 'subgroup_matrix');
  const splits = (tileM: number, tileN: number): number => {
    const groups = batch * Math.ceil(M / tileM) * Math.ceil(N / tileN);
    return epilogue ? 1 : (force.splits ?? splitsOf(target.fillGroups, groups, K));
  };
  if (kind === 'register') {
    const plan = planRegister(target, problem, force);
    return { ...plan, splits: splits(plan.threadM, plan.vec * plan.threadN * plan.wg) };
  }
  if (kind === 'subgroup_matrix' && unit) {
    const [tileM, tileN] = planMatrixTile(target, problem, force.tile);
    return { kind, unit, tileM, tileN, splits: splits(tileM, tileN) };
  }
  const components = force.onUnits === 'f32' && !packedA && !packedB ? 2 : undefined;
  const own = components ? target.matrixUnit : force.onUnits === true ? unit : undefined;
  const tile = planTile(target, problem, force.tile, own, components);
  const { streams } = force;
  return {
    kind: 'tiled',
    tile,
    splits: streams ? 1 : splits(tile, tileColumns(tile)),
    ...(own && { unit: own, ...(components && { components }) }),
    ...(streams && { streams }),
  };
}

/** Names a matmul in a tuning table: '729x1152x4304 NT' or, in a batch of 16, '729x72x729 NN 16'. */
export function matmulKey({ M, N, K, transposeA, transposeB, batch = 1 }: MatmulShape): string {
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  return `${M}x${N}x${K} ${form}${batch > 1 ? ` ${batch}` : ''}`;
}

/** Every choice that is legal for a matmul, one for each different plan. */
export function matmulCandidates(target: Target, problem: MatmulProblem): MatmulForce[] {
  const candidates = new Map<string, MatmulForce>();
  const { M, N, K, batch = 1 } = problem;
  const offer = (force: MatmulForce, splitsMax = problem.epilogue ? 1 : mostSplits(K)): void => {
    for (let splits = 1; splits <= splitsMax; splits *= 2) {
      const plan = JSON.stringify(planMatmul(target, problem, { ...force, splits }));
      if (!candidates.has(plan)) candidates.set(plan, { ...force, splits });
    }
  };
  for (const transposeFirst of problem.transposeB ? [true, false] : [false])
    offer({ kind: 'register', transposeFirst });
  // Where there are no matrix units those on units plan the same again.
  for (const where of [{}, { onUnits: true }]) {
    for (const tile of TILES.toReversed()) offer({ kind: 'tiled', tile, ...where }); // 32 in place of what does not fit
    for (const tile of [128, 96] as const) {
      const tiles = batch * Math.ceil(M / tile) * Math.ceil(N / tileColumns(tile));
      const streams = target.cores * H200.tiles[tile];
      if (tiles % streams && (tiles / streams) * K >= SPLIT_TERMS)
        offer({ kind: 'tiled', tile, ...where, streams }, 1);
    }
  }
  for (const tile of [128, 64, 32] as const) offer({ kind: 'subgroup_matrix', tile });
  return [...candidates.values()];
}
