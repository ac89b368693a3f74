// Memory of a stream of 4K images: bounded by the images in flight, whatever the shuffle window holds.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeShards } from '../../ps3/data/shards.ts';
import { Collections } from '../../ps3/data/stream/collections.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { streamedBatches } from '../../ps3/train/streams.ts';

const folder = await mkdtemp(join(tmpdir(), 'stream-memory-'));
test.after(() => rm(folder, { recursive: true }));

/** JPEG files of 3780 x 2835 pixels: one image, with other bytes behind its end. */
async function* images(count: number) {
  const raw = { width: 64, height: 48, channels: 3 } as const;
  const pixels = Uint8Array.from({ length: 64 * 48 * 3 }, (_, at) => (at * 7 * 31) % 251);
  const large = sharp(pixels, { raw }).resize(3780, 2835, { fit: 'fill', kernel: 'nearest' });
  const image = await large.jpeg().toBuffer();
  for (let i = 0; i < count; i++)
    yield {
      key: String(i).padStart(8, '0'),
      image: Buffer.concat([image, Uint8Array.of(i)]),
      suffix: 'jpg',
      boxes: [[10, 10, 600, 600] as [number, number, number, number]],
      captions: ['noise'],
      globalCaption: undefined,
    };
}

test('streams: 3780 px with 8 images in flight stay below 1.5 GB', async () => {
  await writeShards(folder, images(13), 13);
  const collections = await Collections.open({
    sources: [{ images: folder, annotations: null, weight: 1 }],
    validation: null,
    heldOut: 1,
    seed: 1,
    shuffle: 5000,
    resampled: false,
    imagesInFlight: 8,
    maxSkippedShare: 0,
    cache: { folder: join(folder, 'cache'), maxBytes: 1e9 },
  });
  const tokenizer = buildWordTokenizer(['noise'], { contextLength: 4 });
  const model = trainConfig({ preset: 'smoke', set: ['model.scalesPx=[378, 756, 1512, 3780]'] });
  const config = presetConfig(model, tokenizer.vocabSize);
  assert.is(config.image.imagePx, 3780);
  const options = { batchSize: 4, seed: 1, crop: 'pretraining' } as const;
  await using batches = streamedBatches(collections, { config, tokenizer }, options, { step: 0 });
  let peakBytes = 0;
  const watch = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
  }, 5);
  let coming = batches.next();
  for (let step = 0; step < 3; step++) {
    const { host } = await coming;
    coming = batches.next(); // as the trainer: the next batch while this one is used
    assert.is(host.image.data.length, 4 * 3780 * 3780 * 4);
  }
  await coming;
  clearInterval(watch);
  console.log(`peak of resident memory: ${(peakBytes / 1e9).toFixed(2)} GB`);
  assert.ok(peakBytes < 1.5e9, `${(peakBytes / 1e9).toFixed(2)} GB`);
});

test.run();
