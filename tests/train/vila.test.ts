// Training of a VILA-HD on questions about cards: what is asked, what is trained when, and that a run goes on with the same bits.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, Random } from '../../engine/index.ts';
import { askAboutCard, findCards } from '../../ps3/data/card_questions.ts';
import { CARD_COLOURS, CARD_THINGS } from '../../ps3/data/concepts.ts';
import { buildScene } from '../../ps3/data/scenes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { evaluateQuestions } from '../../ps3/train/evaluation/questions.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { writeCheckpoint } from '../../ps3/train/run/checkpoint.ts';
import { InterruptedError, RunFolder } from '../../ps3/train/run.ts';
import { startVila, trainVila, vilaLock } from '../../ps3/train/vila.ts';
import { conversation, unpadded, vilaBatches } from '../../ps3/train/vila_batches.ts';
import { askedCards, cardSource } from '../../ps3/train/vila_source.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
import { config, kit, ps3, SIDE, VILA } from './tiny_cards.ts';

test.after(() => ps3.dispose());

const scenes = Array.from({ length: 40 }, (_, i) => buildScene(kit, i));
const colourIn = (question: string): string =>
  Object.keys(CARD_COLOURS).find((colour) => question.endsWith(` ${colour}`))!;

test('askAboutCard: the answer and the box are of the only card of the colour', () => {
  let asked = 0;
  for (const [i, scene] of scenes.entries()) {
    const question = askAboutCard(scene, new Random(i));
    if (!question) continue;
    asked++;
    const colour = colourIn(question.question);
    const of = scene.captions.flatMap((caption, at) => (caption.startsWith(`${colour} `) ? [at] : []));
    assert.equal(of.length, 1);
    assert.is(scene.captions[of[0]], `${colour} ${question.answer}`);
    assert.equal(question.box, scene.boxes[of[0]]);
  }
  assert.ok(asked > 30);
  const twice = { captions: ['red cat', 'red bell'], boxes: scenes[0].boxes.slice(0, 2) };
  assert.is(askAboutCard(twice, new Random(1)), undefined);
});

test('findCards: every colour in turn, with the boxes of all of its cards', () => {
  const boxes = scenes[0].boxes.slice(0, 3);
  const found = findCards({ captions: ['red cat', 'blue cat', 'red bell'], boxes }, 3, new Random(1));
  const of = (colour: string) => found.filter(({ question }) => colourIn(question) === colour);
  assert.equal(of('red')[0].boxes, [boxes[0], boxes[2]]);
  assert.equal(of('blue')[0].boxes, [boxes[1]]);
  assert.is(found.length, 3);
});

test('vilaBatches: what is padded comes back as it was, and questions without answers have no labels', async () => {
  using model = await startVila(engine, ps3, config);
  const { tokenizer } = model;
  const making = { batch: 2, gridSide: 8, seed: 1, name: 'x' };
  const { host } = vilaBatches(kit, tokenizer, making)(0);
  const [first] = unpadded(host.ids, host.labels);
  const answer = first.labels.filter((label) => label >= 0);
  const told = CARD_THINGS.find((thing) => tokenizer.decode(answer).startsWith(thing))!;
  const question = /<image>\n([^\n]*?)<\|im_end\|>/.exec(
    tokenizer.decode(first.ids, { keepSpecial: true }),
  )![1];
  assert.equal(first.ids, [...conversation(tokenizer, { question, answer: told }).ids]);
  const searches = vilaBatches(kit, tokenizer, { ...making, searches: 3 })(0).host;
  assert.equal(searches.box.shape, [6, 8, 8]);
  assert.ok(searches.labels.data.every((label) => label < 0));
});

test('cardSource: batches without answers show as many cards as asked for, the others as many as the data have', async () => {
  using model = await startVila(engine, ps3, config);
  const making = { name: 'x', batch: 4, side: SIDE, gridSide: 8, seed: 1, questions: 1, searches: 3 };
  const open = (searchedCards: number | null) =>
    cardSource(kit).batches(
      model.tokenizer,
      { ...making, searchedCards, share: { rank: 0, size: 1 } },
      { step: 0 },
    );
  await using one = open(1);
  await using usual = open(null);
  const [first, found] = [(await one.next()).host, (await one.next()).host];
  const [same, ofThree] = [(await usual.next()).host, (await usual.next()).host];
  assert.equal(first.box, same.box);
  // The questions about each of two images: of one card all are about it, of three of different colours none is.
  const places = ({ box }: typeof found): number[] =>
    [0, 3].map((row) => {
      const maps = [0, 1, 2].map((q) => box.data.subarray((row + q) * 64, (row + q + 1) * 64).join());
      return new Set(maps).size;
    });
  assert.equal(found.box.shape, [6, 8, 8]);
  assert.equal(places(found), [1, 1]);
  assert.ok(places(ofThree).every((count) => count > 1));
});

