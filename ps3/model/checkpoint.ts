// A checkpoint folder in the layout of the published ones: config.json, preprocessor_config.json, the tokenizer and
// model.safetensors, under the official names.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, openSafetensors, writeSafetensors } from '../../engine/index.ts';
import { size } from '../../engine/tensor/shape.ts';
import { ConfigError } from './config.ts';
import { parseHubConfig } from './hub_config.ts';
import { toHubConfig } from './hub_config_writer.ts';
import { planParameters } from './init.ts';
import { PS3 } from './ps3.ts';
import { Tokenizer } from './tokenizer.ts';

/** A model with the tokenizer that its text tower was trained with. */
export interface Checkpoint {
  /** Both towers with their weights. */
  readonly model: PS3;
  /** The tokenizer of the text tower. */
  readonly tokenizer: Tokenizer;
}

/** Writes a file under a temporary name and renames it, so that nobody sees half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}

/** Writes a checkpoint; each file appears whole or not at all. */
export async function saveCheckpoint(folder: string, { model, tokenizer }: Checkpoint): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { config, parameters } = model;
  const json = (name: string, value: unknown): Promise<void> =>
    writeWhole(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
  const side = config.vision.scalesPx[config.vision.scalesPx.length - 1];
  await json('config.json', toHubConfig(config));
  await json('preprocessor_config.json', {
    image_size: [side, side],
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    interpolation: 'bicubic',
    resize_mode: 'squash',
  });
  for (const [name, value] of Object.entries(tokenizer.toJSON())) await json(name, value);
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    parameters.names.map((name) => {
      const tensor = parameters.get(name);
      return { name, dtype: 'F32', shape: [...tensor.shape], data: () => tensor.data() };
    }),
    { format: 'pt' },
  );
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new ConfigError(`checkpoint: ${path} must be readable, got ${(cause as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`checkpoint: ${path} must be JSON, got ${(cause as Error).message}`);
  }
}

/**
 * Loads a checkpoint folder.
 *
 * @throws ConfigError, SafetensorsError: one error that lists every missing, unknown and misshapen tensor
 */
export async function loadCheckpoint(engine: Engine, folder: string): Promise<Checkpoint> {
  const config = parseHubConfig(await readJson(join(folder, 'config.json')));
  const tokenizer = Tokenizer.fromFiles({
    tokenizerJson: (await readJson(join(folder, 'tokenizer.json'))) as Record<string, unknown>,
    tokenizerConfig: (await readJson(join(folder, 'tokenizer_config.json'))) as Record<string, unknown>,
    contextLength: config.text.contextLength,
  });
  await using file = await openSafetensors(join(folder, 'model.safetensors'));
  const plan = planParameters(config);
  const faults = [
    ...[...plan.keys()].filter((name) => !file.tensors.has(name)).map((name) => `missing ${name}`),
    ...[...file.tensors.keys()].filter((name) => !plan.has(name)).map((name) => `unknown ${name}`),
    ...[...plan].flatMap(([name, { shape }]) => {
      const found = file.tensors.get(name)?.shape;
      const fits = !found || size(found) === size(shape);
      return fits ? [] : [`${name} is [${found}], not [${shape}]`];
    }),
  ];
  if (faults.length > 0)
    throw new ConfigError(`checkpoint: model.safetensors must fit config.json, got ${faults.join('; ')}.`);
  const model = PS3.allocate(engine, config, new Map([...plan].map(([name, { shape }]) => [name, shape])));
  for (const name of plan.keys()) model.parameters.get(name).write(await file.f32(name));
  return { model, tokenizer };
}
