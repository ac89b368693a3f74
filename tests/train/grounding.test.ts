// Looking for the targets of a made-up V* folder, against the maps that the public `encode` gives.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readBenchmark } from '../../ps3/benchmarks/benchmarks.ts';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { grounding } from '../../ps3/train/evaluation/grounding.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { ps3 } from '../app/run_cli.ts';
import { png, put } from '../benchmarks/made_files.ts';
import { compare, engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'grounding-'));
test.after(() => rm(folder, { recursive: true }));

const tokenizer = buildWordTokenizer(['a red cap blue dog green sign'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 7, { tokenizer });
const { gridSides, budgets } = model.config.vision;

interface Target {
  readonly category: string;
  readonly name: string;
  readonly size: readonly [width: number, height: number];
  /** x, y, width, height. */
  readonly boxes: readonly (readonly number[])[];
  readonly names: readonly string[];
}
const TARGETS: readonly Target[] = [
  {
    category: 'direct_attributes',
    name: 'a',
    size: [200, 100],
    boxes: [[20, 10, 60, 30]],
    names: ['red cap'],
  },
  {
    ...{ category: 'relative_position', name: 'b', size: [90, 150] },
    boxes: [
      [0, 0, 30, 50],
      [60, 100, 30, 50],
    ],
    names: ['blue dog', 'green sign'],
  },
  { category: 'relative_position', name: 'c', size: [112, 112], boxes: [[56, 0, 56, 56]], names: ['dog'] },
];

/** A PNG of coloured waves. */
function waves(width: number, height: number, seed: number): Promise<Buffer> {
  const wave = (i: number): number => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return 127 + 120 * Math.sin((x * (3 + seed) + y * (5 - seed)) / 20 + c * (1 + seed));
  };
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => wave(i));
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Writes the folder as the authors of V* give it. */
async function writeVstar(path: string): Promise<void> {
  for (const [i, { category, name, size, boxes, names }] of TARGETS.entries()) {
    await put(await waves(size[0], size[1], i), path, category, `${name}.png`);
    const question = { target_object: names, bbox: boxes, question: 'Which?', options: ['a', 'b'] };
    await put(JSON.stringify(question), path, category, `${name}.json`);
  }
}

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

test('ps3 eval --vstar and --screenspot: of a published folder', async () => {
  const [published, vstar, screens] = ['published', 'found', 'screens'].map((name) => join(folder, name));
  await model.save(published);
  await writeVstar(vstar);
  const { code, out, err } = await ps3('eval', published, '--vstar', vstar);
  assert.is(code, 0, err);
  assert.match(out, /^4 targets in 3 images/);
  assert.match(out, /top-down, recall at 44\.0 % +\d/);
  assert.match(out, /relative_position, top-down \(3\)/);
  await put('no image', vstar, 'direct_attributes', 'a.png');
  const broken = await ps3('eval', published, '--vstar', vstar);
  assert.is(broken.code, 2);
  assert.match(broken.err, /^ps3: benchmark: .*a\.json: `image` must be an image, got .*a\.png/m);

  await put(await png(160, 90, '#808080'), screens, 'images', 'a.png');
  const question = {
    img_filename: 'a.png',
    bbox: [0, 0, 80, 45],
    instruction: 'the red cap',
    group: 'Office',
  };
  await put(JSON.stringify([question]), screens, 'annotations', 'word.json');
  const found = await ps3('eval', published, '--screenspot', screens, '--json');
  assert.is(found.code, 0, found.err);
  const { boxes, categories, pointing } = JSON.parse(found.out) as Awaited<ReturnType<typeof grounding>>;
  assert.equal([boxes, Object.keys(categories), pointing!.chance], [1, ['Office'], 0.25]);
  const both = await ps3('eval', published, '--vstar', vstar, '--screenspot', screens);
  assert.equal(
    [both.code, both.err],
    [2, 'ps3: eval: --zero-shot, --vstar, --screenspot exclude each other, got --vstar and --screenspot.'],
  );
});

test.run();
