// Checkpoints, whole and broken. The oracle of a loaded weight is the number that was written.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  noGrad,
  openSafetensors,
  ParameterStore,
  type SafetensorsDType,
  type SafetensorsFile,
  type Tensor,
  type TensorToWrite,
  writeSafetensors,
} from '../../engine/index.ts';
import { bf16ToF32, f32ToBf16 } from '../../engine/io/half.ts';
import { fillParameters } from '../../ps3/model/checkpoint/checkpoint.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';
import {
  clear,
  config,
  folder,
  messageOf,
  model,
  root,
  tokenizer,
  wanted,
  weightsOf,
} from './written_checkpoint.ts';

test.after(clear);

/** A copy of the whole checkpoint whose tensors went through `change`. */
async function changed(name: string, change: (tensors: TensorToWrite[]) => TensorToWrite[]): Promise<string> {
  const copy = join(root, name);
  await model.save(copy);
  const tensors: TensorToWrite[] = [];
  await using file = await openSafetensors(join(folder, 'model.safetensors'));
  for (const [key, { dtype, shape }] of file.tensors)
    tensors.push({ name: key, dtype: dtype as SafetensorsDType, shape, data: await file.bytes(key) });
  await writeSafetensors(join(copy, 'model.safetensors'), change(tensors));
  return copy;
}

test('checkpoint: a folder gives back every bit, in one file and in shards', async () => {
  using loaded = await PS3.load(engine, folder);
  compare('weights', await weightsOf(loaded), wanted, TOLERANCE.exact);
  const sharded = join(root, 'sharded');
  await model.save(sharded, { shardBytes: 100_000 });
  const files = (await readdir(sharded)).filter((file) => file.startsWith('model-'));
  assert.ok(files.length > 2, files.join());
  const index = JSON.parse(await readFile(join(sharded, 'model.safetensors.index.json'), 'utf8'));
  assert.is(Object.keys(index.weight_map).length, model.parameters.names.length);
  assert.is(index.metadata.total_size, 4 * wanted.length);
  using again = await PS3.load(engine, sharded);
  compare('weights', await weightsOf(again), wanted, TOLERANCE.exact);
  assert.equal(again.config.image, config.image);
  assert.equal(again.tokenizer.encode(['snowman key']), tokenizer.encode(['snowman key']));
});

test('checkpoint: matrices in bf16 on the GPU and in the file; vectors stay f32; logit scalars have no axes', async () => {
  using half = await PS3.load(engine, folder, { storage: 'bf16' });
  const { parameters } = half;
  assert.is(parameters.get('vision_model.trunk.blocks.0.attn.qkv.weight').dtype, 'bf16');
  assert.is(parameters.get('vision_model.trunk.blocks.0.attn.qkv.bias').dtype, 'f32');
  let at = 0;
  const want = new Float32Array(wanted.length);
  for (const name of parameters.names) {
    const { size, shape } = parameters.get(name);
    const part = wanted.slice(at, at + size);
    want.set(shape.length >= 2 ? bf16ToF32(f32ToBf16(part)) : part, at);
    at += size;
  }
  compare('weights', await weightsOf(half), want, TOLERANCE.exact);

  const written = join(root, 'half');
  await half.save(written);
  await using file = await openSafetensors(join(written, 'model.safetensors'));
  assert.is(file.tensors.get('text_model.token_embedding.weight')?.dtype, 'BF16');
  assert.equal(file.tensors.get('logit_scale')?.shape, []);
  using stored = await PS3.load(engine, written, { storage: 'stored' });
  compare('as stored', await weightsOf(stored), want, TOLERANCE.exact);
  using wide = await PS3.load(engine, written);
  assert.is(wide.parameters.get('text_model.token_embedding.weight').dtype, 'f32');
  compare('widened', await weightsOf(wide), want, TOLERANCE.exact);
  using narrow = await PS3.load(engine, folder, { storage: 'f16' });
  assert.is(narrow.parameters.get('text_model.token_embedding.weight').dtype, 'f16');
});

