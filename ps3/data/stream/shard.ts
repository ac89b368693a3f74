// A shard of a collection: a pair of archives, or a folder with annotations.jsonl. Its samples are references; the bytes of
// an image are read when it is wanted.

import { existsSync, readdirSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expand } from 'brace-expansion';
import { readTextFile } from '../../../engine/index.ts';
import { type Annotation, parseAnnotation } from '../annotations.ts';
import type { CollectionPlaces } from '../collection.ts';
import { DataError } from '../errors.ts';
import { ANNOTATION_FILE, parseEntry } from '../folder.ts';
import { isImageName } from '../image_files.ts';
import { isAddress, MissingShardError, type ShardCache } from './shard_cache.ts';
import type { Skip, SkipKind } from './skips.ts';
import { indexTar, readAt, type TarEntry, type TarIndex } from './tar_index.ts';

/** One image with its annotation, not yet read. */
export interface Reference extends Annotation {
  readonly shard: Shard;
  /** Name in its shard. */
  readonly key: string;
  /** The file of the folder. */
  readonly path?: string;
  /** Its bytes in the archive. */
  readonly entry?: TarEntry;
}

/** The samples of a shard, and what of it cannot be used. */
export interface ShardIndex {
  readonly references: readonly Reference[];
  readonly skips: readonly Skip[];
}

/** Samples that are stored together. */
export interface Shard {
  /** Path or address of its images. */
  readonly name: string;
  /** That of its annotations, where it is a pair of archives. */
  readonly annotations?: string;
  /** Reads what there is, annotations but no image; it stays at hand until it is released. */
  index(): Promise<ShardIndex>;
  /** Encoded bytes of an image. @throws SkippedError when it is not there */
  read(reference: Reference): Promise<Uint8Array>;
  /** Undoes one `index`: its images may be fetched anew when they are wanted again. */
  release(): void;
}

/** A sample that cannot be used, and why. */
export class SkippedError extends DataError {
  readonly kind: SkipKind;

  constructor(kind: SkipKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Paths or addresses of a shard's two archives. */
export interface ArchivePair {
  readonly images: string;
  readonly annotations: string;
}

/**
 * The shards of a collection, in order.
 *
 * @throws DataError when there are none, or not as many archives of annotations as of images
 */
export function shardsOf(places: CollectionPlaces, cache: ShardCache): Shard[] {
  const archives = archivesOf(places);
  if (archives === undefined) return [new FolderShard(places.images)];
  return archives.map(({ images, annotations }) => new TarShard(images, annotations, cache));
}

/**
 * The archives of a collection, in order; undefined for a folder with annotations.jsonl.
 *
 * @throws DataError when there are none, or not as many archives of annotations as of images
 */
export function archivesOf({ images, annotations }: CollectionPlaces): ArchivePair[] | undefined {
  if (annotations !== null) return pairs(expand(images), expand(annotations));
  if (existsSync(join(images, ANNOTATION_FILE))) return undefined;
  const [imageTars, annotationTars] = ['images', 'annotations'].map((name) => tarsIn(join(images, name)));
  if (imageTars.length === 0)
    throw new DataError(
      `shardsOf: a data folder must hold ${ANNOTATION_FILE}, or images/ and annotations/ with tar archives, got ${images} without. Write one with \`ps3 data scenes --out DIR\` or by hand.`,
    );
  const differing =
    imageTars.map((tar) => basename(tar)).join() !== annotationTars.map((tar) => basename(tar)).join();
  if (differing)
    throw new DataError(
      `shardsOf: images/ and annotations/ must hold archives of the same names, got ${imageTars.length} and ${annotationTars.length} in ${images}.`,
    );
  return pairs(imageTars, annotationTars);
}

function tarsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^[^.].*\.tar$/.test(name));
  return names.sort().map((name) => join(folder, name));
}

function pairs(images: readonly string[], annotations: readonly string[]): ArchivePair[] {
  if (images.length !== annotations.length)
    throw new DataError(
      `shardsOf: there must be as many archives of annotations as of images, got ${images.length} of images (${images[0]}, ...) and ${annotations.length} of annotations (${annotations[0]}, ...).`,
    );
  return images.map((image, i) => ({ images: image, annotations: annotations[i] }));
}

/** The file's name up to its first dot: what an image and its annotation share. */
export function keyOf(name: string): string {
  const file = basename(name);
  return file.slice(0, file.indexOf('.'));
}

/** Whether a file of an archive is an image, by its name. */
export const isImage = ({ name }: TarEntry): boolean => isImageName(basename(name));

/** Whether a file of an archive is an annotation, by its name. */
export const isAnnotation = ({ name }: TarEntry): boolean => /^[^.].*\.json$/i.test(basename(name));

/** A pair of archives. */
class TarShard implements Shard {
  readonly name: string;
  readonly annotations: string;
  readonly #cache: ShardCache;

  constructor(images: string, annotations: string, cache: ShardCache) {
    this.name = images;
    this.annotations = annotations;
    this.#cache = cache;
  }

