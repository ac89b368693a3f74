// `ps3 train --init-only`, `--from`: what a run begins with. The oracle of the weights is the checkpoint that was begun with.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { main } from '../../ps3/app/cli.ts';
import { writeStart } from '../../ps3/app/init_only.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { trainConfig } from '../../ps3/train/presets.ts';
import { loadStart } from '../../ps3/train/start.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const fixtures = new URL('../fixtures/', import.meta.url).pathname;
const root = await mkdtemp(join(tmpdir(), 'ps3-init-'));
test.after(() => rm(root, { recursive: true }));

const siglip = join(root, 'siglip');
await cp(`${fixtures}siglip/open_clip`, siglip, { recursive: true });
await cp(`${fixtures}ps3/unigram.model`, join(siglip, 'spiece.model'));

const small = ['model.scalesPx=[70,140]', 'model.maxSelect=16'];
const from = (place: string, ...set: string[]): TrainConfig =>
  trainConfig({ preset: 'smoke', set: [...small, `init.from=${place}`, ...set] });

test('ps3 train --init-only: writes what a run would begin with, which encode and another start read', async () => {
  const [first, second] = [join(root, 'first'), join(root, 'second')];
  const set = small.flatMap((key) => ['--set', key]);
  const init = ['node', 'ps3', 'train', '--preset', 'smoke', '--init-only', ...set, '--from', siglip];
  assert.is(await main([...init, '--out', first]), 0);
  await using made = await openSafetensors(join(first, 'model.safetensors'));
  await using begun = await openSafetensors(join(siglip, 'open_clip_model.safetensors'));
  const name = 'blocks.1.attn.qkv.weight';
  compare(
    name,
    await made.f32(`vision_model.trunk.${name}`),
    await begun.f32(`visual.trunk.${name}`),
    TOLERANCE.exact,
  );
  const image = join(root, 'image.png');
  await sharp({ create: { width: 90, height: 60, channels: 3, background: '#4080c0' } })
    .png()
    .toFile(image);
  const out = join(root, 'out');
  assert.is(
    await main(['node', 'ps3', 'encode', image, '--checkpoint', first, '--prompt', 'a cat', '--out', out]),
    0,
  );
  await writeStart(engine, second, from(first));
  for (const file of ['model.safetensors', 'config.json', 'tokenizer.json'])
    assert.equal(await readFile(join(second, file)), await readFile(join(first, file)), file);
  assert.is(await main([...init, '--out', second]), 2, 'the folder is taken');
});

test('ps3 train --init-only: a model of random numbers has the words of the captions', async () => {
  const folder = join(root, 'images');
  await cp(`${fixtures}siglip/open_clip`, folder, { recursive: true }); // any folder
  const lines: string[] = [];
  for (let i = 0; i < 12; i++) {
    await sharp({ create: { width: 112, height: 112, channels: 3, background: '#808080' } })
      .png()
      .toFile(join(folder, `${i}.png`));
    lines.push(JSON.stringify({ image: `${i}.png`, text: ['red snowman'], box: [[10, 10, 40, 40]] }));
  }
  await writeFile(join(folder, 'annotations.jsonl'), `${lines.join('\n')}\n`);
  const out = join(root, 'random');
  await writeStart(engine, out, trainConfig({ preset: 'smoke', set: [`data.folder=${folder}`] }));
  await using file = await openSafetensors(join(out, 'model.safetensors'));
  assert.equal(file.tensors.get('text_model.token_embedding.weight')?.shape, [5, 32]);
});

test('ps3 train: switches of the method hold for SigLIP’s towers, and not for a PS3', async () => {
  using model = await loadStart(
    engine,
    from(siglip, 'method.auxEncoder=false', 'method.scalePositions=false'),
    siglip,
  );
  assert.equal([model.config.vision.auxEncoder, model.config.vision.separatePosEmb], [null, false]);
  const first = join(root, 'first');
  const refused = await loadStart(engine, from(first, 'method.auxEncoder=false'), first).catch(
    (e: Error) => e.message,
  );
  assert.match(String(refused), /^config: method\.auxEncoder must be true where init\.from is a PS3/);
});

test.run();