test('checkpoint: bf16 weights look where their widened copies look, to f32 rounding', async () => {
  const written = join(root, 'rounded');
  await model.save(written, { storage: 'bf16' });
  using half = await PS3.load(engine, written, { storage: 'stored' });
  using wide = await PS3.load(engine, written);
  const encodings: ArrayLike<number>[][] = [];
  for (const ps3 of [half, wide]) {
    using scope = engine.scope();
    const pixels = Uint8Array.from(random(112 * 112 * 4, 3), (x) => 127 + 127 * x);
    const image = engine.tensor(pixels, [1, 112, 112, 4], { scope });
    const ids = engine.tensor(tokenizer.encode(['snowman']), [1, 8], { scope });
    const output = noGrad(() => ps3.vision.forward(image, { looks: 1, prompt: ps3.encodeText(ids).prompt }));
    encodings.push([
      await output.lastHiddenState.data(),
      await output.maps.probs[0].data(),
      await output.selectionMaps![0].data(),
    ]);
  }
  compare('tokens', encodings[0][0], encodings[1][0]);
  compare('probabilities', encodings[0][1], encodings[1][1]);
  compare('selection', encodings[0][2], encodings[1][2], TOLERANCE.exact);
});

test('checkpoint: a vocabulary beyond the binding limit is loaded and read, and changes no bit', async () => {
  const words = Array.from({ length: 5000 }, (_, i) => `word${i}`);
  const large = buildWordTokenizer(words, { contextLength: 8 });
  const path = join(root, 'large');
  using made = PS3.create(engine, presetConfig(PRESETS.smoke, large.vocabSize), 5, { tokenizer: large });
  await made.save(path);
  const { sizeBytes } = made.parameters.get('text_model.token_embedding.weight');
  const ids = large.encode(['word4999 word3 word2500 word0']);
  const promptOf = (ps3: PS3): Tensor => {
    using input = engine.tensor(ids, [1, 8]);
    return noGrad(() => ps3.encodeText(input).prompt);
  };
  using want = promptOf(made);
  const { device } = engine.gpu;
  const { limits } = device;
  const lowered = { maxBufferSize: limits.maxBufferSize, maxStorageBufferBindingSize: sizeBytes / 2 };
  Object.defineProperty(device, 'limits', { value: lowered, configurable: true });
  try {
    using loaded = await PS3.load(engine, path);
    using prompt = promptOf(loaded);
    compare('prompt', await prompt.data(), await want.data(), TOLERANCE.exact);
  } finally {
    Object.defineProperty(device, 'limits', { value: limits, configurable: true });
  }
});

