// The answers of models to the study's questions: an option is scored by the cosine of pooled tokens in the box with its text.
import {
  concat,
  type Engine,
  l2Normalize,
  maximum,
  noGrad,
  Random,
  type Scope,
  sum,
  type Tensor,
} from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import { boxCells, exactGridSide, pixelsOf } from '../../ps3/data/boxes.ts';
import { cropToSquare } from '../../ps3/data/decode.ts';
import { randomSelection } from '../../ps3/model/baselines/controls.ts';
import { type TiledOptions, tiledFeatures, tiledTokens } from '../../ps3/model/baselines/tiled.ts';
import type { PS3 } from '../../ps3/model/ps3.ts';
import { type SelectionFeatures, touchedCells } from '../../ps3/model/vision/selection.ts';
import { takenAfter } from '../../ps3/model/vision/token_maps.ts';
import type { LowRes, Maps } from '../../ps3/model/vision/vision_types.ts';
import { captionIds } from '../../ps3/train/batch_loader.ts';
import { imageBatch } from '../../ps3/train/evaluation/answers.ts';
import { locate } from '../../ps3/train/evaluation/located.ts';
import type { Question } from './questions.ts';

/** How patches are selected; the box is unknown to all but `box`. */
export type Selection = 'top-down' | 'bottom-up' | 'random' | 'box';

/** A way to look with PS3. */
export interface LookRow {
  readonly name: string;
  readonly selection: Selection;
  /** Patches in all, shared out as the model does and in looks of its budget; or of each scale, in one look. */
  readonly patches: number | readonly number[];
}

/** How a way to see answers. */
export interface Row {
  /** 1 where the right option alone scores highest, per question. */
  readonly right: readonly number[];
  /** Tokens that go through the tower, low-res ones among them. */
  readonly tokens: number;
}

/** Recall of the patches of each question's box at the shares of `BUDGETS`. */
export interface Recall {
  readonly topDown: readonly (readonly number[])[];
  readonly bottomUp: readonly (readonly number[])[];
}

/** All answers of a model, by the names of rows. */
export interface Answers {
  readonly rows: Readonly<Record<string, Row>>;
  readonly recall?: Recall;
}

const BATCH = 16;

/** Texts of all options there are, and what a batch of questions is about. */
interface Asked {
  readonly engine: Engine;
  readonly model: PS3;
  readonly scope: Scope;
  readonly image: Tensor<'u8'>;
  /** [B, h, w]. */
  readonly box: Tensor<'f32'>;
  readonly batch: readonly Question[];
  readonly samples: readonly Sample[];
}

/** Whether the option of the highest cosine is the right one; a tie is wrong. */
function isRight(
  feature: Float32Array,
  texts: ReadonlyMap<string, Float32Array>,
  question: Question,
): number {
  const cosines = question.options.map((option) => {
    const text = texts.get(option)!;
    return feature.reduce((sum, value, e) => sum + value * text[e], 0);
  });
  return Number(cosines.every((cosine, o) => o === question.answer || cosine < cosines[question.answer]));
}

/** Features of the options' texts on the host, by option. */
async function textsOf(
  engine: Engine,
  model: PS3,
  questions: readonly Question[],
): Promise<{ features: Map<string, Float32Array>; prompts: Map<string, Float32Array> }> {
  const options = [...new Set(questions.flatMap(({ options }) => options))].sort();
  using scope = engine.scope();
  const { features, prompt } = noGrad(() =>
    model.encodeText(captionIds(engine, model.tokenizer, options, scope)),
  );
  const split = (numbers: Float32Array): Map<string, Float32Array> => {
    const width = numbers.length / options.length;
    return new Map(options.map((option, i) => [option, numbers.slice(i * width, (i + 1) * width)]));
  };
  return { features: split(await features.data()), prompts: split(await prompt.data()) };
}

/** Goes through questions batch by batch and collects a feature [E] per question for each row. */
async function features(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  questions: readonly Question[],
  rowsOf: (asked: Asked) => Promise<Readonly<Record<string, Tensor<'f32'>>>>,
): Promise<Map<string, Float32Array[]>> {
  const all = new Map<string, Float32Array[]>();
  const { side } = samples[0];
  const grid = exactGridSide(model.config.vision.gridSides, side);
  for (let start = 0; start < questions.length; start += BATCH) {
    using scope = engine.scope();
    const batch = questions.slice(start, start + BATCH);
    const cells = new Float32Array(batch.length * grid * grid);
    batch.forEach(({ box }, b) => {
      cells.set(boxCells([box], side, grid), b * grid * grid);
    });
    const rows = await rowsOf({
      ...{ engine, model, scope, batch, samples },
      image: imageBatch(
        engine,
        batch.map(({ image }) => samples[image]),
        scope,
      ),
      box: engine.tensor(cells, [batch.length, grid, grid], { scope }),
    });
    for (const [name, tensor] of Object.entries(rows)) {
      const numbers = await tensor.data();
      const E = numbers.length / batch.length;
      const list = all.get(name) ?? [];
      all.set(name, list);
      batch.forEach((_, b) => {
        list.push(numbers.slice(b * E, (b + 1) * E));
      });
    }
  }
  return all;
}

