// Runs the model beside the page, so that loading and looking never block it.
import { Engine, EngineError } from '../../../engine/index.ts';
import { decodeImage } from '../../model/image.ts';
import { PS3 } from '../../model/ps3.ts';
import { isVila } from '../../vila/is_vila.ts';
import { useKnown } from '../device_records.ts';
import { DEVICE_CACHE } from './device_store.ts';
import { Looking } from './looking.ts';
import type { Request } from './messages.ts';
import type { Opened, Post } from './opened.ts';

/** Progress is told this often at most. */
const PROGRESS_MS = 100;

let engine: Engine | undefined;
let opened: Opened | undefined;

/** Requests are answered one after another. A new one ends the one before, but captions wait, and so does an image for its model. */
let queue: Promise<void> = Promise.resolve();
let current: { kind: Request['kind']; ending: AbortController } | undefined;

addEventListener('message', ({ data: { id, request } }: MessageEvent<{ id: number; request: Request }>) => {
  const ending = new AbortController();
  const asked = { kind: request.kind, ending };
  const waits = request.kind === 'compare' || (request.kind === 'image' && current?.kind === 'load');
  if (!waits) {
    current?.ending.abort();
    current = asked;
  }
  const post: Post = (answer) => postMessage({ id, answer });
  queue = queue.then(async () => {
    try {
      ending.signal.throwIfAborted();
      await answerTo(request, post, ending.signal);
    } catch (error) {
      if (ending.signal.aborted) return post({ kind: 'stopped' });
      const { message } = error as Error;
      const code = error instanceof EngineError ? error.code : 'internal';
      post({ kind: 'error', during: request.kind, code, message });
    } finally {
      if (current === asked) current = undefined;
    }
  });
});

async function answerTo(request: Request, post: Post, signal: AbortSignal): Promise<void> {
  switch (request.kind) {
    case 'load':
      return load(request, post, signal);
    case 'image':
      return read(request, post);
    case 'stop':
      return post({ kind: 'stopped' });
    default:
      return opened ? opened.answer(request, post, signal) : post({ kind: 'stopped' });
  }
}

/** The engine, opened anew after the device was lost. */
async function openEngine(): Promise<Engine> {
  if (engine) return engine;
  const created = await Engine.create();
  // Kernels of a device that is new are proved while the model is read.
  await useKnown(created, DEVICE_CACHE, true, (sentence) => console.warn(sentence));
  engine = created;
  created.lost.then(({ message }) => {
    if (engine !== created) return;
    engine = undefined;
    opened = undefined;
    postMessage({ id: 0, answer: { kind: 'error', during: 'load', code: 'device-lost', message } });
  });
  return created;
}

async function load(request: Request & { kind: 'load' }, post: Post, signal: AbortSignal): Promise<void> {
  const { source, storage } = request;
  const engine = await openEngine();
  opened?.[Symbol.dispose]();
  opened = undefined;
  let toldMs = 0;
  const onProgress = (doneBytes: number, allBytes: number): void => {
    if (performance.now() - toldMs < PROGRESS_MS && doneBytes < allBytes) return;
    toldMs = performance.now();
    post({ kind: 'progress', doneBytes, allBytes });
  };
  const options = { storage, onProgress, signal };
  if (await isVila(source)) {
    const { openVila } = await import('./answering.ts');
    opened = await openVila(engine, source, options);
  } else opened = new Looking(engine, await PS3.load(engine, source, options));
  post({ kind: 'loaded', facts: opened.facts });
}

async function read({ file }: Request & { kind: 'image' }, post: Post): Promise<void> {
  if (!opened) return post({ kind: 'stopped' });
  post(await opened.read(await decodeImage(file, { orient: true, name: 'the image' })));
}
