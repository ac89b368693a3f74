// Tar archives, written as a stream: no more than a part of one file is in memory.
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { packTar, type TarSource } from 'modern-tar/fs';

/** A file of an archive: its content, or where it lies. */
export type FileToArchive = { readonly name: string } & (
  | { readonly content: string | Uint8Array }
  | { readonly path: string }
);

/** The same files give the same archive. */
const HEADER = { mtime: new Date(0), mode: 0o644, uid: 0, gid: 0, uname: '', gname: '' };

/** Writes an archive; it appears whole or not at all. */
export async function writeTar(path: string, files: readonly FileToArchive[]): Promise<void> {
  const partial = `${path}.partial`;
  const sources = files.map(
    ({ name, ...file }): TarSource =>
      'path' in file
        ? { ...HEADER, type: 'file', source: file.path, target: name }
        : { ...HEADER, type: 'content', content: file.content, target: name },
  );
  try {
    await pipeline(packTar(sources, { concurrency: 2 }), createWriteStream(partial));
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}
