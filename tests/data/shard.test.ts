// Collections as users name them, and every way in which a sample can be broken.
import { appendFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packTar } from 'modern-tar';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Reference, type Shard, shardsOf } from '../../ps3/data/stream/shard.ts';
import { ShardCache } from '../../ps3/data/stream/shard_cache.ts';

const folder = await mkdtemp(join(tmpdir(), 'shard-'));
test.after(() => rm(folder, { recursive: true }));
const cache = new ShardCache({ folder: join(folder, 'cache'), maxBytes: 1e9, retryMs: 1 });

async function writeTar(path: string, files: Readonly<Record<string, string>>): Promise<void> {
  const entries = Object.entries(files).map(([name, body]) => ({
    header: { name, size: Buffer.byteLength(body) },
    body,
  }));
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, await packTar(entries));
}

const local = '{"text": ["a fox"], "box": [[0, 0, 4, 4]]}';
const keys = (references: readonly Reference[]): string[] => references.map(({ key }) => key);

async function one(images: string, annotations: string | null): Promise<Shard> {
  const [shard, ...others] = shardsOf({ images, annotations }, cache);
  assert.equal(others, []);
  return shard;
}

// What bash's `echo` prints for each.
for (const [range, names] of [
  ['a/{000..003}.tar', 'a/000.tar a/001.tar a/002.tar a/003.tar'],
  ['{a,b}{1..2}.tar', 'a1.tar a2.tar b1.tar b2.tar'],
  ['{08..11}', '08 09 10 11'],
  ['{0..6..3}', '0 3 6'],
  ['http://h/{00..01}-of-02.tar', 'http://h/00-of-02.tar http://h/01-of-02.tar'],
  ['plain.tar', 'plain.tar'],
  ['{x,y{1,2}}', 'x y1 y2'],
])
  test(`shardsOf: ${range} are the archives that a shell makes of it`, () => {
    const shards = shardsOf({ images: range, annotations: range }, cache);
    assert.is(shards.map(({ name }) => name).join(' '), names);
  });

test('shardsOf: a folder of archives is in the order of their names, and one without either layout is refused', async () => {
  for (const kind of ['images', 'annotations'])
    for (const name of ['00001.tar', '00000.tar', '._00000.tar'])
      await writeTar(join(folder, 'both', kind, name), {});
  const shards = shardsOf({ images: join(folder, 'both'), annotations: null }, cache);
  assert.equal(
    shards.map(({ name }) => name),
    ['00000.tar', '00001.tar'].map((name) => join(folder, 'both/images', name)),
  );
  await rm(join(folder, 'both/annotations/00001.tar'));
  const refused = (images: string, annotations: string | null) => () =>
    shardsOf({ images, annotations }, cache);
  assert.throws(refused(join(folder, 'both'), null), /archives of the same names, got 2 and 1/);
  assert.throws(
    refused(join(folder, 'nowhere'), null),
    /must hold annotations\.jsonl, or images\/ and annotations\//,
  );
  assert.throws(
    refused('{0..3}.tar', '{0..2}.tar'),
    /got 4 of images \(0\.tar, \.\.\.\) and 3 of annotations/,
  );
});

test('shard: images meet their annotations by key, whatever the order and whatever else is there', async () => {
  const [images, annotations] = [join(folder, 'i.tar'), join(folder, 'a.tar')];
  await writeTar(images, {
    'x/0.jpg': 'zero',
    'y/1.png': 'one',
    '2.part.JPG': 'two',
    '0.txt': '',
    '._1.png': '',
  });
  await writeTar(annotations, { '2.json': local, '1.json': '{"global_text": "a key"}', 'z/0.json': local });
  const shard = await one(images, annotations);
  const { references, skips } = await shard.index();
  assert.equal(skips, []);
  assert.equal(keys(references), ['0', '1', '2']);
  const read = references.map(async (reference) => Buffer.from(await shard.read(reference)).toString());
  assert.equal(await Promise.all(read), ['zero', 'one', 'two']);
  assert.equal([references[1].captions, references[1].globalCaption], [[], 'a key'], 'global alone');
  assert.equal([references[0].captions, references[0].globalCaption], [['a fox'], undefined], 'local alone');
});

