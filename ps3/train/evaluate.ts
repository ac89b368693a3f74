// What a trained model can do on scenes that it has not seen.
import { type Engine, expectKeys, noGrad, Random } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { type Box, boxCells } from '../data/boxes.ts';
import { randomSelection } from '../model/baselines/controls.ts';
import { total } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { captionIds } from './batch_loader.ts';
import { type AskedBox, askBoxes, type BoxAnswers, globalScores, imageBatch } from './evaluation/answers.ts';
import { type Estimate, ImageBootstrap } from './evaluation/intervals.ts';
import { locate } from './evaluation/located.ts';
import { type BoxRecord, type ImageRecord, type Protocols, protocolsOf } from './evaluation/protocols.ts';

/** An interval around an average. */
export type Interval = readonly [low: number, high: number];

/** Averages over all boxes of the samples. */
export interface Evaluation {
  /** Boxes asked about. */
  readonly boxes: number;
  /** Captions that one is picked from. */
  readonly candidates: number;
  /**
   * Share of boxes whose own caption scores highest: pooled from low-res tokens in the box; from PS3's patches in it, those
   * of the box selected first (teacher-forced); and from those of its patches that the model selects by itself, bottom-up.
   */
  readonly retrieval: { readonly lowRes: number; readonly ps3: number; readonly predicted: number };
  /** Mean share of a box's patches that one look takes. */
  readonly recall: { readonly random: number; readonly bottomUp: number; readonly topDown: number };
  /** Share of all high-res patches that one look takes. */
  readonly budgetShare: number;
  /** 95 % of draws of images anew are within. */
  readonly intervals: {
    readonly retrieval: Readonly<Record<'lowRes' | 'ps3' | 'predicted', Interval>>;
    readonly recall: Readonly<Record<'random' | 'bottomUp' | 'topDown', Interval>>;
  };
  /** More numbers, by the protocols that others use. */
  readonly protocols: Protocols;
}

/** One question: a box of an image, its caption and other captions. */
interface Question extends AskedBox {
  /** Index of the sample. */
  readonly image: number;
  /** Wrong captions to choose among. */
  readonly others: string[];
}

/** Boxes or images that the model is asked about at once, at most; and bytes that a binding holds on every adapter. */
const BATCH = 16;
const BINDING_BYTES = 2 ** 27;

/** Of one image the most is bound as it is given, in bytes, or as rows of pixels in f32 before the auxiliary encoder. */
function batchOf({ config }: PS3, samples: readonly Sample[]): number {
  const { auxEncoder } = config.vision;
  const rowBytes = auxEncoder ? 12 * auxEncoder.imagePx ** 2 : 0;
  const imageBytes = Math.max(rowBytes, ...samples.map(({ side }) => 4 * side * side));
  return Math.max(1, Math.min(BATCH, Math.floor(BINDING_BYTES / Math.max(1, imageBytes))));
}

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
  const questions: Question[] = samples.flatMap((sample, image) =>
    sample.boxes.map((box, i) => {
      const caption = sample.captions[i];
      const others = random.shuffle(captions.filter((other) => other !== caption)).slice(0, choices - 1);
      return { image, sample, box, caption, others };
    }),
  );
  using kept = engine.scope();
  const text = noGrad(() => model.encodeText(captionIds(engine, model.tokenizer, captions, kept)));
  const index = new Map(captions.map((caption, i) => [caption, i]));
  const answers = {
    lowRes: [] as number[],
    ps3: [] as number[],
    predicted: [] as number[],
    random: [] as number[],
    bottomUp: [] as number[],
    topDown: [] as number[],
  };
  const boxes: BoxRecord[] = [];
  let budgetShare = 0;
  const size = batchOf(model, samples);
  for (let start = 0; start < questions.length; start += size) {
    using scope = engine.scope();
    const batch = questions.slice(start, start + size);
    const said = await askBoxes(engine, model, batch, text.features, scope);
    const drawn = randomSelection(said.counts, model.config.vision.gridSides.slice(1), batch.length, random);
    batch.forEach((question, b) => {
      const { caption, others, box, sample } = question;
      const wins = (scores: Float32Array): number => {
        const row = scores.subarray(b * captions.length);
        return Number(others.every((other) => row[index.get(other)!] < row[index.get(caption)!]));
      };
      answers.lowRes.push(wins(said.scores.lowRes));
      answers.ps3.push(wins(said.scores.teacherForced));
      answers.predicted.push(wins(said.scores.predicted));
      const share = (maps: Float32Array[]): number => recallOf(maps, b, box, sample.side, model);
      answers.bottomUp.push(share(said.selected.bottomUp));
      answers.topDown.push(share(said.selected.topDown));
      answers.random.push(share(drawn));
      boxes.push(boxRecord(model, said, [b, batch.length], question, index.get(caption)!));
    });
    budgetShare =
      total(said.counts) / total(model.config.vision.gridSides.slice(1).map((side) => side * side));
    onProgress?.(Math.min(start + size, questions.length), questions.length);
  }
  const bootstrap = new ImageBootstrap(samples.length, seed);
  const estimate = (values: readonly number[]): Estimate =>
    bootstrap.estimate(values.map((value, i) => ({ image: questions[i].image, value }))) ?? NOTHING;
  const retrieval = {
    lowRes: estimate(answers.lowRes),
    ps3: estimate(answers.ps3),
    predicted: estimate(answers.predicted),
  };
  const recall = {
    random: estimate(answers.random),
    bottomUp: estimate(answers.bottomUp),
    topDown: estimate(answers.topDown),
  };
  const intervalOf = ({ low, high }: Estimate): Interval => [low, high];
  return {
    boxes: questions.length,
    candidates: choices,
    retrieval: mapValues(retrieval, ({ mean }) => mean),
    recall: mapValues(recall, ({ mean }) => mean),
    budgetShare,
    intervals: { retrieval: mapValues(retrieval, intervalOf), recall: mapValues(recall, intervalOf) },
    protocols: protocolsOf(bootstrap, samples.length, boxes, await askImages(engine, model, samples)),
  };
}

