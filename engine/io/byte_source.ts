import { fileSystem } from '#system';
import { SafetensorsError } from './safetensors_header.ts';

/** Bytes that are read by range: a file on disk, a browser's File, or memory. */
export interface ByteSource {
  /** for messages: the path, the File's name, or "bytes in memory" */
  readonly name: string;
  readonly sizeBytes: number;
  /** A fresh copy of the range, which the caller has checked to be inside. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** What is used of a Blob or File. */
export interface BlobLike {
  /** Bytes. */
  readonly size: number;
  /** A File's. */
  readonly name?: string;
  /** Bytes [start, end). */
  slice(start: number, end: number): Pick<BlobLike, 'arrayBuffer'>;
  /** All of them. */
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** What is used of a URL. */
export interface UrlLike {
  /** The whole address. */
  readonly href: string;
}

/**
 * Opens a path, file URL, Blob (or File) or byte array.
 *
 * @throws SafetensorsError when there is no such file, or the URL is not a file URL
 */
export async function openSource(source: string | UrlLike | BlobLike | Uint8Array): Promise<ByteSource> {
  if (source instanceof Uint8Array) return memorySource(source);
  if (typeof source === 'object' && 'arrayBuffer' in source) return blobSource(source);
  const address = typeof source === 'object' ? source.href : source;
  const isUrl = typeof source === 'object' || /^[a-z][a-z+.-]+:\/\//i.test(source);
  const path = isUrl ? new URL(address) : address;
  if (typeof path === 'object' && path.protocol !== 'file:')
    throw new SafetensorsError(
      `safetensors: a URL must be a file URL, got ${path.href}. Download it and pass the Blob.`,
    );
  return await fileSource(path);
}

function memorySource(memory: Uint8Array): ByteSource {
  return {
    name: 'bytes in memory',
    sizeBytes: memory.byteLength,
    read: async (offset, lengthBytes) => new Uint8Array(memory.subarray(offset, offset + lengthBytes)),
    close: async () => {},
  };
}

function blobSource(blob: BlobLike): ByteSource {
  return {
    name: blob.name ?? 'Blob',
    sizeBytes: blob.size,
    read: async (offset, lengthBytes) => {
      const bytes = new Uint8Array(await blob.slice(offset, offset + lengthBytes).arrayBuffer());
      expectAll(bytes.byteLength, lengthBytes, offset, 'Blob');
      return bytes;
    },
    close: async () => {},
  };
}

async function fileSource(path: string | URL): Promise<ByteSource> {
  const name = String(path);
  const fs = await fileSystem();
  const file = await openFile(fs, path, name);
  return {
    name,
    sizeBytes: file.sizeBytes,
    read: async (offset, lengthBytes) => {
      const bytes = new Uint8Array(lengthBytes);
      let done = 0;
      while (done < lengthBytes) {
        const step = Math.min(lengthBytes - done, 2 ** 30); // one read may not exceed 2 GiB
        const { bytesRead } = await file.handle.read(bytes, done, step, offset + done);
        if (bytesRead === 0) break; // shortened since it was opened
        done += bytesRead;
      }
      expectAll(done, lengthBytes, offset, name);
      return bytes;
    },
    close: () => file.handle.close(),
  };
}

async function openFile(fs: typeof import('node:fs/promises'), path: string | URL, name: string) {
  try {
    const stat = await fs.stat(path);
    // Asked before opening: opening a named pipe would wait for a writer.
    if (!stat.isFile()) throw new SafetensorsError(`safetensors: a path must name a file, got ${name}.`);
    return { handle: await fs.open(path, 'r'), sizeBytes: stat.size };
  } catch (cause) {
    if (cause instanceof SafetensorsError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError(`safetensors: the file must be readable, got ${reason}.`, { cause });
  }
}

function expectAll(gotBytes: number, wantBytes: number, offset: number, name: string): void {
  if (gotBytes === wantBytes) return;
  throw new SafetensorsError(
    `safetensors: ${wantBytes} bytes at offset ${offset} must be readable, got ${gotBytes} (${name}). ` +
      'The file became shorter after it was opened.',
  );
}
