// Runs the model beside the page, so that loading and looking never block it.
import { Engine, EngineError, type Tensor } from '../../../engine/index.ts';
import { encodingCost, plainVitCost } from '../../model/cost.ts';
import { decodeImage, resizeToSquare } from '../../model/image.ts';
import { PS3 } from '../../model/ps3.ts';
import { scaleGrids } from '../../model/vision/scales.ts';
import type { Answer, ModelCosts, ModelFacts, Request, SaliencyMap } from './messages.ts';

type Post = (answer: Answer) => void;

/** Progress is told this often at most. */
const PROGRESS_MS = 100;

let engine: Engine | undefined;
let model: PS3 | undefined;
/** [1, S, S, 4] u8. */
let openImage: Tensor | undefined;

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
    case 'look':
      return look(request, post, signal);
    case 'compare':
      return compare(request, post);
    case 'stop':
      return post({ kind: 'stopped' });
  }
}

/** The engine, opened anew after the device was lost. */
async function openEngine(): Promise<Engine> {
  if (engine) return engine;
  const opened = await Engine.create();
  engine = opened;
  opened.lost.then(({ message }) => {
    if (engine !== opened) return;
    engine = undefined;
    model = undefined;
    openImage = undefined;
    postMessage({ id: 0, answer: { kind: 'error', during: 'load', code: 'device-lost', message } });
  });
  return opened;
}

async function load(
  { source, storage }: Request & { kind: 'load' },
  post: Post,
  signal: AbortSignal,
): Promise<void> {
  const opened = await openEngine();
  openImage?.dispose();
  openImage = undefined;
  model?.dispose();
  model = undefined;
  let toldMs = 0;
  const onProgress = (doneBytes: number, allBytes: number): void => {
    if (performance.now() - toldMs < PROGRESS_MS && doneBytes < allBytes) return;
    toldMs = performance.now();
    post({ kind: 'progress', doneBytes, allBytes });
  };
  model = await PS3.load(opened, source, { storage, onProgress, signal });
  post({ kind: 'loaded', facts: factsOf(opened, model) });
}

function factsOf(engine: Engine, model: PS3): ModelFacts {
  const { config, parameters, tokenizer } = model;
  const { isSoftware, adapterName } = engine;
  const { scalesPx, budgets } = config.vision;
  const side = scalesPx[scalesPx.length - 1];
  const sizes = parameters.names.map((name) => parameters.get(name).size);
  return {
    adapter: adapterName,
    isSoftware,
    parameterCount: sizes.reduce((sum, size) => sum + size, 0),
    weightsBytes: parameters.arenas.reduce((sum, { values }) => sum + values.sizeBytes, 0),
    scalesPx,
    budgets,
    grids: scaleGrids(config.vision, side, side),
    costs: costsOf(engine, model),
    words: tokenizer.words,
  };
}

function costsOf(engine: Engine, model: PS3): ModelCosts {
  const { vision } = model.config;
  const [lowRes, withLook] = [0, 1].map((looks) => encodingCost(engine, model, { looks }));
  return {
    lowRes,
    patchFlops: (withLook.flops - lowRes.flops) / (withLook.tokens - lowRes.tokens),
    plain: vision.scalesPx.map((side) => plainVitCost(vision, side)),
  };
}

async function read({ file }: Request & { kind: 'image' }, post: Post): Promise<void> {
  if (!engine || !model) return post({ kind: 'stopped' });
  openImage?.dispose();
  openImage = undefined;
  const { scalesPx } = model.config.vision;
  const decoded = await decodeImage(file, { orient: true, name: 'the image' });
  openImage = resizeToSquare(engine, decoded, scalesPx[scalesPx.length - 1]);
  await engine.idle();
  post({ kind: 'read' });
}

async function look(
  { prompt, region, tokens }: Request & { kind: 'look' },
  post: Post,
  signal: AbortSignal,
): Promise<void> {
  if (!engine || !model || !openImage) return post({ kind: 'stopped' });
  using scope = engine.scope();
  const image = openImage.in(scope);
  const where = region ? { region } : { prompt };
  const looks = model.vision.plan(model.vision.grids(image), { tokens }).length;
  let elapsedMs = 0;
  for await (const look of model.looks(image, { ...where, tokens, signal })) {
    using seen = look;
    const ms = seen.elapsedMs - elapsedMs;
    elapsedMs = seen.elapsedMs;
    if (seen.index === 0) {
      const [bottomUp, probs] = await Promise.all([seen.bottomUp[0], seen.selectionProbs[0]].map(mapOf));
      const { tokenizer } = model;
      const topDown = prompt === undefined && region === undefined ? undefined : probs;
      post({
        kind: 'maps',
        bottomUp,
        topDown,
        looks,
        unknown: prompt ? tokenizer.unknownWords(prompt) : [],
        ms,
      });
      continue;
    }
    const taken = await Promise.all(
      seen.choices.map(async ({ indices }) => (indices ? indices.data() : new Uint32Array())),
    );
    post({ kind: 'look', index: seen.index, taken, ms });
  }
  post({ kind: 'looked', ms: elapsedMs });
}

/** Of the coarsest grid: the finer ones are the same map, enlarged. */
async function mapOf(map: Tensor<'f32'>): Promise<SaliencyMap> {
  const [, rows, columns] = map.shape;
  return { grid: [rows, columns], values: await map.data() };
}

async function compare({ captions }: Request & { kind: 'compare' }, post: Post): Promise<void> {
  if (!model || !openImage) return post({ kind: 'stopped' });
  using similarity = await model.similarity(openImage, captions);
  post({ kind: 'compared', probabilities: Array.from(await similarity.probabilities.data()) });
}
