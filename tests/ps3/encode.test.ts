// What PS3.encode returns, beside the official implementation's tensors.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ShapeError, type Tensor } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE, throws } from '../harness.ts';
import { openGolden } from './golden.ts';

const tokenizer = buildWordTokenizer(['a red apple', 'a blue cup'], { contextLength: 8 });
const small = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 3, {
  tokenizer,
  layerScale: 0.1,
});
const SIDE = 112;

/** A noise image, [1, h, w, 4] u8. */
const pixels = (seed: number, h = SIDE, w = SIDE): Uint8Array =>
  Uint8Array.from(random(h * w * 4, seed), (u) => Math.round(127.5 * (u + 1)));

async function rejects(run: () => Promise<unknown>, pattern: RegExp): Promise<void> {
  const outcome = await run().then(
    () => undefined,
    (error: Error) => error,
  );
  throws(() => {
    if (outcome) throw outcome;
  }, pattern);
}

for (const name of ['square', 'portrait', 'radio'] as const)
  test(`encode: two looks by a prompt are those of the reference, with hidden states of every block (${name})`, async () => {
    using scope = engine.scope();
    const golden = await openGolden(name);
    const { model } = golden;
    const { depth } = model.config.vision;
    const image = await golden.input('in.pixel_values', scope);
    const prompt = await golden.input('text.prompt', scope);
    const out = await model.encode(image, { prompt, looks: 2, hiddenStates: true });
    await golden.check('topdown.last_hidden_state', out.lastHiddenState);
    for (let i = 0; i < 2; i++) {
      await golden.check(`topdown.selection_maps.${i}`, out.selectionMaps[i], TOLERANCE.exact);
      await golden.check(`topdown.selection_probs.${i}`, out.selectionProbs[i]);
      await golden.check(`look2.selection_probs.${i}`, out.bottomUp[i]);
      await golden.check(`topdown.selection_probs.${i}`, out.topDown![i]);
    }
    assert.is(out.hiddenStates.length, depth);
    const last = out.hiddenStates[depth - 1];
    compare('last', await last.data(), await out.lastHiddenState.data(), TOLERANCE.exact);
    const [B, T, C] = last.shape;
    for (const [i, state] of out.hiddenStates.entries()) {
      const numbers = await state.data();
      const want = await golden.want(`low.hidden.${i}`);
      const N = want.length / (B * C);
      for (let b = 0; b < B; b++)
        compare(
          `low-res tokens of block ${i}`,
          numbers.subarray(b * T * C, (b * T + N) * C),
          want.subarray(b * N * C, (b + 1) * N * C),
          { abs: 0, rel: 1e-4 },
        );
    }
    const two = await model.encode(image, { prompt, looks: 2, hiddenStates: 2 });
    assert.is(two.hiddenStates.length, 2);
    compare(
      'second to last',
      await two.hiddenStates[0].data(),
      await out.hiddenStates[depth - 2].data(),
      TOLERANCE.exact,
    );
    model.dispose();
  });

for (const name of ['square', 'portrait', 'radio'] as const)
  test(`encode: recorded selection maps of integers give the reference's tokens (${name})`, async () => {
    using scope = engine.scope();
    const golden = await openGolden(name);
    const { model } = golden;
    const image = await golden.input('in.pixel_values', scope);
    const selectionMaps = [
      await golden.input('look1.selection_maps.0', scope, 'i32'),
      await golden.input('look1.selection_maps.1', scope, 'i32'),
    ];
    const out = await model.encode(image, { selectionMaps });
    await golden.check('look1.last_hidden_state', out.lastHiddenState);
    await golden.check('look1.selection_maps.1', out.selectionMaps[1], TOLERANCE.exact);
    if (golden.has('look1.feature_maps.0'))
      for (const [i, map] of out.featureMaps().entries()) await golden.check(`look1.feature_maps.${i}`, map);
    model.dispose();
  });

test('encode: zero looks give the low-res tokens and maps of zeros', async () => {
  using scope = engine.scope();
  const image = engine.tensor(pixels(1), [1, SIDE, SIDE, 4], { scope });
  const none = await small.encode(image, { looks: 0 });
  const one = await small.encode(image);
  assert.equal(none.lastHiddenState.shape, [1, 4, 32]);
  assert.equal([...none.counts], [0, 0]);
  assert.equal([...one.counts], [3, 13], 'neither looks nor tokens: one look');
  const low = (await one.lastHiddenState.data()).subarray(0, 4 * 32);
  compare('low-res tokens', await none.lastHiddenState.data(), low, TOLERANCE.exact);
  compare('maps', await none.selectionMaps[0].data(), new Float32Array(16), TOLERANCE.exact);
  const [, fine] = none.featureMaps().slice(1);
  compare('features', await fine.data(), new Float32Array(32 * 64), TOLERANCE.exact);
});

test('encode: a text, its ids and its vector select alike; nothing is left over but the result', async () => {
  using scope = engine.scope();
  const image = engine.tensor(pixels(2), [1, SIDE, SIDE, 4]);
  const ids = engine.tensor(tokenizer.encode(['a red apple']), [1, 8], { scope });
  const { prompt } = small.encodeText(ids);
  const before = engine.stats();
  {
    using byText = await small.encode(image, { prompt: 'a red apple' });
    using byTensor = await small.encode(image, { prompt });
    const text = await byText.lastHiddenState.data();
    compare('tokens', text, await byTensor.lastHiddenState.data(), TOLERANCE.exact);
    assert.ok(!byText.lastHiddenState.requiresGrad, 'without gradients');
  }
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(engine.stats().liveBytes, before.liveBytes);
  image.dispose();
});

