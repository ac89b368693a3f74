// Two fingerprints are equal exactly where the data is, whatever its place and times.
import { appendFile, cp, mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fingerprintFiles, fingerprintFolder, fingerprintSources } from '../../ps3/data/fingerprint.ts';

const folder = await mkdtemp(join(tmpdir(), 'fingerprint-'));
test.after(() => rm(folder, { recursive: true }));

const whole = join(folder, 'whole');
const names = Array.from({ length: 70 }, (_, i) => `${i}.png`);
await mkdir(whole);
for (const name of names) await writeFile(join(whole, name), `image ${name}`);
await writeFile(join(whole, 'annotations.jsonl'), 'one line\n');

const filesIn = (place: string, list: readonly string[] = names) =>
  list.map((name) => ({ name, path: join(place, name) }));
const fingerprint = (place: string, list: readonly string[] = names) =>
  fingerprintFolder(
    place,
    filesIn(place, list).map(({ name, path }) => ({
      key: name,
      path,
      width: 1,
      height: 1,
      boxes: [],
      captions: [],
      globalCaption: undefined,
    })),
  );

/** The parts that differ once a copy of the folder was changed. */
async function changes(change: (copy: string) => Promise<unknown>, list?: readonly string[]) {
  const copy = join(folder, 'copy');
  await cp(whole, copy, { recursive: true });
  await change(copy);
  const [before, after] = [await fingerprint(whole), await fingerprint(copy, list)];
  await rm(copy, { recursive: true });
  return Object.keys(before).filter((part) => before[part] !== after[part]);
}

test('fingerprint: a copy elsewhere with other times, listed in another order, is the same data', async () => {
  assert.equal(await changes((copy) => utimes(join(copy, '3.png'), 1, 1)), []);
  assert.equal(await changes(async () => undefined, names.toReversed()), []);
});

test('fingerprint: another annotation, size, content of a sampled image, name or number is other data', async () => {
  assert.equal(await changes((copy) => appendFile(join(copy, 'annotations.jsonl'), ' ')), [
    'annotations.jsonl',
  ]);
  for (const name of ['0.png', '57.png', '69.png'])
    assert.equal(await changes((copy) => appendFile(join(copy, name), ' ')), ['images'], name);
  // In the order of names it is the first, which is always read.
  assert.equal(await changes((copy) => writeFile(join(copy, '0.png'), 'imagf 0.png')), ['images']);
  const renamed = names.map((name) => (name === '5.png' ? 'five.png' : name));
  assert.equal(await changes((copy) => rename(join(copy, '5.png'), join(copy, 'five.png')), renamed), [
    'images',
  ]);
  assert.equal(await changes(async () => undefined, names.slice(1)), ['images']);
});

test('fingerprint: up to 64 files are all read', async () => {
  const some = names.slice(0, 64);
  const before = await fingerprintFiles(filesIn(whole, some));
  assert.match(before, /^64 files, sha256 [0-9a-f]{64}$/);
  for (const i of [1, 31, 63]) {
    await writeFile(join(whole, some[i]), `imagf ${some[i]}`);
    assert.is.not(await fingerprintFiles(filesIn(whole, some)), before, some[i]);
    await writeFile(join(whole, some[i]), `image ${some[i]}`);
  }
  assert.is(await fingerprintFiles(filesIn(whole, some)), before);
});

test('fingerprint: the versions of packages and the photographs tell sources apart', async () => {
  const terms = { licence: 'CC0-1.0', attribution: 'none' };
  const credit = { source: 'a', provides: 'noto', manager: 'npm', url: 'u', ...terms } as const;
  const photo = { name: '1', path: join(whole, '1.png'), source: 'own', ...terms };
  const of = (version: string, photos: (typeof photo)[]) =>
    fingerprintSources({
      emoji: [],
      emojiLabels: '',
      fonts: [],
      photos,
      credits: [{ ...credit, version }],
    });
  const before = await of('1.0', [photo]);
  assert.is(before.packages, 'a 1.0 (npm): CC0-1.0');
  assert.equal(await of('1.0', [photo]), before);
  assert.equal({ ...(await of('1.1', [photo])), packages: before.packages }, before);
  assert.is((await of('1.0', [{ ...photo, path: '' }])).photographs, '1 generated');
});

test.run();
