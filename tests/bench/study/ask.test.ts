// Towers, an arm and a baseline trained for a few steps by the study's own means, and what they answer: properties that hold whatever
// was learned.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { askPS3, askTiled } from '../../../bench/study/ask.ts';
import { questionsOf } from '../../../bench/study/questions.ts';
import { trainArm, trainStart } from '../../../bench/study/trainings.ts';
import type { Sample } from '../../../ps3/data/annotations.ts';
import type { Box } from '../../../ps3/data/boxes.ts';
import { PS3 } from '../../../ps3/model/ps3.ts';
import { trainConfig } from '../../../ps3/train/presets.ts';
import type { CropSource } from '../../../ps3/train/towers.ts';
import { engine } from '../../harness.ts';

const SIDE = 112;
const COLOURS = { red: [220, 30, 30], green: [20, 200, 40], blue: [30, 60, 230], yellow: [230, 220, 20] };
const NAMES = Object.keys(COLOURS) as (keyof typeof COLOURS)[];

/** Four squares of different colours and sizes on grey. */
function scene(seed: number): Sample {
  const rgba = new Uint8Array(4 * SIDE * SIDE).fill(128);
  const captions = NAMES.map((_, i) => NAMES[(i + seed) % 4]);
  const boxes = captions.map((name, i): Box => {
    const [x, y, side] = [56 * (i % 2) + 4 + (seed % 5), 56 * (i >> 1) + 6, 12 + 8 * i];
    for (let v = y; v < y + side; v++)
      for (let u = x; u < x + side; u++) rgba.set([...COLOURS[name], 255], 4 * (v * SIDE + u));
    return [x, y, x + side, y + side];
  });
  return { key: `${seed}`, side: SIDE, rgba, boxes, captions, globalCaption: captions.join(' ') };
}

const crops: CropSource = (step, count) => {
  const captions = Array.from({ length: count }, (_, i) => NAMES[(step + i) % 4]);
  const rgba = Uint8Array.from(
    captions.flatMap((name) => Array.from({ length: 28 * 28 }, () => [...COLOURS[name], 255]).flat()),
  );
  return { rgba, captions };
};

const train = Array.from({ length: 8 }, (_, i) => scene(i));
const data = { train, crops, captions: [NAMES.join(' ')] };
const config = (...set: string[]) =>
  trainConfig({
    preset: 'smoke',
    set: ['towers.steps=2', 'ps3.steps=2', 'model.contextLength=6', 'model.maxSelect=16', ...set],
  });

test('ask: what a study trains answers, and looks that take the same patches answer alike', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ps3-ask-'));
  try {
    const towers = await trainStart(engine, join(folder, 'towers'), config(), data);
    assert.is(towers.steps, 2);
    assert.ok(towers.stepFlops! > 1e6 && towers.stepMs! > 0);
    const again = await trainStart(engine, join(folder, 'towers'), config(), data);
    assert.is(again.checkpoint, towers.checkpoint, 'a finished training is not begun again');
    const heldOut = [scene(11), scene(12)];
    const questions = questionsOf(heldOut, 8, 1);

    const arm = await trainArm(engine, join(folder, 'ps3'), config('seed=2'), data, towers.checkpoint);
    using ps3 = await PS3.load(engine, arm.checkpoint);
    const { rows, recall } = await askPS3(
      engine,
      ps3,
      heldOut,
      questions,
      [
        { name: 'top-down', selection: 'top-down', patches: 16 },
        { name: 'random', selection: 'random', patches: 16 },
        { name: 'coarse', selection: 'top-down', patches: [16, 0] },
        { name: 'coarse, bottom-up', selection: 'bottom-up', patches: [16, 0] },
        { name: 'two looks', selection: 'top-down', patches: 32 },
      ],
      1,
    );
    assert.equal(Object.fromEntries(Object.entries(rows).map(([name, { tokens }]) => [name, tokens])), {
      'top-down': 20,
      random: 20,
      coarse: 20,
      'coarse, bottom-up': 20,
      'two looks': 36,
      'shuffled image': 20,
    });
    assert.ok(Object.values(rows).every(({ right }) => right.length === 8));
    // All 16 patches of the first high-res scale, whoever selects them.
    assert.equal(rows.coarse.right, rows['coarse, bottom-up'].right);
    for (const map of ['topDown', 'bottomUp'] as const) {
      assert.is(recall![map].length, 8);
      for (const shares of recall![map])
        assert.ok(
          shares.every((share, i) => share >= (shares[i - 1] ?? 0) && share <= 1),
          `${shares}`,
        );
    }

    const set = ['seed=2', 'baseline.encoder=s2', 'baseline.sidePx=56'];
    const baseline = await trainArm(engine, join(folder, 's2'), config(...set), data, towers.checkpoint);
    using s2 = await PS3.load(engine, baseline.checkpoint);
    const encoders = [
      { encoder: 's2', sidePx: 56 },
      { encoder: 'low-res', sidePx: 28 },
    ] as const;
    const answers = await askTiled(engine, s2, heldOut, questions, encoders, true);
    assert.equal(
      Object.entries(answers.rows).map(([name, { tokens }]) => [name, tokens]),
      [
        ['s2 56', 20],
        ['low-res', 4],
        ['oracle crop', 4],
        ['blind', 0],
      ],
    );
    // One text is the nearest to the mean of all, so blind answers are right where it is the answer.
    const blind = new Set(
      questions.flatMap(({ options, answer }, q) => (answers.rows.blind.right[q] ? [options[answer]] : [])),
    );
    assert.is(blind.size, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
