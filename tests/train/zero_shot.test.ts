// Zero-shot classification of a folder, against the public comparison of images with texts.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { zeroShot } from '../../ps3/train/evaluation/zero_shot.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'zero-shot-'));
test.after(() => rm(folder, { recursive: true }));

const NAMES = ['blue', 'dark_red', 'green'];
const COLOURS = ['#2040e0', '#801010', '#18c030', '#e0d818', '#202020'];
const tokenizer = buildWordTokenizer(['a dark red blue green thing'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 7, { tokenizer });

async function paths(): Promise<string[][]> {
  const all: string[][] = [];
  for (const name of NAMES) {
    await mkdir(join(folder, name), { recursive: true });
    const made = COLOURS.map((background, i) => ({ background, path: join(folder, name, `${i}.png`) }));
    for (const { background, path } of made)
      await sharp({ create: { width: 100, height: 60 + 10 * name.length, channels: 3, background } })
        .png()
        .toFile(path);
    all.push(made.map(({ path }) => path));
  }
  return all;
}

test('zero-shot: the first of a class is the closest of the texts, low-res pooled, and broken images are counted', async () => {
  const byClass = await paths();
  await writeFile(join(folder, 'green', 'broken.png'), 'no image');
  await writeFile(join(folder, 'green', 'notes.txt'), 'no image either');
  const said: string[] = [];
  const notice = (sentence: string): void => {
    said.push(sentence);
  };
  const result = await zeroShot(engine, model, folder, { templates: ['a {} thing'], notice });
  const texts = NAMES.map((name) => `a ${name.replace('_', ' ')} thing`);
  const right: number[] = [];
  for (const [label, images] of byClass.entries())
    for (const path of images) {
      using scope = engine.scope();
      const image = resizeToSquare(engine, await decodeImage(path), model.config.image.imagePx, { scope });
      using similarity = await model.similarity(image, texts, { tokens: 'low' });
      const logits = await similarity.logits.data();
      right.push(Number(logits[label] === Math.max(...logits)));
    }
  assert.ok(right.includes(0) && right.includes(1), `${right}`);
  const share = right.reduce((a, b) => a + b) / right.length;
  assert.equal(
    [result.images, result.skipped, result.classes, result.templates, result.top1.mean, result.top5.mean],
    [15, 1, 3, 1, share, 1],
  );
  assert.is(said.length, 1);
  assert.match(said[0], /broken\.png is left out: decodeImage: /);
});

test('zero-shot: a folder of one class is refused with what to do', async () => {
  const error: unknown = await zeroShot(engine, model, join(folder, 'green')).catch(
    (error: unknown) => error,
  );
  assert.match(
    String((error as Error).message),
    /^zeroShot: .* two classes or more, got 0\. Name each after/,
  );
});

test.run();