test('encode: images of any sizes give in their order what each gives alone', async () => {
  using scope = engine.scope();
  const sizes = [
    [112, 112],
    [112, 56],
    [112, 112],
  ];
  const images = sizes.map(([h, w], i) => engine.tensor(pixels(10 + i, h, w), [1, h, w, 4], { scope }));
  const prompts = ['a red apple', 'a blue cup', 'a cup'];
  const regions = sizes.map((_, i) => ({ point: [0.2 * i, 0.9] as const }));
  const words = await small.encode(images, { prompt: prompts, hiddenStates: 1 });
  const points = await small.encode(images, { region: regions });
  for (const [i, image] of images.entries()) {
    const word = await small.encode(image, { prompt: prompts[i] });
    const point = await small.encode(image, { region: regions[i] });
    for (const [got, want] of [
      [words[i], word],
      [points[i], point],
    ]) {
      assert.equal(got.grids, want.grids);
      compare('tokens', await got.lastHiddenState.data(), await want.lastHiddenState.data());
      compare('map', await got.selectionMaps[1].data(), await want.selectionMaps[1].data(), TOLERANCE.exact);
    }
  }
});

test('encode: what cannot be done is said', async () => {
  using scope = engine.scope();
  const image = engine.tensor(pixels(3), [1, SIDE, SIDE, 4], { scope });
  const map = (count: number, side: number, B = 1): Tensor =>
    engine.tensor(
      Float32Array.from({ length: B * side * side }, (_, i) => Number(i < count)),
      [B, side, side],
      { scope },
    );
  const box = { box: [0, 0, 1, 1] as const };
  await rejects(
    () => small.encode(image, { prompt: 'a cup', region: box }),
    /PS3.encode: one of prompt, region and selectionMaps can decide, got 2. Pass one./,
  );
  await rejects(() => small.encode(image, { prompt: ['a cup', 'a red cup'] }), /one prompt.*got 2/);
  await rejects(() => small.encode(image, { selectionMaps: [map(1, 4)] }), /2 high-res scales, got 1/);
  await rejects(
    () => small.encode(image, { selectionMaps: [map(1, 4), map(1, 4)] }),
    /selectionMaps\[1\] must be \[1, 8, 8\], got \[1, 4, 4\]/,
  );
  const two = engine.tensor(new Uint8Array(2 * SIDE * SIDE * 4), [2, SIDE, SIDE, 4], { scope });
  await rejects(
    () => small.encode(two, { selectionMaps: [map(1, 4, 2), map(1, 8, 2)] }),
    /equally many patches in every image of a batch, got 1, 0/,
  );
  await rejects(() => small.encode(image, { hiddenStates: 3 }), /hiddenStates must be .* 0 to 2, got 3/);
  await rejects(() => small.encode(image, { looks: 2, tokens: 30 }), /looks and tokens exclude each other/);
  const mute = new PS3(small.config, small.parameters);
  await rejects(() => mute.encode(image, { prompt: 'a cup' }), /^PS3.encode: .* must have a tokenizer/);
});

test('encode: a text of which the text tower would see nothing is refused', async () => {
  using scope = engine.scope();
  const image = engine.tensor(pixels(3), [1, SIDE, SIDE, 4], { scope });
  const before = engine.stats();
  throws(() => small.encodeText([]), /^PS3.encodeText: there must be a text, got none\.$/);
  for (const text of ['', '?!', '__', ' \t']) {
    const calls: [name: string, call: () => unknown][] = [
      ['PS3.encodeText', () => small.encodeText(text)],
      ['PS3.encodeText', () => small.encodeText(['a red apple', text, 'a cup'])],
      ['PS3.encode', () => small.encode(image, { prompt: text })],
      ['PS3.similarity', () => small.similarity(image, ['a red apple', text])],
    ];
    for (const [name, call] of calls) {
      const error: unknown = await (async () => call())().catch((error: unknown) => error);
      assert.instance(error, ShapeError);
      const { message } = error as ShapeError;
      assert.ok(message.startsWith(`${name}: a text must have letters or digits`), message);
      assert.ok(message.endsWith(`, got ${JSON.stringify(text)}.`), message);
    }
  }
  assert.is(engine.stats().liveTensors, before.liveTensors);
});

test('encode: every norm of the image tower adds the eps of the configuration', async () => {
  const image = engine.tensor(pixels(3), [1, SIDE, SIDE, 4]);
  const config = { ...small.config, vision: { ...small.config.vision, lnEps: 1e24 } };
  const flat = new PS3(config, small.parameters, tokenizer);
  // An eps beyond any variance leaves the norms' bias, zero at the start, and so no trace of the image's tokens.
  const pooled = await flat.vision.pool((await small.encode(image, { looks: 0 })).lastHiddenState).data();
  const none = flat.vision.pool(engine.zeros([1, 4, small.config.vision.width]));
  compare('pooled', pooled, await none.data(), TOLERANCE.f32);
  const { lastHiddenState } = await flat.encode(image, { looks: 0 });
  const [block] = flat.vision.lowRes(image, small.config.vision.depth).hidden;
  compare('blocks add nothing', await lastHiddenState.data(), await block.data(), TOLERANCE.f32);
});

test.run();