test('checkpoint: the host never holds as much as one large weight while it loads', async () => {
  const weights = ['first', 'second'].map((name) => ({ name, shape: [2 ** 24] })); // 64 MiB each
  const path = join(root, 'heavy.safetensors');
  const data = async (): Promise<Float32Array> => new Float32Array(2 ** 24).fill(0.5);
  await writeSafetensors(
    path,
    weights.map((weight) => ({ ...weight, dtype: 'F32', data })),
  );
  setFlagsFromString('--expose-gc');
  const gc: () => void = runInNewContext('gc');
  // Array buffers are given back in the background; the second call waits for that of the first.
  const collect = (): void => {
    gc();
    gc();
  };
  const parameters = new ParameterStore(engine, weights);
  await using file = await openSafetensors(path);
  collect();
  const before = process.memoryUsage().arrayBuffers;
  let peakBytes = 0;
  // Sampled while the newest piece is certainly alive.
  const watched: SafetensorsFile = Object.create(file, {
    chunks: {
      value: async function* (...asked: Parameters<SafetensorsFile['chunks']>) {
        for await (const bytes of file.chunks(...asked)) {
          collect();
          peakBytes = Math.max(peakBytes, process.memoryUsage().arrayBuffers - before);
          yield bytes;
        }
      },
    },
    tensors: { value: file.tensors },
  });
  await fillParameters(parameters, [watched]);
  assert.ok(peakBytes > 2 ** 20 && peakBytes < 2 ** 26, `${peakBytes} bytes at the peak`);
  assert.is((await parameters.get('second').data()).at(-1), 0.5);
  parameters.dispose();
});
test('checkpoint: one error lists every tensor that is missing, unknown, misshapen, repeated or no float', async () => {
  const broken = await changed('broken', (tensors) =>
    tensors
      .filter(({ name }) => name !== 'vision_model.prior_prompt')
      .map((tensor) => {
        if (tensor.name === 'logit_bias') return { ...tensor, dtype: 'I32' as const, data: Int32Array.of(1) };
        if (tensor.name === 'text_model.ln_final.bias')
          return { ...tensor, shape: [2, 2], data: new Float32Array(4) };
        return tensor;
      })
      .concat({ name: 'extra', dtype: 'F32', shape: [1], data: Float32Array.of(1) }),
  );
  const message = await messageOf(PS3.load(engine, broken));
  for (const part of [
    'missing vision_model.prior_prompt',
    'unknown extra',
    'text_model.ln_final.bias [2,2], not [',
    'logit_bias as I32, not as floats',
  ])
    assert.ok(message.includes(part), message);

  const twice = join(root, 'twice');
  await model.save(twice, { shardBytes: 400_000 });
  const shards = (await readdir(twice)).filter((file) => file.startsWith('model-')).sort();
  const one = [{ name: 'logit_scale', dtype: 'F32' as const, shape: [], data: Float32Array.of(1) }];
  await writeSafetensors(join(twice, 'again.safetensors'), one);
  await writeFile(
    join(twice, 'model.safetensors.index.json'),
    JSON.stringify({
      weight_map: Object.fromEntries([...shards, 'again.safetensors'].map((file) => [file, file])),
    }),
  );
  assert.match(await messageOf(PS3.load(engine, twice)), /got logit_scale twice\./);
  await rm(join(twice, shards[0]));
  assert.match(
    await messageOf(PS3.load(engine, twice)),
    new RegExp(`must hold ${shards[0]}, got no such file`),
  );
});

test('checkpoint: faulty JSON, a missing file and other colours are told in a sentence', async () => {
  const copy = await changed('faulty', (tensors) => tensors);
  const put = (name: string, text: string): Promise<void> => writeFile(join(copy, name), text);
  const colours = { image_size: [112, 112], mean: [0.1, 0.2, 0.3], std: [1, 1, 0.5] };
  await put('preprocessor_config.json', JSON.stringify(colours));
  using loaded = await PS3.load(engine, copy);
  assert.equal(loaded.config.image, { imagePx: 112, mean: colours.mean, std: colours.std });
  await put('preprocessor_config.json', JSON.stringify({ ...colours, image_size: 99 }));
  assert.match(await messageOf(PS3.load(engine, copy)), /image_size must be the largest scale, 112, got 99/);
  await put('config.json', '{');
  assert.match(await messageOf(PS3.load(engine, copy)), /PS3.load: config.json of .* must be JSON, got/);
  await rm(join(copy, 'config.json'));
  assert.match(await messageOf(PS3.load(engine, copy)), /must hold config.json, got no such file/);
});

test('checkpoint: a model beyond the memory is refused with the alternative, before anything is allocated', async () => {
  const before = engine.stats();
  const need = 4 * wanted.length;
  const refused = await messageOf(PS3.load(engine, folder, { memoryLimitBytes: need }));
  assert.match(
    refused,
    /PS3.load: the model must fit into .* GB, got .* GB of weights as f32 and .* for a look/,
  );
  assert.match(refused, /bf16/);
  assert.is(engine.stats().buffersCreated, before.buffersCreated);
  assert.is(engine.stats().liveTensors, before.liveTensors);
});

test.run();
