// Batches of both stages from collections: images are decoded, cropped and squashed as they come.
import { expectKeys, Random } from '../../engine/index.ts';
import { boxesInside } from '../data/annotations.ts';
import { type Box, pixelsOf } from '../data/boxes.ts';
import { cropToSquare, randomResizedCrop } from '../data/decode.ts';
import { drawSamples } from '../data/sampler.ts';
import { seedFor } from '../data/seeds.ts';
import type { Collections } from '../data/stream/collections.ts';
import type { BatchBuilder } from '../data/stream/image_stream.ts';
import type { Reference } from '../data/stream/shard.ts';
import { type DecodedImage, decodeImage } from '../model/image.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import {
  Assembly,
  BATCH_LOADER_OPTIONS,
  type BatchLoaderOptions,
  classesOf,
  tokenIds,
} from './batch_loader.ts';
import { type Batches, batchesOf, type Cursor, type Made } from './batches.ts';
import type { Batch } from './loss.ts';
import type { CropBatch } from './towers.ts';

/** What decides the images of both stages, which come in orders of their own. */
type Target = Pick<PS3, 'config' | 'tokenizer'>;

/** The second stage's batches that follow a place, drawn as by `BatchLoader`; crops are of the original images. */
export function streamedBatches(
  collections: Collections,
  { config, tokenizer }: Target,
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
      finish: () => assembly.finish(tokenizer, sameCaptionPositives),
    };
  };
  return batchesOf((at) => collections.stream(batchSize / count, builder, at, 'ps3'), from);
}

/** The first stage's batches that follow a place: of each image a box by chance, or all of it where it has none. */
export function streamedCrops(
  collections: Collections,
  { config, tokenizer }: Target,
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
      finish: () => cropBatch(tokenizer, side, { rgba, captions }),
    };
  };
  return batchesOf((at) => collections.stream(batchSize, builder, at, 'towers'), from);
}

/** Crops as a batch of the first stage. @param rgba  [B, side, side, 4] */
export function cropBatch(
  tokenizer: Tokenizer,
  side: number,
  { rgba, captions }: { rgba: Uint8Array; captions: readonly string[] },
): Made<CropBatch> {
  const B = captions.length;
  const host = {
    image: { data: rgba, shape: [B, side, side, 4] },
    ids: tokenIds(tokenizer, captions),
    classes: { data: classesOf(captions), shape: [B] },
  };
  return { host };
}

/** @throws ImageError when an image does not decode, DataError when a box is outside of it */
async function decode(
  { shard, key, boxes }: Reference,
  encoded: Uint8Array,
): Promise<{ image: DecodedImage; boxes: Box[] }> {
  const where = `${shard.name}: ${key}`;
  const image = await decodeImage(encoded, { name: where });
  return { image, boxes: boxesInside(boxes, image.width, image.height, where) };
}
