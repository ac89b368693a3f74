// The checkpoints of a run: how many stay, and that a damaged one is never gone on from.
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { keepBest } from '../../ps3/train/run/best.ts';
import { damageOf } from '../../ps3/train/run/manifest.ts';
import { RunError, RunFolder, type TrainingState } from '../../ps3/train/run.ts';
import { engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'checkpoints-'));
test.after(() => rm(folder, { recursive: true }));

const tokenizer = buildWordTokenizer(['red'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 1, { tokenizer });
const optimizer = new AdamW(model.parameters);
const [moment1, moment2] = optimizer.moments;
const loss = engine.tensor([0], [1]);
const state: TrainingState = [
  {
    parameters: model.parameters,
    arenas: { moment1, moment2 },
    tensors: { steps: optimizer.steps, loss },
  },
];
const logitScale = model.parameters.get('logit_scale');

/** Saves a checkpoint that tells its step by a weight, a moment and a count. */
async function save(run: RunFolder, step: number, keep: number): Promise<void> {
  logitScale.write(Float32Array.of(step));
  moment2[0].write(new Float32Array(moment2[0].size).fill(step));
  optimizer.steps.write(Uint32Array.of(step));
  loss.write(Float32Array.of(step / 2));
  await run.save(model, state, { stage: 'ps3', step }, keep);
}

/** The step that a checkpoint's contents tell. */
async function stepInside(run: RunFolder): Promise<number[]> {
  using loaded = await PS3.load(engine, run.checkpointPath);
  await run.restore(state);
  const moment = await moment2[0].data();
  const of = async (tensor: { data(): Promise<ArrayLike<number>> }) => (await tensor.data())[0];
  return [
    await of(loaded.parameters.get('logit_scale')),
    moment[0],
    await of(optimizer.steps),
    2 * (await of(loss)),
  ];
}

async function failure(work: Promise<unknown>): Promise<Error> {
  const error: unknown = await work.catch((error: unknown) => error);
  assert.instance(error, RunError, String(error));
  return error as RunError;
}

// Two checkpoints, the newest at step 5 and the one before it at step 3.
const two = join(folder, 'two');
await RunFolder.create(two, PRESETS.smoke);
for (const step of [1, 3, 5]) await save(new RunFolder(two), step, 2);

/** A copy of the run with two checkpoints. */
async function copyOf(name: string): Promise<RunFolder> {
  await cp(two, join(folder, name), { recursive: true });
  return new RunFolder(join(folder, name));
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at < 0 ? bytes.length + at : at] ^= 0x20;
  await writeFile(path, bytes);
}

const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'a flipped bit': (path) => flip(path, -5),
  'a lost end': async (path) => truncate(path, (await readFile(path)).length - 2),
  'no contents': (path) => truncate(path, 0),
  deletion: (path) => rm(path),
};
const FILES = ['model.safetensors', 'training_state.safetensors', 'progress.json', 'manifest.json'];

test('checkpoints: the last ones stay, as many as asked for, and each is whole', async () => {
  const run = await RunFolder.create(join(folder, 'kept'), PRESETS.smoke);
  const names = async (): Promise<string[]> => {
    const all = (await readdir(run.path)).filter((name) => !name.endsWith('.json')).sort();
    return all.includes('earlier') ? [...all, ...(await readdir(join(run.path, 'earlier'))).sort()] : all;
  };
  await save(run, 8, 3);
  assert.equal(await names(), ['checkpoint']);
  for (const step of [9, 10, 11]) await save(run, step, 3);
  assert.equal(await names(), ['checkpoint', 'earlier', 'ps3-0000009', 'ps3-0000010']);
  assert.equal(await stepInside(run), [11, 11, 11, 11]);
  await save(run, 12, 2);
  assert.equal(await names(), ['checkpoint', 'earlier', 'ps3-0000011']);
  await save(run, 13, 1);
  assert.equal(await names(), ['checkpoint']);
  assert.equal(await run.recover(), { stage: 'ps3', step: 13 });
  assert.equal(await stepInside(run), [13, 13, 13, 13]);
});

test('checkpoints: a kill between the two renames of a save leaves the one before', async () => {
  const run = await copyOf('between');
  await rm(run.checkpointPath, { recursive: true });
  assert.is(await run.newest(), join(run.path, 'earlier/ps3-0000003'));
  assert.equal(await run.recover(), { stage: 'ps3', step: 3 });
  assert.equal(await stepInside(run), [3, 3, 3, 3]);
  assert.equal(await new RunFolder(join(folder, 'nowhere')).recover(), undefined);
});

