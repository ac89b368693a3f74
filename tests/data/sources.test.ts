import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { normaliseName } from '../../ps3/data/concepts.ts';
import { debianLicence } from '../../ps3/data/licences.ts';
import { npmPackage } from '../../ps3/data/packages.ts';
import { seedFor } from '../../ps3/data/seeds.ts';
import { temporaryFolder } from './fixture.ts';

const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2010, Everyone
License: GPL-2+

Files: 16.04/seeding_by_*.jpg
       nature/Aqua.jpg
Copyright: Clemens, 2018
           Second, 2019
License: CC0-1.0

Files: debian/*
Copyright: 2022, Packager
License: Expat
`;

test('licences: the last stanza of a Debian copyright file that matches wins', () => {
  const seeding = debianLicence(COPYRIGHT, 'usr/share/backgrounds/seeding_by_X.jpg');
  assert.equal(seeding, { licence: 'CC0-1.0', attribution: 'Clemens, 2018; Second, 2019' });
  assert.is(debianLicence(COPYRIGHT, 'usr/share/backgrounds/mate/nature/Aqua.jpg')?.licence, 'CC0-1.0');
  assert.is(debianLicence(COPYRIGHT, 'usr/share/other.jpg')?.licence, 'GPL-2+');
  assert.is(debianLicence(COPYRIGHT, 'debian/rules')?.licence, 'Expat');
  assert.is(debianLicence('Format: x\n', 'a.jpg'), undefined);
});

test('concepts: captions of drawn and photographed things become one name', () => {
  const cases = [
    ['A pineapple.', 'pineapple'],
    ['pineapple', 'pineapple'],
    ['An Owl!', 'owl'],
    ['dog face', 'dog'],
    ['hourglass not done', 'hourglass'],
    ['oncoming taxi', 'taxi'],
    ['A pair of cherries.', 'cherries'],
    ['closed mailbox with raised flag', 'mailbox'],
  ];
  for (const [caption, name] of cases) assert.is(normaliseName(caption), name);
});

test('seeds: purposes and seeds have seeds of their own', () => {
  assert.is.not(seedFor(1, 'a'), seedFor(1, 'b'));
  assert.is.not(seedFor(1, 'a'), seedFor(2, 'a'));
});

test('packages: a warm cache needs no network, a failed download leaves nothing behind', async () => {
  const cache = temporaryFolder('cache');
  const before = { cache: process.env.PS3_CACHE, registry: process.env.npm_config_registry };
  const restore = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  process.env.PS3_CACHE = cache;
  process.env.npm_config_registry = 'http://127.0.0.1:9/'; // nothing listens on the discard port
  process.env.npm_config_fetch_retries = '0';
  try {
    mkdirSync(join(cache, 'npm/warm@1.0.0'), { recursive: true });
    writeFileSync(join(cache, 'npm/warm@1.0.0/file.json'), '{}');
    const warm = await npmPackage(
      'warm@1.0.0',
      () => true,
      () => assert.unreachable('a download was tried'),
    );
    assert.equal(readdirSync(warm.root), ['file.json']);
    // What a killed process leaves has a temporary name and is not taken for the package.
    mkdtempSync(join(cache, 'npm/cold@1.0.0.partial-'));
    const failure = await npmPackage(
      'cold@1.0.0',
      () => true,
      () => {},
    ).catch((error: Error) => error.message);
    assert.match(String(failure), /npm must be able to pack cold@1\.0\.0, got: .*Check the network/);
    assert.not.ok(readdirSync(join(cache, 'npm')).includes('cold@1.0.0'));
    for (const [unusable, reason] of [
      ['/proc/x', 'ENOENT'],
      [join(cache, 'npm/warm@1.0.0/file.json'), 'ENOTDIR'],
    ]) {
      process.env.PS3_CACHE = unusable;
      const refusal = await npmPackage(
        'cold@1.0.0',
        () => true,
        () => {},
      ).catch((error: Error) => error.message);
      assert.match(String(refusal), new RegExp(`^files: ${unusable}/npm must be there .* got ${reason}`));
    }
  } finally {
    restore('PS3_CACHE', before.cache);
    restore('npm_config_registry', before.registry);
    delete process.env.npm_config_fetch_retries;
  }
});

test.run();
