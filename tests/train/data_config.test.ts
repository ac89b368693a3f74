// Which collections a configuration may name.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trainConfig } from '../../ps3/train/presets.ts';

const data = (file: object) => trainConfig({ preset: 'smoke', file: { data: file } }).data;
const fails = (file: object, message: RegExp) => assert.throws(() => data(file), message);

test('config: a source is archives with a weight of 1, or a folder, where nothing else is said', () => {
  const { sources } = data({
    sources: [
      { images: 'i{0..3}.tar', annotations: 'a{0..3}.tar' },
      { images: 'dir', weight: 3 },
    ],
  });
  assert.equal(sources, [
    { images: 'i{0..3}.tar', annotations: 'a{0..3}.tar', weight: 1 },
    { images: 'dir', annotations: null, weight: 3 },
  ]);
});

test('config: collections that exclude each other, or are none, are refused by their path', () => {
  fails({ folder: 'a', sources: [{ images: 'b' }] }, /data\.folder must be null beside data\.sources/);
  fails({ sources: [] }, /data\.sources must be null or name a collection/);
  fails(
    { sources: [{ images: 'b' }], photos: 'c' },
    /data\.photos must be null beside data\.folder and data\.sources/,
  );
  fails({ validation: { images: 'b' } }, /data\.validation must be null beside scenes/);
  fails({ sources: [{ images: 'b', weight: 0 }] }, /data\.sources\.0\.weight must be a positive number/);
  fails({ sources: [{ annotations: 'b' }] }, /data\.sources\.0\.images must be/);
  fails({ imagesInFlight: 0 }, /data\.imagesInFlight must be a positive integer/);
  fails({ maxSkippedShare: 2 }, /data\.maxSkippedShare must be in \[0, 1\]/);
});

test.run();
