// Batches of the second stage: what supervises selection, at every scale.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Box } from '../../ps3/data/boxes.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { touchedCells } from '../../ps3/model/vision/selection.ts';
import { BatchLoader } from '../../ps3/train/batch_loader.ts';
import { upload } from '../../ps3/train/batches.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const SIDE = 140;

for (const [name, box, want] of [
  // 36 to 39 pixels: cell 2 of ten with 14 pixels each, which reaches over the border between cells of 35.
  ['in one cell', [36, 36, 38, 38], { 4: [5], 10: [22] }],
  ['over a border', [34, 0, 35, 1], { 4: [0, 1], 10: [2] }],
] as const)
  test(`batch: a box ${name} marks the cells that it touches, at scales that do not divide each other`, async () => {
    const tokenizer = buildWordTokenizer(['a'], { contextLength: 4 });
    const config = presetConfig(
      trainConfig({ preset: 'smoke', set: [`model.scalesPx=[28, 56, ${SIDE}]`] }),
      tokenizer.vocabSize,
    );
    assert.equal(config.vision.gridSides, [2, 4, 10]);
    const rgba = new Uint8Array(4 * SIDE * SIDE);
    const sample = {
      key: 'a',
      side: SIDE,
      rgba,
      boxes: [[...box] as Box],
      captions: ['a'],
      globalCaption: 'a',
    };
    const options = { batchSize: 1, seed: 1, globalProbability: 0 };
    using scope = engine.scope();
    const { host } = new BatchLoader([sample], tokenizer, config, options).batch(0);
    const batch = upload(engine, host, scope);
    for (const map of [batch.box, batch.allBoxes!])
      for (const [side, cells] of Object.entries(want)) {
        const touched = await touchedCells(map, [Number(side), Number(side)]).data();
        assert.equal(
          [...touched.keys()].filter((cell) => touched[cell] > 0),
          [...cells],
        );
      }
  });

test('batch: the share of captions that are cut counts those with more tokens than the context, EOS included', () => {
  // Words are tokens, and L is 4.
  const captions = ['a b c', 'a b c d', 'a', 'a b c d e f', 'a'];
  const tokenizer = buildWordTokenizer(captions, { contextLength: 4 });
  assert.equal([...tokenizer.encodeCounted(captions).counts], [4, 5, 2, 7, 2]);
  const config = presetConfig(trainConfig({ preset: 'smoke' }), tokenizer.vocabSize);
  const samples = captions.map((caption) => {
    const boxes = [[0, 0, 9, 9] as Box];
    const rgba = new Uint8Array(4 * 112 * 112);
    return { key: caption, side: 112, rgba, boxes, captions: [caption], globalCaption: undefined };
  });
  const loader = new BatchLoader(samples, tokenizer, config, { batchSize: 5, seed: 1 });
  assert.equal(loader.batch(0).facts, { cutCaptions: 2 / 5 });
});

test.run();
