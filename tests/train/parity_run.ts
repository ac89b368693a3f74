// The run that tests/fixtures/torch/ps3_train.py makes in PyTorch, on our trainer: same start, same batches, same order.
import { AdamW, openSafetensors, warmupCosine } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import { type Box, boxCells, exactGridSide } from '../../ps3/data/boxes.ts';
import { GROUPS } from '../../ps3/model/core.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import type { HostBatch } from '../../ps3/train/batches.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import type { Batch } from '../../ps3/train/loss.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { TrainingStep } from '../../ps3/train/step.ts';
import { ps3Objective } from '../../ps3/train/train.ts';
import { engine, random } from '../harness.ts';

const [SIDE, BATCH, IMAGES, CONTEXT, VOCABULARY] = [112, 8, 24, 6, 16];
const COLOURS = [
  [220, 30, 30],
  [20, 200, 40],
  [30, 60, 230],
  [230, 220, 20],
];
/** Losses of a step, as the fixture has them. */
const NAMES = ['contrastive', 'bottomUp', 'topDown'] as const;

/** Steps of the fixture. */
export const PARITY_STEPS = 200;

/** A recipe of the paper at sixty times its rate, which moves every loss in so few steps. */
function configOf(recipe: 'paper' | 'released', set: readonly string[]): TrainConfig {
  const ps3 = `ps3={"steps":${PARITY_STEPS},"batch":${BATCH},"lr":3e-4,"warmup":20}`;
  const model = `model={"depth":3,"contextLength":${CONTEXT}}`;
  return trainConfig({ preset: 'smoke', recipe, set: [ps3, model, ...set] });
}

interface Made {
  readonly rgba: Uint8Array;
  readonly boxes: readonly Box[];
  readonly colours: readonly number[];
}

/** Noise with two filled boxes of 30 to 61 pixels. */
const MADE = Array.from({ length: IMAGES }, (_, i): Made => {
  const noise = random(SIDE * SIDE * 3, 5000 + i);
  const rgba = Uint8Array.from({ length: SIDE * SIDE * 4 }, (_, at) =>
    at % 4 === 3 ? 255 : Math.floor((noise[3 * Math.floor(at / 4) + (at % 4)] + 1) * 32) + 96,
  );
  const numbers = random(10, 6000 + i).map((number) => Math.floor((number + 1) * 16));
  const drawn = [0, 1].map((j) => {
    const [x, y, width, height, colour] = numbers.subarray(5 * j);
    const top = y + 50 * j;
    const box = [x, top, x + 30 + width, top + 30 + height].map((edge) => Math.min(edge, SIDE)) as Box;
    for (let v = box[1]; v < box[3]; v++)
      for (let u = box[0]; u < box[2]; u++) rgba.set(COLOURS[colour % 4], 4 * (v * SIDE + u));
    return { box, colour: colour % 4 };
  });
  return { rgba, boxes: drawn.map(({ box }) => box), colours: drawn.map(({ colour }) => colour) };
});

function batchOf(step: number, gridSide: number): HostBatch<Batch> {
  const samples = Array.from({ length: BATCH }, (_, j) => {
    const { rgba, boxes, colours } = MADE[(step + 3 * j) % IMAGES];
    const isGlobal = (7 * step + 3 * j) % 4 === 0;
    const box = (step + j) % 2;
    const words = isGlobal ? [2 + colours[0], 2 + colours[1]] : [2 + colours[box], 6 + 2 * box];
    const whole: Box[] = [[0, 0, SIDE, SIDE]];
    return {
      rgba,
      ids: [...words, ...new Array<number>(CONTEXT - 2).fill(1)],
      box: boxCells(isGlobal ? whole : [boxes[box]], SIDE, gridSide),
      allBoxes: boxCells(isGlobal ? whole : boxes, SIDE, gridSide),
      isGlobal,
    };
  });
  const maps = [BATCH, gridSide, gridSide];
  const numbers = (of: (sample: (typeof samples)[number]) => Iterable<number>): number[] =>
    samples.flatMap((sample) => [...of(sample)]);
  return {
    image: { data: Uint8Array.from(numbers(({ rgba }) => rgba)), shape: [BATCH, SIDE, SIDE, 4] },
    ids: { data: Int32Array.from(numbers(({ ids }) => ids)), shape: [BATCH, CONTEXT] },
    box: { data: Float32Array.from(numbers(({ box }) => box)), shape: maps },
    allBoxes: { data: Float32Array.from(numbers(({ allBoxes }) => allBoxes)), shape: maps },
    isGlobal: { data: Float32Array.from(samples, ({ isGlobal }) => Number(isGlobal)), shape: [BATCH, 1] },
    isLocal: { data: Float32Array.from(samples, ({ isGlobal }) => Number(!isGlobal)), shape: [BATCH] },
  };
}

