// What a trained model can do on scenes that it has not seen.
import {
  type Engine,
  expectKeys,
  l2Normalize,
  matmul,
  noGrad,
  Random,
  type Scope,
  type Tensor,
} from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { type Box, boxCells, exactGridSide } from '../data/boxes.ts';
import { total } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { captionIds } from './batch_loader.ts';

/** Averages over all boxes of the samples. */
export interface Evaluation {
  /** Boxes asked about. */
  readonly boxes: number;
  /** Captions that one is picked from. */
  readonly candidates: number;
  /** Share of boxes whose own caption scores highest: pooled from low-res tokens in the box, and from PS3's patches in it. */
  readonly retrieval: { readonly lowRes: number; readonly ps3: number };
  /** Mean share of a box's patches that one look takes. */
  readonly recall: { readonly random: number; readonly bottomUp: number; readonly topDown: number };
  /** Share of all high-res patches that one look takes. */
  readonly budgetShare: number;
}

/** One question: a box of an image, its caption and other captions. */
interface Question {
  readonly sample: Sample;
  readonly box: Box;
  /** The right one first. */
  readonly captions: string[];
}

const BATCH = 16;

/** What `evaluate` asks. */
export interface EvaluateOptions {
  /** Captions to choose among, at most the number of different ones there are; default 32. */
  readonly candidates?: number;
  /** Decides which captions, and the patches of the random selection; default 1. */
  readonly seed?: number;
  /** After every batch: boxes done, and how many there are. */
  readonly onProgress?: (done: number, all: number) => void;
}

const EVALUATE_OPTIONS = { candidates: true, seed: true, onProgress: true } as const;

/**
 * Local retrieval and patch recall over every box of the samples.
 *
 * @param samples  not trained on; sides are the model's largest scale
 * @throws ShapeError for unknown options
 */
export async function evaluate(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  expectKeys('evaluate', options, EVALUATE_OPTIONS);
  const { candidates = 32, seed = 1, onProgress } = options;
  const captions = [...new Set(samples.flatMap((sample) => sample.captions))].sort();
  const choices = Math.min(candidates, captions.length);
  const random = new Random(seed, 0);
  const questions: Question[] = samples.flatMap((sample) =>
    sample.boxes.map((box, i) => {
      const right = sample.captions[i];
      const others = random.shuffle(captions.filter((caption) => caption !== right)).slice(0, choices - 1);
      return { sample, box, captions: [right, ...others] };
    }),
  );
  using kept = engine.scope();
  const text = noGrad(() => model.encodeText(captionIds(engine, model.tokenizer, captions, kept)));
  const index = new Map(captions.map((caption, i) => [caption, i]));
  const totals = { lowRes: 0, ps3: 0, random: 0, bottomUp: 0, topDown: 0 };
  let budgetShare = 0;
  for (let start = 0; start < questions.length; start += BATCH) {
    using scope = engine.scope();
    const batch = questions.slice(start, start + BATCH);
    const seen = await look(engine, model, batch, text.features, scope);
    const drawn = randomMaps(seen.counts, model, batch.length, random);
    batch.forEach(({ captions: asked, box, sample }, b) => {
      const wins = (scores: Float32Array): boolean => {
        const own = scores[b * captions.length + index.get(asked[0])!];
        return asked.slice(1).every((other) => scores[b * captions.length + index.get(other)!] < own);
      };
      totals.lowRes += Number(wins(seen.lowRes));
      totals.ps3 += Number(wins(seen.ps3));
      const share = (maps: Float32Array[]): number => recallOf(maps, b, box, sample.side, model);
      totals.bottomUp += share(seen.bottomUp);
      totals.topDown += share(seen.topDown);
      totals.random += share(drawn);
    });
    budgetShare =
      total(seen.counts) / total(model.config.vision.gridSides.slice(1).map((side) => side * side));
    onProgress?.(Math.min(start + BATCH, questions.length), questions.length);
  }
  const mean = (sum: number): number => sum / questions.length;
  return {
    boxes: questions.length,
    candidates: choices,
    retrieval: { lowRes: mean(totals.lowRes), ps3: mean(totals.ps3) },
    recall: { random: mean(totals.random), bottomUp: mean(totals.bottomUp), topDown: mean(totals.topDown) },
    budgetShare,
  };
}

