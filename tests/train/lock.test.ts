// What a run leaves as it is. The oracle: the bits before, the gradients of a model without locks, and spec 5.3's table of
// which loss trains what.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, noGrad, type Scope } from '../../engine/index.ts';
import { GROUPS } from '../../ps3/model/core.ts';
import { PARTS, type Part, partOf } from '../../ps3/model/parts.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { allBut, type LockConfig, lockOf } from '../../ps3/train/lock.ts';
import { type Batch, pretrainLoss } from '../../ps3/train/loss.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import type { TrainingState } from '../../ps3/train/run/state.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { compare, engine, random, TOLERANCE, throws } from '../harness.ts';

const config = trainConfig({ preset: 'smoke' });
const tokenizer = buildWordTokenizer(
  Array.from({ length: 37 }, (_, i) => `word${i}`),
  { contextLength: 8 },
);
const sizes = presetConfig(config, tokenizer.vocabSize);
const NONE: LockConfig = { parts: [], unlockedVisionGroups: 0, unlockedTextGroups: 0 };

const fresh = (lock: Partial<LockConfig> = {}, of = sizes): PS3 =>
  PS3.create(engine, of, 7, {
    layerScale: 0.1,
    logitScale: 5, // above ln 100, which a step that trains it clamps to
    isLocked: lockOf({ ...NONE, ...lock }),
  });

function batch(scope: Scope): Batch {
  const [B, S, g] = [4, 112, 8];
  const rgba = Uint8Array.from(random(B * S * S * 4, 1), (x) => 127 + 127 * x);
  const ids = Int32Array.from({ length: B * 8 }, (_, i) => (7 * i) % 40);
  const cells = Float32Array.from({ length: B * g * g }, (_, i) => Number(i % g < 3 && i % (g * g) < 3 * g));
  return {
    image: engine.tensor(rgba, [B, S, S, 4], { scope }),
    ids: engine.tensor(ids, [B, 8], { scope }),
    box: engine.tensor(cells, [B, g, g], { scope }),
    isGlobal: engine.tensor([1, 0, 0, 0], [B, 1], { scope }),
    isLocal: engine.tensor([0, 1, 1, 1], [B], { scope }),
  };
}

async function weightsOf(model: PS3): Promise<Map<string, ArrayLike<number>>> {
  const weights = new Map<string, ArrayLike<number>>();
  for (const name of model.parameters.names) weights.set(name, await model.parameters.get(name).data());
  return weights;
}

/** Takes steps, and tells which parameters moved. */
async function moved(model: PS3, steps = 2): Promise<Set<string>> {
  const before = await weightsOf(model);
  using optimizer = new AdamW(model.parameters, {
    lr: 1e-2,
    weightDecay: GROUPS.map(({ decay }) => (decay ? 0.1 : 0)),
  });
  for (let step = 0; step < steps; step++) {
    using scope = engine.scope();
    backward(pretrainLoss(model, batch(scope)).losses.total);
    optimizer.step();
    model.clampLogitScale();
  }
  const after = await weightsOf(model);
  const differs = (name: string): boolean => {
    const [a, b] = [before.get(name)!, after.get(name)!];
    return Array.from(a).some((x, i) => !Object.is(x, b[i]));
  };
  return new Set([...before.keys()].filter(differs));
}

for (const part of PARTS)
  test(`lock: ${part} keeps its bits, and everything else moves`, async () => {
    using model = fresh({ parts: [part] });
    const names = await moved(model);
    for (const name of model.parameters.names) assert.is(names.has(name), partOf(name) !== part, name);
  });

test('lock: the last groups of a locked tower move, counted as in open_clip', async () => {
  using model = fresh({ parts: ['vision', 'text'], unlockedVisionGroups: 2, unlockedTextGroups: 1 });
  model.checkpointBlocks = { lowRes: true, highRes: true, text: true };
  const names = await moved(model, 1);
  const unlocked = /^vision_model\.trunk\.(attn_pool|norm|blocks\.1)\.|^text_model\.text_projection\./;
  for (const name of model.parameters.names) {
    const isLocked = ['vision', 'text'].includes(partOf(name)) && !unlocked.test(name);
    assert.is(names.has(name), !isLocked, name);
  }
});