/** The formula's weights, in the order of their names. */
function writeStart(model: PS3): void {
  const { parameters } = model;
  for (const [index, name] of [...parameters.names].sort().entries()) {
    const tensor = parameters.get(name);
    const { shape, size } = tensor;
    const numbers = random(size, 1000 + index);
    const fanIn = shape.slice(1).reduce((product, extent) => product * extent, 1);
    const rule = (): ((number: number) => number) => {
      if (name === 'logit_scale') return () => Math.log(10);
      if (name === 'logit_bias') return () => -10;
      if (name.includes('.pos_emb_residual.')) return () => 0;
      if (shape.length >= 2) return (number) => number * 2 ** -Math.round(0.5 * Math.log2(fanIn / 3));
      if (name.endsWith('bias')) return (number) => number * 2 ** -6;
      if (/highres_selection_feature_module\.blocks\.\d+\.weight$/.test(name)) return () => 1e-6;
      return name.endsWith('weight') ? () => 1 : (number) => number;
    };
    tensor.write(Float32Array.from(numbers, rule()));
  }
}

/** What the tokenizer and the loader of an objective are made from; its batches are not used. */
const UNUSED: Sample = {
  key: '',
  side: SIDE,
  rgba: MADE[0].rgba,
  boxes: [[0, 0, 9, 9]],
  captions: ['a'],
  globalCaption: 'a',
};

/** Losses of the first steps: contrastive, bottom-up and top-down, one after another. */
export async function parityRun(
  recipe: 'paper' | 'released',
  steps: number,
  set: readonly string[] = [],
): Promise<Float64Array> {
  const config = configOf(recipe, set);
  const { weightDecay, ...constants } = config.optimizer;
  const tokenizer = buildWordTokenizer(['a'], { contextLength: CONTEXT });
  const modelConfig = presetConfig(config, VOCABULARY);
  using model = PS3.allocate(engine, modelConfig, { tokenizer });
  model.checkpointBlocks = config.checkpointBlocks;
  writeStart(model);
  using optimizer = new AdamW(model.parameters, {
    ...constants,
    lossScale: config.precision.lossScale,
    weightDecay: GROUPS.map(({ decay }) => (decay ? weightDecay : 0)),
  });
  const objective = ps3Objective(model, new Array<Sample>(BATCH).fill(UNUSED), config);
  const gridSide = exactGridSide(modelConfig.vision.gridSides, SIDE);
  const { maxLogitScale } = config.loss;
  using training = new TrainingStep(engine, model, objective, batchOf(0, gridSide), optimizer, {
    maxLogitScale,
  });
  const { lr: peak, warmup } = config.ps3;
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    optimizer.set({ lr: warmupCosine(step, { steps: PARITY_STEPS, warmup, peak }) });
    const { values } = await training.run(batchOf(step, gridSide));
    const read = await values;
    losses.push(...NAMES.map((name) => read[name]));
  }
  return Float64Array.from(losses);
}

/** Throws where a loss is further from PyTorch's than `tolerance`, relative to it. @returns the largest such difference */
export async function compareWithTorch(
  recipe: 'paper' | 'released',
  got: Float64Array,
  tolerance: number,
  first = 0,
): Promise<number> {
  const url = new URL('../fixtures/torch/ps3_train.safetensors', import.meta.url);
  const file = await openSafetensors(url.protocol === 'file:' ? url : await (await fetch(url)).blob());
  const want = await file.f32(recipe);
  let largest = 0;
  for (let i = first * NAMES.length; i < got.length; i++) {
    const difference = Math.abs(got[i] / want[i] - 1);
    if (!(difference <= tolerance))
      throw new Error(
        `${recipe}: ${NAMES[i % 3]} of step ${Math.floor(i / 3)}: got ${got[i]}, want ${want[i]}, off by ${difference} of it`,
      );
    largest = Math.max(largest, difference);
  }
  return largest;
}
