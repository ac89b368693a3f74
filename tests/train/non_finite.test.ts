// A loss that is not finite ends training with a sentence that names the kernel it came from.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { RunError, RunFolder } from '../../ps3/train/run.ts';
import { trainTowers } from '../../ps3/train/train.ts';
import { engine } from '../harness.ts';

test('train: weights that overflow in the first norm end the run at its step, and the norm is named', async () => {
  const path = await mkdtemp(join(tmpdir(), 'non-finite-'));
  const config = trainConfig({ preset: 'smoke', set: ['towers.steps=3'] });
  const tokenizer = buildWordTokenizer(['red'], { contextLength: 4 });
  const model = PS3.create(engine, presetConfig(config, tokenizer.vocabSize), 1, { tokenizer });
  const scale = model.parameters.get('vision_model.trunk.blocks.0.norm1.weight');
  scale.write(new Float32Array(scale.size).fill(Infinity));
  const crops = (_step: number, count: number) => ({
    rgba: Uint8Array.from({ length: count * 28 * 28 * 4 }, (_, i) => (i * 97) % 256),
    captions: new Array<string>(count).fill('red'),
  });
  const run = await RunFolder.create(path, config);
  const error: unknown = await trainTowers(engine, model, crops, config, { run }).catch((error) => error);
  assert.instance(error, RunError);
  assert.match(
    String(error),
    /trainTowers: the loss must stay finite, got NaN at step 0 of towers, first written by the kernel layer_norm\w*\. Lower towers\.lr\./,
  );
  assert.equal(await run.metrics(), []);
  model.dispose();
  await rm(path, { recursive: true });
});

test.run();
