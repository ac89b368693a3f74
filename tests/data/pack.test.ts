import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OnPacked, Packed } from '../../ps3/data/pack/begun.ts';
import { folderPath, shardName } from '../../ps3/data/pack/keys.ts';
import { packFolder } from '../../ps3/data/pack/pack_folder.ts';
import { packShards, shardRanges } from '../../ps3/data/pack/pack_shards.ts';
import { archivesOf } from '../../ps3/data/stream/shard.ts';
import { ShardCache } from '../../ps3/data/stream/shard_cache.ts';
import type { Transport } from '../../ps3/ranks/transport.ts';
import { localRanks } from '../ranks/local_ranks.ts';
import { temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('pack');
const cache = new ShardCache({ folder: join(folder, 'cache'), maxBytes: 1e9 });

/** Names that a key cannot hold as they are, one too long for a plain tar header, and none that is ASCII alone. */
const NAMES = [
  'a.jpg',
  'dogs/a.1.jpg',
  'dogs/b.JPG',
  '50% off.png',
  'é ü, 日本.webp',
  `deep/${'x'.repeat(120)}.png`,
  '000007.tiff',
];

const ANNOTATIONS: readonly Record<string, unknown>[] = [
  {
    text: ['fox', 'key'],
    box: [
      [1, 2, 3.25, 4.5],
      [0, 0, 9, 9],
    ],
    global_text: 'a “fox”',
    type: 'natural',
  }, // prettier-ignore
  { global_text: 'x', nested: { list: [1, null, true], text: '\u2028' } },
  { text: [], box: [], global_text: null },
];

/** A folder of files of several sizes, which need not be images to be packed. */
function source(name: string, names: readonly string[] = NAMES): string {
  const path = join(folder, name);
  const lines = names.map((image, i) => {
    mkdirSync(dirname(join(path, image)), { recursive: true });
    const content = Uint8Array.from({ length: 511 + 300 * i }, (_, k) => (k * k * 31 + i) & 255);
    writeFileSync(join(path, image), content);
    return JSON.stringify({ image, ...ANNOTATIONS[i % ANNOTATIONS.length] });
  });
  writeFileSync(join(path, 'annotations.jsonl'), `${lines.join('\n')}\n`);
  return path;
}

const unpack = (shards: string, out: string) =>
  packFolder(archivesOf({ images: shards, annotations: null })!, out, { cache });

/** Every file below a folder but the description of the pack, with its bytes. */
function files(path: string): Record<string, string> {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
  const read = (name: string): [string, string][] =>
    statSync(join(path, name)).isFile() && name !== 'pack.json'
      ? [[name, readFileSync(join(path, name), 'base64')]]
      : [];
  return Object.fromEntries(names.flatMap(read));
}

async function message(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.is((error as Error).name, 'DataError');
    return (error as Error).message;
  }
  return assert.unreachable('nothing was thrown') as never;
}

test('pack: a folder comes back from its shards, and the shards from the folder, bit for bit', async () => {
  const from = source('round trip');
  const [shards, again, back] = ['shards', 'again', 'back'].map((name) => join(folder, name));
  assert.equal(await packShards(from, shards, { samplesPerShard: 3 }), { samples: 7, shards: 3, kept: 0 });
  assert.equal(await unpack(shards, back), { samples: 7, shards: 3, kept: 0 });
  assert.equal(files(back), files(from));
  await packShards(back, again, { samplesPerShard: 3 });
  assert.equal(files(again), files(shards));
  assert.equal(readdirSync(join(shards, 'images')), ['00000.tar', '00001.tar', '00002.tar']);
});

test('pack: Python reads the archives: names, bytes and annotations in the order of the folder', async () => {
  if (spawnSync('python3', ['--version']).status !== 0) return console.log('skipped: needs python3');
  const from = source('python');
  const shards = join(folder, 'python shards');
  await packShards(from, shards, { samplesPerShard: 4 });
  const script = `
import base64, glob, json, sys, tarfile, urllib.parse
found = []
for name in sorted(glob.glob(sys.argv[1] + "/images/*.tar")):
    with tarfile.open(name) as images, tarfile.open(name.replace("/images/", "/annotations/")) as annotations:
        for image, annotation in zip(images.getmembers(), annotations.getmembers(), strict=True):
            key, suffix = image.name.split(".")
            assert annotation.name == key + ".json" and image.mtime == 0 and image.isreg()
            content = base64.b64encode(images.extractfile(image).read()).decode()
            found.append([urllib.parse.unquote(key) + "." + suffix, content, json.load(annotations.extractfile(annotation))])
print(json.dumps(found))`;
  const found = JSON.parse(execFileSync('python3', ['-c', script, shards], { encoding: 'utf8' })) as unknown;
  const contents = files(from);
  assert.equal(
    found,
    NAMES.map((name, i) => [name, contents[name], ANNOTATIONS[i % 3]]),
  );
});

