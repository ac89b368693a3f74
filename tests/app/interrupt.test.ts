// A run that a signal ends is saved, and goes on to the same weights, moments and metrics as an undisturbed one.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loggedSteps, startTraining, traces, writeNoise } from './killed_runs.ts';

const folder = await mkdtemp(join(tmpdir(), 'interrupt-'));
test.after(() => rm(folder, { recursive: true }));
await writeNoise(folder);
const config = ['--preset', 'smoke', '--data', folder, '--set', 'towers.steps=4', '--set', 'ps3.steps=30'];
const whole = join(folder, 'whole');
const undisturbed = await startTraining(...config, '--out', whole).ended;

/** Sends the signal once so many steps are logged. */
async function interrupted(run: string, steps: number, signal: NodeJS.Signals, ...words: string[]) {
  const training = startTraining(...words);
  while ((await loggedSteps(run)) < steps && training.process.exitCode === null) await setTimeout(5);
  training.process.kill(signal);
  return training.ended;
}

test('a signal ends a run after the step with code 130 and the line to go on, which leads to the same bits', async () => {
  assert.is(undisturbed.code, 0, undisturbed.err);
  const run = join(folder, 'once');
  const { code, err } = await interrupted(run, 9, 'SIGTERM', ...config, '--out', run);
  assert.is(code, 130, err);
  assert.match(err, /SIGTERM: ends after this step and saves it; once more ends at once\./);
  const [, step] = err.match(/ps3: train: stopped after step (\d+) of 30 of ps3, saved\. /) ?? [];
  assert.ok(Number(step) >= 5 && Number(step) < 30, err);
  assert.ok(err.trimEnd().endsWith(`Continue with: ps3 train --resume ${run}`), err);
  assert.is(await loggedSteps(run), 4 + Number(step));
  const resumed = await startTraining('--resume', run).ended;
  assert.is(resumed.code, 0, resumed.err);
  assert.equal(await traces(run), await traces(whole));
});

test('a second signal ends the run at once with code 130; what the step began is done again', async () => {
  const run = join(folder, 'twice');
  const training = startTraining(...config, '--out', run);
  while ((await loggedSteps(run)) < 9 && training.process.exitCode === null) await setTimeout(5);
  training.process.kill('SIGINT');
  // Both signals may come before the first is handled; then they count as one.
  while (training.process.exitCode === null) {
    training.process.kill('SIGTERM');
    await setTimeout(1);
  }
  const { code, err } = await training.ended;
  assert.is(code, 130, err);
  assert.not.match(err, /stopped after step|Continue with/, 'nothing is finished or saved');
  const resumed = await startTraining('--resume', run).ended;
  assert.is(resumed.code, 0, resumed.err);
  assert.equal(await traces(run), await traces(whole));
});

test('a run killed before its first checkpoint resumes from its start', async () => {
  const run = join(folder, 'early');
  const { code } = await interrupted(run, 1, 'SIGKILL', ...config, '--out', run);
  assert.is(code, null);
  assert.not.ok((await readdir(run)).includes('checkpoint'));
  const resumed = await startTraining('--resume', run).ended;
  assert.is(resumed.code, 0, resumed.err);
  assert.equal(await traces(run), await traces(whole));
});

test.run();
