import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { resolveBackbone } from '../../ps3/model/config/backbone.ts';
import { ConfigError, selectionBudgets } from '../../ps3/model/config/config.ts';
import { parseHubConfig, parseTextConfig, parseVisionConfig } from '../../ps3/model/config/hub_config.ts';
import { toHubConfig } from '../../ps3/model/config/hub_config_writer.ts';
import { parsePreprocessor } from '../../ps3/model/config/preprocessor.ts';

// As the reference's export script writes it for its model_configs/PS3-4K-SigLIP.json.
const vision4k = {
  architectures: ['PS3VisionModel'],
  model_type: 'ps3_vision_model',
  model_name: 'vit_so400m_patch14_siglip_384',
  hidden_size: 1152,
  pool: 'map',
  ps3: true,
  ps3_scales: [378, 756, 1512, 3780],
  select_based_on_layer: [0, 9, 18, 26],
  min_select_num: 1,
  max_select_num: 2560,
  separate_pos_emb: true,
  highres_selection_feature: true,
};
const textConfig = {
  context_length: 64,
  vocab_size: 32000,
  hf_tokenizer_name: 'timm/ViT-B-16-SigLIP',
  tokenizer_kwargs: { clean: 'canonicalize' },
  width: 1152,
  heads: 16,
  layers: 27,
  mlp_ratio: 3.7362,
  no_causal_mask: true,
  proj_bias: true,
  pool_type: 'last',
  norm_kwargs: { eps: 1e-6 },
  architectures: ['PS3TextModel'],
  model_type: 'ps3_text_model',
  output_dim: 1152,
  prompt_proj_dim: 1152,
};
const hub = (vision: object, text: object = textConfig) => ({
  architectures: ['PS3Model'],
  model_type: 'ps3',
  vision_config: vision,
  text_config: text,
});
// model_configs/PS3-4K-C-RADIO-v2-L.json
const visionRadio = {
  ...vision4k,
  model_name: 'vit_large_patch16_224',
  hidden_size: 1024,
  ps3_scales: [384, 768, 1536, 3840],
  select_based_on_layer: [0, 7, 14, 23],
  img_size: 4096,
  drop: 0,
  class_token: false,
  final_norm: false,
  radio: true,
  radio_adapter_mlp_version: 'v2',
  radio_adapter_mlp_input_dim: 1024,
  radio_adapter_mlp_hidden_dim: 1520,
  radio_adapter_mlp_output_dim: 1152,
  radio_adapter_mlp_num_inner: 3,
};
const textRadio = { ...textConfig, prompt_proj_dim: 1024 };
// A model that no timm name describes.
const visionToy = {
  model_name: 'ps3_toy',
  hidden_size: 96,
  pool: 'map',
  ps3_scales: [128, 256, 512],
  select_based_on_layer: [0, 2, 3],
  max_select_num: 64,
  highres_selection_module_hidden_dim: 32,
  highres_selection_module_out_dim: 24,
  ps3_webgpu: true,
  patch_size_px: 16,
  depth: 4,
  num_heads: 3,
  mlp_ratio: 2.5,
  aux_image_px: 448,
};
const textToy = { ...textConfig, width: 96, heads: 3, layers: 2, output_dim: 96, prompt_proj_dim: 96 };

function fails(call: () => unknown, message: RegExp): void {
  try {
    call();
  } catch (error) {
    assert.instance(error, ConfigError);
    assert.match((error as ConfigError).message, message);
    return;
  }
  assert.unreachable(`must fail with ${message}`);
}

test('config: PS3-4K-SigLIP has the sizes of its state dict', () => {
  const { vision, text } = parseHubConfig(hub(vision4k));
  assert.equal([vision.patchPx, vision.width, vision.depth, vision.heads], [14, 1152, 27, 16]);
  assert.equal([vision.headSize, vision.mlpHidden, vision.posGridSide], [72, 4304, 27]);
  assert.equal(vision.gridSides, [27, 54, 108, 270]);
  assert.equal(vision.budgets, [85, 341, 2134]);
  assert.equal([vision.lnEps, vision.posMode, vision.hasFinalNorm], [1e-6, 'resampled', true]);
  assert.equal(vision.attnPool, { width: 1152, heads: 16, mlpRatio: 3.7362, mlpHidden: 4304 });
  const aux = { imagePx: 1512, kernelPx: 28, gridSide: 54, hiddenWidth: 512, outChannels: 512, depth: 3 };
  assert.equal(vision.auxEncoder, aux);
  assert.is(vision.adapter, null);
  assert.equal([text.width, text.headSize, text.mlpHidden, text.layers], [1152, 72, 4304, 27]);
  assert.equal([text.gelu, text.lnEps], ['erf', 1e-6]);
  assert.equal([text.contextLength, text.vocabSize], [64, 32000]);
});

