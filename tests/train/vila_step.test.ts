// Losses and steps of a VILA-HD's training: questions together are what they are alone, and looks are as many as drawn.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, noGrad, type Tensor } from '../../engine/index.ts';
import { SINGLE } from '../../ps3/ranks/transport.ts';
import { startVila } from '../../ps3/train/vila.ts';
import { unpadded, vilaBatches } from '../../ps3/train/vila_batches.ts';
import { VilaStep } from '../../ps3/train/vila_step.ts';
import { groundingLoss, vilaLoss } from '../../ps3/vila/loss.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
import { config, kit, ps3 } from './tiny_cards.ts';

test.after(() => ps3.dispose());

test('groundingLoss: of one question an image it is what vilaLoss adds to the answers, with its gradients', async () => {
  using model = await startVila(engine, ps3, config);
  const head = 'top_down_prompt_head.fc1.weight';
  model.parameters.enableGradients();
  model.language.parameters.enableGradients();
  const { host } = vilaBatches(kit, model.tokenizer, { batch: 2, gridSide: 8, seed: 1, name: 'x' })(0);
  const samples = unpadded(host.ids, host.labels);
  using scope = engine.scope();
  const image = engine.tensor(host.image.data, host.image.shape, { scope });
  const box = engine.tensor(host.box.data, host.box.shape, { scope });
  for (const reachesLanguage of [false, true]) {
    const gradients = async (total: Tensor<'f32'>): Promise<Float32Array[]> => {
      backward(total);
      const read = await Promise.all([
        model.parameters.get(head).grad!.data(),
        model.language.parameters.get('model.layers.0.self_attn.qkv_proj.weight').grad!.data(),
      ]);
      for (const store of [model.parameters, model.language.parameters]) store.zeroGradients();
      return read as Float32Array[];
    };
    using seen = model.glance(image);
    using again = model.glance(image);
    const whole = await vilaLoss(model, seen, samples, { box, reachesLanguage });
    const questions = samples.map(({ ids }, i) => ({ image: i, ids }));
    const alone = groundingLoss(model, again, questions, box, { reachesLanguage });
    compare('entropy', await alone.entropy.data(), await whole.entropy!.data());
    compare('dice', await alone.dice.data(), await whole.dice!.data());
    const [own, language] = await gradients(alone.total);
    compare('gradient', own, (await gradients(whole.total))[0]);
    assert.is(
      language.some((value) => value !== 0),
      reachesLanguage,
    );
  }
  using seen = model.glance(image);
  const ask = (which: readonly number[]) =>
    groundingLoss(
      model,
      seen,
      which.map((i) => ({ image: i, ids: samples[i].ids })),
      engine.tensor(
        Float32Array.from(which.flatMap((i) => [...host.box.data.subarray(64 * i, 64 * i + 64)])),
        [which.length, 8, 8],
        { scope },
      ),
    ).entropy.data();
  const [[a], [b], [both]] = await Promise.all([ask([0]), ask([1]), ask([1, 0, 1])]);
  compare('mean', Float32Array.of(both), Float32Array.of((a + 2 * b) / 3));
});

test('VilaStep: several questions about each image are the mean of what each of them is alone', async () => {
  using model = await startVila(engine, ps3, config);
  const stores = [model.parameters, model.language.parameters];
  const making = { batch: 2, questions: 3, gridSide: 8, seed: 1, name: 'x' };
  const { host } = vilaBatches(kit, model.tokenizer, making)(0);
  assert.equal([host.image.shape[0], host.ids.shape[0], host.box.shape], [2, 6, [6, 8, 8]]);
  const samples = unpadded(host.ids, host.labels);
  assert.ok(samples.every(({ labels }) => labels.some((label) => label >= 0)));
  // Questions about the second image are in rows 3 to 5.
  const alone = vilaBatches(kit, model.tokenizer, { ...making, questions: 1 })(0).host;
  assert.equal(samples[3].ids, unpadded(alone.ids, alone.labels)[1].ids);

  for (const store of stores) store.enableGradients();
  const sums = { answers: 0, dice: 0 };
  {
    using scope = engine.scope();
    const image = engine.tensor(host.image.data, host.image.shape, { scope });
    for (let q = 0; q < 3; q++) {
      using seen = model.glance(image);
      const rows = [q, 3 + q];
      const box = engine.tensor(
        Float32Array.from(rows.flatMap((i) => [...host.box.data.subarray(64 * i, 64 * i + 64)])),
        [2, 8, 8],
        { scope },
      );
      const own = rows.map((i) => samples[i]);
      const { total, answers, dice } = await vilaLoss(model, seen, own, { box, teacherForcing: true });
      sums.answers += (await answers.data())[0] / 3;
      sums.dice += (await dice!.data())[0] / 3;
      backward(total, { seed: engine.full([1], 1 / 3, { scope }) });
    }
  }
  let squared = 0;
  for (const store of stores) {
    for (const name of store.names)
      for (const value of (await store.get(name).grad?.data()) ?? []) squared += Number(value) ** 2;
    store.zeroGradients();
  }
  using own = new AdamW(model.parameters, {});
  using language = new AdamW(model.language.parameters, {});
  using step = new VilaStep(engine, model, [own, language], {
    ...{ selection: 1, teacherForcing: true, reachesLanguage: false, accumulate: 1 },
    ...{ looks: [1, 1], seed: 1, transport: SINGLE, reduce: 'f32' },
  });
  const values = await (await step.run(host, 0)).values;
  compare('answers', [values.answers!], [sums.answers]);
  compare('dice', [values.dice!], [sums.dice]);
  compare('norm of the gradient', [values.gradNorm!], [Math.sqrt(squared)], TOLERANCE.grad);
});

test('VilaStep: a step looks as often as is drawn for it, from the least to the most, and once more the same', async () => {
  using model = await startVila(engine, ps3, config);
  const making = { batch: 2, gridSide: 8, seed: 1, name: 'x' };
  const { host } = vilaBatches(kit, model.tokenizer, making)(0);
  using scope = engine.scope();
  const image = engine.tensor(host.image.data, host.image.shape, { scope });
  const box = engine.tensor(host.box.data, host.box.shape, { scope });
  using seen = noGrad(() => model.glance(image));
  const samples = unpadded(host.ids, host.labels);
  const want: number[] = [];
  for (const looks of [1, 2, 3]) {
    const { answers } = await vilaLoss(model, seen, samples, { box, looks, teacherForcing: true });
    want.push((await answers.data())[0]);
  }
  assert.is(new Set(want).size, 3);

  for (const store of [model.parameters, model.language.parameters]) store.enableGradients();
  using own = new AdamW(model.parameters, { lr: 0 });
  using language = new AdamW(model.language.parameters, { lr: 0 });
  using training = new VilaStep(engine, model, [own, language], {
    ...{ selection: 1, teacherForcing: true, reachesLanguage: false, accumulate: 1 },
    ...{ looks: [1, 3], seed: 1, transport: SINGLE, reduce: 'f32' },
  });
  const looksOf = async (step: number): Promise<number> => {
    const { answers } = await (await training.run(host, step)).values;
    const differences = want.map((loss) => Math.abs(loss - answers));
    const nearest = differences.indexOf(Math.min(...differences));
    compare(`answers of step ${step}`, [answers], [want[nearest]]);
    return 1 + nearest;
  };
  const drawn: number[] = [];
  for (let step = 0; step < 14; step++) drawn.push(await looksOf(step));
  assert.equal([...new Set(drawn)].sort(), [1, 2, 3]);
  assert.is(await looksOf(3), drawn[3]);
});

test.run();
