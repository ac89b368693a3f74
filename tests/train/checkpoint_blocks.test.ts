// Blocks that run again in backward, in every pass: less memory, the same bits.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, type Tensor } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { pretrainLoss } from '../../ps3/train/loss.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { towersLoss } from '../../ps3/train/towers.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';

const [B, SIDE, LOW_SIDE, WORDS] = [4, 112, 28, 20];
const CONFIG = presetConfig(
  trainConfig({ preset: 'smoke', set: ['model.depth=3', 'model.textLayers=2', 'model.contextLength=16'] }),
  WORDS,
);

type Checkpointed = TrainConfig['checkpointBlocks'];
const NONE: Checkpointed = { lowRes: false, highRes: false, text: false };
const ALL: Checkpointed = { lowRes: true, highRes: true, text: true };

/** Loss and all gradients of a model of fixed weights, and the bytes live when backward begins. */
async function gradients(checkpointBlocks: Checkpointed, stage: 'towers' | 'ps3') {
  using model = PS3.create(engine, CONFIG, 5, { layerScale: 0.1, positionResidualStd: 0.02 });
  model.checkpointBlocks = checkpointBlocks;
  model.parameters.enableGradients();
  using scope = engine.scope();
  const side = stage === 'ps3' ? SIDE : LOW_SIDE;
  const bytes = Uint8Array.from(random(B * side * side * 4, 1), (value) => 127 * (value + 1));
  const image = engine.tensor(bytes, [B, side, side, 4], { scope });
  const L = CONFIG.text.contextLength;
  const numbers = Int32Array.from(random(B * L, 2), (value) => Math.floor(((value + 1) / 2) * (WORDS - 1)));
  const ids = engine.tensor(numbers, [B, L], { scope });
  const classes = engine.arange(B, { scope });
  const box = engine.tensor(
    Float32Array.from({ length: B * 64 }, (_, i) => Number(i % 8 < 3)),
    [B, 8, 8],
    { scope },
  );
  const isGlobal = engine.tensor([0, 1, 0, 0], [B, 1], { scope });
  const isLocal = engine.tensor([1, 0, 1, 1], [B], { scope });
  const before = engine.stats().liveBytes;
  const loss: Tensor =
    stage === 'ps3'
      ? pretrainLoss(model, { image, ids, box, isGlobal, isLocal }).losses.total
      : towersLoss(model, { image, ids, classes });
  const keptBytes = engine.stats().liveBytes - before;
  backward(loss);
  const bits = await Promise.all(
    model.parameters.names.map((name) => model.parameters.get(name).grad!.data()),
  );
  return { loss: await loss.data(), bits, keptBytes };
}

for (const stage of ['towers', 'ps3'] as const)
  test(`checkpointBlocks: every pass of ${stage} keeps less, and gradients keep their bits`, async () => {
    const plain = await gradients(NONE, stage);
    const passes = stage === 'ps3' ? (['lowRes', 'highRes', 'text'] as const) : (['lowRes', 'text'] as const);
    const saved: number[] = [];
    for (const checkpointBlocks of [...passes.map((pass) => ({ ...NONE, [pass]: true })), ALL]) {
      const again = await gradients(checkpointBlocks, stage);
      compare('loss', again.loss, plain.loss, TOLERANCE.exact);
      for (const [i, bits] of again.bits.entries())
        compare(`gradient ${i}`, bits, plain.bits[i], TOLERANCE.exact);
      saved.push(plain.keptBytes - again.keptBytes);
    }
    const all = saved.pop()!;
    assert.ok(
      saved.every((bytes) => bytes > 0.02 * plain.keptBytes),
      `${saved} of ${plain.keptBytes} bytes`,
    );
    assert.is(
      all,
      saved.reduce((a, b) => a + b),
      'together they save what each of them saves',
    );
  });

test.run();