test('config: PS3-1.5K-SigLIP2 has its budgets, the 378 backbone’s table and tanh GELU', () => {
  const vision2 = { ...vision4k, model_name: 'vit_so400m_patch14_siglip_378', ps3_scales: [378, 756, 1512] };
  const text2 = { ...textConfig, vocab_size: 256000, act_kwargs: { approximate: 'tanh' } };
  const { vision, text } = parseHubConfig(hub(vision2, text2));
  assert.equal(vision.budgets, [512, 2048]);
  assert.is(vision.posGridSide, 27);
  assert.is(text.gelu, 'tanh');
});

test('config: PS3-4K-C-RADIO-v2-L has a cropped table, no final norm and SigLIP’s pooling', () => {
  const { vision } = parseHubConfig(hub(visionRadio, textRadio));
  assert.equal([vision.patchPx, vision.width, vision.depth, vision.heads], [16, 1024, 24, 16]);
  assert.equal([vision.mlpHidden, vision.posGridSide, vision.posMode], [4096, 256, 'cropped']);
  assert.equal(vision.gridSides, [24, 48, 96, 240]);
  assert.equal(vision.budgets, [85, 341, 2134]);
  assert.is(vision.hasFinalNorm, false);
  assert.equal(vision.adapter, { hiddenWidth: 1520, outputWidth: 1152, innerBlocks: 3 });
  assert.equal(vision.attnPool, { width: 1152, heads: 16, mlpRatio: 3.7362, mlpHidden: 4304 });
});

test('config: absent keys take the reference’s defaults', () => {
  const vision = parseVisionConfig({ model_name: 'vit_so400m_patch14_siglip_384.webli', pool: 'map' });
  assert.equal(vision.scalesPx, [378, 756, 1512]);
  assert.equal(vision.selectionLayers, [0, 9, 18, 26]);
  assert.equal(vision.budgets, [256, 1024]);
  assert.is(vision.separatePosEmb, true);
  const text = parseTextConfig({ no_causal_mask: true, pool_type: 'last', proj_bias: true });
  assert.equal([text.width, text.heads, text.layers, text.mlpHidden], [512, 8, 12, 2048]);
  assert.equal(
    [text.contextLength, text.vocabSize, text.outputDim, text.promptProjDim],
    [77, 49408, 1152, 1152],
  );
  assert.equal([text.gelu, text.lnEps], ['erf', 1e-5]);
});

test('config: scales may come in any order', () => {
  const shuffled = [3780, 378, 1512, 756];
  assert.equal(parseVisionConfig({ ...vision4k, ps3_scales: shuffled }).scalesPx, [378, 756, 1512, 3780]);
  assert.equal(shuffled, [3780, 378, 1512, 756]);
});

test('config: our own keys describe a backbone that timm does not have', () => {
  const { vision } = parseHubConfig(hub(visionToy, textToy));
  assert.equal(
    [vision.patchPx, vision.width, vision.depth, vision.heads, vision.headSize],
    [16, 96, 4, 3, 32],
  );
  assert.equal([vision.mlpHidden, vision.posGridSide], [240, 8]);
  assert.equal(vision.budgets, [12, 52]);
  assert.is(vision.auxEncoder?.gridSide, 16);
  assert.equal(vision.attnPool, { width: 96, heads: 3, mlpRatio: 2.5, mlpHidden: 240 });
});

test('config: budgets sum to the patches per look and follow the areas', () => {
  assert.equal(selectionBudgets(2560, [378, 756, 1512]), [512, 2048]);
  assert.equal(selectionBudgets(2560, [378, 756, 1512, 3780]), [85, 341, 2134]);
  assert.equal(selectionBudgets(64, [128, 256, 512]), [12, 52]);
  assert.equal(selectionBudgets(1, [14, 28, 56, 112]), [0, 0, 1]);
  for (let maxSelect = 1; maxSelect < 3000; maxSelect += 7) {
    const budgets = selectionBudgets(maxSelect, [378, 756, 1512, 3780]);
    assert.is(
      budgets.reduce((sum, budget) => sum + budget),
      maxSelect,
    );
  }
});

test('config: explicit budgets win', () => {
  const vision = parseVisionConfig({ ...vision4k, max_select_num_each_scale: [100, 0, 200] });
  assert.equal(vision.budgets, [100, 0, 200]);
});

