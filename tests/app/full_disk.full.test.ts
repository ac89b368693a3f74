// A disk that fills up ends a run with one sentence; freed, the run goes on to the bytes of an undisturbed one.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RunFolder } from '../../ps3/train/run.ts';
import { loggedSteps, startTraining, traces, writeNoise } from './killed_runs.ts';

const folder = await mkdtemp(join(tmpdir(), 'full-disk-'));
const disk = join(folder, 'disk');
await mkdir(disk);
try {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk], { stdio: 'pipe' });
} catch (error) {
  console.log(`skipped: needs the right to mount a small disk (${String(error).split('\n')[0]})`);
  process.exit(0);
}
test.after(async () => {
  execFileSync('umount', [disk]);
  await rm(folder, { recursive: true });
});

const whole = join(folder, 'whole');
const keys = ['towers.steps=2', 'ps3.steps=60', 'saveEvery=30'].flatMap((key) => ['--set', key]);
const config = ['--preset', 'smoke', '--data', folder, ...keys];
const filler = join(disk, 'filler');

/** Fills the disk but for some bytes. */
async function fill(leftBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(disk);
  const zeros = new Uint8Array(Math.max(0, bavail * bsize - leftBytes));
  // The run may have taken the last of it meanwhile.
  await writeFile(filler, zeros).catch((error: NodeJS.ErrnoException) => assert.is(error.code, 'ENOSPC'));
}

test.before(async () => {
  await writeNoise(folder);
  const undisturbed = await startTraining(...config, '--out', whole).ended;
  assert.is(undisturbed.code, 0, undisturbed.err);
});

for (const [what, leftBytes, file] of [
  ['a checkpoint is written', 200_000, 'checkpoint\\.next/[\\w.]+'],
  ['a line is logged', 0, 'metrics\\.jsonl'],
] as const)
  test(`train: a disk that is full when ${what} ends the run in a sentence, and loses nothing`, async () => {
    const run = join(disk, 'run');
    const training = startTraining(...config, '--out', run);
    // After the checkpoint at step 30 of the second stage.
    while ((await loggedSteps(run)) < 35 && training.process.exitCode === null) await setTimeout(3);
    await fill(leftBytes);
    const { code, err } = await training.ended;
    assert.is(code, 1, err);
    const last = err.trimEnd().split('\n').at(-1) ?? '';
    const refusal = `ps3: files: ${run}/${file} must be there and usable \\(\\w+\\), got ENOSPC: no space left on device\\.`;
    const advice = `Free some space, then continue with: ps3 train --resume ${run}`;
    assert.match(last, new RegExp(`^${refusal} ${advice}$`));
    assert.not.match(err, / {4}at /, 'no stack trace');
    assert.equal((await new RunFolder(run).progress())?.step, 30);
    await rm(filler);
    const resumed = await startTraining('--resume', run).ended;
    assert.is(resumed.code, 0, resumed.err);
    assert.equal(await traces(run), await traces(whole));
    await rm(run, { recursive: true });
  });

test.run();
