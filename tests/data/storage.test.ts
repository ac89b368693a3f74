import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packTar } from 'modern-tar';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { annotationJson, encodeJpeg } from '../../ps3/data/annotations.ts';
import { loadImage, openFolder } from '../../ps3/data/folder.ts';
import { isImageName } from '../../ps3/data/image_files.ts';
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
    [
      'blank',
      '{"image":"a.png","text":[" "],"box":[[0,0,1,1]]}',
      /`text` must be a list of captions with a word each/,
    ],
    [
      'wordless',
      '{"image":"a.png","text":["..."],"box":[[0,0,1,1]]}',
      /captions with a word each, got \["\.\.\."\]/,
    ],
    ['mute', '{"image":"a.png","global_text":"?!"}', /`global_text` must have a word, got "\?!"/],
    ['absent', '{"image":"a.png","text":null,"box":null,"global_text":null}', /must have a caption/],
    ['below', '{"image":"a.png","text":["a"],"box":[[-1,0,8,4]]}', /got \[-1,0,8,4\]/],
    ['beside', '{"image":"a.png","text":["a"],"box":[[80.1,0,80.9,4]]}', /got \[80\.1,0,80\.9,4\]/],
    ['again', '{"image":"./a.png","global_text":"x"}', /one line, got \.\/a\.png again after line 1/],
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

const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/cases/${name}`, import.meta.url));

/** A folder with images of 128x96 and the annotations of a fixture. */
async function folderOf(name: string, annotations: Buffer | string): Promise<string> {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  for (const image of ['p0.png', 'p1.png']) writeFileSync(join(path, image), await png(128, 96));
  writeFileSync(join(path, 'annotations.jsonl'), annotations);
  return path;
}

test('folder: a byte order mark and Windows line ends are no part of the annotations', async () => {
  const bom = fixture('bom.annotations.jsonl');
  for (const [name, text] of [
    ['mark', bom],
    ['windows', bom.toString().replaceAll('\n', '\r\n')],
  ] as const) {
    const images = await openFolder(await folderOf(name, text));
    assert.equal(
      images.map(({ key, captions }) => [key, captions]),
      [
        ['p0.png', ['red mug', 'blue cup']],
        ['p1.png', ['red mug', 'blue cup']],
      ],
    );
  }
  const other = await folderOf('utf16', Buffer.from(bom.toString(), 'utf16le'));
  assert.match(
    await message(() => openFolder(other), 'EngineError'),
    /annotations\.jsonl must be text in UTF-8/,
  );
});

test('folder: edges outside by less than a pixel are clipped, null is absent', async () => {
  const [image] = await openFolder(await folderOf('edge', fixture('edge.annotations.jsonl')));
  assert.equal(image.boxes, [[64, 20, 128, 90]]);
  const lines = [
    '{"image":"p0.png","text":["a"],"box":[[-0.9,-1e-9,128.99,96.5]],"global_text":null}',
    '{"image":"p1.png","text":null,"box":null,"global_text":"a desk"}',
  ];
  const [clipped, whole] = await openFolder(await folderOf('clipped', lines.join('\n')));
  assert.equal([clipped.boxes, clipped.globalCaption], [[[0, 0, 128, 96]], undefined]);
  assert.equal([whole.boxes, whole.captions, whole.globalCaption], [[], [], 'a desk']);
});

test('folder: captions that clean to nothing are refused as empty ones are', async () => {
  const path = await folderOf('punctuation', fixture('punctuation.annotations.jsonl'));
  assert.match(await message(() => openFolder(path)), /captions with a word each, got \["!!!","\.\.\."\]/);
});

test('folder: a name is found in either spelling of its accents', async () => {
  const [composed, decomposed] = ['caf\u00e9.png', 'cafe\u0301.png'];
  for (const [stored, named] of [
    [composed, decomposed],
    [decomposed, composed],
  ]) {
    const path = await folderOf(
      `accent ${stored.length}`,
      JSON.stringify({ image: named, global_text: 'x' }),
    );
    writeFileSync(join(path, stored), await png(8, 8));
    const [image] = await openFolder(path);
    assert.is((await loadImage(image, 8)).side, 8);
  }
});

test('folder: an image in another format is refused with the formats that are read', async () => {
  const path = await folderOf('bmp', '{"image":"plain.bmp","global_text":"x"}');
  writeFileSync(join(path, 'plain.bmp'), fixture('plain.bmp'));
  assert.match(
    await message(() => openFolder(path)),
    /plain\.bmp must be an image, .* JPEG, PNG, WebP, GIF, AVIF and TIFF are read/,
  );
});

test('isImageName: suffixes in any case, hidden files not', () => {
  for (const name of ['a.jpg', 'A.JPG', 'b.JFIF', 'c.d.tiff', 'e.bmp', 'é.webp'])
    assert.ok(isImageName(name), name);
  for (const name of ['._a.jpg', '.DS_Store', '.a.png', 'a.json', 'jpg', 'Thumbs.db', ''])
    assert.not(isImageName(name), name);
});

test('folder: a corrupt image is named when it is opened or decoded', async () => {
  const path = await folderWith('corrupt', [GOOD]);
  writeFileSync(join(path, 'a.png'), 'no image');
  assert.match(await message(() => openFolder(path)), /a\.png must be an image/);
  // Only the size is read when a folder is opened; what is cut off shows when the image is decoded.
  const noise = Uint8Array.from({ length: 4 * 64 * 64 }, (_, i) => (i * i * 31) & 255);
  const encoded = await encodeJpeg({ rgba: noise, width: 64, height: 64 });
  writeFileSync(join(path, 'a.png'), encoded.subarray(0, encoded.length >> 1));
  const [image] = await openFolder(path);
  assert.match(
    await message(() => loadImage(image, 64), 'ImageError'),
    /a\.png must decode as an image, got: .*Replace or remove/,
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

test('shards: an annotation with a byte order mark is read, one in another encoding is refused', async () => {
  const image = await png(8, 8);
  const tar = (name: string, content: string | Uint8Array): Promise<Uint8Array> =>
    packTar([{ header: { name, size: content.length, type: 'file' }, body: content }]);
  const path = join(folder, 'encodings');
  for (const collection of ['images', 'annotations']) mkdirSync(join(path, collection), { recursive: true });
  writeFileSync(join(path, 'images/00000.tar'), await tar('0.png', image));
  const json = '{"global_text": "café"}';
  const read = async (annotation: Uint8Array): Promise<string | undefined> => {
    writeFileSync(join(path, 'annotations/00000.tar'), await tar('0.json', annotation));
    for await (const { globalCaption } of readShards(path)) return globalCaption;
  };
  assert.is(await read(Buffer.from(`\uFEFF${json}`)), 'café');
  assert.match(
    await message(() => read(Buffer.from(json, 'latin1'))),
    /0\.json must be JSON in UTF-8, got: /,
  );
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