test('startVila: the tower sees a window as the PS3 sees the middle of its images', async () => {
  const model = presetConfig(
    trainConfig({ preset: 'smoke', set: ['model.scalesPx=[84,168,336]', 'model.tiedPositions=true'] }),
    20,
  );
  using whole = PS3.create(engine, model, 5);
  const window = { cells: 2, maxSelect: 8 };
  using vila = await startVila(engine, whole, { ...config, vila: { ...VILA, window } });
  assert.equal(vila.vision.config.scalesPx, [28, 56, 112]);
  using scope = engine.scope();
  const image = engine.tensor(scenes[0].rgba, [1, SIDE, SIDE, 4], { scope });
  const origin = engine.tensor(Uint32Array.of(2, 2), [1, 2], { scope });
  const [want, got] = noGrad(() => [
    whole.vision.window(2, 8).lowRes(image, 1, origin),
    vila.vision.lowRes(image, 1),
  ]);
  compare('low-res', await got.hidden[0].data(), await want.hidden[0].data(), TOLERANCE.exact);
});

test('startVila: the language model, the projector and the selection of another VILA-HD, its places resampled', async () => {
  const sizes = presetConfig(
    trainConfig({ preset: 'smoke', set: ['model.scalesPx=[84,168,336]', 'model.tiedPositions=true'] }),
    20,
  );
  using whole = PS3.create(engine, sizes, 5);
  const vila = { ...VILA, window: { cells: 2, maxSelect: 8 } };
  using begun = await startVila(engine, whole, { vila, seed: 8 });
  const [, , d] = begun.parameters.get('high_res_pos_embed').shape;
  // Of 2 x 2 places: one channel the same everywhere, one below the middle what is above it with the other sign.
  const channel = (place: number, c: number): number => (c === 0 ? 3 : c === 1 ? (place < 2 ? -1 : 1) : 0);
  const table = Float32Array.from({ length: 4 * d }, (_, i) => channel(Math.floor(i / d), i % d));
  begun.parameters.get('high_res_pos_embed').write(table);
  const selection = [
    'vision_model.selection_feature_proj.fc1.weight',
    'vision_model.highres_selection_feature_module.out_proj.weight',
  ];
  const tower = ['vision_model.trunk.blocks.0.attn.qkv.weight', 'vision_model.pos_emb_residual.1'];
  for (const name of [...selection, ...tower]) {
    const stored = begun.parameters.get(name);
    stored.write(new Float32Array(stored.size).fill(7));
  }
  const longer = { ...VILA, contextLength: 2048 };
  using model = await startVila(engine, whole, { vila: longer, seed: 9 }, undefined, begun);
  assert.equal(
    [begun, model].map(({ language }) => language.config.contextLength),
    [1024, 2048],
  );
  for (const name of begun.language.parameters.names)
    assert.equal(
      await model.language.parameters.get(name).data(),
      await begun.language.parameters.get(name).data(),
    );
  for (const name of ['layers.2.weight', 'top_down_prompt_head.fc1.weight', 'high_res_scale_embed.1'])
    assert.equal(await model.parameters.get(name).data(), await begun.parameters.get(name).data());
  for (const name of selection)
    assert.ok(
      (await model.parameters.get(name).data()).every((value) => value === 7),
      name,
    );
  for (const name of tower)
    assert.equal(await model.parameters.get(name).data(), await whole.parameters.get(name).data());
  const places = model.parameters.get('high_res_pos_embed');
  assert.equal(places.shape, [1, 36, d]);
  const values = await places.data();
  const at = (place: number, c: number): number => values[place * d + c];
  for (let place = 0; place < 36; place++) {
    compare('constant', [at(place, 0)], [3]);
    compare('odd', [at(place, 1)], [-at(35 - place, 1)]);
    assert.ok(place >= 18 || at(place, 1) < 0, 'above the middle');
  }
  assert.equal(model.tokens, begun.tokens);
});

test('config: a batch must divide for the questions without answers beside it', () => {
  const set = (...keys: string[]) => trainConfig({ preset: 'vila-s', set: keys });
  assert.throws(
    () => set('vila.answers.batch=9', 'vila.answers.accumulate=3'),
    /vila\.answers\.batch must be a multiple of 2 vila\.answers\.accumulate .*, got 9/,
  );
  assert.is(set('vila.answers.batch=9', 'vila.groundQuestions=0').vila!.answers.batch, 9);
  assert.is(set('vila.align.batch=9').vila!.align.batch, 9);
});

