import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { annotationJson, encodeSquare } from '../../ps3/data/annotations.ts';
import { loadImage, openFolder } from '../../ps3/data/folder.ts';
import { decodeSample, type EncodedSample, readShards, writeShards } from '../../ps3/data/shards.ts';
import { temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('storage');

/** A ramp of [width, height] as PNG, so that decoding is exact. */
async function png(width: number, height: number): Promise<Buffer> {
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 7) & 255);
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

async function message(work: () => Promise<unknown>, thrown = 'DataError'): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.is((error as Error).name, thrown);
    return (error as Error).message;
  }
  return assert.unreachable('nothing was thrown') as never;
}

async function folderWith(name: string, lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'a.png'), await png(80, 40));
  writeFileSync(join(path, 'annotations.jsonl'), `${lines.join('\n')}\n`);
  return path;
}

const GOOD = '{"image":"a.png","text":["fox"],"box":[[8,4,40,20]],"global_text":"a fox"}';

test('folder: an image is squashed to a square and its boxes with it', async () => {
  const [image] = await openFolder(await folderWith('good', [GOOD, '']));
  const sample = await loadImage(image, 40);
  assert.equal(sample.boxes, [[4, 4, 20, 20]]);
  assert.equal([sample.captions, sample.globalCaption, sample.side], [['fox'], 'a fox', 40]);
  assert.is(sample.rgba.length, 4 * 40 * 40);
  const whole = await loadImage({ ...image, width: 80, height: 40 }, 80);
  assert.equal(whole.boxes, [[8, 8, 40, 40]]);
});

test('folder: an image of the wanted size keeps its pixels', async () => {
  const path = await folderWith('exact', ['{"image":"b.png","global_text":"a ramp"}']);
  writeFileSync(join(path, 'b.png'), await png(16, 16));
  const [image] = await openFolder(path);
  const { rgba } = await loadImage(image, 16);
  for (let i = 0; i < 256; i++) {
    for (let c = 0; c < 3; c++) assert.is(rgba[4 * i + c], ((3 * i + c) * 7) & 255);
    assert.is(rgba[4 * i + 3], 255);
  }
});

test('folder: every fault is one sentence that names file, line and value', async () => {
  const cases: [string, string, RegExp][] = [
    ['broken', '{"image": "a.png", ', /annotations\.jsonl line 2: a line must be one JSON object/],
    ['list', '[1, 2]', /line 2: an annotation must be a JSON object, got \[1,2\]/],
    ['missing', '{"image":"b.png","global_text":"x"}', /line 2: the image must exist, got .*b\.png/],
    ['nameless', '{"global_text":"x"}', /line 2: `image` must name a file in the folder, got nothing/],
    [
      'outside',
      '{"image":"../a.png","global_text":"x"}',
      /`image` must name a file in the folder, got "\.\.\/a\.png"/,
    ],
    [
      'lengths',
      '{"image":"a.png","text":["a","b"],"box":[[0,0,1,1]]}',
      /same length, got "2 captions and 1 boxes"/,
    ],
    [
      'large',
      '{"image":"a.png","text":["a"],"box":[[0,0,81,4]]}',
      /x2 <= 80 and 0 <= y1 < y2 <= 40, got \[0,0,81,4\]/,
    ],
    ['empty', '{"image":"a.png","text":["a"],"box":[[5,5,5,9]]}', /0 <= x1 < x2 <= 80.*got \[5,5,5,9\]/],
    [
      'three',
      '{"image":"a.png","text":["a"],"box":[[0,0,1]]}',
      /`box` must be a list of \[x1, y1, x2, y2\], got/,
    ],
    ['null', '{"image":"a.png","text":["a"],"box":[[0,0,1,null]]}', /`box` must be a list of/],
    ['blank', '{"image":"a.png","text":[" "],"box":[[0,0,1,1]]}', /`text` must be a list of captions/],
    ['bare', '{"image":"a.png"}', /an image must have a caption/],
    ['twice', GOOD, /an image must have one line, got a\.png again after line 1/],
  ];
  for (const [name, line, expected] of cases) {
    const path = await folderWith(name, [GOOD, line]);
    assert.match(await message(() => openFolder(path)), expected, name);
  }
  assert.match(
    await message(() => openFolder(join(folder, 'nowhere'))),
    /must hold annotations\.jsonl, got .*nowhere/,
  );
});

