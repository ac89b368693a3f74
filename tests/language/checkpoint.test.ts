// Folders of the hub's layout: what is read and refused, and what is written.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  embedding,
  openSafetensors,
  ParameterStore,
  quantize,
  type SafetensorsFile,
  type TensorToWrite,
} from '../../engine/index.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import type { LanguageTokenizer } from '../../ps3/language/tokenizer.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { engine } from '../harness.ts';
import { fixture, fixtureFolder, inFolder, messageOf, SHAPES } from './fixture.ts';

/** Fails unless the message has every part. */
async function failsWith(failing: () => Promise<unknown>, ...parts: string[]): Promise<void> {
  const message = await messageOf(failing);
  for (const part of parts) assert.ok(message.includes(part), `${part} in: ${message}`);
}

const IDS = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6);

async function logitsOf(model: LanguageModel): Promise<Float32Array> {
  using ids = engine.tensor(IDS, [1, IDS.length]);
  using logits = model.forward(ids);
  return await logits.data();
}

for (const name of SHAPES)
  test(`LanguageModel: what is saved in shards loads to the same bits, under transformers' names: ${name}`, () =>
    inFolder(async (folder) => {
      const before = engine.stats();
      await fixtureFolder(name, join(folder, 'given'));
      {
        using model = await LanguageModel.load(engine, join(folder, 'given'));
        await model.save(join(folder, 'saved'), { shardBytes: 20_000 });
        using again = await LanguageModel.load(engine, join(folder, 'saved'));
        assert.equal(again.config, model.config);
        assert.equal(await logitsOf(again), await logitsOf(model));
        // One file holds what the reference's file held, number by number.
        await model.save(join(folder, 'whole'));
      }
      await using file = await openSafetensors(join(folder, 'whole/model.safetensors'));
      await using want = await fixture(name);
      const names = [...want.tensors.keys()].filter((name) => name.startsWith('weights.'));
      assert.is(file.tensors.size, names.length);
      for (const name of names)
        assert.equal(await file.f32(name.slice('weights.'.length)), await want.f32(name), name);
      assert.is(engine.stats().liveBytes, before.liveBytes, 'no bytes are left over');
    }));

test('LanguageModel.load: half precision reads, and is written, as stored', () =>
  inFolder(async (folder) => {
    await fixtureFolder('one-kv', join(folder, 'given'));
    using model = await LanguageModel.load(engine, join(folder, 'given'));
    await model.save(join(folder, 'half'), { storage: 'bf16' });
    using half = await LanguageModel.load(engine, join(folder, 'half'), { storage: 'stored' });
    using wide = await LanguageModel.load(engine, join(folder, 'half'));
    assert.is(half.head.dtype, 'bf16');
    const [got, want] = [await logitsOf(half), await logitsOf(wide)];
    const largest = Math.max(...want.map(Math.abs));
    assert.ok(got.every((x, i) => Math.abs(x - want[i]) <= 1e-5 * largest));
  }));

for (const bits of [8, 4] as const)
  test(`LanguageModel.load: matrices in integers of ${bits} bits give what their values in f32 give`, () =>
    inFolder(async (folder) => {
      const sizes = {
        vocabSize: 70,
        width: 64,
        layers: 2,
        heads: 4,
        kvHeads: 2,
        mlpHidden: 96,
        isTied: false,
      };
      using model = LanguageModel.create(engine, sizes, 5);
      await model.save(folder);
      const before = engine.stats();
      {
        using integers = await LanguageModel.load(engine, folder, { storage: `int${bits}` });
        // What the integers stand for, written into the model itself.
        for (const name of model.parameters.names) {
          const weight = model.parameters.get(name);
          if (weight.shape.length < 2) continue;
          using scope = engine.scope();
          using stored = quantize(weight, { bits });
          weight.write(embedding(stored, engine.arange(weight.shape[0], { scope })));
        }
        const [got, want] = [await logitsOf(integers), await logitsOf(model)];
        const largest = Math.max(...want.map(Math.abs));
        assert.ok(got.every((x, i) => Math.abs(x - want[i]) <= 1e-5 * largest));
        const prompts = [[1, 2, 3], [69]];
        const options = { maxTokens: 5 };
        assert.equal(await integers.generateAll(prompts, options), await model.generateAll(prompts, options));
        const message = await messageOf(async () => integers.head);
        assert.match(message, /to be trained, lm_head.weight must be in floats, got integers/);
      }
      assert.is(engine.stats().liveBytes, before.liveBytes, 'no bytes are left over');
      await failsWith(async () => {
        await fixtureFolder('one-kv', join(folder, 'narrow'));
        return LanguageModel.load(engine, join(folder, 'narrow'), { storage: 'int4' });
      }, 'quantize: weight must be [N, K] with K divisible by 32');
    }));