const nameOf = ({ encoder, sidePx }: TiledOptions): string =>
  encoder === 'low-res' ? encoder : `${encoder} ${sidePx}`;

/** Answers of encoders that are the tower over tiles, and of the tower on the box's own pixels. */
export async function askTiled(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  questions: readonly Question[],
  encoders: readonly TiledOptions[],
  withControls: boolean,
): Promise<Answers> {
  const texts = (await textsOf(engine, model, questions)).features;
  const found = await features(engine, model, samples, questions, async (asked) => {
    const { image, box, scope, batch } = asked;
    const tiled = noGrad(() =>
      encoders.map((encoder) => [nameOf(encoder), tiledFeatures(model.vision, image, box, encoder)] as const),
    );
    if (!withControls) return Object.fromEntries(tiled);
    const side = model.config.vision.scalesPx[0];
    const crops = new Uint8Array(batch.length * side * side * 4);
    for (const [b, { image, box }] of batch.entries()) {
      const { rgba, side: width } = samples[image];
      const crop = await cropToSquare({ rgba, width, height: width }, pixelsOf(box), side);
      crops.set(crop, b * side * side * 4);
    }
    const cropped = engine.tensor(crops, [batch.length, side, side, 4], { scope });
    const oracle = noGrad(() => l2Normalize(model.vision.pool(model.vision.lowRes(cropped).hidden[0])));
    return { ...Object.fromEntries(tiled), 'oracle crop': oracle };
  });
  const rows: Record<string, Row> = {};
  for (const encoder of encoders)
    rows[nameOf(encoder)] = {
      right: found.get(nameOf(encoder))!.map((feature, q) => isRight(feature, texts, questions[q])),
      tokens: tiledTokens(model.vision, encoder),
    };
  if (!withControls) return { rows };
  const [G] = model.config.vision.gridSides;
  const right = (of: (q: number) => Float32Array): number[] =>
    questions.map((question, q) => isRight(of(q), texts, question));
  const crops = found.get('oracle crop')!;
  rows['oracle crop'] = { right: right((q) => crops[q]), tokens: G * G };
  // The mean of all texts in the place of an image: what captions give away by themselves.
  const blind = crops[0].map((_, e) => [...texts.values()].reduce((sum, text) => sum + text[e], 0));
  rows.blind = { right: right(() => blind), tokens: 0 };
  return { rows };
}

/** Tokens of looks one after another, pooled in the box, [B, E], and how many of them the box touches, [B]. */
function lookFeature(
  { model, image, box }: Asked,
  lowRes: LowRes,
  maps: Maps,
  looks: readonly (readonly number[])[],
): { feature: Tensor<'f32'>; inBox: Tensor<'f32'> } {
  const { vision } = model;
  const grids = vision.grids(image);
  const tokens: Tensor<'f32'>[] = [];
  const masks: Tensor<'f32'>[] = [];
  let taken: Tensor<'f32'>[] | undefined;
  for (const counts of looks) {
    const look = vision.look(image, lowRes, maps, grids, [...counts], taken);
    tokens.push(look.tokens);
    masks.push(vision.inBox(look.choices, box, grids));
    taken = takenAfter(look, taken);
  }
  const mask = concat(masks, { axis: 1 });
  const feature = l2Normalize(vision.pool(concat(tokens, { axis: 1 }), mask));
  return { feature, inBox: sum(mask, { axis: 1 }) };
}

/** Maps of the options of each question, the higher one at each patch. */
function optionMaps(
  { model, image, batch }: Asked,
  features: SelectionFeatures,
  promptOf: (caption: (question: Question) => string) => Tensor<'f32'>,
): Tensor<'f32'>[] {
  const grids = model.vision.grids(image);
  const all = batch[0].options.map(
    (_, o) => model.vision.maps(features, grids, { prompt: promptOf(({ options }) => options[o]) }).topDown!,
  );
  return all.reduce((a, b) => a.map((map, i) => maximum(map, b[i])));
}