test('shard: what is broken is left out with its kind, and the others are there', async () => {
  const [images, annotations] = [join(folder, 'i.tar'), join(folder, 'a.tar')];
  await writeTar(images, {
    '0.jpg': '0',
    '1.jpg': '1',
    '2.jpg': '2',
    '3.jpg': '3',
    '4.jpg': '4',
    '5.jpg': '5',
  });
  await writeTar(annotations, {
    '0.json': local,
    '1.json': '{"text": ["a fox"',
    '2.json': '{"text": ["a fox"], "box": []}',
    '4.json': local,
    '6.json': local,
    '5.json': '{"text": [], "box": []}',
  });
  const { references, skips } = await (await one(images, annotations)).index();
  assert.equal(keys(references), ['0', '4']);
  assert.equal(skips.map(({ key, kind }) => `${key}: ${kind}`).sort(), [
    '1: bad JSON',
    '2: bad annotation',
    '3: missing annotation',
    '5: bad annotation',
    '6: missing image',
  ]);
  for (const { shard, reason } of skips) {
    assert.is(shard, images);
    assert.match(reason, /\.$/);
  }
});

test('shard: a cut archive gives what is before the cut, a missing one and two of one key are said', async () => {
  const [images, annotations] = [join(folder, 'i.tar'), join(folder, 'a.tar')];
  await writeTar(images, { '0.jpg': '0', '1.jpg': '1', 'b/0.png': 'again' });
  await writeTar(annotations, { '0.json': local, '1.json': local });
  const repeated = await (await one(images, annotations)).index();
  assert.equal(keys(repeated.references), ['0', '1']);
  assert.equal(
    repeated.skips.map(({ key, kind }) => [key, kind]),
    [['0', 'repeated key']],
  );
  await truncate(images, 1024 + 100); // within the second header
  const cut = await one(images, annotations);
  const { references, skips } = await cut.index();
  assert.equal(keys(references), ['0']);
  assert.equal(
    skips.map(({ key, kind }) => [key, kind]),
    [
      ['', 'broken tar'],
      ['1', 'missing image'],
    ],
  );
  await truncate(images, 512);
  const error: unknown = await cut.read(references[0]).catch((error) => error);
  assert.match(String(error), /i\.tar ends within 0: it was cut after it was opened\./);
  await rm(images);
  const gone = await (await one(images, annotations)).index();
  assert.equal(
    gone.skips.map(({ kind, reason }) => [kind, reason]),
    [['missing shard', `${images} must be there.`]],
  );
});

test('shard: archives behind addresses are those of the server, and a missing one is skipped', async () => {
  const server = createServer((request, response) => {
    void readFile(join(folder, 'served', request.url ?? '')).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeTar(join(folder, 'served/i0.tar'), { '0.jpg': 'zero' });
  await writeTar(join(folder, 'served/a0.tar'), { '0.json': local });
  await writeTar(join(folder, 'served/a1.tar'), { '0.json': local });
  const shards = shardsOf({ images: `${root}/i{0..1}.tar`, annotations: `${root}/a{0..1}.tar` }, cache);
  const [first, second] = [await shards[0].index(), await shards[1].index()];
  assert.is(Buffer.from(await shards[0].read(first.references[0])).toString(), 'zero');
  assert.equal(
    second.skips.map(({ kind, reason }) => [kind, reason]),
    [['missing shard', `ShardCache: ${root}/i1.tar must be there, got HTTP status 404.`]],
  );
  server.close();
});

test('shard: a folder with annotations.jsonl is one shard, its broken lines are left out', async () => {
  const path = join(folder, 'plain');
  await mkdir(path);
  for (const name of ['0.png', '1.png']) await writeFile(join(path, name), name);
  const line = (image: string): string => `${JSON.stringify({ image, ...JSON.parse(local) })}\n`;
  const file = join(path, 'annotations.jsonl');
  await writeFile(file, line('0.png') + line('../2.png') + line('3.png') + line('1.png') + line('0.png'));
  await appendFile(file, '{"image": "1.p');
  const shard = await one(path, null);
  const { references, skips } = await shard.index();
  assert.equal(keys(references), ['0.png', '1.png']);
  assert.is(Buffer.from(await shard.read(references[1])).toString(), '1.png');
  assert.equal(
    skips.map(({ key, kind }) => [key, kind]),
    [
      ['line 2', 'bad annotation'],
      ['3.png', 'missing image'],
      ['line 5', 'repeated key'],
      ['line 6', 'bad annotation'],
    ],
  );
  await rm(join(path, '1.png'));
  const error: unknown = await shard.read(references[1]).catch((error) => error);
  assert.match(String(error), /1\.png must be there\./);
});

test.run();
