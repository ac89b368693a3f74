// What a run leaves for those who watch it.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RunMonitor } from '../../ps3/app/monitor.ts';
import { ProgressBar } from '../../ps3/app/progress.ts';
import type { Metric } from '../../ps3/train/metrics.ts';
import { trainConfig } from '../../ps3/train/presets.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { type Decoded, decodeEvents } from '../train/event_files.ts';

const folder = await mkdtemp(join(tmpdir(), 'monitor-'));
test.after(() => rm(folder, { recursive: true }));
const config = trainConfig({ preset: 'smoke', set: ['towers.steps=3', 'ps3.steps=9'] });

const metric = (stage: Metric['stage'], step: number): Metric => ({ stage, step, lr: 0.5, loss: step + 1 });

const scalarsOf = ({ step = 0, summary }: Decoded) => [
  step,
  ...summary!.value.map(({ tag, simpleValue }) => `${tag} ${simpleValue}`),
];

test('monitor: steps count on from one stage to the next, and a resumed run says which it does again', async () => {
  const run = new RunFolder(folder);
  const first = await RunMonitor.open(run, config, new ProgressBar(), undefined);
  await first.step(metric('towers', 2), 1);
  await first.step(metric('ps3', 0), 1);
  const progress = { stage: 'ps3', step: 5, optimizerSteps: 5, data: { step: 5 } } as const;
  const second = await RunMonitor.open(run, config, new ProgressBar(), progress);
  await second.step(metric('ps3', 5), 1);
  const files = (await readdir(join(folder, 'tensorboard'))).sort();
  const [begun, resumed] = await Promise.all(
    files.map((name) => decodeEvents(join(folder, 'tensorboard', name))),
  );
  assert.equal(begun.slice(2).map(scalarsOf), [
    [2, 'towers/lr 0.5', 'towers/loss 3'],
    [3, 'ps3/lr 0.5', 'ps3/loss 1'],
  ]);
  assert.equal([resumed[1].step, resumed[1].sessionLog?.status], [8, 'START']);
  assert.equal(resumed.slice(2).map(scalarsOf), [[8, 'ps3/lr 0.5', 'ps3/loss 6']]);
});

test.run();
