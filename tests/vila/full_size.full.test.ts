// The geometry of VILA-HD-8B-PS3-4K-SigLIP with random weights, a tower in bf16 and a language model in int4: foretold, loaded and asked
// within 12 GB.
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { size, type TensorToWrite, writeSafetensors } from '../../engine/index.ts';
import { languageConfig, toLanguageHubConfig } from '../../ps3/language/config.ts';
import { integerParts, toQuantizationConfig } from '../../ps3/language/integers.ts';
import { storedParts } from '../../ps3/language/parameters.ts';
import type { ParameterPlan } from '../../ps3/model/checkpoint/init.ts';
import { total } from '../../ps3/model/config/config.ts';
import { parseVisionConfig } from '../../ps3/model/config/hub_config.ts';
import { toHubVision } from '../../ps3/model/config/hub_config_writer.ts';
import { toPreprocessor } from '../../ps3/model/config/preprocessor.ts';
import { planVila, VilaReader } from '../../ps3/vila/checkpoint.ts';
import { toProjectorHub, toVilaHub } from '../../ps3/vila/config.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { tinyTokenizer } from '../app/tiny_vila.ts';
import { engine } from '../harness.ts';

const LIMIT_BYTES = 12e9;
const SIDE = 3780;
/** A tenth of a look, so that two CPU cores answer in minutes. */
const PATCHES = 256;
const vision = parseVisionConfig({
  ...{ model_name: 'vit_so400m_patch14_siglip_384', hidden_size: 1152, pool: 'map', max_select_num: 2560 },
  ...{ select_based_on_layer: [0, 9, 18, 26], ps3_scales: [378, 756, 1512, SIDE] },
});
const image = { imagePx: SIDE, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;
/** Qwen2-7B. */
const language = languageConfig({
  ...{ vocabSize: 152064, width: 3584, layers: 28, heads: 28, kvHeads: 4, mlpHidden: 18944 },
  ...{ ropeTheta: 1e6, contextLength: 32768, isTied: false },
});
const config = {
  encoder: { kind: 'ps3' },
  lookMode: 'after_prompt',
  looks: 1,
  tokens: null,
  promptHead: 'mlp',
  hasPositions: true,
  ratio: 2,
} as const;

/** Random bytes that files are filled with, again and again; a prime number of words, so that no two rows are alike. */
const BLOCK_WORDS = 4_194_301;
const block = (): Uint32Array => {
  const words = new Uint32Array(BLOCK_WORDS);
  randomFillSync(words);
  return words;
};
const integers = block();
/** Factors of integers, f16 in [2^-9, 2^-8): matrices with a deviation of some 0.013. */
const factors = block().map((word) => (word & 0x03ff03ff) | 0x18001800);
/** Numbers in bf16 of [2^-6, 2^-5) and both signs. */
const halves = block().map((word) => (word & 0x807f807f) | 0x3c803c80);

async function* repeated(words: Uint32Array, sizeBytes: number): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(words.buffer);
  for (let left = sizeBytes; left > 0; left -= bytes.length)
    yield bytes.subarray(0, Math.min(left, bytes.length));
}

/** A tensor in bf16: vectors of one value, all else random. */
function half(name: string, { shape, initial }: Pick<ParameterPlan, 'shape' | 'initial'>): TensorToWrite {
  const count = size(shape);
  const value = initial.kind === 'constant' ? initial.value : 0;
  const data = shape.length < 2 ? new Float32Array(count).fill(value) : repeated(halves, 2 * count);
  return { name, dtype: 'BF16', shape, data };
}

