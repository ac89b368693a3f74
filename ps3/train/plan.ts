// What training needs, without training: parameters, memory, operations and an estimate of the time.
import {
  AdamW,
  type Arena,
  backward,
  type DeviceLimits,
  type Engine,
  matmul,
  noGrad,
  type Scope,
  sigmoidContrastive,
  type Tensor,
} from '../../engine/index.ts';
import { tiledFeatures } from '../model/baselines/tiled.ts';
import type { ModelConfig } from '../model/config/config.ts';
import { PS3 } from '../model/ps3.ts';
import type { VisionModel } from '../model/vision/vision.ts';
import type { StageConfig, TrainConfig } from './config.ts';
import { cropFeatures } from './crop_features.ts';
import { lockOf } from './lock.ts';
import { type Batch, baselineObjective, pretrainLoss } from './loss.ts';
import { EmptyBatches } from './plan_batches.ts';
import { withPrecision } from './precision.ts';
import { type CropBatch, towersLoss } from './towers.ts';

/** What one step of a stage needs. */
export interface StepNeed {
  /** Highest bytes on the GPU; what is above weights, gradients and moments are activations and what kernels need. */
  readonly peakBytes: number;
  /** Of the largest operand, which a device must be able to bind. */
  readonly largestBindingBytes: number;
  /** Of the largest parameter or run of small ones that the optimizer binds, whatever the batch. */
  readonly parameterBindingBytes: number;
  /** Floating-point operations by part of the forward pass, of backward with what it runs again, and of the update. */
  readonly flops: Readonly<Record<string, number>>;
  /** Sum of `flops`. */
  readonly totalFlops: number;
}

/** What a run needs. */
export interface TrainingNeed {
  /** Number of parameters. */
  readonly parameters: number;
  /** Number of those that are trained. */
  readonly trainedParameters: number;
  /** Bytes of the weights. */
  readonly weightsBytes: number;
  /** Bytes of the trained weights: of the gradients too, and twice that of AdamW's moments. */
  readonly trainedBytes: number;
  /** Bytes of their running means, where `optimizer.averageDecay` asks for them; else 0. */
  readonly averagesBytes: number;
  /** Of the stage of plain towers, if it takes steps. */
  readonly towers: StepNeed | undefined;
  /** Of the stage of the whole model, if it takes steps. */
  readonly ps3: StepNeed | undefined;
}

/**
 * Goes through a step of both stages without running or allocating anything.
 *
 * @param limits  of the device to plan for; default: the engine's
 * @throws MemoryError for an operand beyond the limits that no op splits
 */
