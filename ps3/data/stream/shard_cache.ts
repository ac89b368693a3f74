// Archives behind http(s) addresses, fetched whole into a bounded folder that all processes of a machine share.
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout } from 'node:timers/promises';
import { DataError } from '../errors.ts';

/** Where fetched archives are kept. */
export interface CacheOptions {
  /** Folder; it is made. */
  readonly folder: string;
  /** Bytes that its archives may have together, besides those in use. */
  readonly maxBytes: number;
  /** Milliseconds before the second attempt of a fetch, doubled for each further one; default 500. */
  readonly retryMs?: number;
}

/** An archive that the server says it does not have. */
export class MissingShardError extends DataError {}

/** Attempts of a fetch. */
const ATTEMPTS = 6;

/** A lock that was not touched for so long is of a process that ended. */
const STALE_MS = 30_000;
/** A process touches its lock so often. */
const BEAT_MS = STALE_MS / 10;

/** Whether a place is an http(s) address. */
export const isAddress = (place: string): boolean => /^https?:\/\//i.test(place);

/** Local copies of archives behind addresses. */
export class ShardCache {
  readonly #options: Required<CacheOptions>;
  readonly #inUse = new Map<string, number>();

  constructor(options: CacheOptions) {
    this.#options = { retryMs: 500, ...options };
  }

  /**
   * The local copy of an address, fetched unless it is there; the path itself for a path. It stays until it is released.
   *
   * @throws MissingShardError when the server does not have it, DataError when it cannot be fetched
   */
  async acquire(place: string): Promise<string> {
    if (!isAddress(place)) return place;
    const path = this.#pathOf(place);
    this.#inUse.set(path, (this.#inUse.get(path) ?? 0) + 1);
    try {
      await mkdir(this.#options.folder, { recursive: true });
      while (!(await isThere(path))) await this.#fetchOrWait(place, path);
      await touch(path); // last use
    } catch (cause) {
      this.release(place);
      throw cause;
    }
    return path;
  }

  /** Says that a copy is no longer used: it may go when space is needed. */
  release(place: string): void {
    if (!isAddress(place)) return;
    const path = this.#pathOf(place);
    const uses = (this.#inUse.get(path) ?? 0) - 1;
    if (uses > 0) this.#inUse.set(path, uses);
    else this.#inUse.delete(path);
  }

  #pathOf(address: string): string {
    const hash = createHash('sha256').update(address).digest('hex').slice(0, 16);
    return join(this.#options.folder, `${hash}-${basename(new URL(address).pathname)}`);
  }

  /** Fetches, or waits a little where another process does. */
  async #fetchOrWait(address: string, path: string): Promise<void> {
    const lock = `${path}.lock`;
    try {
      await (await open(lock, 'wx')).close();
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
      if (await isOlder(lock, STALE_MS)) await this.#removeStale(path);
      else await setTimeout(Math.min(100, this.#options.retryMs));
      return;
    }
    const partial = `${path}.${randomUUID()}.partial`;
    const alive = setInterval(() => void touch(lock).catch(() => {}), BEAT_MS);
    try {
      // Another process may have finished between the look at the path and the lock.
      if (!(await isThere(path))) {
        await this.#fetch(address, partial);
        await rename(partial, path);
      }
    } finally {
      clearInterval(alive);
      await rm(partial, { force: true });
      await rm(lock, { force: true });
    }
    await this.#makeRoom();
  }

  /**
   * Removes what a process that ended left of an archive: its partial file may have grown after it touched its lock. Where two do so
   * at once, both fetch, each into its own file.
   */
  async #removeStale(path: string): Promise<void> {
    for (const name of await readdir(this.#options.folder)) {
      if (!name.startsWith(`${basename(path)}.`)) continue;
      const left = join(this.#options.folder, name);
      if (await isOlder(left, STALE_MS - 2 * BEAT_MS)) await rm(left, { force: true });
    }
  }

  async #fetch(address: string, partial: string): Promise<void> {
    let reason = '';
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await setTimeout(this.#options.retryMs * 2 ** (attempt - 1));
      const response = await fetch(address).catch((cause: Error) => cause);
      if (response instanceof Error) {
        reason = response.cause instanceof Error ? response.cause.message : response.message;
        continue;
      }
      reason = `HTTP status ${response.status}`;
      if (response.status >= 400 && response.status < 500 && ![408, 429].includes(response.status))
        throw new MissingShardError(`ShardCache: ${address} must be there, got ${reason}.`);
      if (!response.ok || !response.body) continue;
      try {
        await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(partial));
      } catch (cause) {
        reason = cause instanceof Error ? cause.message : String(cause);
        continue;
      }
      const { size } = await stat(partial);
      const length = response.headers.get('content-length');
      if (length === null || response.headers.has('content-encoding') || size === Number(length)) return;
      reason = `${size} of ${length} bytes`;
    }
    throw new DataError(
      `ShardCache: ${address} must be readable, got ${reason} after ${ATTEMPTS} attempts. Resume the run when the server answers.`,
    );
  }

  /** Removes copies that were used longest ago until the rest has room. */
  async #makeRoom(): Promise<void> {
    const { folder, maxBytes } = this.#options;
    const names = (await readdir(folder)).filter((name) => !/\.(partial|lock)$/.test(name));
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(folder, name);
        const { size = 0, mtimeMs = 0 } = (await stat(path).catch(() => undefined)) ?? {};
        return { path, size, mtimeMs };
      }),
    );
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= maxBytes) return;
      if (this.#inUse.has(path)) continue;
      await rm(path, { force: true });
      total -= size;
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}

async function isOlder(path: string, ms: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > ms;
}
