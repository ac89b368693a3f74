import type { Target } from '../gpu/target.ts';
import { vectorOf, vectorsOf } from './rows.ts';

/**
 * A split of a row keeps a workgroup busy for dozens of loads per invocation, each of which a GPU has to wait
 * for.
 */
const ROW_SPLIT = { gpu: 4096, cpu: 8192 } as const;
/** A split of a column is long enough to pay for its partial result. */
const COLUMN_SPLIT = 32;
/** Columns that a GPU folds sooner than it starts a second dispatch. */
const ONE_PASS = 128;
/** Invocations that fill a large GPU: splits are made up to this number. */
const ENOUGH_INVOCATIONS = 65_536;
/** Workgroups that do, and not too many results for the second dispatch, a workgroup for each row. */
const ENOUGH_GROUPS = { gpu: 2048, cpu: 1024 } as const;

/** How the middle axis of [O, K, I] is folded. */
export interface ReducePlan {
  /** Splits of the axis, each with one element at least. */
  readonly splits: number;
  /** Elements of a split. */
  readonly splitK: number;
  /** Loads in flight of an invocation. */
  readonly loads: number;
}

/** Cuts the axis into splits until they keep the cores busy. Measured on lavapipe and an H200. */
export function planReduce(
  { kind }: Target,
  { O, K, I, isRow }: { O: number; K: number; I: number; isRow: boolean },
): ReducePlan {
  const loads = kind === 'cpu' ? 1 : 8;
  if (isRow) {
    const { perRow: values } = vectorsOf(K);
    const most = Math.ceil(ENOUGH_GROUPS[kind] / O);
    const wanted = Math.max(1, Math.min(Math.ceil(K / ROW_SPLIT[kind]), most));
    const splits = Math.ceil(values / Math.ceil(values / wanted));
    return { splits, splitK: Math.ceil(K / splits), loads };
  }
  const inOnePass = kind === 'gpu' && K <= ONE_PASS;
  const enough = inOnePass ? 1 : Math.ceil((ENOUGH_INVOCATIONS * vectorOf(I)) / (O * I));
  const splitK = Math.ceil(K / Math.min(Math.ceil(K / COLUMN_SPLIT), enough));
  return { splits: Math.ceil(K / splitK), splitK, loads };
}
