// `ps3 device`, and what the other commands take from it.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Certificate, DeviceRecord } from '../../engine/index.ts';
import { openEngine, withEngine } from '../../ps3/app/commands/engine.ts';
import { DEVICE_FILES } from '../../ps3/app/device_cache.ts';
import { readDeviceRecord } from '../../ps3/app/device_records.ts';
import { version } from '../../ps3/app/version.ts';
import { engine } from '../harness.ts';
import { ps3 } from './run_cli.ts';

const { adapterName, tier } = engine;
const before = process.env.PS3_CACHE;
const test = suite<{ folder: string }>('ps3 device');

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'ps3-device-'));
  process.env.PS3_CACHE = join(context.folder, 'cache');
});
test.after.each(async ({ folder }) => {
  if (before === undefined) delete process.env.PS3_CACHE;
  else process.env.PS3_CACHE = before;
  await rm(folder, { recursive: true });
});

/** The one file of the cache. */
async function cached(folder: string): Promise<[path: string, record: DeviceRecord]> {
  const names = await readdir(join(folder, 'cache/devices'));
  assert.is(names.length, 1, names.join());
  const path = join(folder, 'cache/devices', names[0]);
  return [path, JSON.parse(await readFile(path, 'utf8'))];
}

test('ps3 device: prints a certificate, writes it as JSON and keeps it', async ({ folder }) => {
  const json = join(folder, 'made/for/it.json');
  const { code, out, err } = await ps3('device', '--json', json);
  assert.is(code, 0, err);
  const certificate = JSON.parse(await readFile(json, 'utf8')) as Certificate;
  assert.is(certificate.adapter, adapterName);
  assert.is(certificate.versions['ps3-webgpu'], version());
  for (const { feature } of certificate.kernels) assert.ok(out.includes(`\n${feature} `), feature);
  assert.match(out, /^left out {6}none$/m);
  const [path, record] = await cached(folder);
  assert.equal(record, certificate);
  assert.ok(err.endsWith(`kept for the other commands in ${path}`), err);
});

test('ps3 device: every mistake ends with one sentence and exit code 2', async () => {
  for (const [words, sentence] of [
    [['--fast'], /^ps3: device: an option must be one of --json, --tune, got --fast\. /],
    [['gpu'], /^ps3: device: there must be nothing but options, got gpu\. /],
    [['--json'], /^ps3: device: --json must be followed by a text that is not empty, got nothing\. /],
    [['--tune=yes'], /^ps3: device: --tune must be given without a value, got yes\. /],
  ] as const) {
    const { code, out, err } = await ps3('device', ...words);
    assert.is(code, 2);
    assert.is(out, '');
    assert.match(err, sentence);
    assert.is(err.split('\n').length, 1);
  }
});

test('commands: a new device is proved while the command works, once', async ({ folder }) => {
  const seen = await withEngine(async (opened) => opened.adapterName);
  const [path, record] = await cached(folder);
  assert.is(record.adapter, seen);
  assert.ok(record.kernels.length > 0);
  assert.is(record.tuning, undefined);
  const kept = await readFile(path, 'utf8');
  await writeFile(path, kept.replace('{', '{ '));
  await withEngine(async () => undefined);
  assert.is.not(await readFile(path, 'utf8'), kept, 'it was not proved again');
});

test('commands: they plan by what is kept, but not by that of a lower tier, nor by half a file', async ({
  folder,
}) => {
  await withEngine(async () => undefined);
  const [path, record] = await cached(folder);
  const tuning = { adapter: adapterName, matmul: { '8x8x8 NN': { kind: 'register', splits: 1 } } } as const;
  const kernels = [{ feature: 'products of few rows', cases: 0, error: 0, fault: '1 instead of 2' }];
  await writeFile(path, JSON.stringify({ ...record, kernels, tuning }));
  const { error } = console;
  const said: string[] = [];
  console.error = (line: string) => said.push(line);
  const opened = await openEngine();
  console.error = error;
  assert.equal(opened.target.without, ['rows']);
  assert.equal(opened.gpu.tuning, tuning);
  assert.match(said.join('\n'), /^engine: products of few rows must compute .* got 1 instead of 2, on /);
  opened.destroy();

  await writeFile(path, JSON.stringify({ ...record, tuning, tier: -1 }));
  assert.is(await readDeviceRecord(DEVICE_FILES, { adapterName, tier }), undefined);
  await withEngine(async () => undefined);
  const proved = (await cached(folder))[1];
  assert.is(proved.tier, record.tier);
  await writeFile(path, JSON.stringify(record).slice(0, 100));
  assert.is(await readDeviceRecord(DEVICE_FILES, { adapterName, tier }), undefined);
  await writeFile(path, 'null');
  assert.is(await readDeviceRecord(DEVICE_FILES, { adapterName, tier }), undefined);
});

test('commands: where nothing can be kept they work all the same, and ps3 device says so', async ({
  folder,
}) => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'cache'), 'a file');
  assert.is(await withEngine(async () => 7), 7);
  assert.is(await readDeviceRecord(DEVICE_FILES, { adapterName, tier }), undefined);
});

test.run();
