// Files of tests/fixtures/language as they are, and as folders of the hub's layout.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  openSafetensors,
  type SafetensorsDType,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from '../../engine/index.ts';

/** Decoders with other shapes than the official files: 1 head of keys for 5, tied; 4 for 12, untied. */
export const SHAPES = ['one-kv', 'twelve-on-four'] as const;

type Name = (typeof SHAPES)[number];

/** Opens qwen2-NAME.safetensors. */
export function fixture(name: Name): Promise<SafetensorsFile> {
  return openSafetensors(new URL(`../fixtures/language/qwen2-${name}.safetensors`, import.meta.url));
}

/** Writes a folder with config.json and the weights of a fixture, which `change` may change first. */
export async function fixtureFolder(
  name: Name,
  folder: string,
  change: (tensors: TensorToWrite[]) => TensorToWrite[] = (tensors) => tensors,
): Promise<void> {
  await using file = await fixture(name);
  const tensors: TensorToWrite[] = [];
  for (const [key, { dtype, shape }] of file.tensors)
    if (key.startsWith('weights.'))
      tensors.push({
        name: key.slice('weights.'.length),
        dtype: dtype as SafetensorsDType,
        shape,
        data: await file.bytes(key),
      });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), file.metadata.llm_config);
  await writeSafetensors(join(folder, 'model.safetensors'), change(tensors));
}

/** Runs `work` with a folder that goes afterwards. */
export async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-language-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The message that a promise fails with. */
export async function messageOf(failing: () => Promise<unknown>): Promise<string> {
  try {
    await failing();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it must fail, and did not');
}