export function planTraining(
  engine: Engine,
  model: ModelConfig,
  config: TrainConfig,
  limits?: DeviceLimits,
): TrainingNeed {
  const { lossScale, products } = config.precision;
  // Without units only the operations and what is kept can be told, which are the same.
  const precision = { ...config.precision, products: engine.target.matrixUnit ? products : 'f32' } as const;
  const { averageDecay } = config.optimizer;
  const isLocked = lockOf(config.lock);
  const before = engine.stats().liveBytes;
  const sizes = { parameters: 0, trainedParameters: 0, weightsBytes: 0, trainedBytes: 0, averagesBytes: 0 };
  const plan = (work: (model: PS3, scope: Scope) => void) =>
    engine.plan(
      () => {
        using made = PS3.allocate(engine, model, { isLocked });
        made.checkpointBlocks = config.checkpointBlocks;
        const { parameters } = made;
        const bytesOf = (arenas: readonly Arena[]): number =>
          arenas.reduce((sum, { values }) => sum + values.sizeBytes, 0);
        sizes.parameters = parameters.elementCount;
        sizes.trainedParameters = parameters.trainedNames.reduce(
          (sum, name) => sum + parameters.get(name).size,
          0,
        );
        sizes.weightsBytes = bytesOf(parameters.arenas);
        sizes.trainedBytes = bytesOf(parameters.arenas.filter(({ isLocked }) => !isLocked));
        sizes.averagesBytes = averageDecay === null ? 0 : sizes.trainedBytes;
        using scope = engine.scope();
        work(made, scope);
        return undefined;
      },
      { limits },
    );
  const flops = (work: (model: PS3, scope: Scope) => void): number =>
    plan((model, scope) => noGrad(() => work(model, scope))).flops;
  const step = (
    { accumulate }: StageConfig,
    parts: Record<string, number>,
    loss: (model: PS3, scope: Scope) => Tensor,
  ): StepNeed => {
    const optimise = (model: PS3, work: (lossScale?: Tensor<'f32'>) => void): void => {
      using optimizer = new AdamW(model.parameters, { lossScale, averageDecay });
      work(optimizer.lossScale);
      optimizer.step();
      optimizer.updateAverages();
    };
    const update = plan((model) => optimise(model, () => undefined));
    const whole = plan((model, scope) =>
      optimise(model, (lossScale) => {
        const descended = withPrecision(precision, () => loss(model, scope));
        using seed = lossScale?.reshape(descended.shape);
        backward(descended, { seed });
      }),
    );
    const forwardFlops = Object.values(parts).reduce((sum, part) => sum + part, 0);
    // Parts of a batch are embedded once more before they are descended.
    const backwardFlops = whole.flops - forwardFlops - update.flops + (accumulate > 1 ? forwardFlops : 0);
    const byPart: Record<string, number> = { ...parts, backward: backwardFlops };
    for (const part of Object.keys(byPart)) byPart[part] *= accumulate;
    byPart.optimizer = update.flops;
    return {
      peakBytes: whole.peakBytes - before,
      largestBindingBytes: whole.largestBindingBytes,
      parameterBindingBytes: update.largestBindingBytes,
      flops: byPart,
      totalFlops: Object.values(byPart).reduce((sum, part) => sum + part, 0),
    };
  };
  const empty = new EmptyBatches(engine, model, config);
  const crops = (scope: Scope): CropBatch => empty.crops(scope);
  const images = (scope: Scope): Batch => empty.images(scope);
  const { window } = config.data;
  const seeing = ({ vision }: PS3): VisionModel =>
    window ? vision.window(window.cells, window.maxSelect) : vision;
  const text = (ids: (scope: Scope) => Pick<Batch, 'ids'>): number =>
    flops((model, scope) => model.encodeText(ids(scope).ids));
  const towers = (): StepNeed =>
    step(
      config.towers,
      {
        'low-res pass': flops((model, scope) => cropFeatures(model, crops(scope))),
        text: text(crops),
      },
      (model, scope) => towersLoss(model, crops(scope)),
    );
  const ps3 = (): StepNeed => {
    const looking = (looks: number): number =>
      flops((model, scope) => {
        seeing(model).forward(images(scope).image, { looks });
      });
    const lowRes = flops((model, scope) => seeing(model).lowRes(images(scope).image));
    const [select, look] = [looking(0), looking(1)];
    const parts = {
      'low-res pass': lowRes,
      selection: select - lowRes,
      'high-res pass': look - select,
      text: text(images),
    };
    const { baseline } = config;
    if (baseline)
      return step(
        config.ps3,
        {
          tiles: flops((model, scope) => {
            const { image, box } = images(scope);
            tiledFeatures(model.vision, image as Tensor<'u8'>, box, baseline);
          }),
          text: text(images),
        },
        (model, scope) => {
          const { imageFeatures, textFeatures } = baselineObjective(model, baseline).embed(images(scope));
          return sigmoidContrastive(imageFeatures, textFeatures, model.logitScale, model.logitBias);
        },
      );
    const { cross } = config.loss;
    return step(
      config.ps3,
      parts,
      (model, scope) => pretrainLoss(model, images(scope), { cross, window }).losses.total,
    );
  };
  const stages = {
    towers: config.towers.steps > 0 ? towers() : undefined,
    ps3: config.ps3.steps > 0 ? ps3() : undefined,
  };
  return { ...sizes, ...stages };
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