test('pack: what an interrupted call has finished is kept, the rest is written anew, in both directions', async () => {
  const from = source('interrupted');
  const [whole, cut, cutBack] = ['whole', 'cut', 'cut back'].map((name) => join(folder, name));
  await packShards(from, whole, { samplesPerShard: 2 });
  const stop = (done: number): void => {
    if (done === 2) throw new Error('killed');
  };
  const killed = (error: Error): boolean => error.message === 'killed';
  await packShards(from, cut, { samplesPerShard: 2, onProgress: stop }).catch(killed);
  assert.equal(readdirSync(join(cut, 'images')), ['00000.tar', '00001.tar']);
  // A kill in the middle of a shard leaves its annotations and a part of its images.
  writeFileSync(join(cut, 'annotations', '00002.tar'), 'half');
  writeFileSync(join(cut, 'images', '00002.tar.partial'), 'half');
  const before = statSync(join(cut, 'images', '00001.tar')).mtimeMs;
  assert.equal(await packShards(from, cut, { samplesPerShard: 2 }), { samples: 7, shards: 4, kept: 2 });
  assert.equal(files(cut), files(whole));
  assert.is(statSync(join(cut, 'images', '00001.tar')).mtimeMs, before);

  const archives = archivesOf({ images: whole, annotations: null })!;
  await packFolder(archives, cutBack, { cache, onProgress: stop }).catch(killed);
  assert.not('annotations.jsonl' in files(cutBack));
  writeFileSync(join(cutBack, '000007.tiff'), 'half');
  assert.equal(await packFolder(archives, cutBack, { cache }), { samples: 7, shards: 4, kept: 2 });
  assert.equal(files(cutBack), files(from));
  assert.equal(await packFolder(archives, cutBack, { cache }), { samples: 7, shards: 4, kept: 4 });
});

test('pack: ranks do each shard once and leave the bytes of one process, in both directions', async () => {
  const from = source('ranks');
  const [whole, shared, back] = ['one', 'shared', 'shared back'].map((name) => join(folder, name));
  await packShards(from, whole, { samplesPerShard: 2 });
  /** Packs on so many ranks, each of which dies after so many shards. */
  const onRanks = async (
    size: number,
    pack: (options: { transport: Transport; onProgress: OnPacked }) => Promise<Packed>,
    most = Infinity,
  ) => {
    const done = new Array<number>(size).fill(0);
    const ranks = localRanks(size).map((transport) => {
      const onProgress = (count: number): void => {
        done[transport.rank] = count;
        if (count === most) throw new Error('killed');
      };
      return pack({ transport, onProgress });
    });
    const results = await Promise.allSettled(ranks);
    return {
      done,
      results: results.map((result) => (result.status === 'fulfilled' ? result.value : 'died')),
    };
  };
  const toShards = (options: object) => packShards(from, shared, { samplesPerShard: 2, ...options });
  assert.equal(await onRanks(2, toShards, 1), { done: [1, 1], results: ['died', 'died'] });
  const inode = statSync(join(shared, 'images', '00001.tar')).ino;
  const ended = { samples: 7, shards: 4, kept: 2 };
  assert.equal(await onRanks(3, toShards), { done: [1, 1, 0], results: [ended, ended, ended] });
  assert.is(statSync(join(shared, 'images', '00001.tar')).ino, inode, 'what was there is not done again');
  assert.equal(files(shared), files(whole));

  const archives = archivesOf({ images: whole, annotations: null })!;
  const toFolder = (options: object) => packFolder(archives, back, { cache, ...options });
  assert.equal(await onRanks(3, toFolder, 1), { done: [1, 1, 1], results: ['died', 'died', 'died'] });
  const one = { samples: 7, shards: 4, kept: 3 };
  assert.equal(await onRanks(2, toFolder), { done: [1, 0], results: [one, one] });
  assert.equal(files(back), files(from));

  // What one rank cannot see, the first one does: an image that two of them have unpacked.
  const twice = join(folder, 'twice on ranks');
  for (const collection of ['images', 'annotations']) {
    mkdirSync(join(twice, collection), { recursive: true });
    for (const name of ['0', '1'])
      symlinkSync(join(whole, collection, '00000.tar'), join(twice, collection, `${name}.tar`));
  }
  const doubled = archivesOf({ images: twice, annotations: null })!;
  const [first] = localRanks(2).map((transport) =>
    packFolder(doubled, join(folder, 'not on ranks'), { cache, transport }),
  );
  assert.match(
    await message(() => first),
    /an image must be there once, got a\.jpg in .*1\.tar and in .*0\.tar/,
  );
});

