// The model as a whole, at the size that `npm start` trains on a software adapter, on random images. There is no twin of
// a whole model; what is checked is that a result does not depend on the company it is computed in.
import {
  AdamW,
  backward,
  type Engine,
  noGrad,
  output,
  Random,
  type Scope,
  slice,
  type Tensor,
  tidy,
} from '../engine/index.ts';
import { median } from '../engine/internal.ts';
import type { ModelConfig } from '../ps3/model/config/config.ts';
import { PS3 } from '../ps3/model/ps3.ts';
import { type HostBatch, upload } from '../ps3/train/batches.ts';
import { type Batch, pretrainLoss, pretrainObjective } from '../ps3/train/loss.ts';
import { PRESETS, presetConfig } from '../ps3/train/presets.ts';
import { TrainingStep } from '../ps3/train/step.ts';
import type { BenchCase, Result, StepCosts } from './harness.ts';

const PRESET = PRESETS.small;
const B = PRESET.ps3.batch;
const VOCABULARY = 64;
const CONFIG = presetConfig(PRESET, VOCABULARY);
const { vision: VISION, text: TEXT } = CONFIG;
const IMAGE_PX = VISION.scalesPx[VISION.scalesPx.length - 1];
const LOW_TOKENS = VISION.gridSides[0] ** 2;

/** Operations of a transformer's matrix products: T tokens that attend to M. */
function transformerFlops(
  { width: D, mlpHidden: F }: { width: number; mlpHidden: number },
  depth: number,
  T: number,
  M: number,
): number {
  return depth * T * (2 * D * (4 * D + 2 * F) + 4 * M * D);
}

/** Patches become tokens by a product with 3 P P x D numbers. */
const embedFlops = (T: number): number => 2 * T * 3 * VISION.patchPx ** 2 * VISION.width;

const LOW_FLOPS =
  B * (embedFlops(LOW_TOKENS) + transformerFlops(VISION, VISION.depth, LOW_TOKENS, LOW_TOKENS));
const LOOK_FLOPS =
  B *
  (embedFlops(VISION.maxSelect) +
    transformerFlops(VISION, VISION.depth, VISION.maxSelect, LOW_TOKENS + VISION.maxSelect));
const TEXT_FLOPS = B * transformerFlops(TEXT, TEXT.layers, TEXT.contextLength, TEXT.contextLength);

function randomImages(): Uint8Array {
  const random = new Random(1, 1);
  return Uint8Array.from({ length: B * IMAGE_PX * IMAGE_PX * 4 }, () => random.integer(256));
}

/** The last image of the batch, alone. */
function lastImage(engine: Engine, images: Uint8Array): Tensor {
  return engine.tensor(images.subarray((B - 1) * IMAGE_PX * IMAGE_PX * 4), [1, IMAGE_PX, IMAGE_PX, 4]);
}

function createModel(engine: Engine, config: ModelConfig): PS3 {
  return PS3.create(engine, config, 1, { layerScale: 0.1 });
}

/** Largest difference between the end of `out` and the end of `alone`, over `count` numbers; NaN when all are zero. */
async function tailError(out: Result, alone: Result, count: number): Promise<number> {
  const [got, want] = [await out.data(), await alone.data()];
  let worst = 0;
  let largest = 0;
  for (let i = 1; i <= count; i++) {
    worst = Math.max(worst, Math.abs(got[got.length - i] - want[want.length - i]));
    largest = Math.max(largest, Math.abs(want[want.length - i]));
  }
  return largest > 0 ? worst : Number.NaN;
}

const lowResCase: BenchCase = {
  op: 'model: low-res pass',
  shape: `${PRESET.preset}, ${B} of ${VISION.scalesPx[0]}px`,
  flops: LOW_FLOPS,
  quick: true,
  clock: 'wall',
  prepare: (engine) => {
    const images = randomImages();
    const image = engine.tensor(images, [B, IMAGE_PX, IMAGE_PX, 4]);
    const model = createModel(engine, CONFIG);
    const pass = (image: Tensor): Tensor =>
      noGrad(() => tidy([image], (inner) => model.vision.lowRes(inner).hidden[0]));
    return {
      run: () => pass(image),
      maxError: (out) => tailError(out, pass(lastImage(engine, images)), LOW_TOKENS * VISION.width),
      dispose: () => model.dispose(),
    };
  },
};

const lookCase: BenchCase = {
  op: 'model: one look',
  shape: `${PRESET.preset}, ${B} of ${VISION.maxSelect} patches`,
  flops: LOOK_FLOPS,
  quick: true,
  clock: 'wall',
  prepare: (engine) => {
    const images = randomImages();
    const image = engine.tensor(images, [B, IMAGE_PX, IMAGE_PX, 4]);
    const model = createModel(engine, CONFIG);
    const { vision } = model;
    const grids = vision.grids(image);
    const lowRes = noGrad(() => vision.lowRes(image));
    const maps = noGrad(() => vision.maps(vision.selectionFeatures(image, lowRes), grids));
    const [counts] = vision.plan(grids, { looks: 1 });
    return {
      run: () =>
        noGrad(() =>
          tidy(
            [image, ...maps.probs],
            (image, ...probs) => vision.look(image, lowRes, { ...maps, probs }, grids, counts).tokens,
          ),
        ),
      maxError: (out) => {
        // The same patches, since the last bits of a saliency may depend on the batch.
        const selection = vision.choose(maps, counts).map(({ map }, i) => ({
          map: slice(map, { axis: 0, start: B - 1, length: 1 }),
          count: counts[i],
        }));
        const alone = noGrad(() => vision.forward(lastImage(engine, images), { selection }));
        return tailError(out, alone.lastHiddenState, VISION.maxSelect * VISION.width);
      },
      dispose: () => model.dispose(),
    };
  },
};