/** A matrix of a file in `pack-quantized`, by the rule of compressed-tensors: unsigned, the first in the lowest bits. */
async function unpacked(file: SafetensorsFile, name: string, bits: number): Promise<number[]> {
  const { shape } = file.tensors.get(`${name}_packed`)!;
  const words = (await file.read(`${name}_packed`)) as Int32Array;
  const scales = await file.f32(`${name}_scale`);
  const perWord = 32 / bits;
  const group = (words.length * perWord) / scales.length;
  assert.equal(
    await file.read(`${name}_shape`),
    BigInt64Array.of(BigInt(shape[0]), BigInt(shape[1] * perWord)),
  );
  return Array.from({ length: words.length * perWord }, (_, e) => {
    const unsigned = (words[Math.floor(e / perWord)] >>> (bits * (e % perWord))) & (2 ** bits - 1);
    return (unsigned - 2 ** (bits - 1)) * scales[Math.floor(e / group)];
  });
}

for (const [bits, group, isTied] of [
  [4, 32, false],
  [8, 32, true],
  [4, 128, true],
] as const)
  test(`LanguageModel: integers of ${bits} bits in groups of ${group} are saved and loaded as they are`, () =>
    inFolder(async (folder) => {
      const sizes = { vocabSize: 70, width: 128, layers: 2, heads: 4, kvHeads: 2, mlpHidden: 256, isTied };
      const before = engine.stats();
      {
        using floats = LanguageModel.create(engine, sizes, 5);
        const vectors = floats.parameters.names.filter(
          (name) => floats.parameters.get(name).shape.length < 2,
        );
        const store = new ParameterStore(
          engine,
          vectors.map((name) => ({ name, shape: floats.parameters.get(name).shape })),
        );
        for (const name of vectors) store.get(name).write(floats.parameters.get(name));
        const matrices = floats.parameters.names.filter((name) => !vectors.includes(name));
        const integers = matrices.map(
          (name) => [name, quantize(floats.parameters.get(name), { bits, group })] as const,
        );
        using model = new LanguageModel(engine, floats.config, store, undefined, new Map(integers));
        await model.save(folder, { shardBytes: 60_000 });
        using again = await LanguageModel.load(engine, folder);
        assert.equal([...again.integers.keys()].sort(), matrices.toSorted());
        for (const [name, { values, scales }] of integers) {
          const read = again.integers.get(name)!;
          assert.equal([read.bits, read.group], [bits, group]);
          assert.equal(await read.values.data(), await values.data(), name);
          assert.equal(await read.scales.data(), await scales.data(), name);
        }
        for (const name of vectors)
          assert.equal(await again.parameters.get(name).data(), await store.get(name).data(), name);
        assert.equal(await logitsOf(again), await logitsOf(model));
        const options = { maxTokens: 5 };
        assert.equal(
          await again.generateAll([[1, 2, 3]], options),
          await model.generateAll([[1, 2, 3]], options),
        );

        // One file holds what the integers stand for, a matrix under each of transformers' names.
        await model.save(join(folder, 'whole'));
        await using file = await openSafetensors(join(folder, 'whole/model.safetensors'));
        assert.is(
          [...file.tensors.keys()].filter((name) => name.endsWith('_packed')).length,
          (isTied ? 1 : 2) + 14,
        );
        using scope = engine.scope();
        const table = async (name: string) => {
          const matrix = model.integers.get(name)!;
          return [
            ...(await embedding(matrix, engine.arange(matrix.shape[0], { scope })).moveTo(scope).data()),
          ];
        };
        const layer = 'model.layers.1.';
        const heads = ['q', 'k', 'v'].map((part) => `${layer}self_attn.${part}_proj.weight`);
        const parts = await Promise.all(heads.map((name) => unpacked(file, name, bits)));
        assert.equal(parts.flat(), await table(`${layer}self_attn.qkv_proj.weight`));
        const down = `${layer}mlp.down_proj.weight`;
        assert.equal(await unpacked(file, down, bits), await table(down));
      }
      assert.is(engine.stats().liveBytes, before.liveBytes, 'no bytes are left over');

      const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
      const { quant_method, format, config_groups, ignore } = config.quantization_config;
      assert.equal([quant_method, format, ignore], ['compressed-tensors', 'pack-quantized', []]);
      const { num_bits, group_size } = config_groups.group_0.weights;
      assert.equal([num_bits, group_size], [bits, group]);
      await failsWith(
        () => LanguageModel.load(engine, folder, { storage: 'f32' }),
        `stored in integers of ${bits} bits must be kept as they are, got storage f32`,
      );
      for (const change of [{ quant_method: 'gptq' }, { format: 'int-quantized' }]) {
        const other = { ...config, quantization_config: { ...config.quantization_config, ...change } };
        await writeFile(join(folder, 'config.json'), JSON.stringify(other));
        await failsWith(
          () => LanguageModel.load(engine, folder),
          `config.json.quantization_config.${Object.keys(change)[0]} must be`,
          `got "${Object.values(change)[0]}"`,
        );
      }
    }));

