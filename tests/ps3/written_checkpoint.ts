// A checkpoint of the smallest preset in a folder of its own, and what tests of checkpoints ask.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bf16ToF32 } from '../../engine/io/half.ts';
import type { ModelConfig } from '../../ps3/model/config/config.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer, type Tokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

/** Holds the checkpoint, and what tests write. */
export const root: string = await mkdtemp(join(tmpdir(), 'ps3-checkpoint-'));

export const tokenizer: Tokenizer = buildWordTokenizer(['ring', 'snowman', 'key'], { contextLength: 8 });
export const config: ModelConfig = presetConfig(PRESETS.smoke, tokenizer.vocabSize);
export const folder: string = join(root, 'whole');
export const model: PS3 = PS3.create(engine, config, 5, { tokenizer, positionResidualStd: 0.02 });
await model.save(folder);

/** Frees the model and the folders. */
export async function clear(): Promise<void> {
  model.dispose();
  await rm(root, { recursive: true });
}

/** All weights of a model, one after the other, as f32. */
export async function weightsOf(ps3: PS3): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const name of ps3.parameters.names) {
    const numbers = await ps3.parameters.get(name).data();
    parts.push(numbers instanceof Uint16Array ? bf16ToF32(numbers) : (numbers as Float32Array));
  }
  const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** All of the model that was written. */
export const wanted: Float32Array = await weightsOf(model);

/** What a promise is rejected with. */
export async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing was refused',
    (error: Error) => error.message,
  );
}
