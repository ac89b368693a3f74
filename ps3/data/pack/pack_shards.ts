// A folder with annotations.jsonl into pairs of archives; images keep their bytes, annotations their JSON.
import { existsSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expectKeys, makeFolder, readTextFile } from '../../../engine/index.ts';
import { ownPart, SINGLE, type Transport } from '../../ranks/transport.ts';
import { DataError } from '../errors.ts';
import { ANNOTATION_FILE, parseRawEntry } from '../folder.ts';
import { writeTar } from '../tar_writer.ts';
import { beginPackOn, fingerprint, type OnPacked, type Packed, progressOf } from './begun.ts';
import { type ShardName, shardName } from './keys.ts';

/** How shards are cut. */
export interface PackOptions {
  /** Samples in each pair of archives, at most; default 1000. */
  readonly samplesPerShard?: number;
  /** Bytes of an archive of images, at most, unless one image is larger; default 1e9. */
  readonly maxShardBytes?: number;
  /** Ranks that share the shards; default: this process alone. */
  readonly transport?: Transport;
  readonly onProgress?: OnPacked;
}

const PACK_OPTIONS = {
  samplesPerShard: true,
  maxShardBytes: true,
  transport: true,
  onProgress: true,
} as const;

/** An image of the folder and what is written of it. */
interface Source extends ShardName {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** Annotation. */
  readonly json: string;
}

/** Bytes of a file in an archive: a header, and the content filled up to blocks of 512. */
const archived = (sizeBytes: number): number => 512 + 512 * Math.ceil(sizeBytes / 512);

/**
 * Cuts images into shards, in their order: [first, one past the last] of each.
 *
 * @param sizesBytes       of the images
 * @param samplesPerShard  at most
 * @param maxShardBytes    of an archive, at most, unless one image is larger
 */
export function shardRanges(
  sizesBytes: readonly number[],
  samplesPerShard: number,
  maxShardBytes: number,
): [number, number][] {
  const ranges: [number, number][] = [];
  let bytes = 0;
  for (const [i, sizeBytes] of sizesBytes.entries()) {
    const range = ranges.at(-1);
    bytes += archived(sizeBytes);
    if (range && i - range[0] < samplesPerShard && bytes + 1024 <= maxShardBytes) range[1] = i + 1;
    else {
      ranges.push([i, i + 1]);
      bytes = archived(sizeBytes);
    }
  }
  return ranges;
}

/**
 * Packs a folder into `OUT/images/00000.tar`, `OUT/annotations/00000.tar` and so on. What an interrupted call has finished
 * is kept by the next.
 *
 * @throws DataError naming the line when an image is missing, or cannot be told from another by its key
 */
export async function packShards(folder: string, out: string, options: PackOptions = {}): Promise<Packed> {
  expectKeys('packShards', options, PACK_OPTIONS);
  const { samplesPerShard = 1000, maxShardBytes = 1e9, transport = SINGLE, onProgress } = options;
  for (const [name, value] of Object.entries({ samplesPerShard, maxShardBytes }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new DataError(`packShards: ${name} must be a whole number from 1, got ${value}.`);
  const sources = await sourcesOf(folder);
  const described = sources.map(({ key, suffix, sizeBytes, mtimeMs, json }) =>
    JSON.stringify([key, suffix, sizeBytes, mtimeMs, json]),
  );
  const description = { to: 'shards', samplesPerShard, maxShardBytes, images: fingerprint(described) };
  const sizes = sources.map(({ sizeBytes }) => sizeBytes);
  const ranges = shardRanges(sizes, samplesPerShard, maxShardBytes);
  // The archive of images is the last to get its name: where it is, the shard is whole.
  const places = ranges.map((_, i) => {
    const name = `${String(i).padStart(5, '0')}.tar`;
    return { images: join(out, 'images', name), annotations: join(out, 'annotations', name) };
  });
  const missing = await beginPackOn(transport, out, description, async () => {
    for (const collection of ['images', 'annotations']) await makeFolder(join(out, collection));
    return places.flatMap(({ images }, i) => (existsSync(images) ? [] : [i]));
  });
  const own = ownPart(transport, missing);
  const kept = ranges.length - missing.length;
  for (const [done, i] of own.entries()) {
    const part = sources.slice(...ranges[i]);
    const annotations = part.map(({ key, json }) => ({ name: `${key}.json`, content: json }));
    await writeTar(places[i].annotations, annotations);
    const files = part.map(({ key, suffix, path }) => ({ name: `${key}.${suffix}`, path }));
    await writeTar(places[i].images, files);
    onProgress?.(...progressOf(transport, kept, done + 1, own.length));
  }
  await transport.barrier();
  return { samples: sources.length, shards: ranges.length, kept };
}

async function sourcesOf(folder: string): Promise<Source[]> {
  const file = join(folder, ANNOTATION_FILE);
  const sources: Source[] = [];
  const lineOf = new Map<string, number>();
  for (const [i, line] of (await readTextFile(file)).split('\n').entries()) {
    if (line.trim() === '') continue;
    const where = `${file} line ${i + 1}`;
    const { key: image, path, annotation } = parseRawEntry(folder, line, where);
    if (!existsSync(path))
      throw new DataError(
        `packShards: ${where}: the image must exist, got ${path}. Add the file or remove the line.`,
      );
    const name = shardName(image);
    const earlier = lineOf.get(name.key);
    if (earlier !== undefined)
      throw new DataError(
        `packShards: ${where}: images must differ in their names before the suffix, which is their key in a shard, got ${image} after line ${earlier}. Rename one, or join their lines.`,
      );
    lineOf.set(name.key, i + 1);
    const source = await realpath(resolve(path)); // an archive holds the file, not a link to it
    const { size: sizeBytes, mtimeMs } = await stat(source);
    sources.push({ ...name, path: source, sizeBytes, mtimeMs, json: JSON.stringify(annotation) });
  }
  if (sources.length === 0) throw new DataError(`packShards: ${file} must have at least one line, got none.`);
  return sources;
}
