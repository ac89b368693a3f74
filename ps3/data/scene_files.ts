// Scenes as files, in parts that ranks share and that a stopped call has left for the next.
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { total } from '../model/config/config.ts';
import { fromLead, ownPart, SINGLE, type Transport } from '../ranks/transport.ts';
import { annotationJson, encodeJpeg } from './annotations.ts';
import { ANNOTATION_FILE } from './folder.ts';
import type { Scene } from './scenes.ts';
import { type EncodedSample, writeShard } from './shards.ts';

/** What is written, and how. */
export interface SceneFiles {
  /** Where to; what an earlier call with the same description has left there is kept. */
  readonly folder: string;
  /** Images in all. */
  readonly count: number;
  /** Images and annotations.jsonl, or two tar collections. */
  readonly format: 'folder' | 'shards';
  /** Everything that decides an image besides its number: of another one nothing is kept. */
  readonly description: string;
  /** Makes an image by its number. */
  readonly scene: (index: number) => Scene;
  /** Ranks that share the images; default: this process alone. */
  readonly transport?: Transport;
  /** Images done, of how many; of several ranks, those of this one. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** What was written in all, by earlier calls too. */
export interface WrittenScenes {
  readonly boxes: number;
  /** Of the encoded images. */
  readonly imageBytes: number;
}

/** What is kept of a part until all are done. */
interface Part extends WrittenScenes {
  /** Of annotations.jsonl, in a folder. */
  readonly lines: readonly string[];
}

/** Images of a part: a shard is one. */
const PER_PART = { folder: 16, shards: 1000 } as const;
/** Images that are encoded at once, in threads of sharp's. */
const IN_FLIGHT = 4;
/** Folder of what is kept, within that which is written. */
const PARTS = '.parts';

/** Writes scenes with their annotations; `finishScenes` follows on the first rank, and only then nothing is done anew. */
export async function writeScenes(files: SceneFiles): Promise<WrittenScenes> {
  const { folder, count, format, description, scene, transport = SINGLE, onProgress } = files;
  const perPart = PER_PART[format];
  const kept = join(folder, PARTS);
  const pathOf = (part: number): string => join(kept, `${String(part).padStart(5, '0')}.json`);
  const parts = Array.from({ length: Math.ceil(count / perPart) }, (_, i) => i);
  const missing = await fromLead(transport, async () => {
    const file = join(kept, 'description');
    if (!existsSync(file) || (await readFile(file, 'utf8')) !== description) {
      await rm(folder, { recursive: true, force: true });
      await makeFolder(kept);
      await writeWhole(file, description);
    }
    return parts.filter((part) => !existsSync(pathOf(part)));
  });
  const indicesOf = (part: number): number[] =>
    Array.from({ length: Math.min(perPart, count - part * perPart) }, (_, i) => part * perPart + i);
  const imagesOf = (list: readonly number[]): number[] => list.flatMap(indicesOf);
  const own = ownPart(transport, missing);
  const all = imagesOf(own).length;
  // One process tells of all images, a rank of its own.
  const before = transport.size === 1 ? count - all : 0;
  const samples = encoded(imagesOf(own), scene);
  let done = 0;
  for (const part of own) {
    const waiting: EncodedSample[] = [];
    const lines: string[] = [];
    let [boxes, imageBytes] = [0, 0];
    for (const _ of indicesOf(part)) {
      const sample = (await samples.next()).value!;
      const { key, suffix, image } = sample;
      boxes += sample.boxes.length;
      imageBytes += image.length;
      if (format === 'shards') waiting.push(sample);
      else {
        const name = `${key}.${suffix}`;
        await writeFile(join(folder, name), image);
        lines.push(JSON.stringify({ image: name, ...annotationJson(sample) }));
      }
      onProgress?.(before + ++done, before + all);
    }
    if (format === 'shards') await writeShard(folder, part, waiting);
    // The last of a part to be there: where it is, the part is whole.
    await writeWhole(pathOf(part), JSON.stringify({ boxes, imageBytes, lines } satisfies Part));
  }
  await transport.barrier();
  return fromLead(transport, async () => {
    const found: Part[] = [];
    for (const part of parts) found.push(JSON.parse(await readFile(pathOf(part), 'utf8')) as Part);
    const lines = found.flatMap(({ lines }) => lines);
    if (format === 'folder') await writeWhole(join(folder, ANNOTATION_FILE), `${lines.join('\n')}\n`);
    return {
      boxes: total(found.map(({ boxes }) => boxes)),
      imageBytes: total(found.map(({ imageBytes }) => imageBytes)),
    };
  });
}

/** Moves what is whole to its place, which must be free, without what was kept for the next call. */
export async function finishScenes(folder: string, place: string): Promise<void> {
  await rm(join(folder, PARTS), { recursive: true, force: true });
  await rename(folder, place);
}

/** Scenes in order; the next one is composed while the last ones are encoded. */
async function* encoded(
  indices: readonly number[],
  sceneOf: (index: number) => Scene,
): AsyncGenerator<EncodedSample, undefined> {
  const encode = async (index: number): Promise<EncodedSample> => {
    const { rgba, side, boxes, captions, globalCaption } = sceneOf(index);
    const image = await encodeJpeg({ rgba, width: side, height: side });
    return { key: String(index).padStart(8, '0'), suffix: 'jpg', image, boxes, captions, globalCaption };
  };
  const ahead: Promise<EncodedSample>[] = [];
  const waiting = indices.values();
  for (const _ of indices) {
    while (ahead.length < IN_FLIGHT) {
      const { value, done } = waiting.next();
      if (done) break;
      ahead.push(encode(value));
    }
    yield await (ahead.shift() as Promise<EncodedSample>);
  }
}