test('pack: shards are cut by samples and by bytes, whichever is reached first', () => {
  // A file of 1 to 512 bytes takes 1024, one of 513 to 1024 takes 1536, an archive 1024 besides.
  const sizes = [512, 1, 513, 5000, 1, 1];
  assert.equal(shardRanges(sizes, 2, 1e9), [
    [0, 2],
    [2, 4],
    [4, 6],
  ]); // prettier-ignore
  assert.equal(shardRanges(sizes, 9, 3072), [
    [0, 2],
    [2, 3],
    [3, 4],
    [4, 6],
  ]); // prettier-ignore
  assert.equal(shardRanges(sizes, 9, 3071), [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 5],
    [5, 6],
  ]); // prettier-ignore
  assert.equal(shardRanges([], 9, 1), []);
});

test('pack: names and keys lead to each other', () => {
  for (const name of NAMES) assert.is(folderPath(shardName(name)), name);
  assert.equal(shardName('dogs/a.1.jpg'), { key: 'dogs%2Fa%2E1', suffix: 'jpg' });
  assert.equal(shardName('./50%.png'), { key: '50%25', suffix: 'png' });
  assert.is(folderPath({ key: '00000001 (1)', suffix: 'jpg' }), '00000001 (1).jpg');
  for (const key of [
    '50%',
    '%2e',
    '%2E%2E%2Fa',
    '%2Fetc%2Fa',
    'a%2F%2E%2E%2Fb',
    'a%2F%2Fb',
    '',
    '%2Ehidden',
    'a"b',
  ])
    assert.throws(() => folderPath({ key, suffix: 'jpg' }), /a key must be a name in the folder/, key);
  for (const name of ['a', 'a.txt', 'dogs/.a.jpg'])
    assert.throws(() => shardName(name), /must have a name that ends/);
});

test('pack: what would lose something is refused by name', async () => {
  const out = join(folder, 'refused');
  const pack = (name: string, names: readonly string[]) =>
    message(() => packShards(source(name, names), out));
  assert.match(
    await pack('suffixes', ['a.jpg', 'a.png']),
    /annotations\.jsonl line 2: images must differ .*, got a\.png after line 1/,
  );
  assert.match(
    await pack('text', ['a.txt']),
    /an image must have a name that ends like \.jpg .*, got "a\.txt"/,
  );
  const gone = source('gone');
  rmSync(join(gone, 'a.jpg'));
  assert.match(await message(() => packShards(gone, out)), /line 1: the image must exist, got .*a\.jpg/);
  const occupied = source('occupied');
  assert.match(
    await message(() => packShards(gone.replace('gone', 'interrupted'), occupied)),
    /the folder to pack into must be new or empty, got .*occupied/,
  );
  assert.match(
    await message(() => packShards(occupied, join(folder, 'cut'), { samplesPerShard: 2 })),
    /begun from the same images with the same options/,
  );
  assert.match(
    await message(() => packShards(occupied, out, { samplesPerShard: 0 })),
    /samplesPerShard must be a whole number from 1, got 0/,
  );
  const twice = join(folder, 'twice');
  for (const collection of ['images', 'annotations']) {
    mkdirSync(join(twice, collection), { recursive: true });
    for (const name of ['0', '1'])
      symlinkSync(join(folder, 'whole', collection, '00000.tar'), join(twice, collection, `${name}.tar`));
  }
  assert.match(
    await message(() => unpack(twice, join(folder, 'not twice'))),
    /an image must be there once, got a\.jpg in .*1\.tar and in .*0\.tar/,
  );
  rmSync(join(twice, 'annotations', '1.tar'));
  symlinkSync(join(folder, 'whole', 'annotations', '00001.tar'), join(twice, 'annotations', '1.tar'));
  assert.match(
    await message(() => unpack(twice, join(folder, 'not alone'))),
    /an image and its annotation must have one key, got \S+ without the other in .*1\.tar/,
  );
});

test.run();
