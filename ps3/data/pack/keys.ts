// Images of a folder have any name, samples of a shard have keys: the file's name up to its first dot. What a key cannot hold
// stands in it as %XX, as in addresses, so that each name comes back.
import { basename, extname, posix } from 'node:path';
import { DataError } from '../errors.ts';
import { isImageName } from '../image_files.ts';

/** What separates folders, ends a key, begins an escape, or is refused by some file system. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is for
const UNSAFE = /[\u0000-\u001f\u007f%./\\:*?"<>|]/g;

/** The name of an image in a shard. */
export interface ShardName {
  readonly key: string;
  /** Without its dot. */
  readonly suffix: string;
}

/**
 * The name in a shard of an image in a folder: `dogs/a.1.jpg` becomes `dogs%2Fa%2E1` and `jpg`.
 *
 * @param image  path in the folder, separated by `/`; `./a.jpg` is `a.jpg`
 * @throws DataError when it has no suffix of images or a hidden name, which readers of shards leave out
 */
export function shardName(image: string): ShardName {
  if (!isImageName(basename(image)))
    throw new DataError(
      `shardName: an image must have a name that ends like .jpg or .png and does not begin with a dot, got ${JSON.stringify(image)}. Rename it.`,
    );
  const suffix = extname(image).slice(1);
  const stem = posix.normalize(image).slice(0, -suffix.length - 1);
  const escaped = (character: string): string =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  return { key: stem.replace(UNSAFE, escaped), suffix };
}

/**
 * The path in a folder of a sample of a shard; `shardName` leads back.
 *
 * @throws DataError for a key that `shardName` never gives, such as `50%`, and for one that leads out of the folder
 */
export function folderPath({ key, suffix }: ShardName): string {
  const stem = key.replace(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)));
  const path = `${stem}.${suffix}`;
  const isInside = !posix.isAbsolute(path) && path.split('/')[0] !== '..';
  if (
    isInside &&
    posix.normalize(path) === path &&
    isImageName(basename(path)) &&
    shardName(path).key === key
  )
    return path;
  throw new DataError(
    `folderPath: a key must be a name in the folder, what no name holds as %XX, got ${JSON.stringify(key)}. Rename the sample.`,
  );
}