/**
 * Answers of a PS3, and what it selects. Top-down selection is told the four options and neither the box nor the answer: a patch is
 * as promising as it is for the most promising option. Where a look takes nothing of the box, the low-res tokens in it answer.
 * Recall is of maps for the box's own caption, as the paper's.
 *
 * @param asks  ways to look
 * @param seed  of random selections
 */
export async function askPS3(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  questions: readonly Question[],
  asks: readonly LookRow[],
  seed: number,
): Promise<Answers> {
  const texts = await textsOf(engine, model, questions);
  const random = new Random(seed, 0x5e1e);
  const recall: { topDown: number[][]; bottomUp: number[][] } = { topDown: [], bottomUp: [] };
  const isMissed = new Map<string, boolean[]>(asks.map(({ name }) => [name, []]));
  const tokens = new Map<string, number>();
  const { vision } = model;
  const [G, ...sides] = model.config.vision.gridSides;
  const found = await features(engine, model, samples, questions, async (asked) => {
    const { image, box, batch, scope } = asked;
    const B = batch.length;
    const promptOf = (caption: (question: Question) => string): Tensor<'f32'> => {
      const rows = batch.flatMap((question) => [...texts.prompts.get(caption(question))!]);
      return engine.tensor(Float32Array.from(rows), [B, rows.length / B], { scope });
    };
    const grids = vision.grids(image);
    const { lowRes, told, topDown, forced, low } = noGrad(() => {
      const lowRes = vision.lowRes(image);
      const features = vision.selectionFeatures(image, lowRes);
      const told = vision.maps(features, grids, {
        prompt: promptOf(({ options, answer }) => options[answer]),
      });
      return {
        ...{ lowRes, told },
        topDown: optionMaps(asked, features, promptOf),
        // Without a prompt: what fills a look up beside the box must not come from the right caption.
        forced: vision.maps(features, grids, { groundTruth: box }).probs,
        low: l2Normalize(vision.pool(lowRes.hidden[0], touchedCells(box, grids[0]))),
      };
    });
    const rows: Record<string, Tensor<'f32'>> = { 'low-res': low };
    for (const { name, selection, patches } of asks) {
      const looks = typeof patches === 'number' ? vision.plan(grids, { tokens: patches }) : [patches];
      const drawn = (): Tensor<'f32'>[] =>
        randomSelection(looks[0], sides, B, random).map((map) =>
          engine.tensor(map, [B, map.length / B], { scope }),
        );
      const probs = {
        'top-down': () => topDown,
        'bottom-up': () => told.bottomUp,
        random: drawn,
        box: () => forced,
      };
      const maps = { ...told, probs: probs[selection]() };
      const { feature, inBox } = noGrad(() => lookFeature(asked, lowRes, maps, looks));
      rows[name] = feature;
      isMissed.get(name)!.push(...Array.from(await inBox.data(), (count) => count === 0));
      tokens.set(name, G * G + looks.flat().reduce((all, count) => all + count, 0));
    }
    const read = (maps: readonly Tensor<'f32'>[]): Promise<Float32Array[]> =>
      Promise.all(maps.map((map) => map.data()));
    const [byCaption, bySaliency] = [await read(told.topDown!), await read(told.bottomUp)];
    batch.forEach(({ box, image }, b) => {
      const own = (maps: readonly Float32Array[]): Float32Array[] =>
        maps.map((map, i) => map.slice(b * sides[i] ** 2, (b + 1) * sides[i] ** 2));
      const maps = { topDown: own(byCaption), bottomUp: own(bySaliency) };
      const { coverage } = locate(model.config.vision, maps, [box], samples[image].side);
      recall.topDown.push([...coverage.topDown.recall]);
      recall.bottomUp.push([...coverage.bottomUp.recall]);
    });
    return rows;
  });
  const low = found.get('low-res')!;
  const rows: Record<string, Row> = {};
  for (const { name } of asks) {
    const missed = isMissed.get(name)!;
    const feature = (q: number): Float32Array => (missed[q] ? low[q] : found.get(name)![q]);
    rows[name] = {
      right: questions.map((question, q) => isRight(feature(q), texts.features, question)),
      tokens: tokens.get(name)!,
    };
  }
  // Another image's feature in the place of the right one: what must be at chance.
  const [first] = asks;
  const shuffled = found.get(first.name)!;
  const half = Math.floor(questions.length / 2);
  const other = (q: number): Float32Array => shuffled[(q + half) % questions.length];
  rows['shuffled image'] = {
    right: questions.map((question, q) => isRight(other(q), texts.features, question)),
    tokens: tokens.get(first.name)!,
  };
  return { rows, recall };
}
