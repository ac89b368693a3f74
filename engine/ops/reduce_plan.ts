import type { Target } from '../gpu/target.ts';
import { vectorOf, vectorsOf } from './rows.ts';

/** A part of a row keeps a workgroup busy for some dozens of loads per invocation, each of which a GPU has to wait for. */
const ROW_PART = { gpu: 4096, cpu: 8192 } as const;
/** A part of a column is long enough to pay for its partial result. */
const COLUMN_PART = 32;
/** Columns that a GPU folds sooner than it starts a second dispatch. */
const ONE_PASS = 128;
/** Invocations that fill a large GPU: parts are made up to this number. */
const ENOUGH_INVOCATIONS = 65_536;
/** Workgroups that do, and not too many results for the second run, a workgroup for each row. */
const ENOUGH_GROUPS = { gpu: 2048, cpu: 1024 } as const;

/** How the middle axis of [O, K, I] is folded. */
export interface ReducePlan {
  /** Parts of the axis, each with one element at least. */
  readonly parts: number;
  /** Elements of a part. */
  readonly chunk: number;
  /** Loads in flight of an invocation. */
  readonly loads: number;
}

/** Cuts the axis into parts until they keep the cores busy. Measured on lavapipe and an H200. */
export function planReduce(
  { kind }: Target,
  { O, K, I, isRow }: { O: number; K: number; I: number; isRow: boolean },
): ReducePlan {
  const loads = kind === 'cpu' ? 1 : 8;
  if (isRow) {
    const { perRow: values } = vectorsOf(K);
    const most = Math.ceil(ENOUGH_GROUPS[kind] / O);
    const wanted = Math.max(1, Math.min(Math.ceil(K / ROW_PART[kind]), most));
    const parts = Math.ceil(values / Math.ceil(values / wanted));
    return { parts, chunk: Math.ceil(K / parts), loads };
  }
  const inOnePass = kind === 'gpu' && K <= ONE_PASS;
  const enough = inOnePass ? 1 : Math.ceil((ENOUGH_INVOCATIONS * vectorOf(I)) / (O * I));
  const chunk = Math.ceil(K / Math.min(Math.ceil(K / COLUMN_PART), enough));
  return { parts: Math.ceil(K / chunk), chunk, loads };
}