test('LanguageModel.load: one error lists every tensor that is wrong', () =>
  inFolder(async (folder) => {
    await fixtureFolder('one-kv', folder, (tensors) =>
      tensors
        .filter(({ name }) => !name.endsWith('layers.0.self_attn.k_proj.bias'))
        .map((tensor) => (tensor.name === 'model.norm.weight' ? { ...tensor, shape: [4, 5] } : tensor))
        .concat({ name: 'extra', dtype: 'F32', shape: [1], data: Float32Array.of(1) } as TensorToWrite),
    );
    await failsWith(
      () => LanguageModel.load(engine, folder),
      'LanguageModel.load: the weights of',
      'model.norm.weight [4,5], not [20]',
      'unknown extra',
      'missing model.layers.0.self_attn.k_proj.bias',
    );
  }));

test('LanguageModel.load: what is not built is refused by its key', () =>
  inFolder(async (folder) => {
    await fixtureFolder('one-kv', folder);
    await using file = await fixture('one-kv');
    const config = JSON.parse(file.metadata.llm_config);
    for (const [change, message] of [
      [{ use_sliding_window: true }, 'config.json.use_sliding_window must be false'],
      [{ model_type: 'llama' }, 'config.json.model_type must be "qwen2", got "llama"'],
      [{ rope_scaling: { type: 'yarn', factor: 4 } }, 'rope must not be scaled, got yarn'],
      [{ num_key_value_heads: 3 }, 'the heads of keys must divide those of queries, got 3 of 5'],
      [{ hidden_act: 'gelu' }, 'config.json.hidden_act must be "silu"'],
    ] as const) {
      await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
      await failsWith(() => LanguageModel.load(engine, folder), message);
    }
    await rm(join(folder, 'config.json'));
    await failsWith(() => LanguageModel.load(engine, folder), 'LanguageModel.load:', 'must hold config.json');
  }));

test('LanguageModel: a head stored beside a tied embedding is left alone', () =>
  inFolder(async (folder) => {
    await fixtureFolder('one-kv', folder, (tensors) => [
      ...tensors,
      { name: 'lm_head.weight', dtype: 'F32', shape: [61, 20], data: new Float32Array(61 * 20) },
    ]);
    using model = await LanguageModel.load(engine, folder);
    assert.is(model.parameters.has('lm_head.weight'), false);
  }));

test('LanguageModel: the tokenizer is saved and loaded with the weights, and read from vocabulary and merges too', () =>
  inFolder(async (folder) => {
    const tokenizer = trainTokenizer(['low lower lowest'], { vocabSize: 262 });
    using model = LanguageModel.create(engine, { width: 8, layers: 1, heads: 2 }, 5, { tokenizer });
    assert.is(model.config.vocabSize, 262);
    await model.save(folder);
    const messages = [
      { role: 'user', content: 'low?' },
      { role: 'assistant', content: 'lowest' },
    ];
    const want = tokenizer.encodeChat(messages);
    const again = async (): Promise<LanguageTokenizer> => {
      using loaded = await LanguageModel.load(engine, folder);
      return loaded.tokenizer;
    };
    assert.equal((await again()).encodeChat(messages), want);
    // As older folders have it: vocabulary, merges and added tokens in files of their own.
    const { model: bpe, added_tokens } = tokenizer.toJSON()['tokenizer.json'] as {
      model: { vocab: object; merges: string[][] };
      added_tokens: { id: number; content: string }[];
    };
    await rm(join(folder, 'tokenizer.json'));
    await writeFile(join(folder, 'vocab.json'), JSON.stringify(bpe.vocab));
    const lines = ['#version: 0.2', ...bpe.merges.map((pair) => pair.join(' ')), ''];
    await writeFile(join(folder, 'merges.txt'), lines.join('\n'));
    const added = Object.fromEntries(added_tokens.map(({ id, content }) => [content, id]));
    await writeFile(join(folder, 'added_tokens.json'), JSON.stringify(added));
    const old = await again();
    assert.equal(old.encodeChat(messages), want);
    assert.equal([old.stopIds, old.padId], [tokenizer.stopIds, tokenizer.padId]);
    for (const name of ['vocab.json', 'merges.txt']) await rm(join(folder, name));
    assert.ok((await messageOf(again)).includes('the model must have a tokenizer'));
  }));

test('LanguageModel.create: equal seeds give equal weights, and a text beyond the context is refused', async () => {
  const sizes = { vocabSize: 11, width: 8, layers: 1, heads: 2, contextLength: 7 };
  using a = LanguageModel.create(engine, sizes, 5);
  using b = LanguageModel.create(engine, sizes, 5);
  using c = LanguageModel.create(engine, sizes, 6);
  const table = (model: LanguageModel) => model.parameters.get('model.embed_tokens.weight').data();
  assert.equal(await table(a), await table(b));
  assert.not.equal(await table(a), await table(c));
  await failsWith(() => logitsOf(a), 'at most the 7 tokens of the context, got 8');
});

test.run();