  async index(): Promise<ShardIndex> {
    const skips: Skip[] = [];
    const skip = (key: string, kind: SkipKind, reason: string): void => {
      skips.push({ shard: this.name, key, kind, reason });
    };
    const opened = async <T>(place: string, path: Promise<string>, work: (path: string) => Promise<T>) => {
      try {
        return await work(await path);
      } catch (cause) {
        const isMissing =
          cause instanceof MissingShardError || (cause as NodeJS.ErrnoException).code === 'ENOENT';
        if (!isMissing) throw cause;
        skip('', 'missing shard', isAddress(place) ? (cause as Error).message : `${place} must be there.`);
        return undefined;
      }
    };
    const annotated = await opened(this.annotations, this.#cache.acquire(this.annotations), (path) =>
      this.#readAnnotations(path, skip),
    );
    this.#cache.release(this.annotations);
    const images =
      annotated &&
      (await opened(this.name, this.#cache.acquire(this.name), (path) => inFile(path, indexTar)));
    if (!images) return { references: [], skips };
    if (images.fault) skip('', 'broken tar', `${this.name} is ${images.fault}.`);
    return { references: this.#join(images, annotated, skip), skips };
  }

  async read({ key, entry }: Reference): Promise<Uint8Array> {
    const { offset, sizeBytes } = entry!;
    // Its block may be behind by now, and its copy gone.
    const path = await this.#cache.acquire(this.name);
    try {
      const bytes = await inFile(path, (file) => readAt(file, offset, sizeBytes));
      if (bytes.length === sizeBytes) return bytes;
    } finally {
      this.#cache.release(this.name);
    }
    throw new SkippedError('broken tar', `${this.name} ends within ${key}: it was cut after it was opened.`);
  }

  release(): void {
    this.#cache.release(this.name);
  }

  /** Annotations by key; null for what is no annotation. */
  async #readAnnotations(
    path: string,
    skip: (key: string, kind: SkipKind, reason: string) => void,
  ): Promise<Map<string, Annotation | null>> {
    return inFile(path, async (file) => {
      const { entries, fault } = await indexTar(file);
      if (fault) skip('', 'broken tar', `${this.annotations} is ${fault}.`);
      const found = new Map<string, Annotation | null>();
      for (const entry of entries.filter(isAnnotation)) {
        const key = keyOf(entry.name);
        if (found.has(key)) {
          skip(key, 'repeated key', `${this.annotations} has ${key} more than once.`);
          continue;
        }
        found.set(key, null);
        const where = `${this.annotations}: ${entry.name}`;
        const text = new TextDecoder('utf-8', { fatal: true });
        try {
          const json: unknown = JSON.parse(text.decode(await readAt(file, entry.offset, entry.sizeBytes)));
          found.set(key, parseAnnotation(json, where));
        } catch (cause) {
          const kind = cause instanceof DataError ? 'bad annotation' : 'bad JSON';
          const { message } = cause as Error;
          skip(key, kind, cause instanceof DataError ? message : `${where} is no JSON in UTF-8: ${message}.`);
        }
      }
      return found;
    });
  }

  /** Images with their annotations, in the order of the images. */
  #join(
    { entries }: TarIndex,
    annotated: Map<string, Annotation | null>,
    skip: (key: string, kind: SkipKind, reason: string) => void,
  ): Reference[] {
    const references: Reference[] = [];
    const seen = new Set<string>();
    for (const entry of entries.filter(isImage)) {
      const key = keyOf(entry.name);
      const annotation = annotated.get(key);
      if (seen.has(key)) skip(key, 'repeated key', `${this.name} has ${key} more than once.`);
      else if (annotation === undefined)
        skip(key, 'missing annotation', `${this.annotations} has no ${key}.json.`);
      else if (annotation !== null) references.push({ shard: this, key, entry, ...annotation });
      seen.add(key);
    }
    for (const key of annotated.keys())
      if (!seen.has(key)) skip(key, 'missing image', `${this.name} has no image ${key}.`);
    return references;
  }
}

/** Opens a file for some work. */
export async function inFile<T>(
  path: string,
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T> {
  const file = await open(path);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** A folder of image files with annotations.jsonl. */
class FolderShard implements Shard {
  readonly name: string;

  constructor(folder: string) {
    this.name = folder;
  }

  async index(): Promise<ShardIndex> {
    const file = join(this.name, ANNOTATION_FILE);
    const references: Reference[] = [];
    const skips: Skip[] = [];
    const lines = (await readTextFile(file)).split('\n');
    const seen = new Set<string>();
    for (const [i, line] of lines.entries()) {
      if (line.trim() === '') continue;
      const where = `${file} line ${i + 1}`;
      const skip = (kind: SkipKind, reason: string, key = `line ${i + 1}`): void => {
        skips.push({ shard: this.name, key, kind, reason });
      };
      try {
        const { key, path, annotation } = parseEntry(this.name, line, where);
        if (seen.has(path)) skip('repeated key', `${where} has ${key} again.`);
        else if (!existsSync(path)) skip('missing image', `${path} must be there.`, key);
        else references.push({ shard: this, key, path, ...annotation });
        seen.add(path);
      } catch (cause) {
        if (!(cause instanceof DataError)) throw cause;
        skip('bad annotation', cause.message);
      }
    }
    return { references, skips };
  }

  async read({ path }: Reference): Promise<Uint8Array> {
    try {
      return await readFile(path!);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      throw new SkippedError('missing image', `${path} must be there.`);
    }
  }

  release(): void {}
}
