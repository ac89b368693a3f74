// The order of a stream: which images come, on however many ranks, wherever it goes on, whatever of it is broken.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StreamCursor } from '../../ps3/data/collection.ts';
import { ImageStream, type ImageStreamOptions } from '../../ps3/data/stream/image_stream.ts';
import type { Source } from '../../ps3/data/stream/order.ts';
import type { Reference, Shard } from '../../ps3/data/stream/shard.ts';
import { gatherSkips, type Skip, type SkipKind, SkipLog } from '../../ps3/data/stream/skips.ts';
import { ImageError } from '../../ps3/model/image.ts';
import { localRanks } from '../ranks/local_ranks.ts';
import { temporaryFolder } from './fixture.ts';

/** Shards in memory, whose images are their names. */
interface Stored {
  readonly shards: Shard[];
  readonly indexed: string[];
  readonly read: string[];
}

function stored(name: string, sizes: readonly number[], bytesOf = (key: string): string => key): Stored {
  const [indexed, read]: [string[], string[]] = [[], []];
  const shards = sizes.map((size, s): Shard => {
    const shard: Shard = {
      name: `${name}${s}`,
      index: async () => {
        indexed.push(shard.name);
        const references = Array.from({ length: size }, (_, i): Reference => {
          return { shard, key: `${name}${s}-${i}`, boxes: [], captions: [], globalCaption: 'a' };
        });
        return { references, skips: [] };
      },
      read: async ({ key }) => {
        read.push(key);
        await setTimeout(key.length % 3); // images come back in another order
        return Buffer.from(bytesOf(key));
      },
      release: () => undefined,
    };
    return shard;
  });
  return { shards, indexed, read };
}

const options = (
  sources: readonly Source[],
  changes: Partial<ImageStreamOptions> = {},
): ImageStreamOptions => ({
  sources,
  seed: 1,
  shuffle: 20,
  resampled: false,
  imagesInFlight: 3,
  skips: new SkipLog(0.05),
  ...changes,
});

/** What a stream shows: each batch as its images' keys. `broken` keys do not decode. */
function streamOf(
  given: ImageStreamOptions,
  perBatch: number,
  from?: StreamCursor,
  broken: (key: string) => boolean = () => false,
): ImageStream<string[]> {
  const builder = (count: number) => {
    const keys = new Array<string>(count).fill('');
    return {
      put: async (place: number, { key }: Reference, encoded: Uint8Array) => {
        await setTimeout(encoded.length % 2);
        if (broken(key)) throw new ImageError(`${key} must decode.`);
        keys[place] = key;
      },
      finish: () => keys,
    };
  };
  return new ImageStream(given, perBatch, builder, from);
}

async function batches(stream: ImageStream<string[]>, count: number): Promise<string[][]> {
  const pending = Array.from({ length: count }, () => stream.next());
  const all = (await Promise.all(pending)).map(({ batch }) => batch);
  await stream.close();
  return all;
}

const SIZES = [7, 13, 1, 9, 20, 0, 10]; // 60 images
const source = (sizes = SIZES, name = 'a'): Source => ({ shards: stored(name, sizes).shards, weight: 1 });

test('ImageStream: an exact epoch shows every sample once, each in another order', async () => {
  const shown = (await batches(streamOf(options([source()]), 6), 30)).flat();
  const epochs = [0, 1, 2].map((epoch) => shown.slice(60 * epoch, 60 * (epoch + 1)));
  for (const epoch of epochs) assert.is(new Set(epoch).size, 60);
  assert.is(new Set(epochs.map((epoch) => epoch.join())).size, 3);
  const other = (await batches(streamOf(options([source()], { seed: 2 }), 6), 10)).flat();
  assert.not.equal(other, epochs[0]);
});

test('ImageStream: without shuffling, samples come as they are stored', async () => {
  const shown = (await batches(streamOf(options([source([2, 3])], { shuffle: 0 }), 5), 2)).flat();
  const stored = ['a0-0', 'a0-1', 'a1-0', 'a1-1', 'a1-2'];
  assert.equal(shown, [...stored, ...stored]);
});

test('ImageStream: a window mixes at least so many samples, from several shards', async () => {
  const first = (await batches(streamOf(options([source(new Array(20).fill(5))]), 20), 1))[0];
  assert.is(new Set(first.map((key) => key.split('-')[0])).size, 4, 'four shards of five');
  const inOrder = [...first].sort().join() === first.join();
  assert.not.ok(inOrder);
});

test('ImageStream: the order is the same for any number of images in flight and of ranks', async () => {
  const alone = await batches(streamOf(options([source()]), 12), 12);
  for (const imagesInFlight of [1, 64])
    assert.equal(await batches(streamOf(options([source()], { imagesInFlight }), 12), 12), alone);
  for (const ranks of [2, 4]) {
    const parts = await onRanks(ranks, (shared) => streamOf(options([source()], shared), 12), 12);
    const joined = alone.map((_, i) => parts.flatMap((part) => part[i]));
    assert.equal(joined, alone, `${ranks} ranks`);
  }
});