/** The same keys with other values. */
function mapValues<K extends string, A, B>(
  object: Readonly<Record<K, A>>,
  of: (value: A) => B,
): Record<K, B> {
  const entries = Object.entries(object) as [K, A][];
  return Object.fromEntries(entries.map(([key, value]) => [key, of(value)])) as Record<K, B>;
}

/** Of no boxes. */
const NOTHING: Estimate = { mean: Number.NaN, low: Number.NaN, high: Number.NaN, count: 0 };

/** What the protocols need of row `b` of the answers. */
function boxRecord(
  model: PS3,
  { scores, maps }: BoxAnswers,
  /** Row, and how many there are. */
  [b, count]: readonly [number, number],
  { image, sample, box }: Question,
  caption: number,
): BoxRecord {
  const { vision } = model.config;
  const sides = vision.gridSides.slice(1);
  const own = (all: readonly Float32Array[]): Float32Array[] =>
    all.map((map, scale) => rowOf(map, sides[scale] ** 2, b));
  const row = (all: Float32Array): Float32Array => rowOf(all, all.length / count, b);
  return {
    image,
    caption,
    scores: {
      lowRes: row(scores.lowRes),
      teacherForced: row(scores.teacherForced),
      predicted: row(scores.predicted),
      topDown: row(scores.topDown),
    },
    ...locate(vision, { bottomUp: own(maps.bottomUp), topDown: own(maps.topDown) }, [box], sample.side),
  };
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

/** Row `b` of [B, length], a copy. */
function rowOf(numbers: Float32Array, length: number, b: number): Float32Array {
  return numbers.slice(b * length, (b + 1) * length);
}

/** Whole images against all global captions. */
async function askImages(engine: Engine, model: PS3, samples: readonly Sample[]): Promise<ImageRecord[]> {
  const asked = samples.flatMap(({ globalCaption }, image) =>
    globalCaption ? [{ image, globalCaption }] : [],
  );
  const captions = [...new Set(asked.map(({ globalCaption }) => globalCaption))].sort();
  if (captions.length === 0) return [];
  using kept = engine.scope();
  const text = noGrad(() => model.encodeText(captionIds(engine, model.tokenizer, captions, kept)));
  const records: ImageRecord[] = [];
  const size = batchOf(model, samples);
  for (let start = 0; start < asked.length; start += size) {
    using scope = engine.scope();
    const batch = asked.slice(start, start + size);
    const images = imageBatch(
      engine,
      batch.map(({ image }) => samples[image]),
      scope,
    );
    const scores = await globalScores(model, images, text.features);
    batch.forEach(({ image, globalCaption }, b) => {
      const caption = captions.indexOf(globalCaption);
      records.push({ image, caption, scores: rowOf(scores, captions.length, b) });
    });
  }
  return records;
}
