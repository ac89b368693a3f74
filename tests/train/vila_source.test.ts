// A VILA-HD on a collection of images with questions: which samples are drawn, what of them is trained, and that a run goes on.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward } from '../../engine/index.ts';
import { loadTrainingData } from '../../ps3/app/training_data.ts';
import { Collections } from '../../ps3/data/stream/collections.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { Cursor } from '../../ps3/train/batches.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { evaluateQuestions } from '../../ps3/train/evaluation/questions.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { writeCheckpoint } from '../../ps3/train/run/checkpoint.ts';
import { InterruptedError, RunFolder } from '../../ps3/train/run.ts';
import { streamedQuestions } from '../../ps3/train/streams.ts';
import { startVila, trainVila, vilaLock } from '../../ps3/train/vila.ts';
import { unpadded } from '../../ps3/train/vila_batches.ts';
import type { VilaSection } from '../../ps3/train/vila_config.ts';
import { groundingLoss, vilaLoss } from '../../ps3/vila/loss.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-vila-source-'));
test.after(() => rm(folder, { recursive: true }));

const COUNT = 24;
/** Image i, 140 x 112, has one question: of every third with a box and no answer, with an answer and no box, with both. */
const questionOf = (i: number): object => ({
  question: `Which number is image ${i}`,
  ...(i % 3 !== 0 && { answer: `number ${i}` }),
  ...(i % 3 !== 1 && { box: [[35, 28, 70, 56]] }),
});
const lines: string[] = [];
for (let i = 0; i < COUNT; i++) {
  const background = { r: 10 * i, g: 90, b: 250 - 10 * i };
  await sharp({ create: { width: 140, height: 112, channels: 3, background } })
    .png()
    .toFile(join(folder, `${i}.png`));
  // Some images have captions alone: they are not drawn.
  const isAsked = i < COUNT - 4;
  lines.push(
    JSON.stringify({
      image: `${i}.png`,
      ...(isAsked ? { questions: [questionOf(i)] } : { global_text: 'x' }),
    }),
  );
}
await writeFile(join(folder, 'annotations.jsonl'), lines.join('\n'));

const set = [
  `data.folder=${folder}`,
  'data.nativeCrops=null',
  'data.heldOut=4',
  'data.shuffle=100',
  'vila.groundQuestions=0',
  'vila.window=null',
];
const base = trainConfig({ preset: 'vila-s', set });
const stage = (steps: number) => ({ steps, batch: 4, lr: 1e-2, warmup: 0, accumulate: 1 });
const vila: VilaSection = {
  ...base.vila!,
  language: { width: 16, layers: 1, heads: 2, kvHeads: 1, mlpHidden: 24, vocabSize: 300, initialStd: 0.1 },
  align: stage(1),
  answers: stage(2),
  select: stage(1),
};
const config: TrainConfig & { readonly vila: VilaSection } = { ...base, vila };
const model = presetConfig(trainConfig({ preset: 'smoke' }), 20);
const SIDE = model.image.imagePx;
const ps3 = PS3.create(engine, model, 3);
test.after(() => ps3.dispose());
const { scalesPx, patchPx } = model.vision;
const data = await loadTrainingData({ ...config, model: { scalesPx, patchPx } });
const questions = data.asked!.train;
const texts = await questions.texts();

const collections = (): Promise<Collections> =>
  Collections.open({
    sources: [{ images: folder, annotations: null, weight: 1 }],
    ...{ validation: null, heldOut: 2, seed: 1, shuffle: 100, resampled: false, imagesInFlight: 4 },
    ...{ maxSkippedShare: 0, cache: { folder: join(folder, 'cache'), maxBytes: 1e6 }, asked: true },
  });

test('streamedQuestions: images with questions alone, an answer or a box where there is one, in an order that goes on', async () => {
  using made = await startVila(engine, ps3, config, texts);
  const { tokenizer } = made;
  const open = async (from: Cursor) =>
    streamedQuestions(
      await collections(),
      tokenizer,
      { name: 'answers', batch: 6, side: SIDE, gridSide: 8, seed: 1 },
      from,
    );
  await using batches = await open({ step: 0 });
  const seen = new Set<number>();
  let next: Cursor = { step: 0 };
  let second: unknown;
  for (let step = 0; step < 3; step++) {
    const { host, next: behind } = await batches.next();
    if (step === 0) next = behind;
    if (step === 1) second = host;
    for (const [b, { ids, labels }] of unpadded(host.ids, host.labels).entries()) {
      const text = tokenizer.decode(ids, { keepSpecial: true });
      const i = Number(/Which number is image (\d+)/.exec(text)![1]);
      seen.add(i);
      assert.equal(
        [...host.image.data.subarray(4 * SIDE * SIDE * b, 4 * SIDE * SIDE * b + 3)],
        [10 * i, 90, 250 - 10 * i],
      );
      const told = labels.filter((label) => label >= 0);
      assert.ok(i % 3 === 0 ? told.length === 0 : tokenizer.decode(told).startsWith(`number ${i}`));
      assert.is(text.includes('number is') && text.includes(`number ${i}<`), i % 3 !== 0);
      // A quarter of 8 cells along an axis from the second quarter on, and the column and row more of the reference's rule.
      const cells = host.box.data.subarray(64 * b, 64 * (b + 1));
      const want = Float32Array.from({ length: 64 }, (_, cell) => {
        const [x, y] = [cell % 8, Math.floor(cell / 8)];
        return Number(i % 3 !== 1 && x >= 2 && x <= 4 && y >= 2 && y <= 4);
      });
      assert.equal([...cells], [...want], `image ${i}`);
    }
  }
  assert.is(seen.size, 18);
  assert.ok(Math.max(...seen) < COUNT - 4);
  await using again = await open(next);
  assert.equal((await again.next()).host, second);
});

