// What an interrupted pack needs to go on: a file in the folder that it writes, which says of what it is a copy.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { fromLead, type Transport } from '../../ranks/transport.ts';
import { DataError } from '../errors.ts';

/** Name of the file that describes a pack. */
export const PACK_FILE = 'pack.json';

/** How far packing is: shards done, of how many; of several ranks, those of this one. */
export type OnPacked = (done: number, all: number) => void;

/** What packing did. */
export interface Packed {
  readonly samples: number;
  readonly shards: number;
  /** Shards that an interrupted run had done before. */
  readonly kept: number;
}

/** Of everything that decides what is written. */
export function fingerprint(parts: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\n');
  return hash.digest('hex');
}

/**
 * Makes the folder that is packed into, or goes on with one that was begun with the same.
 *
 * @throws DataError when the folder holds anything else
 */
export async function beginPack(out: string, description: Readonly<Record<string, unknown>>): Promise<void> {
  const file = join(out, PACK_FILE);
  const text = `${JSON.stringify(description)}\n`;
  if (existsSync(file)) {
    if ((await readFile(file, 'utf8')) === text) return;
    throw new DataError(
      `beginPack: ${out} must be a new folder, or be begun from the same images with the same options, got another ${PACK_FILE}. Choose another folder or remove it.`,
    );
  }
  if (existsSync(out) && readdirSync(out).length > 0)
    throw new DataError(
      `beginPack: the folder to pack into must be new or empty, got ${out}. Choose another or remove it.`,
    );
  await makeFolder(out);
  await writeWhole(file, text);
}

/**
 * As `beginPack` on every rank, the first one first: all must mean the same.
 *
 * @param missing  asked on the first rank alone, once the folder is there: the shards that are to be done
 * @returns        what it says
 */
export async function beginPackOn(
  transport: Transport,
  out: string,
  description: Readonly<Record<string, unknown>>,
  missing: () => Promise<number[]>,
): Promise<number[]> {
  const given = await fromLead(transport, async () => {
    await beginPack(out, description);
    return missing();
  });
  if (transport.rank > 0) await beginPack(out, description);
  return given;
}

/** What `OnPacked` is told: one process tells of all shards, a rank of its own. */
export function progressOf(
  { size }: Transport,
  kept: number,
  done: number,
  own: number,
): [done: number, all: number] {
  const before = size === 1 ? kept : 0;
  return [before + done, before + own];
}
