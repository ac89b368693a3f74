// Multiple choice without a language model: the option whose text is nearest to what an encoder makes of the image, for PS3
// and for the baselines over the same tower.
import { type Engine, expectKeys, noGrad, Random } from '../../../engine/index.ts';
import type { BenchmarkRecord } from '../../benchmarks/record.ts';
import { DataError } from '../../data/errors.ts';
import { cropBoxes } from '../../model/baselines/controls.ts';
import { REGION_ENCODERS, type RegionEncoder, regionFeature } from '../../model/baselines/regions.ts';
import { expectTexts } from '../../model/core.ts';
import type { ImagePart, OtherEncoder } from '../../model/encoders/encoder.ts';
import { decodeImage, ImageError } from '../../model/image.ts';
import type { PS3 } from '../../model/ps3.ts';
import type { TextOutput } from '../../model/text/text.ts';
import { captionIds } from '../batch_loader.ts';
import { type Answer, type Estimate, ImageBootstrap } from './intervals.ts';

/** What `contrast` is told. */
export interface ContrastOptions {
  /** Which encoders; default all. */
  readonly encoders?: readonly RegionEncoder[];
  /** Other encoders, each over the whole image and over the boxes' crop, as far as it can. */
  readonly others?: readonly OtherEncoder[];
  /** Most tiles of AnyRes and of the largest scale of S²; default 16. */
  readonly maxTiles?: number;
  /** Of random selections and intervals; default 1. */
  readonly seed?: number;
  /** After every question: how many are done. */
  readonly onProgress?: (done: number) => void;
  /** Told, in a sentence, of questions that are left out. */
  readonly notice?: (sentence: string) => void;
}

const CONTRAST_OPTIONS = {
  encoders: true,
  others: true,
  maxTiles: true,
  seed: true,
  onProgress: true,
  notice: true,
} as const;

/** The row of the question's own text in the place of an image: what the texts alone give away. */
export const QUESTION_ALONE = 'question-alone';

/** How one encoder does. */
export interface EncoderResult {
  /** Share of questions whose right option alone is nearest. */
  readonly accuracy: Estimate;
  /** Difference to low-res on the same questions; undefined where that was not asked. */
  readonly overLowRes: Estimate | undefined;
  /** Tokens that went through the tower, mean over questions; undefined of other encoders. */
  readonly meanTokens: number | undefined;
  /** Accuracy of each category. */
  readonly categories: Readonly<Record<string, Estimate>>;
}

/** How encoders answer a benchmark by contrast. */
export interface Contrast {
  readonly questions: number;
  readonly images: number;
  /** Questions whose image could not be decoded. */
  readonly skipped: number;
  /** What guessing gives: the mean of 1 / options. */
  readonly chance: number;
  /** By `REGION_ENCODERS`' names, `QUESTION_ALONE`, and by those of other encoders, with ` crop` behind them where they see the boxes alone. */
  readonly encoders: Readonly<Record<string, EncoderResult>>;
}

/**
 * Answers questions with options by cosine.
 *
 *   answer = argmax over options o of cos(feature of the boxes, feature of the text o)
 *
 * All encoders are told the boxes; what to look for, for `ps3-top-down`, is the names of what is in them, else the question.
 * A tie counts as wrong. A cosine does not depend on the order of the options, so of rotations the first alone is asked.
 * Intervals are by image.
 *
 * @param records  those without options are refused
 * @throws DataError for records without options, or where no image can be decoded; UseError for a model without a tokenizer
 */