test('vilaLoss: maps of samples whose box is not known are not supervised', async () => {
  using made = await startVila(engine, ps3, config, texts);
  made.parameters.enableGradients();
  using scope = engine.scope();
  const image = engine.tensor(
    Uint8Array.from({ length: 3 * SIDE * SIDE * 4 }, (_, i) => (37 * i) % 251),
    [3, SIDE, SIDE, 4],
    { scope },
  );
  const cells = Float32Array.from({ length: 3 * 64 }, (_, i) => Number(i % 64 < 9));
  const box = engine.tensor(cells, [3, 8, 8], { scope });
  const samples = ['one', 'two', 'three'].map((word) => {
    const { ids, labels } = made.tokenizer.encodeChat([
      { role: 'user', content: `<image>\n${word}` },
      { role: 'assistant', content: word },
    ]);
    return { ids: [...ids], labels: [...labels] };
  });
  const head = 'top_down_prompt_head.fc1.weight';
  const gradient = async (): Promise<Float32Array> => {
    const read = (await made.parameters.get(head).grad!.data()) as Float32Array;
    made.parameters.zeroGradients();
    return read;
  };
  using seen = made.glance(image);
  const part = await vilaLoss(made, seen, samples, { box, located: [0, 2] });
  const [entropy, dice] = [await part.entropy!.data(), await part.dice!.data()];
  backward(part.total);
  const own = await gradient();
  // Looking is trained by the two alone, as when they are asked without answers.
  using again = made.glance(image);
  const two = engine.tensor(
    Float32Array.from([...cells.subarray(0, 64), ...cells.subarray(128)]),
    [2, 8, 8],
    {
      scope,
    },
  );
  const asked = [0, 2].map((i) => ({ image: i, ids: samples[i].ids }));
  const alone = groundingLoss(made, again, asked, two);
  compare('entropy', entropy, await alone.entropy.data());
  compare('dice', dice, await alone.dice.data());
  backward(alone.total);
  compare('gradient', own, await gradient());
  using last = made.glance(image);
  const none = await vilaLoss(made, last, samples, { box, located: [] });
  assert.is(none.entropy, undefined);
  compare('answers', await none.total.data(), await part.answers.data());
});

test('config: a collection has no batches of questions alone', () => {
  assert.throws(
    () => trainConfig({ preset: 'vila-s', set: set.filter((key) => !key.startsWith('vila.ground')) }),
    /vila\.groundQuestions must be 0 beside data\.folder and data\.sources: .*, got 4/,
  );
  assert.throws(
    () => trainConfig({ preset: 'vila-s', set: [...set, 'vila.questions=2'] }),
    /vila\.questions must be 1 beside data\.folder and data\.sources: a sample is one question, got 2/,
  );
});

/** The stages of a run, stopped where the signal says. */
async function train(path: string, stopAfter = Number.POSITIVE_INFINITY): Promise<VilaModel> {
  const run = new RunFolder(path);
  const begun = await run.progress();
  if (!begun) {
    await RunFolder.create(path, config);
    using made = await startVila(engine, ps3, config, texts);
    await writeCheckpoint(run.checkpointPath, made, { stage: 'align', step: 0 });
  }
  const names = ['align', 'answers', 'select'] as const;
  for (const name of names.slice(begun ? names.indexOf(begun.stage as 'align') : 0)) {
    using made = await VilaModel.load(engine, run.checkpointPath, { isLocked: vilaLock(config, name) });
    let steps = 0;
    const signal = {
      get aborted() {
        return name === 'answers' && steps >= stopAfter;
      },
    };
    const resume = begun?.stage === name ? begun : undefined;
    await trainVila(engine, made, questions, config, name, { run, resume, signal, onStep: () => steps++ });
  }
  return VilaModel.load(engine, run.checkpointPath);
}

test('trainVila: on a collection, a run that was stopped ends with the bits of one that was not', async () => {
  const runs = join(folder, 'runs');
  await mkdir(runs);
  using whole = await train(join(runs, 'whole'));
  const stopped = join(runs, 'stopped');
  await train(stopped, 1).then(
    () => assert.unreachable('not stopped'),
    (error: unknown) => assert.instance(error, InterruptedError),
  );
  using again = await train(stopped);
  for (const store of [(one: VilaModel) => one.parameters, (one: VilaModel) => one.language.parameters])
    for (const name of store(whole).names) {
      const [want, got] = await Promise.all([whole, again].map((one) => store(one).get(name).data()));
      compare(name, got as Float32Array, want as Float32Array, TOLERANCE.exact);
    }
  const { count, at } = data.asked!.heldOut;
  const {
    questions: asked,
    candidates,
    looks,
  } = await evaluateQuestions(engine, whole, at, { count, budgets: [] });
  const held = Array.from({ length: count }, (_, i) => at(i));
  const answered = held.filter(({ answer }) => answer !== undefined).length;
  assert.equal([asked, candidates], [count, answered]);
  assert.ok(held.every(({ options, answer }) => answer === undefined || options.includes(answer)));
  assert.ok(looks.topDown!.tokens >= 1);
  const located = held.some(({ boxes }) => boxes.length > 0);
  assert.is(looks.topDown!.recall !== undefined, located);
});

test.run();
