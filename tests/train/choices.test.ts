// Multiple choice by any model: what it is shown, what is kept, and how answers are put together. The model here reads colours.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatResults } from '../../ps3/app/benchmark_report.ts';
import type { Answerer, Scored } from '../../ps3/benchmarks/answerer.ts';
import type { BenchmarkRecord } from '../../ps3/benchmarks/record.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { askAll, rightShare } from '../../ps3/train/evaluation/choices/ask.ts';
import { READER, resultsOf } from '../../ps3/train/evaluation/choices/results.ts';
import { atResolution, oracleCrop, withoutContent } from '../../ps3/train/evaluation/choices/views.ts';

const COLOURS = ['#ff0000', '#00ff00', '#0000ff', '#ffff00'];
const NAMES = ['red', 'green', 'blue', 'yellow'];
const SIDE = 800;

/** Grey, with a square of the colour of the answer in a corner. */
async function imageOf(colour: number, squarePx: number): Promise<Buffer> {
  const square = {
    create: { width: squarePx, height: squarePx, channels: 3, background: COLOURS[colour] },
  } as const;
  return sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: '#808080' } })
    .composite([{ input: await sharp(square).png().toBuffer(), left: 40, top: 60 }])
    .png()
    .toBuffer();
}

/** Whether a colour is anywhere, as strongly as the pixel that has most of it. */
const reader = (counts: Map<string, number>): Answerer => ({
  name: 'colours',
  async answer(image, { question, options }) {
    counts.set(question, (counts.get(question) ?? 0) + 1);
    const { rgba } = typeof image === 'string' ? await decodeImage(image) : image;
    const scores = options.map((option) => {
      const [r, g, b] = [1, 3, 5].map((at) =>
        Number.parseInt(COLOURS[NAMES.indexOf(option)].slice(at, at + 2), 16),
      );
      let best = -Infinity;
      for (let i = 0; i < rgba.length; i += 4)
        best = Math.max(best, -Math.hypot(rgba[i] - r, rgba[i + 1] - g, rgba[i + 2] - b));
      return best;
    });
    // It looked at the left half of 2 x 2 and of 4 x 4 patches.
    const looked = [2, 4].map((side) =>
      Float32Array.from({ length: side ** 2 }, (_, i) => Number(i % side < side / 2)),
    );
    return { scores, looked: [looked] };
  },
});

async function recordsOf(): Promise<BenchmarkRecord[]> {
  const records: BenchmarkRecord[] = [];
  for (const [image, squarePx] of [40, 2].entries())
    for (const cycle of [0, 1]) {
      const options = cycle === 0 ? NAMES : [...NAMES.slice(1), NAMES[0]];
      records.push({
        ...{ id: `q${image}-${cycle}`, image: await imageOf(image, squarePx), width: SIDE, height: SIDE },
        ...{ category: 'squares', question: `Which colour, ${image}?`, options, metric: 'choice', cycle },
        ...{ answer: options.indexOf(NAMES[image]), boxes: [[40, 60, 40 + squarePx, 60 + squarePx]] },
        ...{ group: `${image}`, leastPx: { constructed: 3780, reader: image === 0 ? 378 : 3024 } },
      });
    }
  return records;
}

