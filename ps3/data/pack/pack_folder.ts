// Pairs of archives into a folder with annotations.jsonl; images keep their bytes, annotations their JSON.
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { type FileHandle, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { expectKeys, makeFolder } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { fromLead, ownPart, SINGLE, type Transport } from '../../ranks/transport.ts';
import { DataError } from '../errors.ts';
import { ANNOTATION_FILE } from '../folder.ts';
import { type ArchivePair, inFile, isAnnotation, isImage, keyOf } from '../stream/shard.ts';
import { isAddress, type ShardCache } from '../stream/shard_cache.ts';
import { indexTar, readAt, type TarEntry } from '../stream/tar_index.ts';
import { beginPackOn, fingerprint, type OnPacked, type Packed, progressOf } from './begun.ts';
import { folderPath } from './keys.ts';

/** How archives are read. */
export interface UnpackOptions {
  /** Where archives behind addresses are fetched to. */
  readonly cache: ShardCache;
  /** Ranks that share the archives; default: this process alone. */
  readonly transport?: Transport;
  readonly onProgress?: OnPacked;
}

const UNPACK_OPTIONS = { cache: true, transport: true, onProgress: true } as const;

/** Folder within that which is written, for the lines of shards that are done. */
const LINES = '.pack';

/** One sample of a shard. */
interface Sample {
  readonly path: string;
  readonly image: TarEntry;
  readonly annotation: TarEntry;
}

/**
 * Writes the samples of shards into a folder: images by their keys, annotations as lines of annotations.jsonl. What an
 * interrupted call has finished is kept by the next.
 *
 * @throws DataError naming the archive when it is broken, a sample lacks one of its two files, or a key is there twice
 */
export async function packFolder(
  archives: readonly ArchivePair[],
  out: string,
  options: UnpackOptions,
): Promise<Packed> {
  expectKeys('packFolder', options, UNPACK_OPTIONS);
  const { cache, transport = SINGLE, onProgress } = options;
  const description = { to: 'folder', archives: fingerprint(await Promise.all(archives.map(stateOf))) };
  const file = join(out, ANNOTATION_FILE);
  const lines = archives.map((_, i) => join(out, LINES, `${String(i).padStart(5, '0')}.jsonl`));
  const missing = await beginPackOn(transport, out, description, async () => {
    if (existsSync(file)) return [];
    await makeFolder(join(out, LINES));
    return lines.flatMap((path, i) => (existsSync(path) ? [] : [i]));
  });
  const own = ownPart(transport, missing);
  const kept = archives.length - missing.length;
  const known = new Images();
  for (const [done, i] of own.entries()) {
    const pair = archives[i];
    await inPair(pair, cache, async (samples, read) => {
      for (const { path } of samples) known.add(path, pair);
      const written: string[] = [];
      for (const { path, image, annotation } of samples) {
        const place = join(out, path);
        await mkdir(dirname(place), { recursive: true });
        await writeFile(place, await read.image(image));
        const where = `${pair.annotations}: ${annotation.name}`;
        written.push(`${lineOf(path, await read.annotation(annotation), where)}\n`);
      }
      // The lines of a shard are the last of it to be there: where they are, it is whole.
      await writeWhole(lines[i], written.join(''));
    });
    onProgress?.(...progressOf(transport, kept, done + 1, own.length));
  }
  await transport.barrier();
  const samples = await fromLead(transport, async () => {
    if (!existsSync(file)) {
      await expectOnce(lines, archives);
      await concatenate(lines, file);
    }
    await rm(join(out, LINES), { recursive: true, force: true });
    let count = 0;
    for await (const _ of linesIn(file)) count++;
    return count;
  });
  return { samples, shards: archives.length, kept };
}

/** Where the images of a folder come from. */
class Images {
  readonly #archives = new Map<string, string>();

  /** @throws DataError when it is there already */
  add(path: string, { images }: ArchivePair): void {
    const earlier = this.#archives.get(path);
    if (earlier !== undefined)
      throw new DataError(
        `packFolder: an image must be there once, got ${path} in ${images} and in ${earlier}. Pack one of the archives into another folder.`,
      );
    this.#archives.set(path, images);
  }
}

/** @throws DataError when an image is in two archives, which several ranks or earlier calls may have unpacked */
async function expectOnce(lines: readonly string[], archives: readonly ArchivePair[]): Promise<void> {
  const known = new Images();
  for (const [i, path] of lines.entries())
    for await (const line of linesIn(path))
      known.add((JSON.parse(line) as { image: string }).image, archives[i]);
}

const linesIn = (path: string): AsyncIterable<string> =>
  createInterface({ input: createReadStream(path), crlfDelay: Infinity });

/** What decides the content of a pair, as far as it shows without reading it. */
async function stateOf({ images, annotations }: ArchivePair): Promise<string> {
  const states = [images, annotations].map(async (place) => {
    if (isAddress(place)) return place;
    const { size, mtimeMs } = await stat(place);
    return `${basename(place)} ${size} ${mtimeMs}`;
  });
  return (await Promise.all(states)).join(' ');
}

/** Reads the content of entries. */
interface PairReader {
  image(entry: TarEntry): Promise<Buffer>;
  annotation(entry: TarEntry): Promise<Buffer>;
}

/** Opens both archives of a shard for some work on its samples, which are in the order of the images. */
async function inPair(
  { images, annotations }: ArchivePair,
  cache: ShardCache,
  work: (samples: readonly Sample[], read: PairReader) => Promise<void>,
): Promise<void> {
  const imagePath = await cache.acquire(images);
  const annotationPath = await cache.acquire(annotations);
  try {
    await inFile(imagePath, (imageFile) =>
      inFile(annotationPath, async (annotationFile) => {
        const contents = (file: FileHandle) => (entry: TarEntry) =>
          readAt(file, entry.offset, entry.sizeBytes);
        const image = await entriesOf(imageFile, images, isImage);
        const annotation = await entriesOf(annotationFile, annotations, isAnnotation);
        const reader = { image: contents(imageFile), annotation: contents(annotationFile) };
        await work(joined(image, annotation, images), reader);
      }),
    );
  } finally {
    cache.release(images);
    cache.release(annotations);
  }
}

/** The wanted files of an archive by their keys. */
async function entriesOf(
  file: FileHandle,
  place: string,
  isWanted: (entry: TarEntry) => boolean,
): Promise<Map<string, TarEntry>> {
  const { entries, fault } = await indexTar(file);
  if (fault)
    throw new DataError(
      `packFolder: an archive must be whole, got ${place}, which is ${fault}. Copy it again.`,
    );
  const found = new Map<string, TarEntry>();
  for (const entry of entries.filter(isWanted)) {
    const key = keyOf(entry.name);
    if (found.has(key))
      throw new DataError(
        `packFolder: a key must be there once in an archive, got ${key} twice in ${place}.`,
      );
    found.set(key, entry);
  }
  return found;
}

function joined(
  images: ReadonlyMap<string, TarEntry>,
  annotations: ReadonlyMap<string, TarEntry>,
  place: string,
): Sample[] {
  const alone = [...images.keys(), ...annotations.keys()].find(
    (key) => !images.has(key) || !annotations.has(key),
  );
  if (alone !== undefined)
    throw new DataError(
      `packFolder: an image and its annotation must have one key, got ${alone} without the other in ${place}. Mend the shard; \`ps3 data check\` lists all of them.`,
    );
  return [...images].map(([key, image]) => {
    const path = folderPath({ key, suffix: extname(image.name).slice(1) });
    return { path, image, annotation: annotations.get(key)! };
  });
}

/** The line of annotations.jsonl. */
function lineOf(image: string, json: Buffer, where: string): string {
  let annotation: unknown;
  try {
    annotation = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`packFolder: ${where} must be JSON in UTF-8, got: ${reason}. Mend the shard.`);
  }
  const isObject = typeof annotation === 'object' && annotation !== null && !Array.isArray(annotation);
  if (!isObject || 'image' in (annotation as object))
    throw new DataError(
      `packFolder: ${where} must be a JSON object without a key \`image\`, which names the file in a folder, got ${json.toString().slice(0, 80)}. Mend the shard.`,
    );
  return JSON.stringify({ image, ...(annotation as object) });
}

/** Joins files into one, which appears whole. */
async function concatenate(parts: readonly string[], path: string): Promise<void> {
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  for (const part of parts)
    await pipeline(createReadStream(part), createWriteStream(partial, { flags: 'a' }));
  await rename(partial, path);
}
