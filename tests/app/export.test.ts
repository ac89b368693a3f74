import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { exportCheckpoint } from '../../ps3/app/commands/export.ts';
import { showNano4k } from '../../ps3/app/nano_4k.ts';
import { VILA_S } from '../../ps3/model/checkpoint/shipped.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'ps3-export-'));

test.after(() => {
  rmSync(folder, { recursive: true });
});

/** The nearest bf16, ties to even, by the bits. */
function roundedToBf16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const [whole] = bits;
  bits[0] = ((whole + 0x7fff + ((whole >>> 16) & 1)) & 0xffff0000) >>> 0;
  return new Float32Array(bits.buffer)[0];
}

test('export: matrices in bf16, vectors as they are, and nothing of training', async () => {
  const [from, to] = [join(folder, 'run/checkpoint'), join(folder, 'out')];
  const tokenizer = buildWordTokenizer(['ring', 'key'], { contextLength: 8 });
  const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
  await model.save(from);
  assert.is(await exportCheckpoint(engine, from, to), model.parameters.elementCount);
  assert.equal(readdirSync(to).sort(), readdirSync(from).sort());
  await using file = await openSafetensors(join(to, 'model.safetensors'));
  for (const name of ['text_model.prompt_proj.fc1.weight', 'text_model.prompt_proj.fc1.bias']) {
    const want = [...(await model.parameters.get(name).data())];
    const isMatrix = file.tensors.get(name)!.shape.length > 1;
    assert.is(file.tensors.get(name)!.dtype, isMatrix ? 'BF16' : 'F32');
    assert.equal([...(await file.f32(name))], isMatrix ? want.map(roundedToBf16) : want);
  }
  model.dispose();
});

test('export: a VILA-HD that is in bf16 already, byte for byte', async () => {
  const [from, to] = [fileURLToPath(VILA_S.href), join(folder, 'vila')];
  assert.ok((await exportCheckpoint(engine, from, to)) > 1e6);
  for (const part of ['llm', 'vision_tower', 'mm_projector']) {
    const [want, got] = [from, to].map((place) => readFileSync(join(place, part, 'model.safetensors')));
    assert.ok(want.equals(got), part);
  }
  await exportCheckpoint(engine, from, to, { untied: true }).then(
    () => assert.unreachable('untied'),
    (error) => assert.match(error.message, /untied must not be given for a VILA-HD/),
  );
});

test('nano-4k: says what it looked at, and writes the maps', async () => {
  const out = join(folder, 'nano-4k');
  const lines = (await showNano4k(engine, out)).split('\n');
  assert.match(lines[0], /^nano-4k, .* 3780 px, asked for “frog”$/);
  assert.match(lines[1], /1,089: all 729 at 378 px and 360 of the 87,480 at finer scales$/);
  assert.match(lines[3], /^ {2}names {3}4 of the 6 largest objects in their boxes: /);
  assert.match(lines[2], /a plain ViT over all of it: 8,240 GFLOP$/);
  assert.ok(statSync(join(out, '00000005.top_down.png')).size > 1e4);
});

test.run();
