// Looking for the targets of a made-up V* folder, against the maps that the public `encode` gives.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readBenchmark } from '../../ps3/benchmarks/benchmarks.ts';
import type { BenchmarkRecord } from '../../ps3/benchmarks/record.ts';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { contrast } from '../../ps3/train/evaluation/contrast.ts';
import { grounding } from '../../ps3/train/evaluation/grounding.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { OPTIONS, TARGETS, writeVstar } from '../benchmarks/made_vstar.ts';
import { compare, engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'grounding-'));
test.after(() => rm(folder, { recursive: true }));

const tokenizer = buildWordTokenizer(['a red cap blue dog green sign'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 7, { tokenizer });
const { gridSides, budgets } = model.config.vision;

/** Whether a cell of a grid shows a pixel of the box, which covers one row and one column more by the reference's rule. */
function touches(row: number, column: number, side: number, grid: number, edges: readonly number[]): boolean {
  const [left, top, right, bottom] = edges;
  const within = (cell: number, low: number, high: number): boolean =>
    (cell * side) / grid < Math.min(side, Math.ceil(high) + 1) &&
    ((cell + 1) * side) / grid > Math.floor(low);
  return within(row, top, bottom) && within(column, left, right);
}

test('grounding: recall and pointing are those of the maps that encode gives for each target', async () => {
  const vstar = join(folder, 'vstar');
  await writeVstar(vstar);
  const result = await grounding(engine, model, readBenchmark('vstar', vstar));
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
  const recalls: number[] = [];
  const points: number[] = [];
  const side = model.config.image.imagePx;
  for (const { category, name, size, boxes, names } of TARGETS)
    for (const [k, [x, y, w, h]] of boxes.entries()) {
      using scope = engine.scope();
      const decoded = await decodeImage(join(vstar, category, `${name}.png`));
      const image = resizeToSquare(engine, decoded, side, { scope });
      using encoding = await model.encode(image, { prompt: names[k], looks: 1 });
      const edges = [x, y, x + w, y + h].map((edge, i) => (edge * side) / size[i % 2]);
      let [wanted, found] = [0, 0];
      for (const [scale, map] of encoding.selectionProbs.entries()) {
        if (budgets[scale] === 0) continue;
        const probs = await map.data();
        const grid = gridSides[scale + 1];
        const order = [...probs.keys()].sort((a, b) => probs[b] - probs[a] || a - b);
        const taken = new Set(order.slice(0, Math.round(0.2 * probs.length)));
        for (let i = 0; i < probs.length; i++)
          if (touches(Math.floor(i / grid), i % grid, side, grid, edges)) {
            wanted++;
            found += Number(taken.has(i));
          }
      }
      recalls.push(found / wanted);
      const finest = gridSides[gridSides.length - 1];
      const probs = await encoding.selectionProbs[gridSides.length - 2].data();
      // A cell of the coarse map that is enlarged has several of the finest: the middle of those that are highest.
      const highest = [...probs.keys()].filter((i) => probs[i] === Math.max(...probs));
      const middle = (of: (i: number) => number): number => mean(highest.map((i) => of(i) + 0.5));
      const centre = [middle((i) => i % finest), middle((i) => Math.floor(i / finest))].map(
        (cell) => (cell * side) / finest,
      );
      points.push(Number(centre.every((at, i) => at >= edges[i] && at < edges[i + 2])));
    }
  const { topDown, bottomUp } = result.selection;
  assert.equal([result.images, result.boxes, result.skipped], [3, 4, 0]);
  assert.equal(result.budgets, [0.05, 0.1, 0.2, 0.44]);
  compare('recall at 20 %', [topDown.all!.recall[2].mean], [mean(recalls)]);
  assert.ok(new Set(recalls).size > 1, `${recalls}`);
  compare(
    'recall of one category',
    [result.categories.relative_position.selection.topDown.all!.recall[2].mean],
    [mean(recalls.slice(1))],
  );
  assert.ok(bottomUp.all!.recall[2].mean !== topDown.all!.recall[2].mean, 'the text has a say');
  assert.ok(topDown.all!.recall[2].low <= mean(recalls) && topDown.all!.recall[2].high >= mean(recalls));
  // Each box covers so much of its image: 9 % of a, 1 / 9 of b twice, 1 / 4 of c.
  compare('chance', [result.pointing!.chance], [(0.09 + 2 / 9 + 0.25) / 4]);
  compare('pointing', [result.pointing!.topDown.mean], [mean(points)]);
});

test('grounding: boxes of one caption are one target, found at any of its places', async () => {
  const annotated = join(folder, 'annotated');
  await mkdir(annotated);
  const size = [200, 100] as const;
  const pixels = Uint8Array.from({ length: 3 * size[0] * size[1] }, (_, i) => (i * 37) % 251);
  const raw = { width: size[0], height: size[1], channels: 3 } as const;
  await sharp(pixels, { raw }).png().toFile(join(annotated, 'a.png'));
  const box = [
    [0, 0, 50, 40],
    [100, 50, 180, 90],
    [60, 10, 90, 30],
  ];
  await writeFile(
    join(annotated, 'annotations.jsonl'),
    JSON.stringify({ image: 'a.png', text: ['blue dog', 'blue dog', 'a red cap'], box }),
  );
  const result = await grounding(engine, model, readBenchmark('annotations', annotated));
  assert.equal([result.images, result.boxes], [1, 2]);
  assert.equal(Object.keys(result.categories), ['blue dog', 'a red cap']);
  compare('chance', [result.categories['blue dog'].pointing!.chance], [(50 * 40 + 80 * 40) / 20_000]);

  using scope = engine.scope();
  const side = model.config.image.imagePx;
  const image = resizeToSquare(engine, await decodeImage(join(annotated, 'a.png')), side, { scope });
  using encoding = await model.encode(image, { prompt: 'blue dog', looks: 1 });
  const edges = box.slice(0, 2).map((edges) => edges.map((edge, i) => (edge * side) / size[i % 2]));
  let [wanted, found, taken] = [0, 0, 0];
  for (const [scale, map] of encoding.selectionProbs.entries()) {
    if (budgets[scale] === 0) continue;
    const probs = await map.data();
    const grid = gridSides[scale + 1];
    const order = [...probs.keys()].sort((a, b) => probs[b] - probs[a] || a - b);
    const first = new Set(order.slice(0, Math.round(0.2 * probs.length)));
    taken += first.size;
    for (let i = 0; i < probs.length; i++)
      if (edges.some((edges) => touches(Math.floor(i / grid), i % grid, side, grid, edges))) {
        wanted++;
        found += Number(first.has(i));
      }
  }
  const { recall, precision } = result.categories['blue dog'].selection.topDown.all!;
  compare('recall', [recall[2].mean], [found / wanted]);
  compare('precision', [precision[2].mean], [found / taken]);
});

test('contrast: the option nearest to the pooled box, as the public comparison has it', async () => {
  const vstar = join(folder, 'contrast');
  await writeVstar(vstar);
  const encoders = ['low-res', 'ps3-top-down', 's2'] as const;
  async function* rotated(): AsyncGenerator<BenchmarkRecord> {
    for await (const record of readBenchmark('vstar', vstar)) {
      yield record;
      yield { ...record, id: `${record.id} again`, cycle: 1 };
    }
  }
  const result = await contrast(engine, model, rotated(), { encoders });
  const right: number[] = [];
  for (const { category, name, size, boxes } of TARGETS) {
    if (boxes.length > 1) continue; // the public comparison takes one box
    using scope = engine.scope();
    const decoded = await decodeImage(join(vstar, category, `${name}.png`));
    const image = resizeToSquare(engine, decoded, model.config.image.imagePx, { scope });
    const [[x, y, w, h]] = boxes;
    const box = [x / size[0], y / size[1], (x + w) / size[0], (y + h) / size[1]] as const;
    using similarity = await model.similarity(image, OPTIONS, { tokens: 'low', region: { box } });
    const logits = await similarity.logits.data();
    right.push(Number(logits[0] > Math.max(logits[1], logits[2])));
  }
  const { questions, images, chance, encoders: found } = result;
  assert.equal([questions, images, chance], [3, 3, 1 / 3]);
  assert.equal(Object.keys(found), ['question-alone', ...encoders]);
  // The question is the same everywhere, and its own words no option's: it names one option or none.
  assert.ok([0, 1].includes(found['question-alone'].accuracy.mean));
  const { accuracy, categories, overLowRes, meanTokens } = found['low-res']!;
  assert.is(categories.direct_attributes.mean, right[0]);
  const two = categories.relative_position.mean * 2;
  assert.ok(two === right[1] || two === right[1] + 1, `${two} of two`);
  assert.is(accuracy.mean, (right[0] + two) / 3);
  assert.equal([overLowRes, meanTokens], [undefined, gridSides[0] ** 2]);
  const top = found['ps3-top-down']!;
  assert.ok(Math.abs(top.overLowRes!.mean - (top.accuracy.mean - accuracy.mean)) < 1e-12);
});

test.run();
