// Training whose matrix products read f16, on the device's matrix units or on emulated ones; and what a loss scale is for.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { STATE } from '../../ps3/train/run/state.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import type { CropSource } from '../../ps3/train/towers.ts';
import { trainTowers } from '../../ps3/train/train.ts';
import { compare, engine, random, TOLERANCE, throws, withTarget } from '../harness.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';
import { compareWithTorch, parityRun } from './parity_run.ts';

/** The device's own units, where it has some. */
const unit = engine.target.matrixUnit ?? { M: 16, N: 16, K: 16 };
/** Emulated, each takes a second or more. */
const STEPS = engine.target.matrixUnit ? 40 : 5;

test(`products: ${STEPS} steps with products in f16 stay within 1 % of PyTorch in float64, and are other steps than those in f32`, async () => {
  const set = ['precision.products=f16', 'precision.lossScale=65536'];
  // A CPU would compile attention on emulated units for minutes; tests/ops has it.
  const without = engine.target.matrixUnit ? [] : (['attention_matrices'] as const);
  const losses = await withTarget({ without }, () =>
    withMatrixUnit(engine, unit, () => parityRun('paper', STEPS, set)),
  );
  const largest = await compareWithTorch('paper', losses, 0.01);
  console.log(
    `products in f16: largest difference from PyTorch's losses, relative: ${largest.toExponential(1)}`,
  );
  assert.ok(largest > 1e-5, 'something was rounded');
});

const crops: CropSource = (step, count) => ({
  rgba: Uint8Array.from(random(count * 28 * 28 * 4, step + 1), (value) => 128 + 127 * value),
  captions: Array.from({ length: count }, (_, i) => ['red', 'green', 'blue', 'grey'][(step + i) % 4]),
});

function fresh(): PS3 {
  const tokenizer = buildWordTokenizer(['red', 'green', 'blue', 'grey'], { contextLength: 6 });
  const config = presetConfig(trainConfig({ preset: 'smoke' }), tokenizer.vocabSize);
  return PS3.create(engine, config, 7, { layerScale: 0.1, tokenizer });
}

async function inFolder<T>(work: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'ps3-products-'));
  try {
    return await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

test('products: a step whose scaled gradients overflow is skipped, not counted, and its line of metrics is JSON of numbers', async () => {
  await inFolder(async (path) => {
    // The square of the norm is infinite in f32 unless the scale is below 2^64 over the norm, to which it is halved.
    const set = ['model.contextLength=6', `precision.lossScale=${2 ** 60}`, 'towers.steps=8', 'saveEvery=1'];
    const config = trainConfig({ preset: 'smoke', set });
    using model = fresh();
    const before = await model.parameters.arenas[0].values.data();
    const run = await RunFolder.create(join(path, 'run'), config);
    const taken: number[] = [];
    let first: ArrayLike<number> | undefined;
    await trainTowers(engine, model, crops, config, {
      run,
      onStep: async () => {
        first ??= await model.parameters.arenas[0].values.data();
      },
    });
    const lines = (await readFile(join(run.path, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const metrics = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    let scale = 2 ** 60;
    for (const { skipped, gradNorm, lossScale, loss } of metrics) {
      if (skipped === 1) scale /= 2;
      else taken.push(Number(gradNorm));
      assert.is(skipped === 1, gradNorm === undefined, 'a norm of every step that was taken');
      assert.is(lossScale, scale);
      assert.ok(Number.isFinite(loss));
    }
    assert.not.match(lines.join(), /null|NaN|Infinity/);
    assert.is(metrics[0].skipped, 1, 'the first step overflows');
    compare('weights after it', first!, before, TOLERANCE.exact);
    const state = await openSafetensors(join(run.checkpointPath, STATE));
    const [counted] = await state.read('steps');
    await state.close();
    assert.ok(taken.length > 0 && taken.length < 8, `${taken.length} of 8 steps are taken`);
    assert.is(counted, taken.length, 'steps that AdamW counts');
  });
});

test('products: f16 is refused where the adapter has no matrix units, before anything is written', async () => {
  await inFolder(async (path) => {
    const config = trainConfig({ preset: 'smoke', set: ['model.contextLength=6', 'precision.products=f16'] });
    using model = fresh();
    const run = await RunFolder.create(join(path, 'run'), config);
    await withTarget({ matrixUnit: undefined }, () =>
      trainTowers(engine, model, crops, config, { run }).then(
        () => assert.unreachable('it should have been refused'),
        ({ message }: Error) =>
          assert.match(
            message,
            /^train: precision\.products=f16 needs an adapter with matrix units .*, got tier \d on .*\. Set precision\.products=f32\.$/,
          ),
      ),
    );
    assert.equal(await run.metrics(), []);
  });
  throws(
    () => trainConfig({ preset: 'smoke', set: ['precision.products=bf16'] }),
    /precision\.products must be "f32" or "f16"/,
  );
});

test.run();
