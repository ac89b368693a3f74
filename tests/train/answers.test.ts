// What a box's features are of: the tokens that the model encodes for its caption, or for none, of patches in the box.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, Random } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import { type Box, boxCells } from '../../ps3/data/boxes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { captionIds } from '../../ps3/train/batch_loader.ts';
import { askBoxes, imageBatch } from '../../ps3/train/evaluation/answers.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { compare, engine } from '../harness.ts';

const SIDE = 112;
const WORDS = ['red', 'green', 'blue'];
const config = trainConfig({
  preset: 'smoke',
  set: ['model.contextLength=4', 'method.auxEncoder=false'],
});
const tokenizer = buildWordTokenizer(WORDS, { contextLength: 4 });
const model = PS3.create(engine, presetConfig(config, tokenizer.vocabSize), 3, { tokenizer });

const SAMPLES = [0, 1, 2, 3, 4, 5].map((seed): Sample => {
  const random = new Random(seed, 1);
  const rgba = Uint8Array.from({ length: 4 * SIDE * SIDE }, () => random.integer(256));
  const boxes: Box[] = [[30, 30, 80, 70 + 4 * seed]];
  return { key: `${seed}`, side: SIDE, rgba, boxes, captions: [WORDS[seed % 3]], globalCaption: undefined };
});

/** Cosines of the pooled tokens that `encode` gives within the box, in float64. */
async function expected(sample: Sample, prompt: string | undefined, texts: Float32Array): Promise<number[]> {
  using scope = engine.scope();
  const image = imageBatch(engine, [sample], scope);
  const vector = prompt === undefined ? undefined : model.encodeText(prompt, { scope }).prompt;
  const { lastHiddenState, selectionMaps } = await model.encode(image, { prompt: vector, looks: 1 });
  const [low, ...grids] = model.config.vision.gridSides;
  const inBox: number[] = new Array<number>(low * low).fill(0);
  for (const [i, grid] of grids.entries()) {
    const cells = boxCells(sample.boxes, SIDE, grid);
    const selected = await selectionMaps[i].data();
    selected.forEach((isSelected, cell) => {
      if (isSelected > 0) inBox.push(cells[cell]);
    });
  }
  const high = inBox.slice(low * low);
  assert.ok(high.some((inside) => inside > 0) && high.some((inside) => inside === 0), 'the box decides');
  const mask = engine.tensor(Float32Array.from(inBox), [1, inBox.length], { scope });
  const pooled = await noGrad(() => model.vision.pool(lastHiddenState, mask)).data();
  const norm = Math.hypot(...pooled);
  return WORDS.map((_, word) =>
    pooled.reduce((sum, value, e) => sum + (value / norm) * texts[word * pooled.length + e], 0),
  );
}

test('answers: a box has the features of what its caption selects, and of what stands out', async () => {
  using scope = engine.scope();
  const texts = noGrad(() => model.encodeText(captionIds(engine, tokenizer, WORDS, scope))).features;
  const asked = SAMPLES.map((sample) => ({ sample, box: sample.boxes[0], caption: sample.captions[0] }));
  const { scores } = await askBoxes(engine, model, asked, texts, scope);
  const features = await texts.data();
  for (const [i, sample] of SAMPLES.entries()) {
    const row = (all: Float32Array): Float32Array => all.slice(3 * i, 3 * i + 3);
    compare('top-down', row(scores.topDown), await expected(sample, sample.captions[0], features));
    compare('predicted', row(scores.predicted), await expected(sample, undefined, features));
  }
  const differ = SAMPLES.filter((_, i) => scores.topDown[3 * i] !== scores.predicted[3 * i]);
  assert.ok(differ.length > 0, 'or the caption would select nothing else');
});

test.run();
