// `ps3 data check`: what it finds, that it goes on, and the page.
import { appendFile, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckOptions, checkData } from '../../ps3/app/data_check.ts';
import type { Summary } from '../../ps3/data/check/findings.ts';
import { packShards } from '../../ps3/data/pack/pack_shards.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { temporaryFolder } from '../data/fixture.ts';
import { localRanks } from '../ranks/local_ranks.ts';

const folder = temporaryFolder('check');

/** A check by one process. */
const check = async (options: CheckOptions): Promise<Summary> => (await checkData(options))!;

const png = (width: number, height: number, red: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: { r: red, g: 90, b: 20 } } })
    .png()
    .toBuffer();

/** A folder with one of each fault, and what a sound one has. */
async function faulty(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  const image = await png(160, 80, 200);
  await writeFile(join(path, 'a.png'), image);
  await writeFile(join(path, 'same.png'), image);
  await writeFile(join(path, 'small.png'), await png(40, 40, 10));
  await writeFile(join(path, 'wide.png'), await png(320, 80, 30));
  await writeFile(join(path, 'cut.png'), image.subarray(0, image.length - 20));
  const lines = [
    {
      image: 'a.png',
      text: ['a red fox, sitting', 'key'],
      box: [
        [0, 0, 80, 40],
        [150, 0, 160.5, 80],
      ],
    }, // prettier-ignore
    { image: 'same.png', global_text: 'a fox' },
    {
      image: 'small.png',
      text: ['mug', 'mug', 'mug'],
      box: [
        [0, 0, 41, 10],
        [5, 5, 5, 9],
        [0, 0, 20, 20],
      ],
    }, // prettier-ignore
    { image: 'cut.png', global_text: 'one two three four five six' },
    { image: 'gone.png', global_text: 'x' },
    { image: 'wide.png', text: ['a'], box: [] },
    { image: 'wide.png', global_text: '<b>wide</b>' },
  ];
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  await writeFile(join(path, 'annotations.jsonl'), `${text}\nno JSON\n`);
  return path;
}