interface Seen {
  /** Cosines [B, captions] of the low-res feature of the box, and of PS3's. */
  readonly lowRes: Float32Array;
  readonly ps3: Float32Array;
  /** Selection maps per scale, [B, Y * X]. */
  readonly bottomUp: Float32Array[];
  readonly topDown: Float32Array[];
  readonly counts: number[];
}

/** Runs the model on a batch of questions. */
async function look(
  engine: Engine,
  model: PS3,
  batch: readonly Question[],
  captionFeatures: Tensor<'f32'>,
  scope: Scope,
): Promise<Seen> {
  const { vision } = model;
  const { gridSides } = model.config.vision;
  const exact = exactGridSide(gridSides, batch[0].sample.side);
  const outputs = noGrad(() => {
    const image = imageBatch(
      engine,
      batch.map(({ sample }) => sample),
      scope,
    );
    const maskAt = (side: number): Tensor<'f32'> => {
      const mask = new Float32Array(batch.length * side * side);
      for (const [b, { box, sample }] of batch.entries())
        mask.set(boxCells([box], sample.side, side), b * side * side);
      return engine.tensor(mask, [batch.length, side, side], { scope });
    };
    const grids = vision.grids(image);
    const lowRes = vision.lowRes(image);
    const features = vision.selectionFeatures(image, lowRes);
    const { prompt } = model.encodeText(
      captionIds(
        engine,
        model.tokenizer,
        batch.map(({ captions }) => captions[0]),
        scope,
      ),
    );
    const maps = vision.maps(features, grids, { prompt });
    const [counts] = vision.plan(grids, { looks: 1 });
    const choose = (probs: Tensor<'f32'>[]): Tensor<'f32'>[] =>
      vision.choose({ ...maps, probs }, counts).map(({ map }) => map);
    const low = vision.pool(
      lowRes.hidden[lowRes.hidden.length - 1],
      maskAt(gridSides[0]).reshape([batch.length, gridSides[0] ** 2]),
    );
    // Without the prompt: what fills the look up beside the box must not come from the right caption.
    const { pooled } = vision.pretrain(image, { groundTruth: maskAt(exact) });
    const scores = (pooledFeature: Tensor<'f32'>): Tensor<'f32'> =>
      matmul(l2Normalize(pooledFeature), captionFeatures, { transposeB: true });
    return {
      low: scores(low),
      ps3: scores(pooled),
      bottomUp: choose(maps.bottomUp),
      topDown: choose(maps.topDown!),
      counts,
    };
  });
  const read = async (tensors: readonly Tensor<'f32'>[]): Promise<Float32Array[]> =>
    Promise.all(tensors.map((tensor) => tensor.data()));
  const [lowRes, ps3] = await read([outputs.low, outputs.ps3]);
  return {
    lowRes,
    ps3,
    bottomUp: await read(outputs.bottomUp),
    topDown: await read(outputs.topDown),
    counts: outputs.counts,
  };
}

/** Images of one side as a batch, [B, S, S, 4] u8. */
export function imageBatch(engine: Engine, samples: readonly Sample[], scope: Scope): Tensor<'u8'> {
  const { side } = samples[0];
  const rgba = new Uint8Array(samples.length * side * side * 4);
  for (const [i, { rgba: pixels }] of samples.entries()) rgba.set(pixels, i * side * side * 4);
  return engine.tensor(rgba, [samples.length, side, side, 4], { scope });
}

/** Share of the box's patches, over all high-res scales, that the maps select. */
export function recallOf(
  maps: readonly Float32Array[],
  b: number,
  box: Box,
  side: number,
  model: PS3,
): number {
  let wanted = 0;
  let taken = 0;
  model.config.vision.gridSides.slice(1).forEach((grid, scale) => {
    const cells = boxCells([box], side, grid);
    cells.forEach((cell, i) => {
      if (cell === 0) return;
      wanted++;
      taken += maps[scale][b * grid * grid + i];
    });
  });
  return taken / wanted;
}

/** Selection maps of a look that draws its patches evenly. */
function randomMaps(counts: readonly number[], model: PS3, B: number, random: Random): Float32Array[] {
  return counts.map((count, scale) => {
    const cells = model.config.vision.gridSides[scale + 1] ** 2;
    const map = new Float32Array(B * cells);
    for (let b = 0; b < B; b++) {
      const order = random.shuffle(Uint32Array.from({ length: cells }, (_, i) => i));
      for (let i = 0; i < count; i++) map[b * cells + order[i]] = 1;
    }
    return map;
  });
}