test('askAll: shows resolutions and controls, keeps answers, and goes on from them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'choices-'));
  try {
    const records = await recordsOf();
    const counts = new Map<string, number>();
    const path = join(folder, 'answers.jsonl');
    const answerer = reader(counts);
    const entrants = [{ answerer, showings: [378, 3780, 'blind', 'shuffled', 'oracle crop'] as const }];
    const answers = await askAll(records, entrants, path);
    // The first rotation alone, since the order does not matter to it.
    assert.equal([...counts.values()], [5, 5]);
    const { results } = resultsOf(records, answers);
    const right = (showing: unknown): number | undefined =>
      results.find((result) => result.model === 'colours' && result.showing === showing)?.all.mean;
    assert.is(right(3780), 1);
    // Two pixels of 800 are one of 378, and its edges are grey.
    const small = answers.find(({ id, showing }) => id === 'q1-0' && showing === 378)!;
    const large = answers.find(({ id, showing }) => id === 'q1-0' && showing === 3780)!;
    assert.ok(small.scores[1] < large.scores[1] - 10, `${small.scores} beside ${large.scores}`);
    // Grey is nearest to yellow, which is wrong of both.
    assert.is(right('blind'), 0);
    assert.is(right('shuffled'), 0);
    assert.is(right('oracle crop'), 1);
    const before = await readFile(path, 'utf8');
    await askAll(records, entrants, path);
    assert.equal([...counts.values()], [5, 5]);
    assert.is(await readFile(path, 'utf8'), before);
    // The first square touches a patch of either scale, both of which it looked at; so does the second.
    assert.equal(
      answers.map(({ showing, looked }) => [showing, looked]),
      answers.map(({ showing }) => [showing, typeof showing === 'number' ? 1 : undefined]),
    );
    // Who heeds the order is asked every rotation.
    await askAll(
      records,
      [{ answerer: { ...answerer, name: 'other', heedsOrder: true }, showings: [3780] }],
      path,
    );
    assert.equal([...counts.values()], [7, 7]);
    // Who cannot tell is not asked.
    const silent = { ...answerer, name: 'silent', tells: async () => false };
    const all = await askAll(records, [{ answerer: silent, showings: [3780] }], path);
    assert.equal([...counts.values()], [7, 7]);
    const found = resultsOf(records, all).results.find(({ model }) => model === 'silent')!;
    assert.equal([found.all.mean, found.untold], [0.25, 1]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('resultsOf: the reader by the least resolution of each question, needs and rotations as one question', async () => {
  const records = await recordsOf();
  const scores = (right: number): number[] => NAMES.map((_, i) => Number(i === right));
  // One rotation right, one wrong: half of a question.
  const answers = [
    { id: 'q0-0', model: 'm', showing: 3780 as const, scores: scores(0) },
    { id: 'q0-1', model: 'm', showing: 3780 as const, scores: scores(0) },
    { id: 'q1-0', model: 'm', showing: 3780 as const, scores: scores(1) },
    { id: 'q1-1', model: 'm', showing: 3780 as const, scores: scores(0) },
  ];
  const looking = answers.map((answer, i) => ({
    ...answer,
    ...(i > 0 && { looked: [1, 0.5, 0.25, 0.25][i] }),
  }));
  const { questions, images, chance, categories, results } = resultsOf(records, looking);
  const { looked } = results.find(({ model }) => model === 'm')!;
  assert.equal(
    [looked?.all.mean, looked?.needs['above 2268']?.mean, looked?.needs['below 2268']?.mean],
    [0.375, 0.25, 0.5],
  );
  assert.is(results.find(({ model }) => model === READER)!.looked, undefined);
  const [, table] = formatResults(resultsOf(records, looking), 'title').split(
    'Share of the answer’s patches',
  );
  const rows = table.split('\n').filter((line) => line.includes('px |'));
  assert.equal(
    rows.map((row) => row.split(' | ').map((cell) => Number.parseFloat(cell))),
    [[Number.NaN, 37.5, 25, Number.NaN, 50]],
  );
  assert.equal([questions, images, chance], [2, 2, 0.25]);
  assert.is(results.find(({ model }) => model === 'm')!.all.mean, 0.75);
  const read = results.filter(({ model }) => model === READER).map(({ all }) => all.mean);
  assert.equal(read, [0.5, 0.5, 0.5, 1]);
  assert.equal(categories.squares.needs, { 'above 2268': 0.5, '2268': 0, 'below 2268': 0.5 });
  assert.is(categories.squares.neededPx.mean, (378 + 3024) / 2);
});

test('askAll: refuses questions without options in one sentence', async () => {
  const [record] = await recordsOf();
  await askAll([{ ...record, options: undefined, answer: ['red'] }], [], '/tmp/none.jsonl').then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /^askAll: questions must have options, got q0-0\. /),
  );
});

test('askAll: what was looked at for the right option counts, over a wide image squashed to a square', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'choices-'));
  try {
    const image = await sharp({ create: { width: 160, height: 80, channels: 3, background: '#808080' } })
      .png()
      .toBuffer();
    // In the upper right quarter: one of 2 x 2 patches, and of 4 x 4 those of rows 0 and 1 in column 3.
    const record: BenchmarkRecord = {
      ...{ id: 'q', image, width: 160, height: 80, question: '?', options: ['a', 'b'], metric: 'choice' },
      ...{ answer: 1, group: 'q', boxes: [[125, 5, 150, 30]] },
    };
    const none = [new Float32Array(4), new Float32Array(16)];
    const coarse = Float32Array.of(0, 1, 0, 0);
    const fine = Float32Array.from({ length: 16 }, (_, i) => Number(i === 7));
    const of = (looked: Scored['looked']): Answerer => ({
      name: 'looks',
      answer: async () => ({ scores: [0, 1], looked }),
    });
    for (const [looked, share] of [
      [[none, [coarse, fine]], 2 / 3],
      [[[coarse, fine], none], 0],
      [[[coarse, none[1]]], 1 / 3],
      [undefined, undefined],
    ] as const) {
      const path = join(folder, `${share}.jsonl`);
      const [answered] = await askAll([record], [{ answerer: of(looked), showings: [3780] }], path);
      assert.is(answered.looked, share);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('rightShare: of the best together each by its share', () => {
  assert.is(rightShare([1, 2, 2, 0], 1), 0.5);
  assert.is(rightShare([1, 2, 2, 0], 0), 0);
  assert.is(rightShare([0, 0, 0, 0], 3), 0.25);
  assert.is(rightShare([1, 5, 2, 0], 1), 1);
});

test('views: a resolution keeps the size and the mean, a crop the part around the boxes', async () => {
  const rgba = Uint8Array.from({ length: 4 * 64 * 64 }, (_, i) =>
    i % 4 === 3 ? 255 : ((i >> 2) + Math.floor(i / 256)) % 2 === 0 ? 255 : 1,
  );
  const board = { rgba, width: 64, height: 64 };
  const seen = await atResolution(board, 16);
  assert.equal([seen.width, seen.height, seen.rgba.length], [64, 64, rgba.length]);
  // Fields of one pixel are gone at a quarter of the resolution: what is left is their mean.
  assert.ok(seen.rgba.every((level, i) => i % 4 === 3 || Math.abs(level - 128) <= 2));
  assert.is(await atResolution(board, 64), board);
  const crop = oracleCrop(board, [[20, 20, 30, 24]]);
  assert.equal([crop.width, crop.height], [20, 14]);
  assert.equal([...withoutContent(board).rgba.subarray(0, 4)], [128, 128, 128, 255]);
});

test.run();
