// Images and texts compared, beside features of the official implementation.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { Region } from '../../ps3/model/region.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, TOLERANCE, throws } from '../harness.ts';
import { MODEL, openGolden } from './golden.ts';

/** Rows of length `width`, normalised in float64. */
function unitRows(numbers: ArrayLike<number>, width: number): Float64Array {
  const rows = Float64Array.from(numbers);
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    row.forEach((value, i) => {
      row[i] = value / length;
    });
  }
  return rows;
}

/** The boxes, in pixels, of the two ground-truth maps in a reference file: left, top, right, bottom. */
function boxesOf(map: Float32Array, h: number, w: number): Region[] {
  return [0, 1].map((b) => {
    const inside = Array.from({ length: h * w }, (_, i) => i).filter((i) => map[b * h * w + i] !== 0);
    const xs = inside.map((i) => i % w);
    const ys = inside.map((i) => Math.floor(i / w));
    const box = [
      Math.min(...xs) / w,
      Math.min(...ys) / h,
      (Math.max(...xs) + 1) / w,
      (Math.max(...ys) + 1) / h,
    ];
    return { box: box as [number, number, number, number] };
  });
}

for (const name of ['square', 'portrait', 'radio'] as const)
  test(`similarity: whole images and boxes are pooled as the reference pools them (${name})`, async () => {
    using scope = engine.scope();
    const golden = await openGolden(name);
    const { model } = golden;
    const { width } = model.config.vision.attnPool;
    const [scale, bias] = [1.5, -2.25];
    model.logitScale.write(Float32Array.of(scale));
    model.logitBias.write(Float32Array.of(bias));
    const image = await golden.input('in.pixel_values', scope);
    const ids = await golden.input('in.text', scope, 'i32');
    const images = unitRows(await golden.want('low.pooled'), width);
    const texts = unitRows(await golden.want('text.pooled_output'), width);
    const logits = Float64Array.from({ length: 4 }, (_, i) => {
      const [b, t] = [Math.floor(i / 2), i % 2];
      let cosine = 0;
      for (let k = 0; k < width; k++) cosine += images[b * width + k] * texts[t * width + k];
      return Math.exp(scale) * cosine + bias;
    });
    const got = await model.similarity(image, ids);
    assert.equal(got.logits.shape, [2, 2]);
    compare('logits', await got.logits.data(), logits, MODEL);
    compare(
      'probabilities',
      await got.probabilities.data(),
      logits.map((logit) => 1 / (1 + Math.exp(-logit))),
      MODEL,
    );

    const prompt = await golden.input('text.prompt', scope);
    const groundTruth = await golden.input('in.gt_selection_maps', scope);
    const [, h, w] = groundTruth.shape;
    const region = boxesOf(await golden.want('in.gt_selection_maps'), h, w);
    const encoding = await model.encode(image, { prompt, groundTruth });
    const local = model.imageFeatures(encoding, { tokens: 'high', region });
    compare('boxes', await local.data(), unitRows(await golden.want('pretrain.pooled_output'), width), MODEL);
    model.dispose();
  });

test('similarity: a text is what its ids are, padding with EOS included; results are freed', async () => {
  const tokenizer = buildWordTokenizer(['a red apple', 'a blue cup'], { contextLength: 6 });
  using model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 3, {
    tokenizer,
    layerScale: 0.1,
  });
  const image = engine.tensor(new Uint8Array(112 * 112 * 4).fill(99), [1, 112, 112, 4]);
  const before = engine.stats();
  {
    using scope = engine.scope();
    const texts = ['a red apple', 'a blue cup', 'cup'];
    const ids = engine.tensor(tokenizer.encode(texts), [3, 6], { scope });
    using byText = await model.similarity(image, texts, {
      tokens: 'high',
      region: { box: [0, 0, 0.5, 0.5] },
    });
    using encoding = await model.encode(image, { region: { box: [0, 0, 0.5, 0.5] } });
    using byIds = await model.similarity(encoding, ids, {
      tokens: 'high',
      region: { box: [0, 0, 0.5, 0.5] },
    });
    compare('logits', await byText.logits.data(), await byIds.logits.data(), TOLERANCE.exact);
    const none = await model.encode(image.in(scope), { looks: 0 });
    throws(() => model.imageFeatures(none, { tokens: 'high' }), /an encoding that looked, got 0 patches/);
    const row = tokenizer.encode(['a red apple']);
    assert.equal([...row.subarray(3)], [1, 1, 1], 'EOS, then EOS as padding');
    const other = row.with(4, 2);
    const both = engine.tensor(Int32Array.of(...row, ...other), [2, 6], { scope });
    const pooled = await model.encodeText(both).pooled.data();
    const apart = pooled.subarray(0, 32).map((value, i) => Math.abs(value - pooled[32 + i]));
    assert.ok(Math.max(...apart) > 1e-4, 'another token in the padding is seen from the last position');
  }
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(engine.stats().liveBytes, before.liveBytes);
  image.dispose();
});

test.run();
