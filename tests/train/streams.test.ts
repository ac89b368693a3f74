// Batches of both stages from collections on the disk: what they show, and that they go on where they stopped.
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EncodedSample, writeShards } from '../../ps3/data/shards.ts';
import { Collections, type CollectionsOptions } from '../../ps3/data/stream/collections.ts';
import type { ModelConfig } from '../../ps3/model/config/config.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import type { Batches, Cursor, Loaded } from '../../ps3/train/batches.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { hashExchange, streamedBatches, streamedCrops } from '../../ps3/train/streams.ts';
import { localRanks } from '../ranks/local_ranks.ts';

const folder = await mkdtemp(join(tmpdir(), 'streams-'));
test.after(() => rm(folder, { recursive: true }));

const COUNT = 40;
const tokenizer = buildWordTokenizer(
  Array.from({ length: COUNT }, (_, i) => `image${i} box${i}`),
  { contextLength: 4 },
);
const config: ModelConfig = presetConfig(trainConfig({ preset: 'smoke' }), tokenizer.vocabSize);
const model = { config, tokenizer };
const side = config.image.imagePx;

/** Image i: 160 x 80, of colour (5 i, 100, 200), in its box [40, 20, 120, 60] of (5 i, 0, 0); every fourth only global. */
async function sample(i: number): Promise<EncodedSample> {
  const pixels = new Uint8Array(160 * 80 * 3);
  for (let y = 0; y < 80; y++)
    for (let x = 0; x < 160; x++) {
      const inBox = x >= 40 && x < 120 && y >= 20 && y < 60;
      pixels.set(inBox ? [5 * i, 0, 0] : [5 * i, 100, 200], 3 * (y * 160 + x));
    }
  const image = await sharp(pixels, { raw: { width: 160, height: 80, channels: 3 } })
    .png()
    .toBuffer();
  const isGlobal = i % 4 === 3;
  return {
    key: String(i).padStart(8, '0'),
    image,
    suffix: 'png',
    boxes: isGlobal ? [] : [[40, 20, 120, 60]],
    captions: isGlobal ? [] : [`box${i}`],
    globalCaption: isGlobal ? `image${i}` : undefined,
  };
}

const samples = await Promise.all(Array.from({ length: COUNT }, (_, i) => sample(i)));
const shards = join(folder, 'shards');
await writeShards(shards, samples, 10);
const plain = join(folder, 'plain');
await mkdir(plain);
const lines = samples.map(({ key, boxes, captions, globalCaption }) =>
  JSON.stringify({ image: `${key}.png`, text: captions, box: boxes, global_text: globalCaption }),
);
for (const { key, image } of samples) await writeFile(join(plain, `${key}.png`), image);
await writeFile(join(plain, 'annotations.jsonl'), lines.join('\n'));

function open(images: string, changes: Partial<CollectionsOptions> = {}): Promise<Collections> {
  return Collections.open({
    sources: [{ images, annotations: null, weight: 1 }],
    validation: null,
    heldOut: 3,
    seed: 5,
    shuffle: 15,
    resampled: false,
    imagesInFlight: 4,
    maxSkippedShare: 0.05,
    cache: { folder: join(folder, 'cache'), maxBytes: 1e9 },
    ...changes,
  });
}

async function take<B>(batches: Batches<B>, count: number): Promise<Loaded<B>[]> {
  const loaded: Loaded<B>[] = [];
  for (let i = 0; i < count; i++) loaded.push(await batches.next());
  await batches[Symbol.asyncDispose]();
  return loaded;
}

const options = { batchSize: 4, seed: 9, globalProbability: 0.25, crop: 'pretraining' } as const;
/** Asserts that row b of a batch's captions is this one. */
function expectCaption(ids: ArrayLike<number>, b: number, caption: string): void {
  assert.equal([...Array.from(ids)].slice(4 * b, 4 * b + 4), [...tokenizer.encode([caption])], caption);
}

for (const [name, path] of Object.entries({ shards, plain }))
  test(`streams: of ${name}, an image comes with its own caption, and its box is where its pixels are`, async () => {
    const collections = await open(path);
    const held = await collections.heldOut(side);
    assert.is(held.length, 3);
    const heldReds = new Set(held.map(({ rgba }) => rgba[0]));
    const reds: number[] = [];
    for (const { host } of await take(streamedBatches(collections, model, options, { step: 0 }), 9)) {
      const { image, box, isGlobal, ids } = host;
      const grid = box.shape[1];
      for (let b = 0; b < 4; b++) {
        const at = (x: number, y: number): number => 4 * ((b * side + y) * side + x);
        const red = image.data[at(0, 0)];
        reds.push(red);
        assert.is(red % 5, 0);
        const i = red / 5;
        expectCaption(ids.data, b, isGlobal.data[b] ? `image${i}` : `box${i}`);
        assert.is(isGlobal.data[b], Number(i % 4 === 3), `${i}`);
        if (isGlobal.data[b]) continue;
        // Cells that surely show the box, and those within two pixels of what may show it.
        const touched = (limit: number, reach: number): Set<number> => {
          const cells = new Set<number>();
          for (let y = 0; y < side; y++)
            for (let x = 0; x < side; x++) {
              if (image.data[at(x, y) + 2] >= limit) continue;
              for (const v of [y - reach, y + reach])
                for (const u of [x - reach, x + reach])
                  cells.add(Math.floor((v * grid) / side) * grid + Math.floor((u * grid) / side));
            }
          return cells;
        };
        const map = box.data.subarray(b * grid * grid, (b + 1) * grid * grid);
        const marked = new Set([...map.keys()].filter((cell) => map[cell] > 0));
        for (const cell of touched(60, 0)) assert.ok(marked.has(cell), `box of ${i}: ${cell} is not marked`);
        const near = touched(180, 2);
        for (const cell of marked) assert.ok(near.has(cell), `box of ${i}: ${cell} is marked`);
      }
    }
    assert.is(new Set(reds.slice(0, 36)).size, 36, 'most of an epoch: each image once');
    assert.not.ok(
      reds.some((red) => heldReds.has(red)),
      'held out',
    );
  });

