// Runs the suite beside the page, so that making inputs and checking results never blocks it.
import {
  type Certificate,
  type CertifyOptions,
  certify,
  Engine,
  EngineError,
  formatCertificate,
} from '../../engine/index.ts';
import type { BenchOptions } from '../options.ts';
import { measurePeer } from '../peers/compare.ts';
import { openPeers, peersBeside } from '../peers/open.ts';
import { opNames, runSuite, type SuiteEvent } from '../suite.ts';

/** What the page posts to begin a run. */
export type PageOptions = Pick<BenchOptions, 'quick' | 'filter' | 'seconds' | 'peers'>;

/** What it posts to have the device certified. */
export interface CertifyRequest {
  readonly certify: Pick<CertifyOptions, 'runtime' | 'versions'>;
}

/** What the worker posts: `ops` once it is loaded, then a run's events, and `done` or `error` as the last. */
export type WorkerMessage =
  | { readonly kind: 'ops'; readonly ops: readonly string[] }
  | SuiteEvent
  | { readonly kind: 'certifying'; readonly what: string; readonly done: number; readonly all: number }
  | { readonly kind: 'certificate'; readonly certificate: Certificate; readonly text: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly code: string; readonly message: string };

const post = (message: WorkerMessage): void => postMessage(message);

const peers = { open: () => openPeers(peersBeside(location.href)), measure: measurePeer };

async function certifyDevice(options: CertifyRequest['certify']): Promise<void> {
  const engine = await Engine.create({ tier: 3, profile: true });
  try {
    const onProgress = (what: string, done: number, all: number): void =>
      post({ kind: 'certifying', what, done, all });
    const certificate = await certify(engine, { ...options, onProgress });
    post({ kind: 'certificate', certificate, text: formatCertificate(certificate) });
  } finally {
    engine.destroy();
  }
}

addEventListener('message', async ({ data }: MessageEvent<PageOptions | CertifyRequest>) => {
  try {
    if ('certify' in data) await certifyDevice(data.certify);
    else await runSuite(data, post, data.peers ? { peers } : {});
    post({ kind: 'done' });
  } catch (error) {
    const { message } = error as Error;
    post({ kind: 'error', code: error instanceof EngineError ? error.code : 'internal', message });
  }
});

post({ kind: 'ops', ops: opNames() });
