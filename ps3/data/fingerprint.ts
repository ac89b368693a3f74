// What tells data from other data without reading all of it.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { onPath } from '../../engine/index.ts';
import type { Fingerprint } from './collection.ts';
import { ANNOTATION_FILE, type FolderImage } from './folder.ts';
import { creditLine, type Sources } from './sources.ts';
import type { Shard } from './stream/shard.ts';
import { isAddress } from './stream/shard_cache.ts';

/** A file of some data. */
export interface FingerprintFile {
  /** Its name in the data, wherever that is kept. */
  readonly name: string;
  readonly path: string;
}

/** Files of which the contents are read; of the others the names and sizes count. */
const SAMPLED = 64;

/** In hexadecimal digits. */
export const sha256 = (bytes: string | Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/**
 * Files in a line: how many, and a hash of all names and sizes and of the contents of 64 of them, evenly spaced by name.
 * Times do not count, since a copy has others.
 *
 * @param contents  files to read; the others count by their sizes
 * @throws FileError
 */
export async function fingerprintFiles(
  files: readonly FingerprintFile[],
  contents: number = SAMPLED,
): Promise<string> {
  const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const step = Math.max(1, sorted.length / contents);
  const sampled = new Set(Array.from({ length: contents }, (_, i) => Math.floor(i * step)));
  const hash = createHash('sha256');
  for (const [i, { name, path }] of sorted.entries()) {
    const { size } = await onPath(path, () => stat(path));
    hash.update(JSON.stringify([name, size]));
    if (sampled.has(i)) hash.update(await onPath(path, () => readFile(path)));
  }
  return `${files.length} files, sha256 ${hash.digest('hex')}`;
}

/** Of a folder of images with annotations.jsonl. @param images  of `openFolder` @throws FileError */
export async function fingerprintFolder(
  folder: string,
  images: readonly Pick<FolderImage, 'key' | 'path'>[],
): Promise<Fingerprint> {
  const path = join(folder, ANNOTATION_FILE);
  const annotations = await onPath(path, () => readFile(path));
  const files = images.map(({ key, path }) => ({ name: key, path }));
  return { [ANNOTATION_FILE]: `sha256 ${sha256(annotations)}`, images: await fingerprintFiles(files) };
}

/**
 * Of a collection: a folder as above; of archives their names and sizes, and of annotations contents too; of what is
 * behind addresses the addresses.
 *
 * @throws FileError
 */
export async function fingerprintShards(shards: readonly Shard[]): Promise<Fingerprint> {
  const [{ name, annotations }] = shards;
  if (annotations === undefined) {
    const { references } = await shards[0].index();
    return fingerprintFolder(
      name,
      references.map(({ key, path = '' }) => ({ key, path })),
    );
  }
  const places = { images: shards.map(({ name }) => name), annotations: shards.map((s) => s.annotations!) };
  const of = async (places: readonly string[], contents: number): Promise<string> => {
    const files = places.filter((place) => !isAddress(place));
    const addresses = places.filter(isAddress);
    const there = files.filter((path) => existsSync(path)).map((path) => ({ name: basename(path), path }));
    return `${await fingerprintFiles(there, contents)}; ${addresses.length} addresses, sha256 ${sha256(addresses.join('\n'))}`;
  };
  return { annotations: await of(places.annotations, SAMPLED), images: await of(places.images, 0) };
}

/** Of the sources of Scenes; the configuration of a run decides the rest. @throws FileError */
export async function fingerprintSources({ credits, photos }: Sources): Promise<Fingerprint> {
  const files = photos.filter(({ path }) => path !== '');
  return {
    packages: credits.map(creditLine).sort().join('; '),
    photographs: files.length > 0 ? await fingerprintFiles(files) : `${photos.length} generated`,
  };
}
