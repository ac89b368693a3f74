import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EventFile, scalarsOf } from '../../ps3/train/tensorboard.ts';
import { crc32c, decodeEvents } from './event_files.ts';

const folder = await mkdtemp(join(tmpdir(), 'tensorboard-'));
test.after(() => rm(folder, { recursive: true }));

test('the CRC of the test gives the check value of CRC-32C', () => {
  assert.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283n);
});

test('tensorboard: events decode to the scalars of their steps, after the version and a start', async () => {
  const before = Date.now() / 1000;
  const file = await EventFile.begin(join(folder, 'run'), 0);
  await file.add(0, { 'towers/loss': 0.1, 'towers/lr': 1e-3 });
  await file.add(300, { 'ps3/loss': -2.5, 'ps3/gradNorm': Number.POSITIVE_INFINITY, 'ps3/größe': 3 });
  await file.add(2 ** 40 + 1, { 'ps3/loss': 1 });
  const [version, start, ...steps] = await decodeEvents(file.path);
  assert.is(version.fileVersion, 'brain.Event:2');
  assert.is(start.sessionLog?.status, 'START');
  assert.is(start.step ?? 0, 0);
  const scalars = steps.map(({ step, summary }) => [
    step ?? 0,
    ...summary!.value.map(({ tag, simpleValue }) => [tag, simpleValue]),
  ]);
  assert.equal(scalars, [
    [0, ['towers/loss', Math.fround(0.1)], ['towers/lr', Math.fround(1e-3)]],
    [300, ['ps3/loss', -2.5], ['ps3/größe', 3]],
    [2 ** 40 + 1, ['ps3/loss', 1]],
  ]);
  for (const { wallTime } of [version, start, ...steps])
    assert.ok(wallTime >= before && wallTime <= Date.now() / 1000, `${wallTime}`);
});

test('tensorboard: a run that goes on writes a file that comes later and says from which step on it counts', async () => {
  const path = join(folder, 'resumed');
  const files = [await EventFile.begin(path, 0), await EventFile.begin(path, 128)];
  const names = (await readdir(path)).sort();
  assert.equal(
    names,
    files.map((file) => file.path.slice(path.length + 1)),
  );
  for (const name of names) assert.match(name, /^events\.out\.tfevents\.\d{10}\./);
  const [, start] = await decodeEvents(files[1].path);
  assert.equal([start.step, start.sessionLog?.status], [128, 'START']);
});

test('tensorboard: tags are the keys on the way to a number', () => {
  const metric = { stage: 'ps3', loss: 2, speed: { stepMs: 5, peakShare: undefined }, list: null };
  assert.equal(scalarsOf(metric, 'ps3'), { 'ps3/loss': 2, 'ps3/speed/stepMs': 5 });
});

test.run();
