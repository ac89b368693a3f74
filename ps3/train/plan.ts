// What training needs, without training: parameters, memory, operations and an estimate of the time.
import {
  AdamW,
  backward,
  type Engine,
  matmul,
  noGrad,
  type Scope,
  withSavedActivations,
} from '../../engine/index.ts';
import { exactGridSide } from '../data/boxes.ts';
import type { ModelConfig } from '../model/config/config.ts';
import { PS3 } from '../model/ps3.ts';
import type { TrainConfig } from './config.ts';
import { type Batch, pretrainLoss } from './loss.ts';
import { type CropBatch, towersLoss } from './towers.ts';

/** What one step of a stage needs. */
export interface StepNeed {
  /** Highest bytes on the GPU; what is above weights, gradients and moments are activations and what kernels need. */
  readonly peakBytes: number;
  /** Of the largest operand, which a device must be able to bind. */
  readonly largestBindingBytes: number;
  /** Floating-point operations by part of the forward pass, and of everything after it. */
  readonly flops: Readonly<Record<string, number>>;
  /** Sum of `flops`. */
  readonly totalFlops: number;
}

/** What a run needs. */
export interface TrainingNeed {
  /** Number of trained parameters. */
  readonly parameters: number;
  /** Bytes of the weights; of the gradients too, and twice that of AdamW's moments. */
  readonly weightsBytes: number;
  /** Of the stage of plain towers. */
  readonly towers: StepNeed;
  /** Of the stage of the whole model. */
  readonly ps3: StepNeed;
}

/** Goes through a step of both stages without running or allocating anything. */
export function planTraining(engine: Engine, model: ModelConfig, config: TrainConfig): TrainingNeed {
  let parameters = 0;
  let weightsBytes = 0;
  const { activations } = config.precision;
  const before = engine.stats().liveBytes;
  const plan = (work: (model: PS3, scope: Scope) => void) =>
    engine.plan(() => {
      using made = PS3.allocate(engine, model);
      made.checkpointBlocks = config.checkpointBlocks;
      parameters = made.parameters.elementCount;
      weightsBytes = made.parameters.arenas.reduce((sum, { values }) => sum + values.sizeBytes, 0);
      using scope = engine.scope();
      work(made, scope);
      return undefined;
    });
  const flops = (work: (model: PS3, scope: Scope) => void): number =>
    plan((model, scope) => noGrad(() => work(model, scope))).flops;
  const step = (parts: Record<string, number>, work: (model: PS3, scope: Scope) => void): StepNeed => {
    const whole = plan((model, scope) => {
      using optimizer = new AdamW(model.parameters);
      work(model, scope);
      optimizer.step();
    });
    const forward = Object.values(parts).reduce((sum, part) => sum + part, 0);
    return {
      peakBytes: whole.peakBytes - before,
      largestBindingBytes: whole.largestBindingBytes,
      flops: { ...parts, 'backward and update': whole.flops - forward },
      totalFlops: whole.flops,
    };
  };
  const crops = (scope: Scope): CropBatch => {
    const batch = config.towers.batch / config.towers.accumulate;
    const side = model.vision.scalesPx[0];
    return {
      image: engine.empty([batch, side, side, 4], { dtype: 'u8', scope }),
      ids: engine.empty([batch, model.text.contextLength], { dtype: 'i32', scope }),
      classes: engine.empty([batch], { dtype: 'u32', scope }),
    };
  };
  const images = (scope: Scope): Batch => {
    const batch = config.ps3.batch / config.ps3.accumulate;
    const side = model.image.imagePx;
    const grid = exactGridSide(model.vision.gridSides, side);
    const map = () => engine.empty([batch, grid, grid], { scope });
    return {
      image: engine.empty([batch, side, side, 4], { dtype: 'u8', scope }),
      ids: engine.empty([batch, model.text.contextLength], { dtype: 'i32', scope }),
      box: map(),
      allBoxes: map(),
      isGlobal: engine.empty([batch, 1], { scope }),
      isLocal: engine.empty([batch], { scope }),
    };
  };
  const text = (ids: (scope: Scope) => Pick<Batch, 'ids'>): number =>
    flops((model, scope) => model.encodeText(ids(scope).ids));
  const low = (of: (scope: Scope) => Pick<Batch, 'image'>): number =>
    flops((model, scope) => model.vision.lowRes(of(scope).image));
  const look = flops((model, scope) => {
    const { image } = images(scope);
    model.vision.forward(image, { looks: 1 });
  });
  const select = flops((model, scope) => {
    const { image } = images(scope);
    model.vision.forward(image, { looks: 0 });
  });
  const lowRes = low(images);
  const towers = step({ 'low-res pass': low(crops), text: text(crops) }, (model, scope) =>
    backward(withSavedActivations(activations, () => towersLoss(model, crops(scope)))),
  );
  const ps3 = step(
    { 'low-res pass': lowRes, selection: select - lowRes, look: look - select, text: text(images) },
    (model, scope) =>
      backward(withSavedActivations(activations, () => pretrainLoss(model, images(scope))).losses.total),
  );
  return { parameters, weightsBytes, towers, ps3 };
}

/** Operations per second that the adapter reaches on a matrix product of 1024 x 1024 x 1024, the best of some runs. */
export async function measureFlopsPerS(engine: Engine): Promise<number> {
  const n = 1024;
  using a = engine.ones([n, n]);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 6; run++) {
    const started = performance.now();
    using c = matmul(a, a);
    await c.ready();
    best = Math.min(best, performance.now() - started);
  }
  return (2 * n ** 3) / (best / 1000);
}
