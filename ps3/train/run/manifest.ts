// manifest.json of a checkpoint's folder: the SHA-256 of every file in it and in its folders. It is written last, so that a folder with one
// is whole.

import * as v from 'valibot';
import { fileSystem, hashFunctions, makeFolder, onPath, readTextFile } from '../../../engine/index.ts';

/** Name of the manifest. */
export const MANIFEST = 'manifest.json';

/** Bytes of a file that are in memory at a time. */
const PIECE_BYTES = 2 ** 22;

const schema = v.strictObject({
  sha256: v.record(v.string(), v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});

/** The SHA-256 of a file, in hexadecimal. @throws FileError */
export async function sha256(path: string): Promise<string> {
  const [{ open }, { createHash }] = await Promise.all([fileSystem(), hashFunctions()]);
  return onPath(path, async () => {
    await using file = await open(path, 'r');
    const hash = createHash('sha256');
    const piece = new Uint8Array(PIECE_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, bytesRead));
    }
  });
}

/** Has the system write a file or folder to the disk, as after a loss of power it must be there. */
export async function sync(path: string): Promise<void> {
  const { open } = await fileSystem();
  await onPath(path, async () => {
    await using file = await open(path, 'r');
    await file.sync();
  });
}

/** Seals a folder: everything in it is on the disk, and its manifest tells it from a damaged one. @throws FileError */
export async function writeManifest(folder: string): Promise<void> {
  const { readdir, writeFile } = await fileSystem();
  const sums: Record<string, string> = {};
  const seal = async (inner: string): Promise<void> => {
    const entries = await readdir(`${folder}/${inner}`, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = `${inner}${entry.name}`;
      if (entry.isDirectory()) await seal(`${name}/`);
      else sums[name] = await sha256(`${folder}/${name}`);
      await sync(`${folder}/${name}`);
    }
  };
  await seal('');
  const path = `${folder}/${MANIFEST}`;
  await onPath(path, () => writeFile(path, `${JSON.stringify({ sha256: sums }, undefined, 2)}\n`));
  await sync(path);
  await sync(folder);
}

/**
 * What is wrong with a folder that was sealed; undefined where every file is as it was written.
 *
 * @param without  a file that is not looked at
 * @returns        for a sentence: `weights.bin with other bytes than were written`
 */
export async function damageOf(folder: string, without?: string): Promise<string | undefined> {
  const { stat } = await fileSystem();
  const isThere = async (name: string): Promise<boolean> =>
    (await stat(`${folder}/${name}`).catch(() => undefined)) !== undefined;
  if (!(await isThere(MANIFEST))) return `no ${MANIFEST}`;
  const text = await readTextFile(`${folder}/${MANIFEST}`).catch((error: Error) => error);
  const parsed = v.safeParse(schema, typeof text === 'string' ? jsonOf(text) : undefined);
  if (!parsed.success) return `a broken ${MANIFEST}`;
  for (const [name, sum] of Object.entries(parsed.output.sha256)) {
    if (name === without) continue;
    if (!(await isThere(name))) return `no ${name}`;
    if ((await sha256(`${folder}/${name}`)) !== sum) return `${name} with other bytes than were written`;
  }
  return undefined;
}

/** Parsed JSON; undefined where it is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** Puts the folder `next` in the place of `path`, which goes to `former`, or away where that is undefined. */
export async function replaceFolder(next: string, path: string, former?: string): Promise<void> {
  const { rename, rm, stat } = await fileSystem();
  const parentOf = (place: string): string => place.replace(/[\\/][^\\/]+$/, '');
  await makeFolder(parentOf(path));
  await onPath(path, async () => {
    if (await stat(path).catch(() => undefined)) {
      const place = former ?? `${path}.last`;
      await makeFolder(parentOf(place));
      await rm(place, { recursive: true, force: true });
      await rename(path, place);
    }
    await rename(next, path);
    await sync(parentOf(path));
    if (former === undefined) await rm(`${path}.last`, { recursive: true, force: true });
  });
}
