// Matmuls in registers: the host's side of shaders/lib/register_tile.wgsl.
import type { Define } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';

/** What one invocation and one workgroup compute. */
export interface RegisterTile {
  /** Rows of c per invocation. */
  readonly threadM: number;
  /** Vecs of a row of c per invocation. */
  readonly threadN: number;
  /** Invocations per workgroup. */
  readonly wg: number;
  /** Rows of a that a workgroup reads together and broadcasts: 1, or its size. */
  readonly broadcast: number;
}

/**
 * Throughput of tiles by their Vecs along N, as fractions of the best: lavapipe, 512 x 512 x 512. First where rows are broadcast (16
 * rows), then where they are not (8 rows). A tile as wide as three vec4 matters because widths of 96 and 384 divide by it.
 */
const LAVAPIPE_SPEED: Readonly<Record<'broadcast' | 'plain', Readonly<Record<1 | 4, readonly number[]>>>> = {
  broadcast: { 4: [0.85, 1, 0.93, 1], 1: [0.4, 0.67, 0.78, 0.87, 0.92, 0.97, 0.98, 1] },
  plain: { 4: [0.78, 1, 1], 1: [0.3, 0.5, 0.67, 0.8, 0.86, 0.92, 0.96, 1] },
};

/** The tile for M rows of c, each of `vecs` Vecs of `vec` columns, that wastes least. */
export function planRegisterTile(
  { kind, subgroupSize }: Pick<Target, 'kind' | 'subgroupSize'>,
  M: number,
  vecs: number,
  vec: 1 | 4,
): RegisterTile {
  const broadcast = kind === 'cpu' && M >= 8 && (subgroupSize === 4 || subgroupSize === 8) ? subgroupSize : 1;
  const wg = broadcast > 1 ? broadcast : kind === 'cpu' ? 8 : 32;
  // Sixteen rows are also faster where a subgroup has four invocations, but take that driver seconds to compile.
  const threadM = broadcast === 8 && M > 8 ? 16 : 2 ** Math.ceil(Math.log2(Math.min(8, Math.max(1, M))));
  let threadN = 1;
  let leastTime = Number.POSITIVE_INFINITY;
  LAVAPIPE_SPEED[broadcast > 1 ? 'broadcast' : 'plain'][vec].forEach((speed, i) => {
    const time = (Math.ceil(vecs / ((i + 1) * wg)) * (i + 1)) / speed;
    // Of equals the narrower: it needs fewer registers.
    if (time < leastTime) {
      leastTime = time;
      threadN = i + 1;
    }
  });
  return { threadM, threadN, wg, broadcast };
}

/** The specialisation of the shader's fragment. */
export function registerDefine(
  { threadM, threadN, wg, broadcast }: RegisterTile,
  { unrolledRegisters }: Pick<Target, 'unrolledRegisters'>,
): Define {
  return {
    THREAD_M: threadM,
    THREAD_N: threadN,
    WG: wg,
    UNROLLED: unrolledRegisters,
    ...(broadcast > 1 && { broadcast: 'broadcast_subgroup', SUBGROUP: broadcast }),
  };
}