test('streams: crops of the first stage show a box with its caption, or a whole image with its own', async () => {
  const collections = await open(shards);
  const low = config.vision.scalesPx[0];
  for (const { host } of await take(
    streamedCrops(collections, model, { batchSize: 6, seed: 2 }, { step: 0 }),
    5,
  ))
    for (let b = 0; b < 6; b++) {
      const [red, , blue] = host.image.data.subarray(4 * b * low * low);
      const i = red / 5;
      expectCaption(host.ids.data, b, i % 4 === 3 ? `image${i}` : `box${i}`);
      assert.is(blue, i % 4 === 3 ? 200 : 0);
    }
});

test('streams: a cursor that went through JSON leads to the same bits', async () => {
  const whole = await take(streamedBatches(await open(shards), model, options, { step: 0 }), 14);
  for (const at of [1, 6, 9, 12]) {
    const cursor = JSON.parse(JSON.stringify(whole[at - 1].next)) as Cursor;
    assert.is(cursor.step, at);
    const [resumed] = await take(streamedBatches(await open(shards), model, options, cursor), 1);
    assert.equal(resumed, whole[at], `batch ${at}`);
  }
});

test('streams: ranks read parts that make up the batches of one process', async () => {
  // Copies of four images under other names: some batch would show one twice.
  const twins = join(folder, 'twins');
  await mkdir(twins);
  for (const name of await readdir(plain)) await copyFile(join(plain, name), join(twins, name));
  for (let i = 0; i < 20; i++)
    await copyFile(join(plain, `0000000${i % 4}.png`), join(twins, `twin${i}.png`));
  const more = Array.from({ length: 20 }, (_, i) =>
    JSON.stringify({ image: `twin${i}.png`, text: [], box: [], global_text: 'twin' }),
  );
  await writeFile(join(twins, 'annotations.jsonl'), [...lines, ...more].join('\n'));
  const sizes = { ...options, batchSize: 8, sameCaptionPositives: true };
  const alone = await take(streamedBatches(await open(twins), model, sizes, { step: 0 }), 5);
  for (const ranks of [2, 4]) {
    const parts = await Promise.all(
      localRanks(ranks).map(async (transport) => {
        const shared = { rank: transport.rank, ranks, exchangeHashes: hashExchange(transport) };
        return take(streamedBatches(await open(twins, shared), model, sizes, { step: 0 }), 5);
      }),
    );
    for (const [step, { host, next }] of alone.entries()) {
      for (const [name, { data }] of Object.entries(host)) {
        const own = parts.map((part) => [...part[step].host[name as keyof typeof host]!.data]);
        assert.ok(own.every(({ length }) => length === data.length / ranks));
        assert.equal(own.flat(), [...data], `${name} of step ${step} on ${ranks} ranks`);
      }
      assert.equal(
        parts.map((part) => part[step].next),
        Array(ranks).fill(next),
      );
    }
  }
});

test('streams: a damaged image and a box outside are skipped, listed, and the batch is full of others', async () => {
  const damaged = join(folder, 'damaged');
  await mkdir(damaged);
  for (const name of await readdir(plain)) await copyFile(join(plain, name), join(damaged, name));
  await writeFile(join(damaged, '00000000.png'), samples[0].image.subarray(0, 150));
  const outside = JSON.stringify({ image: '00000001.png', text: ['box1'], box: [[40, 20, 400, 60]] });
  await writeFile(join(damaged, 'annotations.jsonl'), [lines[0], outside, ...lines.slice(2)].join('\n'));
  const collections = await open(damaged, { heldOut: 1, maxSkippedShare: 0.5 });
  for (const { host } of await take(streamedBatches(collections, model, options, { step: 0 }), 12))
    for (let b = 0; b < 4; b++) assert.ok(host.image.data[4 * b * side * side] >= 10);
  const path = join(folder, 'skipped.jsonl');
  await collections.skips.writeTo(path);
  assert.equal(collections.skips.counts, { 'undecodable image': 1, 'bad annotation': 1 });
});

test('streams: a collection of its own to evaluate on leaves all images to training', async () => {
  const collections = await open(shards, {
    validation: { images: plain, annotations: null },
    heldOut: 100,
    shuffle: 0,
  });
  assert.is((await collections.heldOut(side)).length, 30, 'those with boxes');
  const loaded = await take(
    streamedBatches(collections, model, { ...options, crop: 'none' }, { step: 0 }),
    10,
  );
  const reds = loaded.flatMap(({ host }) => [0, 1, 2, 3].map((b) => host.image.data[4 * b * side * side]));
  assert.equal(
    reds,
    Array.from({ length: COUNT }, (_, i) => 5 * i),
  );
  assert.is((await collections.captions(2)).length, 20);
});

test.run();