for (const [what, damage] of Object.entries(DAMAGES))
  for (const file of FILES)
    test(`checkpoints: ${what} in ${file} of the newest is told, and the one before is gone on from`, async () => {
      const run = await copyOf('one damaged');
      await damage(join(run.checkpointPath, file));
      const said: string[] = [];
      assert.equal(await run.recover((sentence) => said.push(sentence)), { stage: 'ps3', step: 3 });
      assert.is(said.length, 1);
      const named = `${run.checkpointPath} is damaged, with `;
      assert.ok(said[0].startsWith(named) && said[0].includes(file), said[0]);
      assert.ok(said[0].endsWith('/damaged/checkpoint; the run goes on from step 3 of ps3.'), said[0]);
      await damage(join(run.checkpointPath, file)); // which is the only one now
      const { message } = await failure(run.recover());
      assert.ok(message.includes(`${run.path} must hold a whole checkpoint, got ${named}`), message);
      assert.ok(message.endsWith(' Restore it from a copy, or begin a new run.'), message);
      await rm(run.path, { recursive: true });
    });

test('checkpoints: a run that went on from the one before saves and keeps whole ones', async () => {
  const run = await copyOf('went on');
  await flip(join(run.checkpointPath, 'model.safetensors'), -1);
  await run.recover(() => undefined);
  assert.equal(await stepInside(run), [3, 3, 3, 3]);
  await save(run, 4, 2);
  assert.equal(await readdir(join(run.path, 'earlier')), ['ps3-0000003']);
  assert.equal(await run.recover(), { stage: 'ps3', step: 4 });
});

test('checkpoints: whichever byte of a manifest changes, the run goes on from what was written or not at all', async () => {
  const run = await copyOf('manifest');
  await rm(join(run.path, 'earlier'), { recursive: true });
  const path = join(run.checkpointPath, 'manifest.json');
  const whole = await readFile(path);
  let refused = 0;
  for (let at = 0; at < whole.length; at += 13) {
    await flip(path, at);
    const result: unknown = await run.recover().catch((error: unknown) => error);
    if (result instanceof RunError) refused++;
    else assert.equal(result, { stage: 'ps3', step: 5 });
    await writeFile(path, whole);
  }
  assert.ok(refused > whole.length / 13 / 2, `${refused} refused`);
  assert.equal(await run.recover(), { stage: 'ps3', step: 5 });
});

test('checkpoints: those who only read take the newest whole one, whatever its training state', async () => {
  const run = await copyOf('read');
  await flip(join(run.checkpointPath, 'training_state.safetensors'), -1);
  assert.is(await RunFolder.checkpointOf(run.path), run.checkpointPath);
  await flip(join(run.checkpointPath, 'model.safetensors'), -1);
  const said: string[] = [];
  const earlier = join(run.path, 'earlier/ps3-0000003');
  assert.is(await RunFolder.checkpointOf(run.path, (sentence) => said.push(sentence)), earlier);
  const damage = 'with model.safetensors with other bytes than were written';
  assert.equal(said, [`${run.checkpointPath} is damaged, ${damage}; ${earlier} is used instead.`]);
  await rm(join(earlier, 'tokenizer.json'));
  assert.match(
    (await failure(run.newest())).message,
    /and .*ps3-0000003 is damaged, with no tokenizer.json\. /,
  );
});

test('checkpoints: the weights of the best evaluation stay, by the largest number or the lowest loss', async () => {
  const run = await RunFolder.create(join(folder, 'best'), PRESETS.smoke);
  const found = async (step: number, metric: string, evaluation: object): Promise<boolean> => {
    logitScale.write(Float32Array.of(step));
    return keepBest(run.bestPath, model, { stage: 'ps3', step }, metric, evaluation);
  };
  const best = async (): Promise<number> => {
    using loaded = await PS3.load(engine, run.bestPath);
    return (await loaded.parameters.get('logit_scale').data())[0];
  };
  const of = (ps3: number) => ({ retrieval: { ps3, lowRes: 9 }, loss: ps3 });
  const said: [boolean, number][] = [];
  for (const [step, value] of [0.2, 0.5, 0.4, 0.5, 0.6].entries())
    said.push([await found(step, 'retrieval.ps3', of(value)), await best()]);
  assert.equal(said, [
    [true, 0],
    [true, 1],
    [false, 1],
    [false, 1],
    [true, 4],
  ]);
  assert.is(await damageOf(run.bestPath), undefined);
  assert.not.ok((await readdir(run.bestPath)).includes('training_state.safetensors'));
  // Another number begins anew.
  assert.ok(await found(5, 'loss', of(0.3)));
  assert.not.ok(await found(6, 'loss', of(0.4)));
  assert.ok(await found(7, 'loss', of(0.1)));
  assert.is(await best(), 7);
  const { message } = await failure(found(8, 'recall', of(1)));
  assert.match(
    message,
    /checkpoints\.best must be a number of the evaluation, such as retrieval\.ps3, retrieval\.lowRes, loss, got recall\. /,
  );
  // A kill between the two renames, and one after both.
  for (const left of [[`${run.bestPath}.last`], [`${run.bestPath}.last`, run.bestPath]]) {
    for (const path of left.slice(0, 1)) await cp(run.bestPath, path, { recursive: true });
    if (left.length === 1) await rm(run.bestPath, { recursive: true });
    await run.recover();
    assert.is(await best(), 7);
    assert.equal((await readdir(run.path)).sort(), ['best', 'config.json']);
  }
});

test.run();
