// Runs the suite beside the page, so that making inputs and checking results never blocks it.
import { EngineError } from '../../engine/index.ts';
import type { BenchOptions } from '../options.ts';
import { measurePeer } from '../peers/compare.ts';
import { openPeers, peersBeside } from '../peers/open.ts';
import { opNames, runSuite, type SuiteEvent } from '../suite.ts';

/** What the page posts to begin a run. */
export type PageOptions = Pick<BenchOptions, 'quick' | 'filter' | 'seconds' | 'peers'>;

/** What the worker posts: `ops` once it is loaded, then a run's events, and `done` or `error` as the last. */
export type WorkerMessage =
  | { readonly kind: 'ops'; readonly ops: readonly string[] }
  | SuiteEvent
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly code: string; readonly message: string };

const post = (message: WorkerMessage): void => postMessage(message);

const peers = { open: () => openPeers(peersBeside(location.href)), measure: measurePeer };

addEventListener('message', async ({ data }: MessageEvent<PageOptions>) => {
  try {
    await runSuite(data, post, data.peers ? { peers } : {});
    post({ kind: 'done' });
  } catch (error) {
    const { message } = error as Error;
    post({ kind: 'error', code: error instanceof EngineError ? error.code : 'internal', message });
  }
});

post({ kind: 'ops', ops: opNames() });
