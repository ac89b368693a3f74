// Models that describe themselves in the metadata and shapes of one safetensors file.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/io/safetensors.ts';
import { ConfigError } from '../../ps3/model/config/config.ts';
import { parseHubConfig } from '../../ps3/model/config/hub_config.ts';
import { toHubConfig } from '../../ps3/model/config/hub_config_writer.ts';
import { configFromTensors } from '../../ps3/model/config/tensor_config.ts';

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

async function headersOf(
  file: string,
): Promise<{ metadata: Record<string, string>; shapes: Map<string, readonly number[]> }> {
  await using golden = await openSafetensors(new URL(`../fixtures/${file}.safetensors`, import.meta.url));
  const shapes = [...golden.tensors].map(([name, { shape }]) => [name, shape] as const);
  return { metadata: { ...golden.metadata }, shapes: new Map(shapes) };
}

test('config: the reference’s tiny models describe themselves by metadata and shapes', async () => {
  const square = await headersOf('ps3-infer-square');
  const { vision, text } = configFromTensors(square.metadata, square.shapes);
  assert.equal(
    [vision.patchPx, vision.width, vision.depth, vision.heads, vision.posGridSide],
    [14, 32, 4, 2, 4],
  );
  assert.equal([vision.mlpHidden, vision.attnPool.mlpHidden, text.mlpHidden], [119, 119, 119]);
  assert.equal(vision.scalesPx, [56, 112, 224]);
  assert.equal(vision.budgets, [8, 32]);
  assert.is(vision.auxEncoder?.imagePx, 1512);
  const radio = await headersOf('ps3-infer-radio');
  const config = configFromTensors(radio.metadata, radio.shapes);
  assert.equal([config.vision.patchPx, config.vision.depth, config.vision.posGridSide], [16, 3, 16]);
  assert.equal(config.vision.attnPool, { width: 48, heads: 4, mlpRatio: 3.7362, mlpHidden: 179 });
  assert.equal(config.vision.adapter, { hiddenWidth: 44, outputWidth: 48, innerBlocks: 2 });
  assert.is(config.text.gelu, 'tanh');
  assert.equal(parseHubConfig(toHubConfig(config)).vision.attnPool, config.vision.attnPool);
  const bare = new Map([...square.shapes].map(([name, shape]) => [name.replace('weights.', ''), shape]));
  assert.is(configFromTensors(square.metadata, bare).vision.width, 32);
});

test('config: metadata that contradicts the shapes is an error', async () => {
  const { metadata, shapes } = await headersOf('ps3-infer-square');
  const { num_heads, ...headless } = metadata;
  fails(() => configFromTensors(headless, shapes), /metadata.num_heads must be a number, got nothing/);
  fails(
    () => configFromTensors({ ...metadata, mlp_ratio: '4' }, shapes),
    /mlp.fc1.weight must be \[128, 32\], got \[119/,
  );
  fails(
    () => configFromTensors({ ...metadata, vision_config: '{' }, shapes),
    /metadata.vision_config must be JSON/,
  );
  fails(
    () => configFromTensors(metadata, new Map()),
    /patch_embed.proj.weight must be \[D, 3, .*, got nothing/,
  );
  shapes.delete('weights.text_model.positional_embedding');
  fails(
    () => configFromTensors(metadata, shapes),
    /positional_embedding must be \[12, 32\], got no such tensor/,
  );
});

test.run();
