import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DataScenesOptions, runDataScenes, sceneSeed } from '../../ps3/data/build.ts';
import { licenceManifest, manifestText } from '../../ps3/data/manifest.ts';
import type { Credit, PhotoSource, Sources } from '../../ps3/data/sources.ts';
import { temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('build');

test('data scenes: wrong options are refused before anything is downloaded or written', async () => {
  const full = join(folder, 'full');
  mkdirSync(full);
  writeFileSync(join(full, 'mine.txt'), 'mine');
  const out = join(folder, 'out');
  const cases: [Partial<DataScenesOptions>, RegExp][] = [
    [{ count: 0 }, /--count must be a whole number from 1, got 0/],
    [{ count: 1.5 }, /got 1\.5/],
    [{ out: full }, /--out must be a new or empty folder, got .*full/],
    [{ split: 'test' as 'train' }, /--split must be one of train, heldOutImages, heldOutConcepts, got test/],
    [{ format: 'zip' as 'folder' }, /--format must be one of folder, shards, got zip/],
    [{ signs: -1 }, /--signs must be a whole number from 0, got -1/],
    [{ side: 30 }, /side must be a whole number of 64 to 8192 pixels, got 30/],
  ];
  for (const [changes, expected] of cases) {
    const error = await runDataScenes({ out, count: 1, ...changes }).catch((reason: Error) => reason);
    assert.match((error as Error).message, expected);
    assert.not.ok(existsSync(out));
  }
});

test('data scenes: scenes of different collections, seeds and numbers have different seeds', () => {
  const seeds = new Set<number>();
  for (const seed of [1, 2]) {
    for (const name of ['train', 'heldOutImages']) {
      for (let i = 0; i < 2000; i++) seeds.add(sceneSeed(seed, name, i));
    }
  }
  // 8,000 of 2^32 values: 0.007 collisions are expected.
  assert.ok(seeds.size >= 7999, `${seeds.size} of 8000`);
});

test('manifest: only what went into the images is listed, each with licence and author', () => {
  const credit = (source: string, provides: string, licence: string): Credit => ({
    source,
    provides,
    licence,
    version: '1.0',
    manager: 'npm',
    url: `https://example.org/${source}`,
    attribution: `makers of ${source}`,
  });
  const photo = (name: string, source: string): PhotoSource => ({
    name,
    source,
    path: name,
    licence: 'CC-BY-4.0',
    attribution: `taker of ${name}`,
  });
  const sources: Sources = {
    emoji: [],
    emojiLabels: '',
    fonts: [],
    photos: [photo('hill', 'walls'), photo('lake', 'lakes')],
    credits: [
      credit('labels', 'labels', 'MIT'),
      credit('round', 'noto', 'Apache-2.0'),
      credit('open', 'openmoji', 'CC-BY-SA-4.0'),
      credit('walls', 'photographs', 'per file'),
      credit('lakes', 'photographs', 'per file'),
    ],
  };
  const manifest = licenceManifest(sources, [sources.photos[0]], new Set(['noto']));
  assert.equal(
    manifest.packages.map(({ source }) => source),
    ['labels', 'round', 'walls'],
  );
  const text = manifestText(manifest);
  for (const part of [
    'round 1.0 (npm): Apache-2.0; makers of round',
    'hill (walls): CC-BY-4.0; taker of hill; cropped',
  ]) {
    assert.ok(text.includes(part), text);
  }
  assert.not.ok(text.includes('lake'));
});

test.run();
