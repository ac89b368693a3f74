// Batches from collections: images are decoded, cropped and squashed as they come.
import { expectKeys, Random } from '../../engine/index.ts';
import { type Annotation, boxesInside, questionsInside } from '../data/annotations.ts';
import { type Box, cropBoxes, pixelsOf } from '../data/boxes.ts';
import type { StreamCursor } from '../data/collection.ts';
import { cropToSquare, randomResizedCrop } from '../data/decode.ts';
import { drawSamples } from '../data/sampler.ts';
import { seedFor } from '../data/seeds.ts';
import type { Collections } from '../data/stream/collections.ts';
import type { BatchBuilder, ImageStream } from '../data/stream/image_stream.ts';
import type { Reference } from '../data/stream/shard.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { type DecodedImage, decodeImage } from '../model/image.ts';
import type { Transport } from '../ranks/transport.ts';
import { Assembly, BATCH_LOADER_OPTIONS, type BatchLoaderOptions } from './batch_loader.ts';
import type { Batches, Cursor, Made } from './batches.ts';
import type { BatchModel, ImageSource } from './image_source.ts';
import type { Batch } from './loss.ts';
import { type CropBatch, cropBatch } from './towers.ts';
import { conversation, type VilaBatch, type VilaRow, vilaBatch } from './vila_batches.ts';
import type { QuestionBatchOptions } from './vila_source.ts';

/** Collections as what a run trains on; both stages have orders of their own. */
export function imageSource(collections: Collections): ImageSource {
  return {
    batches: (model, options, from) => streamedBatches(collections, model, options, from),
    crops: (model, options, from) => streamedCrops(collections, model, options, from),
  };
}

/** The second stage's batches that follow a place, drawn as by `BatchLoader`; crops are of the original images. */
export function streamedBatches(
  collections: Collections,
  { config, tokenizer }: BatchModel,
  options: BatchLoaderOptions,
  from: Cursor,
): Batches<Batch> {
  expectKeys('streamedBatches', options, BATCH_LOADER_OPTIONS);
  const { batchSize, seed, samplesPerImage: count = 1, crop = 'none', sameCaptionPositives = true } = options;
  const { globalProbability = 0.25, captions = { clean: false, sentenceMasking: false } } = options;
  const side = config.image.imagePx;
  const builder = (images: number): BatchBuilder<Made<Batch>> => {
    const assembly = new Assembly(images * count, side, config.vision.gridSides);
    return {
      put: async (place, reference, encoded, slot) => {
        const { image, boxes } = await decode(reference, encoded);
        const { width, height } = image;
        const draws = drawSamples(
          { ...reference, boxes },
          {
            ...{ count, side, globalProbability, captions },
            cropOf: (random) =>
              crop === 'none' ? { x: 0, y: 0, width, height } : randomResizedCrop(width, height, random),
            randomOf: (k) => new Random(seedFor(seed, `streamed sample ${k}`), slot),
          },
        );
        for (const [k, draw] of draws.entries())
          assembly.put(place * count + k, draw, await cropToSquare(image, draw.crop, side));
      },
      finish: () => assembly.finish(tokenizer, sameCaptionPositives, commonClasses),
    };
  };
  return batchesOf((at) => collections.stream(batchSize / count, builder, at, 'ps3'), from);
}

/** The first stage's batches that follow a place: of each image a box by chance, or all of it where it has none. */
export function streamedCrops(
  collections: Collections,
  { config, tokenizer }: BatchModel,
  { batchSize, seed }: Pick<BatchLoaderOptions, 'batchSize' | 'seed'>,
  from: Cursor,
): Batches<CropBatch> {
  const [side] = config.vision.scalesPx;
  const builder = (count: number): BatchBuilder<Made<CropBatch>> => {
    const rgba = new Uint8Array(count * side * side * 4);
    const captions = new Array<string>(count);
    return {
      put: async (place, reference, encoded, slot) => {
        const { image, boxes } = await decode(reference, encoded);
        const chosen = new Random(seedFor(seed, 'streamed crop'), slot).integer(Math.max(1, boxes.length));
        const shown = boxes.length > 0 ? pixelsOf(boxes[chosen]) : undefined;
        rgba.set(await cropToSquare(image, shown, side), place * side * side * 4);
        captions[place] = reference.captions[chosen] ?? reference.globalCaption ?? '';
      },
      finish: () => cropBatch(tokenizer, side, { rgba, captions }, commonClasses),
    };
  };
  return batchesOf((at) => collections.stream(batchSize, builder, at, 'towers'), from);
}

/** The batches of a VILA-HD's stage that follow a place: of each image one of its questions. */
export function streamedQuestions(
  collections: Collections,
  tokenizer: LanguageTokenizer,
  {
    name,
    batch,
    side,
    gridSide,
    seed,
  }: Pick<QuestionBatchOptions, 'name' | 'batch' | 'side' | 'gridSide' | 'seed'>,
  from: Cursor,
): Batches<VilaBatch> {
  const builder = (count: number): BatchBuilder<Made<VilaBatch>> => {
    const rgba = new Uint8Array(count * side * side * 4);
    const rows = new Array<VilaRow>(count);
    return {
      put: async (place, reference, encoded, slot) => {
        const { image, questions = [] } = await decode(reference, encoded);
        const { boxes, ...asked } =
          questions[new Random(seedFor(seed, `${name} question`), slot).integer(questions.length)];
        const whole = { x: 0, y: 0, width: image.width, height: image.height };
        rgba.set(await cropToSquare(image, whole, side), place * side * side * 4);
        rows[place] = { ...conversation(tokenizer, asked), boxes: cropBoxes(boxes, whole, side) };
      },
      finish: () => vilaBatch(rows, rgba, side, gridSide),
    };
  };
  return batchesOf((at) => collections.stream(batch, builder, at, name), from);
}

/** @throws ImageError when an image does not decode, DataError when a box is outside of it */
async function decode(
  { shard, key, boxes, questions }: Reference,
  encoded: Uint8Array,
): Promise<{ image: DecodedImage; boxes: Box[] } & Pick<Annotation, 'questions'>> {
  const where = `${shard.name}: ${key}`;
  const image = await decodeImage(encoded, { name: where });
  const { width, height } = image;
  return {
    image,
    boxes: boxesInside(boxes, width, height, where),
    ...questionsInside({ questions }, width, height, where),
  };
}

/** Batches from a stream, which is opened where the cursor says. */
function batchesOf<B>(
  open: (from: StreamCursor | undefined) => ImageStream<Made<B>>,
  from: Cursor,
): Batches<B> {
  let { step } = from;
  const stream = open(from.stream);
  return {
    next: async () => {
      const behind = ++step;
      const { batch, next } = await stream.next();
      return { ...batch, next: { step: behind, stream: next } };
    },
    [Symbol.asyncDispose]: () => stream.close(),
  };
}

/** Numbers of captions that all ranks give alike, whatever else is in their parts of a batch: hashes of 32 bits. */
function commonClasses(captions: readonly string[]): Uint32Array {
  return Uint32Array.from(captions, (caption) => seedFor(0, caption));
}

/**
 * How the ranks that share batches tell each other the hashes of their images, which all have the same length.
 *
 * @param channel  of this use alone
 */
export function hashExchange(channel: Transport): (own: readonly string[]) => Promise<readonly string[]> {
  return async (own) => {
    const all = new TextDecoder().decode(await channel.allGather(new TextEncoder().encode(own.join(''))));
    const { length } = own[0];
    return Array.from({ length: all.length / length }, (_, i) => all.slice(i * length, (i + 1) * length));
  };
}