test('config: writing keeps every key that was read and reads back equal', () => {
  const explicit = { ...vision4k, max_select_num_each_scale: [100, 0, 200], someday: { a: [1] } };
  const cases = [
    hub(vision4k),
    hub(visionRadio, textRadio),
    hub(visionToy, textToy),
    { ...hub(explicit, { ...textConfig, act_kwargs: { approximate: 'tanh' } }), torch_dtype: 'float32' },
  ];
  for (const json of cases) {
    const config = parseHubConfig(json);
    const written = JSON.parse(JSON.stringify(toHubConfig(config)));
    for (const [part, got] of [
      [json, written],
      [json.vision_config, written.vision_config],
      [json.text_config, written.text_config],
    ])
      for (const [key, value] of Object.entries(part))
        if (!key.endsWith('_config')) assert.equal(got[key], value, key);
    const again = parseHubConfig(written);
    assert.equal({ ...again.vision, hub: {} }, { ...config.vision, hub: {} });
    assert.equal({ ...again.text, hub: {} }, { ...config.text, hub: {} });
    assert.equal(toHubConfig(again), written);
  }
});

test('config: the official models are written without keys of ours, others with those they need', () => {
  const written = (json: unknown) => Object.keys(toHubConfig(parseHubConfig(json)).vision_config as object);
  const own = (keys: string[]) => keys.filter((key) => key in visionToy && !(key in vision4k));
  const aux = ['highres_selection_module_hidden_dim', 'highres_selection_module_out_dim'];
  assert.equal(own(written(hub(vision4k))), aux);
  assert.equal(own(written(hub(visionRadio, textRadio))), aux);
  const keys = ['ps3_webgpu', 'patch_size_px', 'depth', 'num_heads', 'mlp_ratio', 'aux_image_px'];
  assert.equal(own(written(hub(visionToy, textToy))), [...aux, ...keys]);
});

test('config: a changed configuration is written as changed', () => {
  const config = parseHubConfig(hub(visionToy, textToy));
  const auxEncoder = { ...config.vision.auxEncoder!, imagePx: 1512, gridSide: 54 };
  const again = parseHubConfig(
    toHubConfig({ ...config, vision: { ...config.vision, budgets: [4, 60], auxEncoder } }),
  );
  assert.equal(again.vision.budgets, [4, 60]);
  assert.equal(again.vision.auxEncoder, auxEncoder);
});

