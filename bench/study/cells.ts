// What has been computed, each cell under the hash of all that decides it: a study that was stopped goes on, and a changed
// configuration computes what it changes and nothing else.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** JSON whose keys are in order, so that equal values are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** What a cell is called: 16 digits of the hash of its description. */
export function hashOf(description: unknown): string {
  return createHash('sha256').update(canonical(description)).digest('hex').slice(0, 16);
}

/** A folder of cells. */
export class Cells {
  readonly #folder: string;
  readonly #notice: (sentence: string) => void;
  /** Names of cells in the order in which they were asked for, with their hashes. */
  readonly used: { readonly name: string; readonly hash: string; readonly seconds: number }[] = [];

  constructor(folder: string, notice: (sentence: string) => void = () => undefined) {
    this.#folder = folder;
    this.#notice = notice;
    mkdirSync(folder, { recursive: true });
  }

  /**
   * The result of a cell: read where it is there, else computed and kept.
   *
   * @param description  all that decides the result, as JSON, hashes of cells that it needs among it
   * @param compute      given a folder of the cell's own, which outlives an interruption
   */
  async result<T>(
    name: string,
    description: object,
    compute: (folder: string, hash: string) => Promise<T>,
  ): Promise<{ readonly value: T; readonly hash: string }> {
    const hash = hashOf({ name, ...description });
    const folder = join(this.#folder, `${name.replace(/[^\w-]+/g, '-')}-${hash}`);
    const path = join(folder, 'result.json');
    if (!existsSync(path)) {
      this.#notice(`${name}: computing`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'cell.json'), `${JSON.stringify({ name, ...description }, undefined, 2)}\n`);
      const started = performance.now();
      const value = await compute(folder, hash);
      const seconds = (performance.now() - started) / 1000;
      writeFileSync(`${path}.part`, JSON.stringify({ seconds, value }));
      renameSync(`${path}.part`, path);
      this.#notice(`${name}: ${seconds.toFixed(0)} s`);
    }
    const { seconds, value } = JSON.parse(readFileSync(path, 'utf8')) as { seconds: number; value: T };
    this.used.push({ name, hash, seconds });
    return { value, hash };
  }
}
