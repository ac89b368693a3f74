// Scenes as files: shared by ranks, gone on with after a stop. What one process writes is held against the scenes themselves.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { finishScenes, type SceneFiles, writeScenes } from '../../ps3/data/scene_files.ts';
import type { Scene } from '../../ps3/data/scenes.ts';
import { readShards } from '../../ps3/data/shards.ts';
import { localRanks } from '../ranks/local_ranks.ts';
import { temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('scene files');
const SIDE = 8;

/** An image of one grey, with as many boxes as its number's last digit says, up to two. */
function scene(index: number): Scene {
  const boxes = [[0, 0, 4, 4] as const, [1, 2, 3, 8] as const].slice(0, index % 3);
  return {
    side: SIDE,
    rgba: new Uint8Array(4 * SIDE * SIDE).fill(index % 256),
    boxes: boxes.map((box) => [...box]),
    captions: boxes.map((_, i) => `caption ${i} of ${index}`),
    globalCaption: `image ${index}`,
    concepts: [],
    photo: 'none',
    things: [],
  };
}

const base = { description: 'grey', scene };
const files = (path: string): Record<string, string> => {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
  const whole = names.filter((name) => statSync(join(path, name)).isFile());
  return Object.fromEntries(whole.map((name) => [name, readFileSync(join(path, name), 'base64')]));
};

/** Writes on so many ranks, each of which dies after so many images. */
async function onRanks(size: number, options: Omit<SceneFiles, 'transport'>, most = Infinity) {
  const done = new Array<number>(size).fill(0);
  const ranks = localRanks(size).map((transport) => {
    const onProgress = (count: number): void => {
      done[transport.rank] = count;
      if (count === most) throw new Error('killed');
    };
    return writeScenes({ ...options, transport, onProgress });
  });
  const results = await Promise.allSettled(ranks);
  return { done, results: results.map((result) => (result.status === 'fulfilled' ? result.value : 'died')) };
}

test('scene files: a folder has every scene in order, whoever wrote it', async () => {
  const count = 70; // four parts of 16 and one of 6
  const path = (name: string): SceneFiles => ({
    ...base,
    folder: join(folder, name),
    count,
    format: 'folder',
  });
  const written = await writeScenes(path('.one'));
  await finishScenes(join(folder, '.one'), join(folder, 'one'));
  const want = files(join(folder, 'one'));
  const lines = readFileSync(join(folder, 'one', 'annotations.jsonl'), 'utf8')
    .trim()
    .split('\n');
  assert.equal(JSON.parse(lines[32]), {
    image: '00000032.jpg',
    text: ['caption 0 of 32', 'caption 1 of 32'],
    box: [
      [0, 0, 4, 4],
      [1, 2, 3, 8],
    ],
    global_text: 'image 32',
  });
  assert.equal(
    lines.map((line) => (JSON.parse(line) as { image: string }).image),
    Array.from({ length: count }, (_, i) => `${String(i).padStart(8, '0')}.jpg`),
  );
  const pixels = await sharp(join(folder, 'one', '00000032.jpg'))
    .raw()
    .toBuffer();
  assert.ok(pixels.every((value) => Math.abs(value - 32) <= 1));
  // 23 images have one box and 23 two.
  assert.is(written.boxes, 69);
  const jpegs = Object.entries(want).filter(([name]) => name.endsWith('.jpg'));
  const bytes = jpegs.reduce((sum, [, text]) => sum + Buffer.from(text, 'base64').length, 0);
  assert.is(written.imageBytes, bytes);

  const shared = await onRanks(2, path('.shared'));
  assert.equal(shared, { done: [38, 32], results: [written, written] });
  await finishScenes(join(folder, '.shared'), join(folder, 'shared'));
  assert.equal(files(join(folder, 'shared')), want);

  // Each dies in its second part.
  assert.equal(await onRanks(2, path('.killed'), 17), { done: [17, 17], results: ['died', 'died'] });
  const { ino } = statSync(join(folder, '.killed', '00000020.jpg'));
  const rest = await onRanks(3, path('.killed'));
  assert.equal(rest, { done: [16, 16, 6], results: [written, written, written] });
  assert.is(statSync(join(folder, '.killed', '00000020.jpg')).ino, ino, 'what was there is not done again');
  await finishScenes(join(folder, '.killed'), join(folder, 'killed'));
  assert.equal(files(join(folder, 'killed')), want);
});

test('scene files: of other scenes nothing is kept', async () => {
  const path: SceneFiles = { ...base, folder: join(folder, '.other'), count: 20, format: 'folder' };
  await writeScenes(path);
  const done: number[] = [];
  await writeScenes({ ...path, count: 17, description: 'darker', onProgress: (count) => done.push(count) });
  assert.is(done.length, 17);
  assert.not.ok(readdirSync(path.folder).includes('00000018.jpg'));
});

test('scene files: shards of a thousand are each of one rank', async () => {
  const count = 1003;
  const path = (name: string): SceneFiles => ({
    ...base,
    folder: join(folder, name),
    count,
    format: 'shards',
  });
  const written = await writeScenes(path('.one shards'));
  const { done, results } = await onRanks(2, path('.two shards'));
  assert.equal(done, [1000, 3]);
  assert.equal(results, [written, written]);
  await finishScenes(join(folder, '.one shards'), join(folder, 'one shards'));
  await finishScenes(join(folder, '.two shards'), join(folder, 'two shards'));
  assert.equal(files(join(folder, 'two shards')), files(join(folder, 'one shards')));
  let next = 0;
  for await (const { key, globalCaption } of readShards(join(folder, 'two shards'))) {
    assert.equal([Number(key), globalCaption], [next, `image ${next}`]);
    next++;
  }
  assert.is(next, count);
});

test.run();