test('config: a wrong field is named with its path and value', () => {
  const vision = (change: object) => () => parseHubConfig(hub({ ...vision4k, ...change }));
  const text = (change: object) => () => parseHubConfig(hub(vision4k, { ...textConfig, ...change }));
  const scales = (ps3_scales: unknown) => vision({ ps3_scales });
  fails(() => parseHubConfig(3), /^config: config.json must be an object, got 3\.$/);
  fails(() => parseHubConfig({}), /^config: vision_config must be an object, got nothing\.$/);
  fails(
    () => parseHubConfig(vision4k),
    /model_type must be "ps3", got ps3_vision_model. Read it with parseVisionConfig/,
  );
  fails(scales([378, '756']), /vision_config.ps3_scales.1 must be a positive integer, got "756"/);
  fails(scales([378, -756]), /vision_config.ps3_scales.1 must be a positive integer, got -756/);
  fails(scales('378'), /vision_config.ps3_scales must be an array, got "378"/);
  fails(
    scales([378]),
    /vision_config.ps3_scales must hold a low-res and at least one high-res scale, got \[378\]/,
  );
  fails(scales([378, 756, 756]), /vision_config.ps3_scales must not repeat a scale, got \[378,756,756\]/);
  fails(
    scales([378, 1000]),
    /vision_config.ps3_scales must hold multiples of the smallest scale 378, got 1000/,
  );
  fails(
    scales([384, 768]),
    /vision_config.ps3_scales must begin with a multiple of the patch size 14, got 384/,
  );
  fails(vision({ pool: undefined }), /vision_config.pool must be "map", the only pooling PS3 has, got "avg"/);
  fails(vision({ pool: 'avg' }), /vision_config.pool must be "map", .* got "avg"/);
  fails(
    vision({ select_based_on_layer: [0, 27] }),
    /select_based_on_layer must name blocks below 27, got 27/,
  );
  fails(vision({ max_select_num: 2.5 }), /vision_config.max_select_num must be a positive integer, got 2.5/);
  fails(
    vision({ max_select_num_each_scale: [1, 2] }),
    /max_select_num_each_scale must hold a number for each of the 3 high-res scales, got \[1,2\]/,
  );
  fails(
    vision({ model_name: 'vit_x' }),
    /model_name must be a backbone known here, got vit_x. Or describe it with/,
  );
  fails(vision({ model_name: null }), /model_name must be a backbone known here, got null/);
  fails(vision({ num_heads: 5 }), /vision_config.num_heads must divide the width 1152, got 5/);
  fails(
    vision({ class_token: true }),
    /vision_config.class_token must be false, PS3 has no prefix tokens, got true/,
  );
  fails(
    vision({ ...visionRadio, class_token: null }),
    /class_token must be false for vit_large_patch16_224, got null/,
  );
  fails(
    vision({ ...visionRadio, radio_adapter_mlp_version: 'v1' }),
    /radio_adapter_mlp_version must be "v2", got v1/,
  );
  fails(
    vision({ ...visionRadio, img_size: 2048 }),
    /img_size must give a position table .* \(240 .*, got 128 patches/,
  );
  fails(vision({ aux_image_px: 27 }), /vision_config.aux_image_px must be at least the stem's 28 px, got 27/);
  fails(text({ norm_kwargs: { eps: 0 } }), /text_config.norm_kwargs.eps must be a positive number, got 0/);
  fails(
    text({ act_kwargs: { approximate: 'x' } }),
    /text_config.act_kwargs.approximate must be "none" or "tanh", got/,
  );
  fails(text({ ls_init_value: 0.1 }), /text_config.ls_init_value must be null, PS3 has no LayerScale/);
  fails(
    text({ prompt_proj_dim: 1024 }),
    /text_config.prompt_proj_dim must be the vision width, got 1024 \(1024 != 1152/,
  );
  fails(
    text({ output_dim: 512 }),
    /text_config.output_dim must be the width of the pooled image embedding, got 512/,
  );
});

test('config: what PS3 would compute otherwise is refused by name, the absent key too', () => {
  const refused: [part: 'vision' | 'text', key: string, values: unknown[], rule: RegExp][] = [
    ['vision', 'pool', ['avg', 'token', undefined], /must be "map", the only pooling PS3 has/],
    ['vision', 'patch_drop', [0.5], /must be 0, PS3 needs all low-res patches/],
    ['vision', 'drop_path', [1, -0.1, '0.1'], /must be in \[0, 1\)/],
    ['vision', 'class_token', [true], /must be false/],
    ['vision', 'dynamic_img_size', [false, 'yes'], /must be true, PS3 resamples its positions/],
    ['text', 'no_causal_mask', [false, undefined], /must be true, PS3 attends to every token, got false/],
    ['text', 'pool_type', ['first', 'argmax', 'mean', undefined], /must be "last", PS3 pools the last token/],
    ['text', 'proj_bias', [false, undefined], /must be true, PS3 projects with a bias, got false/],
    ['text', 'embed_cls', [true], /must be false, PS3 has no class embedding/],
    ['text', 'output_tokens', [true], /must be false, PS3 returns no tokens of texts/],
    ['text', 'ls_init_value', [0.1], /must be null, PS3 has no LayerScale/],
    ['text', 'tokenizer_kwargs', [{ clean: 'whitespace' }], /\.clean must be "canonicalize" or "lower", got/],
    ['text', 'tokenizer_kwargs', [{ strip: 1 }], /\.strip must be absent: the keys are clean,/],
    ['text', 'act_kwargs', [{ inplace: true }], /\.inplace must be absent: the keys are approximate,/],
    ['text', 'norm_kwargs', [{ bias: false }], /\.bias must be absent: the keys are eps,/],
  ];
  for (const [part, key, values, rule] of refused)
    for (const value of values) {
      const changed = hub(
        part === 'vision' ? { ...vision4k, [key]: value } : vision4k,
        part === 'text' ? { ...textConfig, [key]: value } : textConfig,
      );
      fails(() => parseHubConfig(changed), new RegExp(`^config: ${part}_config\\.${key}`));
      fails(() => parseHubConfig(changed), rule);
    }
  fails(() => parseTextConfig({}), /text_config.no_causal_mask must be true/);
});

test('config: every key of images is honoured or refused by name', () => {
  const { vision } = parseHubConfig(hub(vision4k));
  const read = (json: object) => parsePreprocessor({ image_size: [3780, 3780], ...json }, vision);
  assert.equal(read({ mean: [0.1, 0.2, 0.3], std: [1, 2, 3] }).mean, [0.1, 0.2, 0.3]);
  assert.equal(read({ std: [1, 2, 3] }).std, [1, 2, 3]);
  assert.equal(read({}).std, [0.26862955, 0.26130259, 0.2757771]);
  assert.equal(read({ interpolation: 'random' }), read({ interpolation: 'bicubic' }));
  fails(() => read({ image_size: 1512 }), /image_size must be the largest scale, 3780, got 1512/);
  fails(() => read({ mean: 0.5 }), /preprocessor_config.json: mean/);
  fails(() => read({ std: [1, 0, 1] }), /std must be positive/);
  fails(() => read({ interpolation: 'bilinear' }), /preprocessor_config.json: interpolation/);
  fails(() => read({ resize_mode: 'shortest' }), /preprocessor_config.json: resize_mode/);
  fails(() => read({ mode: 'L' }), /preprocessor_config.json: mode/);
});

test('config: timm names resolve with and without a tag, unknown ones do not', () => {
  assert.is(resolveBackbone('vit_large_patch16_224.augreg_in21k')?.width, 1024);
  assert.is(resolveBackbone('resnet50'), undefined);
});

test.run();