/** The stages of a run, stopped where the signal says. */
async function train(
  path: string,
  stop?: { readonly stage: string; readonly after: number },
): Promise<VilaModel> {
  const run = new RunFolder(path);
  const begun = await run.progress();
  if (!begun) {
    await RunFolder.create(path, config);
    using model = await startVila(engine, ps3, config);
    await writeCheckpoint(run.checkpointPath, model, { stage: 'align', step: 0 });
  }
  const names = ['align', 'answers', 'select'] as const;
  for (const name of names.slice(begun ? names.indexOf(begun.stage as 'align') : 0)) {
    using model = await VilaModel.load(engine, run.checkpointPath, { isLocked: vilaLock(config, name) });
    let steps = 0;
    const signal = {
      get aborted() {
        return stop?.stage === name && steps >= stop.after;
      },
    };
    const resume = begun?.stage === name ? begun : undefined;
    await trainVila(engine, model, cardSource(kit), config, name, {
      run,
      resume,
      signal,
      onStep: () => steps++,
    });
  }
  return VilaModel.load(engine, run.checkpointPath);
}

test('trainVila: a run that was stopped ends with the bits of one that was not, and locks hold', async () => {
  const path = await mkdtemp(join(tmpdir(), 'ps3-vila-'));
  try {
    using model = await train(join(path, 'whole'));
    const stopped = join(path, 'stopped');
    await train(stopped, { stage: 'answers', after: 1 }).then(
      () => assert.unreachable('not stopped'),
      (error: unknown) => assert.instance(error, InterruptedError),
    );
    using again = await train(stopped);
    using begun = await startVila(engine, ps3, config);
    for (const store of ['parameters', 'language'] as const) {
      const of = (one: VilaModel) => (store === 'language' ? one.language.parameters : one.parameters);
      for (const name of of(model).names) {
        const [want, got, first] = await Promise.all(
          [model, again, begun].map((one) => of(one).get(name).data()),
        );
        compare(name, got as Float32Array, want as Float32Array, TOLERANCE.exact);
        const isTower = /trunk|pos_emb_residual|prior_prompt/.test(name);
        const isSame = want.every((value, i) => value === first[i]);
        if (isTower && !name.endsWith('prior_prompt')) assert.ok(isSame, `${name} is locked`);
        if (name === 'top_down_prompt_head.fc1.weight' || name.endsWith('mlp.down_proj.weight'))
          assert.not.ok(isSame, `${name} is trained`);
      }
    }
    const lines = await new RunFolder(stopped).metrics();
    assert.equal(
      lines.map(({ stage, step }) => `${stage} ${step}`),
      ['align 0', 'answers 0', 'answers 1', 'answers 2', 'select 0'],
    );
    // Forward, backward and the update of the language model alone, whose two texts have more than 10 tokens each.
    const { elementCount } = model.language.parameters;
    const products = model.language.parameters.names.filter((name) => name.endsWith('proj.weight'));
    const sizes = products.map((name) => model.language.parameters.get(name).size);
    const least = 16 * elementCount + 6 * 20 * sizes.reduce((a, b) => a + b);
    for (const { stage, step, speed } of lines) {
      const flops = speed!.gflopPerS! * speed!.stepMs * 1e6;
      assert.ok(flops > least && flops < 1e3 * least, `${stage} ${step}: ${flops}, at least ${least}`);
    }
    assert.equal(
      lines.map(({ answers, entropy }) => [typeof answers, typeof entropy].map((type) => type === 'number')),
      [
        [true, false],
        [true, true],
        [false, true],
        [true, true],
        [true, true],
      ],
    );
  } finally {
    await rm(path, { recursive: true });
  }
});

test('evaluateQuestions: looking at the box sees all of a card, and an encoder that sees all has one way', async () => {
  using model = await startVila(engine, ps3, config);
  const { looks, budgetShare, budgets } = await evaluateQuestions(engine, model, askedCards(kit, 1), {
    count: 3,
    budgets: [0, 16, 80].map((patches) => ({ share: patches / 80, amount: { tokens: patches } })),
  });
  assert.equal(Object.keys(looks), ['topDown', 'bottomUp', 'random', 'box', 'none']);
  assert.ok(looks.box!.recall!.mean >= looks.random!.recall!.mean);
  assert.is(looks.none!.recall, undefined);
  // All patches show all of every card; a fifth is one look here; none is low resolution alone.
  assert.is(budgets[2].recall!.mean, 1);
  assert.equal(budgets[1].recall, looks.topDown!.recall);
  assert.equal(budgets[0].right, looks.none!.right);
  assert.equal(
    budgets.map(({ share }) => share),
    [0, 0.2, 1],
  );
  assert.ok(Math.abs(budgetShare - 16 / (16 + 64)) < 1e-9, `${budgetShare}`);
  using low = await startVila(engine, ps3, { ...config, vila: { ...VILA, encoder: { kind: 'low-res' } } });
  const all = await evaluateQuestions(engine, low, askedCards(kit, 1), { count: 2 });
  assert.equal(Object.keys(all.looks), ['all']);
  assert.is(all.looks.all!.tokens, 1);
});

test.run();
