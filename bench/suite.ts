// The suite itself: this adapter's peaks, then every case beside them. The command line prints what it tells, the page
// draws it.
import {
  type AdapterOptions,
  Engine,
  EngineError,
  MemoryError,
  type Peaks,
  type Tier,
} from '../engine/index.ts';
import { deviceClock, measurePeaks, wallClock } from '../engine/internal.ts';
import { ALL_CASES } from './cases.ts';
import { type BenchCase, LIBRARY } from './harness.ts';
import { type Failure, measure, type Row } from './measure.ts';
import { type SuiteOptions, UsageError } from './options.ts';
import type { measurePeer } from './peers/compare.ts';
import type { Peer } from './peers/peer.ts';
import type { BenchResult } from './report.ts';

/**
 * What happens, in this order: `adapter`, `peaks`, then for each case our `result` and what stands beneath it. Plain data, so
 * that a worker can post it.
 */
export type SuiteEvent =
  | {
      readonly kind: 'adapter';
      readonly adapter: string;
      readonly tier: Tier;
      /** 'device timestamps', or why it is the wall clock. */
      readonly timesBy: string;
    }
  | {
      readonly kind: 'peaks';
      readonly peaks: Peaks;
      /** What will be measured beside them, and in which libraries. */
      readonly cases: readonly Pick<BenchCase, 'op' | 'shape'>[];
      readonly libraries: readonly string[];
    }
  | { readonly kind: 'result'; readonly result: Row | Failure }
  /** A library lacks the op. */
  | { readonly kind: 'lack'; readonly op: string; readonly shape: string; readonly library: string };

/** What stands beneath our rows. */
export interface Others {
  /** Libraries to measure. With them come only the cases that they can do, and all times are by the wall clock. */
  readonly peers?: { open(): Promise<readonly Peer[]>; readonly measure: typeof measurePeer };
  /** Rows that were measured elsewhere. */
  readonly rows?: readonly Row[];
}

/** What is measured, without the names of runtime and versions, which only the caller knows. */
export type SuiteResult = Required<Pick<BenchResult, 'adapter' | 'peaks' | 'rows' | 'failures'>>;

const ENGINE_OPTIONS: AdapterOptions = { profile: true };

/** On a software adapter, cases beyond this would take minutes in each library. */
const SOFTWARE_PEER_FLOPS = 16e9;

/** A quick run that asks for no op leaves out cases that take longer even at the adapter's peak: they would take a minute. */
const QUICK_PEAK_SECONDS = 0.5;

/** Names of the ops of some cases, in the order of the table. */
export function opNames(cases: readonly BenchCase[] = ALL_CASES): string[] {
  return [...new Set(cases.map(({ op }) => op))];
}

function timing(timesKernels: boolean, { peers }: Others): string {
  if (peers) return 'the wall clock, in all libraries';
  return timesKernels ? 'device timestamps' : 'the wall clock: the adapter has no timestamps';
}

/** @throws UsageError when the filter leaves none */
function chosen({ quick, filter }: SuiteOptions, { peers }: Others): BenchCase[] {
  const asked = ALL_CASES.filter((one) => (!quick || one.quick) && (!peers || one.peer));
  const parts = (filter ?? '').split('|');
  const cases = asked.filter(({ op, shape }) => parts.some((part) => `${op} ${shape}`.includes(part)));
  if (cases.length === 0)
    throw new UsageError(
      `bench: --filter must be part of an op's name, got ${filter}. Ops: ${opNames(asked).join(', ')}.`,
    );
  return peers ? cases.map((one) => ({ ...one, clock: 'wall' })) : cases;
}

/** Whether a quick run leaves a case out on an adapter with such peaks. */
export function isSlow(
  { flops = 0 }: BenchCase,
  { quick, filter }: SuiteOptions,
  { gflops }: Peaks,
): boolean {
  return quick && !filter && flops / gflops / 1e9 > QUICK_PEAK_SECONDS;
}

/**
 * Measures the chosen cases one after the other.
 *
 * @throws UsageError, AdapterError, what befalls the device while peaks are measured, and what opening other libraries throws
 */
export async function runSuite(
  options: SuiteOptions,
  watch: (event: SuiteEvent) => void,
  others: Others = {},
): Promise<SuiteResult> {
  const asked = chosen(options, others);
  let engine = await Engine.create({ ...ENGINE_OPTIONS, tier: options.tier });
  const { adapterName: adapter, tier, timesKernels, isSoftware } = engine;
  watch({ kind: 'adapter', adapter, tier, timesBy: timing(timesKernels, others) });
  const peers = (await others.peers?.open()) ?? [];
  const foreign = others.rows ?? [];
  const peaks = await measurePeaks(engine, timesKernels ? deviceClock : wallClock, options.seconds);
  const isLong = ({ flops = 0 }: BenchCase): boolean =>
    others.peers !== undefined && isSoftware && flops > SOFTWARE_PEER_FLOPS;
  const cases = asked.filter(
    (one) => (one.tier ?? 0) <= tier && !isLong(one) && !isSlow(one, options, peaks),
  );
  const libraries = [LIBRARY, ...[...peers, ...foreign].map(({ library }) => library)];
  watch({
    kind: 'peaks',
    peaks,
    cases: cases.map(({ op, shape }) => ({ op, shape })),
    libraries: [...new Set(libraries)],
  });
  const rows: Row[] = [];
  const failures: Failure[] = [];
  const keep = (result: Row | Failure): void => {
    if ('reason' in result) failures.push(result);
    else rows.push(result);
    watch({ kind: 'result', result });
  };
  for (const one of cases) {
    const { op, shape } = one;
    const ours = await attempt(one, LIBRARY, async () => {
      // After a fault of the device every later command fails, so the rest gets a new one.
      if (engine.failure) {
        engine.destroy();
        engine = await Engine.create({ ...ENGINE_OPTIONS, tier: options.tier });
      }
      return measure(engine, one, peaks, options.seconds);
    });
    keep(ours);
    if ('reason' in ours) continue;
    for (const peer of peers) {
      const { library } = peer;
      const theirs = await attempt(one, library, async () =>
        others.peers?.measure(engine, peer, one, ours, peaks, options.seconds),
      );
      if (theirs) keep(theirs);
      else watch({ kind: 'lack', op, shape, library });
    }
    for (const row of foreign) if (row.op === op && row.shape === shape) keep(row);
  }
  return { adapter, peaks, rows, failures };
}

/** A case that throws fails alone; one that needs more memory than there is, is skipped. */
async function attempt<T>(
  { op, shape }: BenchCase,
  library: string,
  work: () => Promise<T>,
): Promise<T | Failure> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [reason] = error.message.split('\n');
    const code = error instanceof EngineError ? error.code : 'internal';
    return { op, shape, library, reason, code, skipped: error instanceof MemoryError };
  }
}
