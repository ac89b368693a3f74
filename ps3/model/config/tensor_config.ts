import { expectConfig, type ModelConfig, residualSide, type VisionConfig } from './config.ts';
import { parseHubConfig, parseVisionConfig } from './hub_config.ts';

/**
 * The configuration of a model whose weights stand in a safetensors file that describes itself in its metadata:
 * `vision_config` and `text_config` as JSON, `num_heads`, `mlp_ratio`, and for C-RADIO models `attn_pool_heads` and
 * `attn_pool_mlp_ratio`. All other sizes are read from the shapes.
 *
 * @param shapes  by tensor name; the names may begin with `weights.`
 * @throws ConfigError when metadata is missing or disagrees with the shapes
 */
export function configFromTensors(
  metadata: Readonly<Record<string, string>>,
  shapes: ReadonlyMap<string, readonly number[]>,
): ModelConfig {
  const prefix = shapes.has('weights.vision_model.prior_prompt') ? 'weights.' : '';
  const shapeOf = (name: string) => shapes.get(`${prefix}${name}`);
  const expectShape = (name: string, want: readonly number[]) => {
    const got = shapeOf(name);
    const isEqual = got?.length === want.length && want.every((extent, i) => got[i] === extent);
    expectConfig(
      isEqual,
      `${name} must be [${want.join(', ')}]`,
      got ? `[${got.join(', ')}]` : 'no such tensor',
    );
  };
  const trunk = 'vision_model.trunk';
  const config = parseHubConfig({
    vision_config: visionHub(metadata, shapes, prefix),
    text_config: objectOf(metadata, 'text_config'),
  });

  const { vision, text } = config;
  const { width: D, attnPool } = vision;
  expectShape(`${trunk}.blocks.0.mlp.fc1.weight`, [vision.mlpHidden, D]);
  expectShape(`${trunk}.attn_pool.latent`, [1, 1, attnPool.width]);
  expectShape(`${trunk}.attn_pool.mlp.fc1.weight`, [attnPool.mlpHidden, attnPool.width]);
  if (vision.separatePosEmb)
    vision.gridSides.slice(1).forEach((_, i) => {
      expectShape(`vision_model.pos_emb_residual.${i}`, [1, residualSide(vision, i + 1) ** 2, D]);
    });
  expectShape('text_model.token_embedding.weight', [text.vocabSize, text.width]);
  expectShape('text_model.positional_embedding', [text.contextLength, text.width]);
  const last = `text_model.transformer.resblocks.${text.layers - 1}`;
  expectShape(`${last}.mlp.c_fc.weight`, [text.mlpHidden, text.width]);
  return config;
}

/** `vision_config` with the sizes that only the shapes and the other metadata tell. */
function visionHub(
  metadata: Readonly<Record<string, string>>,
  shapes: ReadonlyMap<string, readonly number[]>,
  prefix: string,
): object {
  const trunk = `${prefix}vision_model.trunk`;
  const stem = shapes.get(`${trunk}.patch_embed.proj.weight`);
  expectConfig(
    stem?.length === 4,
    `${trunk}.patch_embed.proj.weight must be [D, 3, patch, patch]`,
    stem ?? 'nothing',
  );
  const positions = shapes.get(`${trunk}.pos_embed`);
  expectConfig(positions?.length === 3, `${trunk}.pos_embed must be [1, side², D]`, positions ?? 'nothing');
  let depth = 0;
  while (shapes.has(`${trunk}.blocks.${depth}.norm1.weight`)) depth++;
  return {
    ...objectOf(metadata, 'vision_config'),
    hidden_size: stem[0],
    patch_size_px: stem[2],
    pos_grid_side: Math.sqrt(positions[1]),
    depth,
    num_heads: numberOf(metadata, 'num_heads'),
    mlp_ratio: numberOf(metadata, 'mlp_ratio'),
    ...('attn_pool_heads' in metadata && { attn_pool_heads: numberOf(metadata, 'attn_pool_heads') }),
    ...('attn_pool_mlp_ratio' in metadata && {
      attn_pool_mlp_ratio: numberOf(metadata, 'attn_pool_mlp_ratio'),
    }),
  };
}

/**
 * The configuration of an image tower alone, whose weights stand in such a file.
 *
 * @param prefix  what stands before `vision_model.`
 * @throws ConfigError when metadata is missing or disagrees with the shapes
 */
export function visionConfigFromTensors(
  metadata: Readonly<Record<string, string>>,
  shapes: ReadonlyMap<string, readonly number[]>,
  prefix: string,
): VisionConfig {
  return parseVisionConfig(visionHub(metadata, shapes, prefix));
}

function objectOf(metadata: Readonly<Record<string, string>>, key: string): object {
  const json = metadata[key];
  expectConfig(json !== undefined, `metadata.${key} must be given`, 'nothing');
  try {
    const value: unknown = JSON.parse(json);
    expectConfig(typeof value === 'object' && value !== null, `metadata.${key} must be a JSON object`, json);
    return value;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    expectConfig(false, `metadata.${key} must be JSON`, cause.message);
  }
}

function numberOf(metadata: Readonly<Record<string, string>>, key: string): number {
  const text = metadata[key] ?? '';
  expectConfig(
    text !== '' && Number.isFinite(Number(text)),
    `metadata.${key} must be a number`,
    text || 'nothing',
  );
  return Number(text);
}