/** Streams of several ranks that exchange their hashes. */
async function onRanks(
  ranks: number,
  open: (shared: Partial<ImageStreamOptions>) => ImageStream<string[]>,
  count: number,
): Promise<string[][][]> {
  const given: (readonly string[])[][] = Array.from({ length: ranks }, () => []);
  const rank = async (rank: number): Promise<string[][]> => {
    let call = 0;
    const exchangeHashes = async (own: readonly string[]): Promise<string[]> => {
      given[rank].push(own);
      const at = call++;
      while (given.some((calls) => calls.length <= at)) await setTimeout(1);
      return given.flatMap((calls) => calls[at]);
    };
    return batches(open({ rank, ranks, exchangeHashes }), count);
  };
  return Promise.all(Array.from({ length: ranks }, (_, i) => rank(i)));
}

test('ImageStream: from every cursor it goes on as if it had not stopped, without reading what is behind', async () => {
  const whole = streamOf(options([source()]), 5);
  const steps: { batch: string[]; next: StreamCursor }[] = [];
  for (let i = 0; i < 26; i++) steps.push(await whole.next());
  await whole.close();
  for (const [i, { next }] of steps.slice(0, -2).entries()) {
    const { shards, read } = stored('a', SIZES);
    const resumed = streamOf(options([{ shards, weight: 1 }]), 5, JSON.parse(JSON.stringify(next)));
    assert.equal((await resumed.next()).batch, steps[i + 1].batch, `after ${i + 1}`);
    assert.is(read.length, 5, `after ${i + 1}: ${read}`);
    assert.equal((await resumed.next()).batch, steps[i + 2].batch);
    await resumed.close();
  }
});

test('ImageStream: sources are drawn from by their weights, each by itself in its own order', async () => {
  const heavy: Source = { ...source(SIZES, 'h'), weight: 3 };
  const light: Source = { ...source(SIZES, 'l'), weight: 1 };
  const shown = (await batches(streamOf(options([heavy, light]), 20), 200)).flat();
  const heavyOnes = shown.filter((key) => key.startsWith('h'));
  // Of 4000 draws 3000 are expected, with a standard deviation of 27.
  assert.ok(Math.abs(heavyOnes.length - 3000) < 4 * 27, `${heavyOnes.length}`);
  const firstOf = (name: string): Set<string> =>
    new Set(shown.filter((key) => key.startsWith(name)).slice(0, 60));
  for (const name of ['h', 'l'])
    assert.ok(firstOf(name).size >= 59, 'an epoch of its own, but for repeated images');
});

test('ImageStream: resampled shards come with replacement, as often each', async () => {
  const { shards, indexed } = stored('a', new Array(10).fill(4));
  const stream = streamOf(options([{ shards, weight: 1 }], { resampled: true, shuffle: 8 }), 4);
  const shown = (await batches(stream, 500)).flat();
  assert.is(shown.length, 2000);
  const counts = shards.map(({ name }) => indexed.filter((other) => other === name).length);
  // Of 500 draws 50 are expected for each, with a standard deviation of 7.
  for (const count of counts) assert.ok(Math.abs(count - 50) < 4 * 7, `${counts}`);
  assert.ok(new Set(indexed.slice(0, 10)).size < 10, 'not each once');
});

test('ImageStream: the same image under another name is shown once a batch, on any number of ranks', async () => {
  const twins = (): Source => ({
    shards: stored('a', SIZES, (key) => key.replace(/-\d+$/, (i) => `-${Number(i.slice(1)) % 3}`)).shards,
    weight: 1,
  });
  const hashOf = (key: string): string => key.replace(/-\d+$/, (i) => `-${Number(i.slice(1)) % 3}`);
  const alone = await batches(streamOf(options([twins()], { shuffle: 60 }), 8), 20);
  for (const batch of alone) assert.is(new Set(batch.map(hashOf)).size, 8, batch.join());
  const parts = await onRanks(4, (shared) => streamOf(options([twins()], { shuffle: 60, ...shared }), 8), 20);
  assert.equal(
    alone.map((_, i) => parts.flatMap((part) => part[i])),
    alone,
  );
  const few = streamOf(options([{ shards: stored('a', [9], () => 'same').shards, weight: 1 }]), 2);
  const error: unknown = await few.next().catch((error) => error);
  assert.match(
    String(error),
    /a batch must have 2 different images that can be decoded, got fewer around a0-\d/,
  );
});

