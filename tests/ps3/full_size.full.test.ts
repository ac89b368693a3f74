// The published geometries with random weights, from sharded bf16 files to one look of 2560 patches, against PyTorch.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TensorToWrite, writeSafetensors } from '../../engine/index.ts';
import { size } from '../../engine/tensor/shape.ts';
import { formatComparisons } from '../../ps3/app/comparison.ts';
import { verify } from '../../ps3/app/verify.ts';
import { type ParameterPlan, planParameters } from '../../ps3/model/checkpoint/init.ts';
import { parseHubConfig } from '../../ps3/model/config/hub_config.ts';
import { toHubConfig } from '../../ps3/model/config/hub_config_writer.ts';
import { toPreprocessor } from '../../ps3/model/config/preprocessor.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { engine } from '../harness.ts';

const TEXT = {
  ...{ output_dim: 1152, context_length: 64, vocab_size: 32000, hf_tokenizer_name: 'timm/ViT-B-16-SigLIP' },
  ...{ width: 1152, heads: 16, layers: 27, mlp_ratio: 3.7362, no_causal_mask: true, pool_type: 'last' },
  ...{ proj_bias: true, act_kwargs: {}, norm_kwargs: { eps: 1e-6 } },
};
const SO400M = {
  ...{ model_name: 'vit_so400m_patch14_siglip_384', hidden_size: 1152, pool: 'map', max_select_num: 2560 },
  select_based_on_layer: [0, 9, 18, 26],
};
const RADIO = {
  ...{ model_name: 'vit_large_patch16_224', hidden_size: 1024, pool: 'map', max_select_num: 2560 },
  ...{ class_token: false, img_size: 4096, radio: true, radio_adapter_mlp_version: 'v2' },
  ...{ radio_adapter_mlp_input_dim: 1024, radio_adapter_mlp_hidden_dim: 1520 },
  ...{ radio_adapter_mlp_output_dim: 1152, radio_adapter_mlp_num_inner: 3 },
  select_based_on_layer: [0, 7, 14, 23],
};
const MODELS = {
  'PS3-4K-SigLIP': { vision: { ...SO400M, ps3_scales: [378, 756, 1512, 3780] }, prompt: 1152 },
  'PS3-1.5K-SigLIP': { vision: { ...SO400M, ps3_scales: [378, 756, 1512] }, prompt: 1152 },
  'PS3-4K-C-RADIO-v2-L': { vision: { ...RADIO, ps3_scales: [384, 768, 1536, 3840] }, prompt: 1024 },
};

/** Bytes of a shard: some tensors, so that there are several. */
const SHARD_BYTES = 2 ** 29;

/** A stream of numbers in [0, 1): an xorshift, fast enough for a billion. */
function uniform(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function drawn({ shape, initial }: ParameterPlan, next: () => number): Float32Array {
  const values = new Float32Array(size(shape));
  const [center, spread] =
    initial.kind === 'constant'
      ? [initial.value, 0.05] // biases and norms that are not all alike
      : [0, initial.kind === 'uniform' ? initial.bound : initial.std * Math.sqrt(3)];
  for (let i = 0; i < values.length; i++) values[i] = center + spread * (2 * next() - 1);
  return values;
}

/** Writes a checkpoint of random bf16 weights in shards, and inputs; returns the side of the image. */
async function writeModel(
  folder: string,
  { vision, prompt }: (typeof MODELS)['PS3-4K-SigLIP'],
): Promise<void> {
  await mkdir(folder);
  const config = parseHubConfig({
    vision_config: vision,
    text_config: { ...TEXT, prompt_proj_dim: prompt },
  });
  const json = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), JSON.stringify(value));
  await json('config.json', toHubConfig(config));
  await json('preprocessor_config.json', toPreprocessor(config.image));
  const tokenizer = buildWordTokenizer(['red apple'], { contextLength: 64 });
  for (const [name, value] of Object.entries(tokenizer.toJSON())) await json(name, value);
  const next = uniform(7);
  const shards: TensorToWrite[][] = [];
  let room = 0;
  for (const [name, plan] of planParameters(config, { layerScale: 0.1, positionResidualStd: 0.02 })) {
    const bytes = 2 * size(plan.shape);
    if (bytes > room) {
      shards.push([]);
      room = Math.max(bytes, SHARD_BYTES);
    }
    shards[shards.length - 1].push({
      name,
      dtype: 'BF16',
      shape: plan.shape,
      data: async () => drawn(plan, next),
    });
    room -= bytes;
  }
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${i}.safetensors`;
    await writeSafetensors(join(folder, file), shard);
    for (const { name } of shard) weightMap[name] = file;
  }
  await json('model.safetensors.index.json', { weight_map: weightMap });

  const side = config.image.imagePx;
  const image = new Uint8Array(side * side * 4);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const at = 4 * (y * side + x);
      // Waves of many lengths, with noise: no two places look alike.
      image[at] = 128 + 90 * Math.sin((x * x) / side / 9) + 30 * next();
      image[at + 1] = 128 + 90 * Math.cos((x + y) / (5 + y / 100)) + 30 * next();
      image[at + 2] = 255 * next();
      image[at + 3] = 255;
    }
  await writeSafetensors(join(folder, 'inputs.safetensors'), [
    { name: 'in.image', dtype: 'U8', shape: [1, side, side, 4], data: image },
    {
      name: 'in.text',
      dtype: 'I32',
      shape: [1, 64],
      data: Int32Array.from({ length: 64 }, (_, i) => (i < 20 ? Math.floor(32000 * next()) : 1)),
    },
  ]);
}

const only = process.env.FULL_SIZE;
for (const [name, model] of Object.entries(MODELS))
  if (!only || only === name)
    test(`${name}: bf16 shards, low-res pass, selection and one look agree with PyTorch`, async () => {
      const root = await mkdtemp(join(tmpdir(), 'ps3-full-'));
      try {
        const folder = join(root, name);
        await writeModel(folder, model);
        const want = join(root, 'want.safetensors');
        const script = fileURLToPath(new URL('../fixtures/torch/ps3_forward.py', import.meta.url));
        execFileSync('/usr/bin/python3', [script, folder, join(folder, 'inputs.safetensors'), want], {
          stdio: 'inherit',
        });
        const comparisons = await verify(engine, want, { checkpoint: folder, relative: 1e-3 });
        console.log(formatComparisons(comparisons).join('\n'));
        const failed = comparisons.filter(({ passed }) => !passed);
        assert.is(failed.length, 0, `\n${formatComparisons(failed).join('\n')}`);
        assert.is(
          comparisons.length,
          9 + 2 * (model.vision.ps3_scales.length - 1),
          'every tensor is compared',
        );
      } finally {
        await rm(root, { recursive: true });
      }
    });

test.run();