async function write(folder: string): Promise<void> {
  const json = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), JSON.stringify(value));
  for (const part of ['llm', 'vision_tower', 'mm_projector']) await mkdir(join(folder, part));
  await json('config.json', toVilaHub(config, vision, language.width));
  await json('llm/config.json', {
    ...toLanguageHubConfig(language),
    quantization_config: toQuantizationConfig({ bits: 4, group: 32 }, []),
  });
  const tokenizer = await tinyTokenizer();
  for (const [name, value] of Object.entries(tokenizer.toJSON())) await json(`llm/${name}`, value);
  await json('vision_tower/config.json', toHubVision(vision));
  await json('vision_tower/preprocessor_config.json', toPreprocessor(image));
  await json('mm_projector/config.json', toProjectorHub(config));
  const parts = [...storedParts(language)].flatMap(([name, part]): TensorToWrite[] => {
    const isNorm = name.endsWith('norm.weight');
    const constant = { kind: 'constant', value: isNorm ? 1 : 0 } as const;
    if (part.shape.length < 2) return [half(name, { shape: part.shape, initial: constant })];
    return integerParts(name, part, { bits: 4, group: 32 }).map(([name, { kind, dtype, shape }]) => {
      const bytes = size(shape) * (dtype === 'F16' ? 2 : 4);
      return { name, dtype, shape, data: repeated(kind === 'scales' ? factors : integers, bytes) };
    });
  });
  // Each layer in a file of its own.
  const shards = new Map<string, TensorToWrite[]>();
  for (const part of parts) {
    const shard = /layers\.\d+/.exec(part.name)?.[0] ?? 'others';
    shards.set(shard, [...(shards.get(shard) ?? []), part]);
  }
  const weightMap: Record<string, string> = {};
  for (const [shard, tensors] of shards) {
    const file = `model-${shard}.safetensors`;
    await writeSafetensors(join(folder, 'llm', file), tensors);
    for (const { name } of tensors) weightMap[name] = file;
  }
  await json('llm/model.safetensors.index.json', { weight_map: weightMap });
  const { tower, projector } = planVila(config, vision, language.width);
  for (const [place, plan] of [
    ['vision_tower', tower],
    ['mm_projector', projector],
  ] as const) {
    const tensors = [...plan].map(([name, parameter]) => half(name, parameter));
    await writeSafetensors(join(folder, place, 'model.safetensors'), tensors);
  }
}

const inGB = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

test('VILA-HD-8B: int4 beside a tower in bf16 loads, looks and answers within 12 GB, in what was foretold', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-vila-8b-'));
  try {
    await write(folder);
    const storage = { storage: 'bf16', languageStorage: 'int4' } as const;
    await using file = await VilaReader.open(folder);
    const need = await file.need('bf16', 'int4', {});
    const { peakBytes: before } = engine.stats();
    const rssBefore = process.memoryUsage().rss;
    const started = performance.now();
    using model = await VilaModel.load(engine, folder, { ...storage, memoryLimitBytes: LIMIT_BYTES });
    const loaded = performance.now();
    const stores = [model.parameters, model.language.parameters];
    const matrices = [...model.language.integers.values()].flatMap(({ values, scales }) => [values, scales]);
    const held =
      total(stores.flatMap(({ arenas }) => arenas.map(({ values }) => values.sizeBytes))) +
      total(matrices.map(({ sizeBytes }) => sizeBytes));
    const rgba = new Uint8Array(4 * SIDE * SIDE);
    randomFillSync(rgba);
    const question = 'Hello';
    const said: number[] = [];
    {
      using seen = model.see({ rgba, width: SIDE, height: SIDE });
      using look = await model.lookFor(question, seen, { tokens: PATCHES });
      assert.equal(look.vision!.selectionCounts, [8, 34, 214]);
      const options = { maxTokens: 2, stopIds: [], logProbs: true };
      for await (const { id, logProb = 1 } of model.answer(question, look, options)) {
        said.push(id);
        assert.ok(logProb <= 0 && logProb > -30, `${logProb}`);
      }
    }
    const mostRss = 1024 * process.resourceUsage().maxRSS;
    assert.is(said.length, 2);
    const { peakBytes } = engine.stats();
    console.log(
      `foretold ${inGB(need.weightsBytes)} of weights, ${inGB(need.peakBytes)} in all; held ${inGB(held)}, at most ${inGB(peakBytes)} on the GPU, ${inGB(mostRss)} of the process (${inGB(rssBefore)} before); loaded in ${((loaded - started) / 1000).toFixed(0)} s, answered in ${((performance.now() - loaded) / 1000).toFixed(0)} s`,
    );
    assert.ok(Math.abs(held - need.weightsBytes) < 0.01 * held, 'weights as foretold');
    assert.ok(peakBytes - before <= need.peakBytes, 'no more than foretold');
    assert.ok(peakBytes < LIMIT_BYTES && mostRss < LIMIT_BYTES);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