test('folder: a corrupt image is named when it is opened or decoded', async () => {
  const path = await folderWith('corrupt', [GOOD]);
  writeFileSync(join(path, 'a.png'), 'no image');
  assert.match(await message(() => openFolder(path)), /a\.png must be an image/);
  // Only the size is read when a folder is opened; what is cut off shows when the image is decoded.
  const noise = Uint8Array.from({ length: 4 * 64 * 64 }, (_, i) => (i * i * 31) & 255);
  const encoded = await encodeSquare(noise, 64);
  writeFileSync(join(path, 'a.png'), encoded.subarray(0, encoded.length >> 1));
  const [image] = await openFolder(path);
  assert.match(
    await message(() => loadImage(image, 64), 'ImageError'),
    /a\.png must decode as a picture, got: .*Replace or remove/,
  );
});

async function samples(count: number): Promise<EncodedSample[]> {
  const list: EncodedSample[] = [];
  for (let i = 0; i < count; i++) {
    const image = await png(32 + i, 32);
    list.push({
      key: String(i).padStart(8, '0'),
      suffix: 'png',
      image,
      boxes: [[1, 2, 10 + i, 12]],
      captions: [`thing ${i}`],
      globalCaption: i % 2 === 0 ? undefined : `image ${i}`,
    });
  }
  return list;
}

async function readAll(path: string): Promise<EncodedSample[]> {
  const list: EncodedSample[] = [];
  for await (const sample of readShards(path)) list.push(sample);
  return list;
}

test('shards: samples come back in order, byte for byte, over several archives', async () => {
  const path = join(folder, 'shards');
  const written = await samples(7);
  assert.is(await writeShards(path, written, 3), 3);
  const read = await readAll(path);
  assert.is(read.length, 7);
  for (const [i, sample] of read.entries()) {
    assert.is(Buffer.compare(sample.image, written[i].image), 0);
    assert.equal(annotationJson(sample), annotationJson(written[i]));
    assert.is(sample.key, written[i].key);
  }
  // Sample 2 is 34 x 32 and its box [1, 2, 12, 12]; at 17 x 17 both axes scale by exact binary fractions.
  const { boxes, side } = await decodeSample(read[2], 17);
  assert.equal([boxes, side], [[[0.5, 1.0625, 6, 6.375]], 17]);
  assert.equal(readdirSync(join(path, 'images')), ['00000.tar', '00001.tar', '00002.tar']);
});

test('shards: keys that disagree, missing archives and cut archives are errors', async () => {
  const path = join(folder, 'mismatch');
  const written = await samples(4);
  await writeShards(path, written, 4);
  const other = join(folder, 'other');
  await writeShards(other, [written[0], written[2], written[1], written[3]], 4);
  const annotations = join(path, 'annotations/00000.tar');
  writeFileSync(annotations, readFileSync(join(other, 'annotations/00000.tar')));
  assert.match(await message(() => readAll(path)), /keys must agree, got 00000001\.png and 00000002\.json/);
  await writeShards(other, written.slice(0, 3), 4);
  writeFileSync(annotations, readFileSync(join(other, 'annotations/00000.tar')));
  assert.match(await message(() => readAll(path)), /keys must agree, got 00000003\.png and the end/);
  writeFileSync(annotations, readFileSync(join(other, 'annotations/00000.tar')).subarray(0, 900));
  assert.match(await message(() => readAll(path)), /must be a whole tar archive/);
  writeFileSync(join(path, 'images/00001.tar'), '');
  assert.match(await message(() => readAll(path)), /must hold archives of the same names/);
});

test.run();