test('lock: what is trained has the gradients of a model without locks, with blocks run again too', async () => {
  const gradientsOf = async (
    lock: Partial<LockConfig>,
    again: boolean,
  ): Promise<Map<string, ArrayLike<number>>> => {
    using model = fresh(lock);
    model.checkpointBlocks = { lowRes: again, highRes: again, text: again };
    model.parameters.enableGradients();
    using scope = engine.scope();
    backward(pretrainLoss(model, batch(scope)).losses.total);
    const gradients = new Map<string, ArrayLike<number>>();
    for (const name of model.parameters.trainedNames)
      gradients.set(name, await model.parameters.get(name).grad!.data());
    return gradients;
  };
  const whole = await gradientsOf({}, false);
  for (const again of [false, true]) {
    const locked = await gradientsOf({ parts: ['vision', 'positions'], unlockedVisionGroups: 2 }, again);
    assert.ok(locked.size > 60 && locked.size < whole.size, `${locked.size} of ${whole.size}`);
    for (const [name, gradient] of locked) compare(name, gradient, whole.get(name)!, TOLERANCE.exact);
  }
});

test('lock: the contrastive loss does not reach selection; training it alone spends nothing on the rest', () => {
  using model = fresh({ parts: allBut(['selection', 'auxiliary']) });
  model.parameters.enableGradients();
  using scope = engine.scope();
  throws(
    () => backward(pretrainLoss(model, batch(scope)).losses.contrastive),
    /must depend on a tensor that requires a gradient/,
  );
  for (const { values, gradients, isLocked } of model.parameters.arenas)
    assert.is(gradients?.sizeBytes ?? 0, isLocked ? 0 : values.sizeBytes);
  // Towers of which selection is a small part, as in the published models.
  const deep = presetConfig(
    trainConfig({ preset: 'smoke', set: ['model.depth=12', 'model.textLayers=6'] }),
    40,
  );
  const flopsOf = (lock: readonly Part[], work: (model: PS3, scope: Scope) => void): number =>
    engine.plan(() => {
      using model = fresh({ parts: lock }, deep);
      model.parameters.enableGradients();
      using scope = engine.scope();
      work(model, scope);
    }).flops;
  const total = (model: PS3, scope: Scope) => pretrainLoss(model, batch(scope)).losses.total;
  const forward = flopsOf([], (model, scope) => noGrad(() => total(model, scope)));
  const whole = flopsOf([], (model, scope) => backward(total(model, scope))) - forward;
  const alone =
    flopsOf(allBut(['selection', 'auxiliary']), (model, scope) => backward(total(model, scope))) - forward;
  assert.ok(alone > 0 && alone < 0.25 * whole, `${alone} of ${whole} operations, ${forward} forward`);
});

test('lock: a run with locks is saved and goes on with the same bits', async () => {
  const path = await mkdtemp(join(tmpdir(), 'ps3-lock-'));
  const isLocked = lockOf({ ...NONE, parts: ['vision'] });
  const stateOf = ({ parameters }: PS3, { moments: [moment1, moment2], steps }: AdamW): TrainingState => {
    return [{ parameters, arenas: { moment1, moment2 }, tensors: { steps } }];
  };
  const step = (model: PS3, optimizer: AdamW): void => {
    using scope = engine.scope();
    backward(pretrainLoss(model, batch(scope)).losses.total);
    optimizer.step();
  };
  try {
    const run = await RunFolder.create(join(path, 'run'), config);
    using model = PS3.create(engine, sizes, 7, { isLocked, tokenizer });
    using optimizer = new AdamW(model.parameters);
    step(model, optimizer);
    await run.save(model, stateOf(model, optimizer), { stage: 'ps3', step: 1 });
    step(model, optimizer);
    using again = await PS3.load(engine, run.checkpointPath, { isLocked });
    using restored = new AdamW(again.parameters);
    await run.restore(stateOf(again, restored));
    step(again, restored);
    const [want, got] = [await weightsOf(model), await weightsOf(again)];
    for (const [name, weight] of got) compare(name, weight, want.get(name)!, TOLERANCE.exact);
  } finally {
    await rm(path, { recursive: true });
  }
});

test('lock: a configuration leaves something to train in every stage that takes steps', () => {
  const locked =
    (parts: readonly string[], ...set: string[]) =>
    () =>
      trainConfig({ preset: 'smoke', set: [`lock.parts=${JSON.stringify(parts)}`, ...set] });
  throws(locked(PARTS), /^config: lock\.parts must leave a part to train/);
  throws(
    locked(allBut(['selection', 'auxiliary'])),
    /^config: towers\.steps must be 0 where lock\.parts holds both towers/,
  );
  throws(
    locked(['head']),
    /^config: lock\.parts\.0 must be one of vision, text, logits, positions, selection, auxiliary/,
  );
  assert.ok(locked(allBut(['selection', 'auxiliary']), 'towers.steps=0')());
  assert.ok(locked(allBut(['selection', 'auxiliary']), 'lock.unlockedVisionGroups=1')());
});

test.run();
