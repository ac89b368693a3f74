// kill -9 at random moments, while checkpoints are written too: nothing of it is seen in the end.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import { loggedSteps, startTraining, traces, writeNoise } from './killed_runs.ts';

const folder = await mkdtemp(join(tmpdir(), 'kill-'));
test.after(() => rm(folder, { recursive: true }));

test('killed twenty times, a run ends with the files of an undisturbed one, every byte', async () => {
  await writeNoise(folder);
  const best = ['evaluation.everySteps=40', 'evaluation.images=1', 'checkpoints.best=recall.topDown'];
  const keys = ['towers.steps=20', 'ps3.steps=120', 'saveEvery=3', 'checkpoints.keep=2', ...best];
  const config = ['--preset', 'smoke', '--data', folder, ...keys.flatMap((key) => ['--set', key])];
  const [whole, run] = [join(folder, 'whole'), join(folder, 'killed')];
  const undisturbed = await startTraining(...config, '--out', whole).ended;
  assert.is(undisturbed.code, 0, undisturbed.err);
  const random = new Random(9);
  const reached: number[] = [];
  for (let kill = 0; kill < 20; kill++) {
    const training = startTraining(...(kill === 0 ? [...config, '--out', run] : ['--resume', run]));
    const from = await loggedSteps(run);
    // From the first step that is new: a moment within the next few, of which every third is saved.
    while ((await loggedSteps(run)) <= from && training.process.exitCode === null) await setTimeout(3);
    await setTimeout(random.integer(400));
    training.process.kill('SIGKILL');
    const { code, err } = await training.ended;
    assert.ok(code === null || code === 0, err);
    reached.push(await loggedSteps(run));
  }
  const resumed = await startTraining('--resume', run).ended;
  assert.is(resumed.code, 0, resumed.err);
  console.log(`killed after ${reached.join(', ')} logged steps`);
  const want = await traces(whole);
  for (const path of ['/earlier/ps3-0000117/training_state.safetensors', '/best/model.safetensors'])
    assert.ok(Object.hasOwn(want, path), Object.keys(want).join());
  // Three evaluations on the way, each once, and none of them half.
  const evaluated = Buffer.from(want['/evaluations.jsonl'], 'base64').toString().trim().split('\n');
  assert.equal(
    evaluated.map((line) => (JSON.parse(line) as { step: number }).step),
    [40, 80, 120],
  );
  assert.equal(await traces(run), want);
});

test.run();
