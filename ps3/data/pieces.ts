// A folder of images that is made piece by piece. Each piece is kept by the hash of what decides it, so a stopped run goes on, and a changed
// source is done anew by itself.
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assertWritableFolder, makeFolder } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { ANNOTATION_FILE } from './folder.ts';
import { seedFor } from './seeds.ts';

/** Folder of the images, in that which is written. */
export const IMAGES = 'images';
/** Folder of the lines of each piece, in that which is written. */
const PIECES = '.pieces';

/** Parts of the sources. */
export const SOURCE_SPLITS = ['all', 'train', 'heldOut'] as const;
/** A name of `SOURCE_SPLITS`. */
export type SourceSplit = (typeof SOURCE_SPLITS)[number];

/** Whether a source file is held out: by its name and the seed, so that it is for all that is made of it. */
export const isHeldOut = (file: string, seed: number, share: number): boolean =>
  seedFor(seed, `source ${file}`) / 2 ** 32 < share;

/** A part of the work. */
export interface KeptPiece {
  /** Of everything that decides what is written. */
  readonly hash: string;
}

/** The pieces of a folder. */
export class Pieces<P extends KeptPiece> {
  /** Those that an earlier run has not made. */
  readonly missing: readonly P[];
  readonly #out: string;
  readonly #pieces: readonly P[];

  private constructor(out: string, pieces: readonly P[]) {
    this.#out = out;
    this.#pieces = pieces;
    this.missing = pieces.filter((piece) => !existsSync(this.#fileOf(piece)));
  }

  /** Makes the folder, where it is not there. @throws FileError */
  static async open<P extends KeptPiece>(out: string, pieces: readonly P[]): Promise<Pieces<P>> {
    await assertWritableFolder(out);
    for (const name of [IMAGES, PIECES]) await makeFolder(join(out, name));
    return new Pieces(out, pieces);
  }

  /** Those that an earlier run has made. */
  get kept(): number {
    return this.#pieces.length - this.missing.length;
  }

  /** Keeps the lines of a piece whose images are written: where they are, it is whole. */
  keep(piece: P, lines: readonly string[]): Promise<void> {
    return writeWhole(this.#fileOf(piece), lines.map((line) => `${line}\n`).join(''));
  }

  /** Removes what pieces that are no more have left, and writes annotations.jsonl. @returns  its lines */
  async finish(): Promise<string[]> {
    await this.#removeOthers();
    const lines: string[] = [];
    for (const piece of this.#pieces) lines.push(...(await linesIn(this.#fileOf(piece))));
    await writeWhole(join(this.#out, ANNOTATION_FILE), lines.map((line) => `${line}\n`).join(''));
    return lines;
  }

  #fileOf({ hash }: P): string {
    return join(this.#out, PIECES, `${hash}.jsonl`);
  }

  /** Of sources that were changed or taken away, of other options. */
  async #removeOthers(): Promise<void> {
    const present = new Set(this.#pieces.map(({ hash }) => `${hash}.jsonl`));
    for (const name of await readdir(join(this.#out, PIECES))) {
      if (present.has(name)) continue;
      const path = join(this.#out, PIECES, name);
      for (const line of await linesIn(path))
        await rm(join(this.#out, (JSON.parse(line) as { image: string }).image), { force: true });
      await rm(path);
    }
  }
}

async function linesIn(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
}