test('data check: counts, faults by kind and sizes of a folder, as counted by hand', async () => {
  const images = await faulty('faulty');
  const out = join(folder, 'result');
  const words = ['a red fox sitting key mug one two three four five six b wide'];
  const tokenizer = { name: 'words', tokenizer: buildWordTokenizer(words, { contextLength: 4 }) };
  const summary = await check({ images, annotations: null, out, tokenizer });
  // Samples: a, same, small, cut and the second line of wide.
  const { samples, decoded, boxes, captions, globalCaptions, cutCaptions } = summary;
  assert.equal([samples, decoded, boxes, captions, globalCaptions], [5, 4, 5, 5, 3]);
  // "a red fox sitting" and the six numbers have more than three words.
  assert.is(cutCaptions, 2);
  const kinds = summary.faults.map(({ key, kind }) => `${key}: ${kind}`).sort();
  assert.equal(kinds, [
    'cut.png: undecodable image',
    'gone.png: missing image',
    'line 6: bad annotation: `text` and `box` must have the same length',
    'line 8: bad annotation: a line must be one JSON object',
    'same.png: same content',
    'small.png: box outside the image',
    'small.png: degenerate box',
  ]);
  const { longSidePx, boxSide, boxesPerImage, words: local, globalWords, tokens } = summary.histograms;
  // Four bins to an octave: 160 px is 2^7.32, 40 px 2^5.32, 320 px 2^8.32.
  assert.equal(longSidePx, { 29: 2, 21: 1, 33: 1 });
  // Two to an octave: half the side each way is 2^-1, and 10.5 x 80 of 160 x 80 is 2^-1.96.
  assert.equal(boxSide, { '-2': 2, '-4': 1 });
  assert.equal(boxesPerImage, { 2: 1, 0: 3, 3: 1 });
  assert.equal(
    [local, globalWords],
    [
      { 4: 1, 1: 4 },
      { 2: 1, 6: 1, 1: 1 },
    ],
  ); // prettier-ignore
  assert.equal(tokens, { 5: 1, 2: 5, 3: 1, 7: 1 });
  const listed = (await readFile(join(out, 'faults.jsonl'), 'utf8')).trim().split('\n');
  assert.equal(
    listed.map((line) => JSON.parse(line) as unknown),
    [...summary.faults],
  );

  const page = await readFile(join(out, 'check.html'), 'utf8');
  assert.is(page.match(/<image href="data:image\/jpeg/g)?.length, 4);
  assert.is(page.match(/<rect [^>]*><title>/g)?.length, 5);
  assert.match(page, /<rect x="150" y="0" width="10.5" height="80" [^>]*><title>key<\/title>/);
  assert.match(page, /&lt;b&gt;wide/);
  assert.not.match(page, /<b>wide/);
  assert.not.match(page, /https?:\/\/(?!www\.w3\.org)/, 'needs nothing but itself');
});

test('data check: goes on where it was stopped, and checks anew what has changed', async () => {
  const images = join(folder, 'many');
  await mkdir(images);
  const lines: string[] = [];
  for (let i = 0; i < 6; i++) {
    await writeFile(join(images, `${i}.png`), await png(20 + i, 20, i));
    lines.push(JSON.stringify({ image: `${i}.png`, text: ['mug'], box: [[0, 0, 9, 9]] }));
  }
  await writeFile(join(images, 'annotations.jsonl'), `${lines.join('\n')}\n`);
  const shards = join(folder, 'shards');
  await packShards(images, shards, { samplesPerShard: 2 });
  const out = join(folder, 'stopped');
  const options = { images: shards, annotations: null, out };
  const stop = (done: number): void => {
    if (done === 2) throw new Error('killed');
  };
  await checkData({ ...options, onProgress: stop }).catch((error: Error) => error.message === 'killed');
  const state = join(out, 'check.jsonl');
  const before = await readFile(state, 'utf8');
  assert.is(before.trim().split('\n').length, 2);
  await writeFile(state, `${before}{"state":"cut`);
  const summary = await check(options);
  assert.equal([summary.samples, summary.decoded, summary.faults.length], [6, 6, 0]);
  const after = await readFile(state, 'utf8');
  assert.ok(after.startsWith(before), 'what was found is kept');
  assert.is(after.trim().split('\n').length, 4, 'with the line that was cut');
  assert.equal(await check(options), summary);
  assert.is(await readFile(state, 'utf8'), after, 'nothing is checked twice');

  // The second shard is replaced by one whose images end too early.
  const second = join(shards, 'images', '00001.tar');
  const bytes = await readFile(second);
  await writeFile(second, bytes.subarray(0, bytes.length - 1800));
  const broken = await check(options);
  assert.ok(broken.faults.length > 0 && broken.faults.every(({ shard }) => shard === second));
  assert.is((await readFile(state, 'utf8')).trim().split('\n').length, 5);
  await rm(second);
  const gone = await check(options).catch((error: Error) => error.message);
  assert.match(String(gone), /must hold archives of the same names/);
});

test('data check: an image of a folder that was replaced is seen again', async () => {
  const images = await faulty('mended');
  const options = { images, annotations: null, out: join(folder, 'mended result') };
  assert.is((await check(options)).decoded, 4);
  await writeFile(join(images, 'cut.png'), await png(50, 50, 5));
  const { mtimeMs } = await stat(join(images, 'cut.png'));
  await utimes(join(images, 'cut.png'), mtimeMs / 1000 + 2, mtimeMs / 1000 + 2);
  assert.is((await check(options)).decoded, 5);
});

test('data check: two ranks find what one process does, byte for byte, and three go on with what is left', async () => {
  const images = join(folder, 'ranked');
  await mkdir(images);
  const lines: string[] = [];
  for (let i = 0; i < 10; i++) {
    // One image in three is there twice; one box is outside.
    await writeFile(join(images, `${i}.png`), await png(20 + i - (i % 3 === 2 ? 1 : 0), 20, i === 5 ? 4 : 7));
    lines.push(JSON.stringify({ image: `${i}.png`, text: ['mug'], box: [[0, 0, i === 8 ? 99 : 9, 9]] }));
  }
  await writeFile(join(images, 'annotations.jsonl'), `${lines.join('\n')}\n`);
  const shards = join(folder, 'ranked shards');
  await packShards(images, shards, { samplesPerShard: 2 });
  const contents = async (out: string): Promise<Record<string, string>> => {
    const names = (await readdir(out)).sort();
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(join(out, name), 'utf8')] as const)),
    );
  };
  const [alone, shared, stopped] = ['alone', 'shared', 'stopped ranks'].map((name) => join(folder, name));
  const options = { images: shards, annotations: null };
  const want = await check({ ...options, out: alone });
  const onRanks = (size: number, out: string, most = Infinity) => {
    const done: number[] = [];
    const ranks = localRanks(size).map((transport) => {
      done.push(0);
      const onProgress = (count: number): void => {
        done[transport.rank] = count;
        if (count === most) throw new Error('killed');
      };
      return checkData({ ...options, out, transport, onProgress });
    });
    return Promise.allSettled(ranks).then((results) => ({ results, done }));
  };
  const both = await onRanks(2, shared);
  assert.equal(
    both.results.map((result) => result.status === 'fulfilled' && result.value),
    [want, undefined],
  );
  assert.equal(both.done, [3, 2], 'five shards, each of one rank');
  assert.equal(await contents(shared), await contents(alone));

  const killed = await onRanks(2, stopped, 1);
  assert.ok(killed.results.every(({ status }) => status === 'rejected'));
  assert.equal((await readdir(stopped)).sort(), ['check.0.jsonl', 'check.1.jsonl']);
  await appendFile(join(stopped, 'check.1.jsonl'), '{"state":"cut');
  const rest = await onRanks(3, stopped);
  assert.equal(rest.done, [1, 1, 1], 'three shards were left');
  const { 'check.jsonl': lines1, ...files } = await contents(alone);
  const { 'check.jsonl': lines2, ...found } = await contents(stopped);
  assert.equal(found, files);
  assert.equal(lines2.split('\n').sort(), lines1.split('\n').sort());
});

test.run();
