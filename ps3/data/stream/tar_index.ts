// Where the files of a tar archive lie, found by reading its headers alone: images stay on the disk until they are wanted.
import type { FileHandle } from 'node:fs/promises';
import { Header, type HeaderData, Pax } from 'tar';

/** One file of an archive. */
export interface TarEntry {
  /** Path in the archive. */
  readonly name: string;
  /** First byte of its content. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The files of an archive. */
export interface TarIndex {
  readonly entries: readonly TarEntry[];
  /** Why the archive cannot be read to its end; undefined for a whole one. */
  readonly fault?: string;
}

/** Headers and contents begin at multiples of it. */
const BLOCK = 512;

/** A file, or the rare types that mean the same. */
const FILES: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];

/**
 * Reads every header of an archive: ustar with prefixes, long names of GNU tar and pax records.
 *
 * @returns  the files until the end or the first fault: a header of another checksum, or an archive that is cut off
 */
export async function indexTar(file: FileHandle): Promise<TarIndex> {
  const { size: archiveBytes } = await file.stat();
  const entries: TarEntry[] = [];
  let ofNext: HeaderData | undefined;
  let ofAll: HeaderData | undefined;
  for (let at = 0; at < archiveBytes; ) {
    const block = await readAt(file, at, BLOCK);
    if (block.length < BLOCK) return { entries, fault: `cut off in a header at byte ${at}` };
    const header = new Header(block, 0, ofNext, ofAll);
    if (header.nullBlock) return { entries };
    if (!header.cksumValid) return { entries, fault: `no tar header at byte ${at}` };
    const { type, path = '', size: sizeBytes = 0 } = header;
    const offset = at + BLOCK;
    if (offset + sizeBytes > archiveBytes)
      return { entries, fault: `cut off in ${path}: ${sizeBytes} bytes from byte ${offset}` };
    const text = async (): Promise<string> => (await readAt(file, offset, sizeBytes)).toString();
    if (type === 'ExtendedHeader' || type === 'OldExtendedHeader') ofNext = Pax.parse(await text(), ofNext);
    else if (type === 'GlobalExtendedHeader') ofAll = Pax.parse(await text(), ofAll, true);
    else if (type === 'NextFileHasLongPath')
      ofNext = { ...ofNext, path: (await text()).replace(/\0.*/s, '') };
    else if (type !== 'NextFileHasLongLinkpath') {
      if (FILES.includes(type)) entries.push({ name: path, offset, sizeBytes });
      ofNext = undefined;
    }
    at = offset + Math.ceil(sizeBytes / BLOCK) * BLOCK;
  }
  return { entries, fault: `cut off at byte ${archiveBytes}, where an archive would end with zeros` };
}

/** Bytes of a file from a place on; fewer where it ends. */
export async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await file.read(bytes, filled, sizeBytes - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