test('ImageStream: an image that does not decode gives way to another, and no other place changes', async () => {
  const broken = (key: string): boolean => ['a1-3', 'a4-19', 'a3-0'].includes(key);
  const whole = await batches(streamOf(options([source()]), 6), 10);
  const skips = new SkipLog(0.5);
  const mended = await batches(streamOf(options([source()], { skips }), 6, undefined, broken), 10);
  let changed = 0;
  for (const [i, batch] of mended.entries()) {
    assert.is(new Set(batch).size, 6);
    for (const [j, key] of batch.entries()) {
      assert.not.ok(broken(key));
      if (key === whole[i][j]) continue;
      changed++;
      assert.ok(broken(whole[i][j]), `${whole[i][j]} became ${key}`);
    }
  }
  assert.is(changed, 3);
  assert.equal(skips.counts, { 'undecodable image': 3 });
  const parts = await onRanks(
    2,
    (shared) => streamOf(options([source()], { ...shared, skips: new SkipLog(0.5) }), 6, undefined, broken),
    10,
  );
  assert.equal(
    mended.map((_, i) => parts.flatMap((part) => part[i])),
    mended,
  );
});

test('ImageStream: held-out samples never come', async () => {
  const without = ({ key }: Reference): boolean => key.startsWith('a4-');
  const shown = (await batches(streamOf(options([{ ...source(), without }]), 8), 10)).flat();
  assert.is(new Set(shown).size, 40);
  assert.not.ok(shown.some((key) => key.startsWith('a4-')));
});

test('SkipLog: too many skipped samples end the stream in a sentence, and a source of none does', async () => {
  const sizes = new Array(10).fill(50);
  const odd = (key: string): boolean => Number(key.at(-1)) % 2 === 1;
  const stream = streamOf(options([source(sizes)], { skips: new SkipLog(0.1) }), 50, undefined, odd);
  const error: unknown = await batches(stream, 10).catch((error) => error);
  assert.match(
    String(error),
    /at most 10 % of the samples may be skipped, got \d+ of \d+ \(\d+ undecodable image\)\. See skipped\.jsonl/,
  );
  const none = streamOf(options([source([0, 0])]), 1);
  const empty: unknown = await none.next().catch((error) => error);
  assert.match(String(empty), /a source must have samples that can be used, got none in 2 shards from a0/);
});

test('SkipLog: skipped.jsonl lists a sample once, also after a kill that cut its last line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'skips-'));
  const path = join(folder, 'skipped.jsonl');
  const broken = (key: string): boolean => /^a[01]-/.test(key);
  const run = async (): Promise<SkipLog> => {
    const skips = new SkipLog(1);
    const stream = streamOf(options([source()], { skips, shuffle: 60 }), 6, undefined, broken);
    for (let i = 0; i < 5; i++) await stream.next();
    await skips.writeTo(path);
    for (let i = 0; i < 25; i++) await stream.next();
    await stream.close();
    return skips;
  };
  const first = await run();
  const lines = async () => (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  const keys = async () => (await lines()).map((line) => String(JSON.parse(line).key)).sort();
  const wanted = [0, 1].flatMap((s) => Array.from({ length: SIZES[s] }, (_, i) => `a${s}-${i}`)).sort();
  assert.equal(await keys(), wanted);
  assert.equal(first.counts, { 'undecodable image': 20 });
  const whole = await readFile(path, 'utf8');
  await writeFile(path, whole.slice(0, -30));
  const second = await run();
  assert.equal(second.counts, { 'undecodable image': 20 });
  const [cut, ...rest] = (await lines()).filter((line) => !line.endsWith('}') || !line.startsWith('{'));
  assert.ok(cut !== undefined && rest.length === 0);
  const listed = (await lines()).filter((line) => line !== cut).map((line) => String(JSON.parse(line).key));
  assert.equal(listed.sort(), wanted);
  await rm(folder, { recursive: true });
});

test('skips: those of all ranks are counted and listed once, by the first', async () => {
  const path = join(temporaryFolder('skips'), 'skipped.jsonl');
  const skip = (key: string, kind: SkipKind): Skip => ({ shard: 's.tar', key, kind, reason: `${key}.` });
  const logs = localRanks(3).map((transport) => ({ transport, log: new SkipLog(1) }));
  await logs[0].log.writeTo(path);
  // An archive is opened by all, an image read by one.
  for (const { log } of logs) log.opened(5, [skip('broken', 'bad JSON')]);
  for (const [i, { log }] of logs.entries()) log.read(skip(`image ${i}`, 'undecodable image'));
  const gather = () => Promise.all(logs.map(({ transport, log }) => gatherSkips(transport, log)));
  await gather();
  logs[2].log.read(skip('late', 'missing image'));
  await gather();
  const [{ log }] = logs;
  await log.flush();
  assert.equal(log.counts, { 'bad JSON': 1, 'undecodable image': 3, 'missing image': 1 });
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  assert.equal(
    lines.map((line) => (JSON.parse(line) as Skip).key),
    ['broken', 'image 0', 'image 1', 'image 2', 'late'],
  );
});

test.run();
