// `ps3 train` under mpirun: 20 steps of each stage on several ranks against one process at the same global batch, whatever
// dies in between and wherever the ranks are.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { IMPLEMENTATIONS, launcherOf, type RankOptions, runRanks } from '../ranks/mpirun.ts';
import { namespacesLack, openNamespaces } from '../ranks/namespaces.ts';
import { loggedSteps, startTraining, writeNoise } from './killed_runs.ts';

const BIN = fileURLToPath(new URL('../../ps3/app/bin.mjs', import.meta.url));
const STEPS = 20;
const folder = await mkdtemp(join(tmpdir(), 'train-ranks-'));
test.after(() => rm(folder, { recursive: true }));
await writeNoise(folder);
const config = [
  ...['--preset', 'smoke', '--data', folder, '--set', 'saveEvery=5'],
  ...['--set', `towers.steps=${STEPS}`, '--set', `ps3.steps=${STEPS}`],
  // AdamW divides a gradient by its root mean square. The exact gradient of the bias of keys is zero: it adds the same to all
  // scores of a query, which softmax takes away. What is left is rounding, below 1e-9, and with the default eps of 1e-8 the
  // order of sums decides a part of each of its steps. With that eps, measured for 2 ranks against 1 on lavapipe: of 104,962
  // weights, 64 differ by more than 1e-5 of the largest, 62 of them key biases, the other two of the patch embedding by 1.5e-5;
  // of 40 lines, four have a contrastive loss that differs by up to 1.2e-5 of itself, the totals all by less than 1e-5.
  ...['--set', 'optimizer.eps=1e-3'],
];
const single = join(folder, 'single');
const installed = IMPLEMENTATIONS.filter(launcherOf);

/** Losses within 1e-5 of themselves, weights within 1e-5 of the largest. */
async function compareRuns(run: string): Promise<void> {
  const [got, want] = await Promise.all([run, single].map((path) => new RunFolder(path).metrics()));
  assert.is(got.length, 2 * STEPS);
  for (const [i, metric] of got.entries())
    for (const name of ['loss', 'contrastive', 'bottomUp', 'topDown', 'logitScale'])
      if (want[i][name] !== undefined) {
        const [a, b] = [Number(metric[name]), Number(want[i][name])];
        assert.ok(Math.abs(a - b) <= 1e-5 * Math.abs(b), `${name} of line ${i}: ${a}, not ${b}`);
      }
  const fileOf = (path: string) => openSafetensors(join(path, 'checkpoint/model.safetensors'));
  await using ours = await fileOf(run);
  await using theirs = await fileOf(single);
  let [largest, difference] = [0, 0];
  for (const name of theirs.tensors.keys()) {
    const [a, b] = await Promise.all([ours.f32(name), theirs.f32(name)]);
    for (let i = 0; i < b.length; i++) {
      largest = Math.max(largest, Math.abs(b[i]));
      difference = Math.max(difference, Math.abs(a[i] - b[i]));
    }
  }
  assert.ok(difference <= 1e-5 * largest, `weights differ by ${difference}, the largest is ${largest}`);
}

/** Processes of node that work on a run. */
function ranksOf(run: string): number[] {
  const { stdout } = spawnSync('pgrep', ['-f', `^${process.execPath} .*${run}( |$)`], { encoding: 'utf8' });
  return stdout.trim().split('\n').map(Number);
}

/** Kills the last rank once so many lines are logged; gives what mpirun and the others said. */
async function killOne(run: string, lines: number, ranks: number, ...words: string[]) {
  const ended = runRanks(installed[0], ranks, [BIN, 'train', ...words]);
  while ((await loggedSteps(run)) < lines) await setTimeout(20);
  const processes = ranksOf(run);
  assert.is(processes.length, ranks, processes.join(', '));
  process.kill(processes[ranks - 1], 'SIGKILL');
  const { code, out, err } = await ended;
  assert.is.not(code, 0);
  assert.equal(ranksOf(run), [0], 'every rank has ended');
  return out + err;
}

async function train(ranks: number, implementation = installed[0], options?: RankOptions): Promise<string> {
  const run = await mkdtemp(join(folder, `run-${ranks}-`));
  const args = [BIN, 'train', ...config, '--out', run];
  const { code, out, err } = await runRanks(implementation, ranks, args, options);
  assert.is(code, 0, err);
  assert.is(`${out}${err}`.match(/run folder/g)?.length, 1, 'one rank speaks');
  return run;
}

if (installed.length === 0) test('ps3 train on ranks', () => console.log('skipped: needs Open MPI or MPICH'));
else {
  test.before(async () => {
    const { code, err } = await startTraining(...config, '--out', single).ended;
    assert.is(code, 0, err);
  });

  test('train: 2 and 4 ranks end as one process, under each MPI', async () => {
    await compareRuns(await train(2, installed[0]));
    await compareRuns(await train(4, installed.at(-1)));
  });

  test('train: when a rank is killed all end with a sentence, and 4 and 1 go on from 2', async () => {
    const run = join(folder, 'killed');
    const said = await killOne(run, 8, 2, ...config, '--out', run);
    assert.match(said, /signal 9|KILLED BY SIGNAL: 9/i);
    await killOne(run, STEPS + 8, 4, '--resume', run);
    const { code, err } = await startTraining('--resume', run).ended;
    assert.is(code, 0, err);
    await compareRuns(run);
  });

  test('train: a batch that ranks cannot share is refused in a sentence, once', async () => {
    const { code, err } = await runRanks(installed[0], 3, [BIN, 'train', ...config, '--out', `${folder}/no`]);
    assert.is(code, 2, err);
    assert.is(err.match(/must be a multiple of 3 ranks times towers\.accumulate/g)?.length, 1, err);
  });
}

if (!installed.includes('Open MPI'))
  test('train over a network', () => console.log('skipped: needs Open MPI'));
else if (namespacesLack())
  test('train over a network', () => console.log(`skipped: needs ${namespacesLack()}`));
else
  test('train: ranks in two network namespaces end as one process, over the network', async () => {
    using namespaces = await openNamespaces(folder);
    await compareRuns(await train(2, 'Open MPI', namespaces.options));
    const parameters = 4e5 / 4; // of the smoke preset, at least
    assert.ok(namespaces.received() > 2 * STEPS * 4 * parameters, `${namespaces.received()} bytes`);
  });

test.run();
