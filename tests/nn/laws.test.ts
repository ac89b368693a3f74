// What training owes whatever the model: nothing is left behind, and what should make no difference makes none.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, type Tolerance, tensor } from '../harness.ts';
import { BATCH, TinyModel, TOKENS, WIDTH } from './tiny_model.ts';

type Read = Map<string, ArrayLike<number>>;

function compareAll(got: Read, want: Read, tolerance: Tolerance): void {
  assert.equal([...got.keys()], [...want.keys()]);
  for (const [name, values] of want) compare(name, got.get(name)!, values, tolerance);
}

/** Losses of five steps and the parameters after them. */
async function train(on: Engine, options: { checkpointed?: boolean } = {}): Promise<Read> {
  const model = new TinyModel(on, options);
  using scope = on.scope();
  const losses = Array.from({ length: 5 }, (_, i) => model.step(i, scope));
  const read = await model.readParameters();
  for (const [i, loss] of losses.entries()) read.set(`loss ${i}`, await loss.data());
  model.dispose();
  return read;
}

test('law: 1,000 steps of training, with reads in between, leave no tensor, no byte and no buffer behind', async () => {
  const model = new TinyModel(engine);
  const step = async (i: number): Promise<number> => {
    using scope = engine.scope();
    const loss = model.step(i % 10, scope);
    if (i % 20 > 0) return Number.NaN;
    const [value] = await loss.data(); // the scope outlives the wait
    await Promise.resolve();
    compare('still there', await loss.data(), [value], TOLERANCE.exact);
    return value;
  };
  const first = await step(0);
  for (let i = 1; i <= 40; i++) await Promise.all([step(i), i % 20 === 0 ? readAside() : undefined]);
  await engine.idle();
  const before = engine.stats();
  let last = Number.NaN;
  for (let i = 41; i <= 1040; i++) {
    // Now and then two flows at once, each with a scope of its own.
    const [value] = await Promise.all([step(i), i % 100 === 0 ? readAside() : undefined]);
    if (!Number.isNaN(value)) last = value;
  }
  await engine.idle();
  const after = engine.stats();
  for (const key of ['liveTensors', 'liveBytes', 'pipelinesCreated'] as const)
    assert.is(after[key], before[key], key);
  assert.is(after.buffersCreated, before.buffersCreated, 'buffersCreated');
  assert.is(after.pooledBytes, before.pooledBytes, 'pooledBytes');
  assert.ok(last < 0.5 * first, `it learns: ${first} to ${last}`);
  model.dispose();
});

/** A flow that waits between its ops, in a scope of its own. */
async function readAside(): Promise<void> {
  using scope = engine.scope();
  const x = tensor(random(8, 1), [8], { scope });
  const y = await x.data();
  await new Promise((resolve) => setTimeout(resolve, 1));
  compare('aside', await x.data(), y, TOLERANCE.exact);
}

test('law: a run and the same run again give the same bits', async () =>
  compareAll(await train(engine), await train(engine), TOLERANCE.exact));

test('law: a checkpointed model and the plain one give the same bits', async () =>
  compareAll(await train(engine, { checkpointed: true }), await train(engine), TOLERANCE.exact));

test('law: the gradients of every tier agree within the rounding of f32', async () => {
  const gradients = async (on: Engine): Promise<Read> => {
    const model = new TinyModel(on);
    using scope = on.scope();
    const loss = model.gradients(7, scope);
    const read = await model.readGradients();
    read.set('loss', await loss.data());
    model.dispose();
    return read;
  };
  const want = await gradients(engine);
  for (const tier of [0, 1, 2] as const) {
    const other = await Engine.create({ tier });
    assert.ok(other.tier <= tier);
    compareAll(await gradients(other), want, TOLERANCE.grad);
    other.destroy();
  }
});

test('law: shuffling a batch shuffles the output', async () => {
  using scope = engine.scope();
  const model = new TinyModel(engine);
  const entry = TOKENS * WIDTH;
  const x = random(BATCH * entry, 5);
  const order = [2, 0, 1];
  const shuffle = (values: ArrayLike<number>): Float64Array =>
    Float64Array.from(
      { length: BATCH * entry },
      (_, i) => values[order[Math.floor(i / entry)] * entry + (i % entry)],
    );
  const run = async (numbers: Float64Array): Promise<ArrayLike<number>> =>
    await model.forward(tensor(numbers, [BATCH, TOKENS, WIDTH], { scope })).data();
  compare('y', await run(shuffle(x)), Array.from(shuffle(await run(x))));
  model.dispose();
});

test.run();