export async function contrast(
  engine: Engine,
  model: PS3,
  records: AsyncIterable<BenchmarkRecord>,
  options: ContrastOptions = {},
): Promise<Contrast> {
  expectKeys('contrast', options, CONTRAST_OPTIONS);
  const { encoders = REGION_ENCODERS, others = [], maxTiles, seed = 1, onProgress, notice } = options;
  const random = new Random(seed, 0x5e1e);
  const groups = new Map<string, number>();
  const asked: { image: number; category: string; chance: number }[] = [];
  const entrants = [
    QUESTION_ALONE,
    ...encoders,
    ...others.flatMap(({ name, parts }) => parts.map((part) => rowName(name, part))),
  ];
  const twice = entrants.find((name, i) => entrants.indexOf(name) !== i);
  if (twice !== undefined)
    throw new DataError(`contrast: names of encoders must differ, got ${twice} twice.`);
  const right = new Map<string, number[]>(entrants.map((name) => [name, []]));
  const tokens = new Map<string, number>();
  let [done, skipped] = [0, 0];
  for await (const record of records) {
    const { id, options = [], answer, boxes = [], referents, question, group, category = 'none' } = record;
    if (record.cycle) continue;
    if (options.length < 2 || typeof answer !== 'number')
      throw new DataError(
        `contrast: a question must have options, got ${options.length} in ${id}. Name another benchmark.`,
      );
    const looked = referents && referents.length > 0 ? referents.join(' ') : question;
    expectTexts('contrast', model, [...options, looked, question]);
    try {
      const image = await decodeImage(record.image);
      using scope = engine.scope();
      const encoded = (texts: readonly string[]): TextOutput =>
        noGrad(() => model.encodeText(captionIds(engine, model.tokenizer, texts, scope)));
      const texts = await encoded(options).features.data();
      const { prompt } = encoded([looked]);
      const alone = await encoded([question]).features.data();
      right.get(QUESTION_ALONE)!.push(Number(isNearest(alone, texts, answer)));
      for (const name of encoders) {
        const query = { image, boxes, prompt, random, maxTiles };
        const found = await regionFeature(engine, model, name, query);
        right.get(name)!.push(Number(isNearest(found.feature, texts, answer)));
        tokens.set(name, (tokens.get(name) ?? 0) + found.tokens);
      }
      for (const other of others) {
        const own = concatenated(await other.textFeatures(options));
        for (const part of other.parts) {
          const seen = part === 'crop' && boxes.length > 0 ? cropBoxes(image, boxes) : image;
          const feature = await other.imageFeature(id, part, seen);
          right.get(rowName(other.name, part))!.push(Number(isNearest(feature, own, answer)));
        }
      }
      const at = groups.get(group) ?? groups.size;
      groups.set(group, at);
      asked.push({ image: at, category, chance: 1 / options.length });
    } catch (cause) {
      if (!(cause instanceof ImageError)) throw cause;
      skipped++;
      notice?.(`${id} is left out: ${cause.message}`);
    }
    onProgress?.(++done);
  }
  if (asked.length === 0)
    throw new DataError(`contrast: there must be an image that can be decoded, got none of ${done}.`);
  const bootstrap = new ImageBootstrap(groups.size, seed);
  const names = [...new Set(asked.map(({ category }) => category))];
  const answersOf = (values: readonly number[]): Answer[] =>
    values.map((value, i) => ({ image: asked[i].image, value }));
  const lowRes = right.get('low-res');
  const resultOf = (name: string): EncoderResult => {
    const values = right.get(name)!;
    const answers = answersOf(values);
    const of = (category: string): Estimate =>
      bootstrap.estimate(answers.filter((_, i) => asked[i].category === category))!;
    const over = lowRes && bootstrap.estimate(answersOf(values.map((value, i) => value - lowRes[i])));
    return {
      accuracy: bootstrap.estimate(answers)!,
      overLowRes: name === 'low-res' ? undefined : over,
      meanTokens: tokens.has(name) ? tokens.get(name)! / asked.length : undefined,
      categories: Object.fromEntries(names.map((category) => [category, of(category)])),
    };
  };
  return {
    ...{ questions: asked.length, images: groups.size, skipped },
    chance: asked.reduce((sum, { chance }) => sum + chance, 0) / asked.length,
    encoders: Object.fromEntries(entrants.map((name) => [name, resultOf(name)])),
  };
}

/** How the results of an other encoder are called. */
const rowName = (name: string, part: ImagePart): string => (part === 'crop' ? `${name} crop` : name);

/** Vectors of one length, one after the other. */
function concatenated(vectors: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const vector of vectors) {
    all.set(vector, at);
    at += vector.length;
  }
  return all;
}

/** Whether the cosine with the right text is higher than with every other. @param texts  [options, E], normalised */
function isNearest(feature: Float32Array, texts: Float32Array, answer: number): boolean {
  const E = feature.length;
  const cosines = Array.from({ length: texts.length / E }, (_, o) =>
    feature.reduce((sum, value, e) => sum + value * texts[o * E + e], 0),
  );
  return cosines.every((cosine, o) => o === answer || cosine < cosines[answer]);
}
