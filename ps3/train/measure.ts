// What a step of training costs on this machine, without learning anything.
import { AdamW, type DispatchTime, type Engine } from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';
import { firstBatch } from './batches.ts';
import type { Objective, Tensors } from './phases.ts';
import { type StepOptions, TrainingStep } from './step.ts';

/** Milliseconds that a step takes on this machine, once its kernels are compiled. Nothing is learned. */
export async function measureStep<B extends Tensors<B>>(
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  options: StepOptions = {},
): Promise<number> {
  const times: number[] = [];
  using optimizer = new AdamW(model.parameters, { lr: 0 });
  const host = await firstBatch(objective.batches);
  using training = new TrainingStep(engine, model, objective, host, optimizer, options);
  for (let step = 0; step < 6; step++) {
    const started = performance.now();
    const { values } = await training.run(host);
    await values;
    times.push(performance.now() - started);
  }
  return Math.min(...times.slice(-3)); // whatever else the machine does only adds to it
}

/**
 * GPU time of every dispatch of one training step, optimizer included, once kernels are compiled and buffers made. Changes
 * neither weights nor gradients.
 *
 * @throws UseError unless the engine was made with `profile: true`
 */
export async function profileStep<B extends Tensors<B>>(
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  options: StepOptions = {},
): Promise<DispatchTime[]> {
  using optimizer = new AdamW(model.parameters, { lr: 0, maxNorm: 1 });
  const host = await firstBatch(objective.batches);
  using training = new TrainingStep(engine, model, objective, host, optimizer, options);
  for (let step = 0; step < 3; step++) {
    await engine.dispatchTimes();
    const { values } = await training.run(host);
    await values;
  }
  return await engine.dispatchTimes();
}
