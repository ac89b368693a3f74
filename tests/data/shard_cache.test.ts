// Archives behind addresses: fetched once, shared, bounded, and tried again.
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../ps3/data/errors.ts';
import { MissingShardError, ShardCache } from '../../ps3/data/stream/shard_cache.ts';

/** What the server does with a path, and how often it was asked. */
const answers: Record<string, (response: ServerResponse, ask: number) => void> = {};
const asked: Record<string, number> = {};
const server = createServer(({ url = '' }, response) => {
  asked[url] = (asked[url] ?? 0) + 1;
  const answer = answers[url];
  if (answer) answer(response, asked[url]);
  else response.writeHead(404).end();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const folders: string[] = [];
test.after(async () => {
  server.close();
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shard-cache-'));
  folders.push(folder);
  return folder;
}

async function caches(count: number, maxBytes = 1e9): Promise<{ folder: string; caches: ShardCache[] }> {
  const folder = await newFolder();
  const made = Array.from({ length: count }, () => new ShardCache({ folder, maxBytes, retryMs: 1 }));
  return { folder, caches: made };
}

const content = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, i) => i % 251));

test('ShardCache: processes that share a folder fetch an archive once, and no partial file stays', async () => {
  answers['/a/0.tar'] = (response) => setTimeout(() => response.end(content(5000)), 50);
  const { folder, caches: three } = await caches(3);
  const paths = await Promise.all(three.map((cache) => cache.acquire(`${root}/a/0.tar`)));
  assert.is(new Set(paths).size, 1);
  assert.equal(await readFile(paths[0]), content(5000));
  assert.is(asked['/a/0.tar'], 1);
  assert.is((await readdir(folder)).length, 1);
});

test('ShardCache: one that finishes while others are about to begin is not fetched again', async () => {
  const { folder, caches: eight } = await caches(8);
  const paths = Array.from({ length: 60 }, (_, i) => `/often/${i}.tar`);
  for (const path of paths) {
    answers[path] = (response) => response.end(path);
    const late = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 12));
    await Promise.all(eight.map(async (cache) => [await late(), await cache.acquire(root + path)]));
  }
  assert.equal(
    paths.map((path) => asked[path]),
    paths.map(() => 1),
  );
  assert.is((await readdir(folder)).length, paths.length);
});

test('ShardCache: what a process left that was killed is taken over by all at once', async () => {
  answers['/left.tar'] = (response) => setTimeout(() => response.end(content(5000)), 50);
  const { folder, caches: six } = await caches(6);
  const path = await six[0].acquire(`${root}/left.tar`);
  await rm(path);
  // The second partial file grew once more after the lock was touched for the last time.
  for (const [name, age] of [
    ['.lock', 31],
    ['.0.partial', 3600],
    ['.1.partial', 29],
  ] as const) {
    const when = new Date(Date.now() - 1000 * age);
    await writeFile(path + name, content(100));
    await utimes(path + name, when, when);
  }
  await Promise.all(six.map((cache) => cache.acquire(`${root}/left.tar`)));
  assert.equal(await readFile(path), content(5000));
  assert.equal(await readdir(folder), [basename(path)]);
});

test('ShardCache: archives of the same name at other addresses are others, a path is itself', async () => {
  for (const name of ['b', 'c']) answers[`/${name}/0.tar`] = (response) => response.end(name);
  const {
    caches: [cache],
  } = await caches(1);
  const texts = ['b', 'c'].map(async (name) =>
    (await readFile(await cache.acquire(`${root}/${name}/0.tar`))).toString(),
  );
  assert.equal(await Promise.all(texts), ['b', 'c']);
  assert.is(await cache.acquire('/some/where.tar'), '/some/where.tar');
});

test('ShardCache: a server that fails, or cuts what it sends, is asked again', async () => {
  answers['/flaky.tar'] = (response, ask) => {
    if (ask === 1) response.writeHead(503).end();
    else if (ask === 2) response.destroy();
    else if (ask === 3) {
      response.writeHead(200, { 'content-length': '4000' });
      response.write(content(1000));
      setTimeout(() => response.destroy(), 10);
    } else response.end(content(4000));
  };
  const {
    folder,
    caches: [cache],
  } = await caches(1);
  assert.equal(await readFile(await cache.acquire(`${root}/flaky.tar`)), content(4000));
  assert.is(asked['/flaky.tar'], 4);
  assert.is((await readdir(folder)).length, 1);
});

test('ShardCache: what the server does not have is missing at once, what it cannot give is an error', async () => {
  const {
    folder,
    caches: [cache],
  } = await caches(1);
  const failure = (name: string) => cache.acquire(`${root}/${name}`).catch((error: unknown) => error);
  const missing = await failure('absent.tar');
  assert.instance(missing, MissingShardError);
  assert.match(String(missing), /absent\.tar must be there, got HTTP status 404\.$/);
  assert.is(asked['/absent.tar'], 1);
  answers['/down.tar'] = (response) => response.writeHead(500).end();
  const down = await failure('down.tar');
  assert.instance(down, DataError);
  assert.not.instance(down, MissingShardError);
  assert.match(String(down), /got HTTP status 500 after 6 attempts\. Resume the run/);
  assert.is(asked['/down.tar'], 6);
  assert.equal(await readdir(folder), []);
});

test('ShardCache: the archives that were used longest ago go when the folder is full, those in use stay', async () => {
  for (let i = 0; i < 5; i++) answers[`/${i}.tar`] = (response) => response.end(content(1000));
  const {
    folder,
    caches: [cache],
  } = await caches(1, 2000);
  const kept = async () => (await readdir(folder)).map((name) => name.slice(17)).sort();
  await cache.acquire(`${root}/0.tar`);
  for (const i of [1, 2, 3]) {
    await cache.acquire(`${root}/${i}.tar`);
    cache.release(`${root}/${i}.tar`);
    await new Promise((resolve) => setTimeout(resolve, 15)); // times of use differ
  }
  assert.equal(await kept(), ['0.tar', '3.tar'], '0 is in use');
  cache.release(`${root}/0.tar`);
  await cache.acquire(`${root}/4.tar`);
  assert.equal(await kept(), ['3.tar', '4.tar']);
  await cache.acquire(`${root}/0.tar`);
  assert.is(asked['/0.tar'], 2, 'fetched again');
});

test.run();