/** A batch of random images, boxes and captions, its samples in this order; every fourth is global. */
function randomBatch(order: readonly number[]): HostBatch<Batch> {
  const images = randomImages();
  const random = new Random(1, 2);
  const side = VISION.gridSides[VISION.gridSides.length - 1];
  const samples = Array.from({ length: B }, (_, i) => {
    const isGlobal = i % 4 === 0;
    const [left, top] = [random.integer(side - 3), random.integer(side - 3)];
    const box = Float32Array.from({ length: side * side }, (_, cell) => {
      const [x, y] = [cell % side, Math.floor(cell / side)];
      return Number(isGlobal || (x >= left && x < left + 3 && y >= top && y < top + 3));
    });
    const ids = Int32Array.from({ length: TEXT.contextLength }, () => random.integer(VOCABULARY));
    const image = images.subarray(i * IMAGE_PX * IMAGE_PX * 4, (i + 1) * IMAGE_PX * IMAGE_PX * 4);
    return { isGlobal, box, ids, image };
  });
  const ordered = order.map((i) => samples[i]);
  const floats = (of: (sample: (typeof samples)[number]) => Iterable<number>): Float32Array =>
    Float32Array.from(ordered.flatMap((sample) => [...of(sample)]));
  const rgba = new Uint8Array(images.length);
  ordered.forEach(({ image }, i) => {
    rgba.set(image, i * image.length);
  });
  const box = { data: floats((sample) => sample.box), shape: [B, side, side] };
  return {
    image: { data: rgba, shape: [B, IMAGE_PX, IMAGE_PX, 4] },
    ids: {
      data: Int32Array.from(ordered.flatMap(({ ids }) => [...ids])),
      shape: [B, TEXT.contextLength],
    },
    box,
    allBoxes: box,
    isGlobal: { data: floats(({ isGlobal }) => [Number(isGlobal)]), shape: [B, 1] },
    isLocal: { data: floats(({ isGlobal }) => [Number(!isGlobal)]), shape: [B] },
  };
}

/** Steps before the host's part is measured: after them, everything is made. */
const WARM_STEPS = 3;
const HOST_STEPS = 10;

/** What the host does in a step of the trainer, which replays what it recorded, on a batch from host memory. */
async function stepCosts(engine: Engine, host: HostBatch<Batch>): Promise<StepCosts> {
  using model = createModel(engine, CONFIG);
  using optimizer = new AdamW(model.parameters, { lr: 0, maxNorm: 1 });
  const objective = pretrainObjective(model);
  using training = new TrainingStep<Batch>(engine, model, objective, host, optimizer);
  const steps: { readonly stepMs: number; readonly hostMs: number }[] = [];
  let before = engine.stats();
  for (let step = 0; step < WARM_STEPS + HOST_STEPS; step++) {
    if (step === WARM_STEPS) before = engine.stats();
    const started = performance.now();
    const { values } = await training.run(host);
    const hostMs = performance.now() - started;
    await values;
    if (step >= WARM_STEPS) steps.push({ stepMs: performance.now() - started, hostMs });
  }
  const after = engine.stats();
  return {
    recordedStepMs: median(steps.map(({ stepMs }) => stepMs)),
    hostMs: median(steps.map(({ hostMs }) => hostMs)),
    buffersPerStep: (after.buffersCreated - before.buffersCreated) / HOST_STEPS,
    bindGroupsPerStep: (after.bindGroupsCreated - before.bindGroupsCreated) / HOST_STEPS,
  };
}

/** The same batch through handles of a scope, so that what is computed from it lives there. */
function inScope(batch: Batch, scope: Scope): Batch {
  const { image, ids, box, allBoxes, isGlobal, isLocal } = batch;
  return {
    image: image.in(scope),
    ids: ids.in(scope),
    box: box.in(scope),
    allBoxes: allBoxes?.in(scope),
    isGlobal: isGlobal.in(scope),
    isLocal: isLocal.in(scope),
  };
}

/** Forward, backward and AdamW on a batch that lies on the GPU; a rate of 0 keeps the weights. */
const trainingCase: BenchCase = {
  op: 'model: training step',
  shape: `${PRESET.preset}, batch ${B}`,
  flops: 3 * (LOW_FLOPS + LOOK_FLOPS + TEXT_FLOPS),
  quick: true,
  clock: 'wall',
  // Relative: the order of samples changes the order of sums.
  tolerance: 1e-3,
  prepare: (engine) => {
    const model = createModel(engine, CONFIG);
    const optimizer = new AdamW(model.parameters, { lr: 0, maxNorm: 1 });
    const inOrder = Array.from({ length: B }, (_, i) => i);
    const host = randomBatch(inOrder);
    const scope = engine.scope();
    const batch = upload(engine, host, scope);
    const step = (batch: Batch): Tensor => {
      using scope = engine.scope();
      backward(pretrainLoss(model, inScope(batch, scope)).losses.total);
      optimizer.step();
      model.clampLogitScale();
      const norm = output([optimizer.gradNormSquared], [1]);
      norm.write(optimizer.gradNormSquared);
      return norm;
    };
    return {
      run: () => step(batch),
      // The norm of all gradients does not depend on the order of the samples.
      maxError: async (out) => {
        const [got] = await out.data();
        using other = engine.scope();
        using reversed = step(upload(engine, randomBatch(inOrder.toReversed()), other));
        const [want] = await reversed.data();
        return want > 0 ? Math.abs(got - want) / want : Number.NaN;
      },
      stepCosts: () => stepCosts(engine, host),
      dispose: () => {
        scope.dispose();
        optimizer.dispose();
        model.dispose();
      },
    };
  },
};

export const cases: BenchCase[] = [lowResCase, lookCase, trainingCase];
