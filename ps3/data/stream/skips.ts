// Samples that cannot be used: left out, counted by kind, listed in a file, and too many of them stop the run.
import { appendFile } from 'node:fs/promises';
import { fileSystem, readTextFile } from '../../../engine/index.ts';
import { allTexts, type Transport } from '../../ranks/transport.ts';
import { DataError } from '../errors.ts';

/** Why a sample or an archive is left out. */
export type SkipKind =
  | 'missing shard'
  | 'broken tar'
  | 'missing image'
  | 'missing annotation'
  | 'repeated key'
  | 'bad JSON'
  | 'bad annotation'
  | 'undecodable image';

/** A line of skipped.jsonl. */
export interface Skip {
  /** The archive, or the folder. */
  readonly shard: string;
  /** The sample; empty for a whole archive. */
  readonly key: string;
  /** What is wrong. */
  readonly kind: SkipKind;
  /** One sentence. */
  readonly reason: string;
}

/** Samples seen before the share of skipped ones can stop a run. */
const SEEN_AT_LEAST = 100;

/** What a run has skipped. */
export class SkipLog {
  readonly #maxShare: number;
  readonly #listed = new Set<string>();
  readonly #counts = new Map<SkipKind, number>();
  /** Samples in archives that were opened, and images that were read: how many, and how many of them failed. */
  readonly #annotated = { seen: 0, failed: 0 };
  readonly #images = { seen: 0, failed: 0 };
  #path: string | undefined;
  /** Lines are written one after another. */
  #written: Promise<void> = Promise.resolve();
  #waiting: Skip[] = [];

  /** @param maxShare  of samples that may be skipped */
  constructor(maxShare: number) {
    this.#maxShare = maxShare;
  }

  /** Skipped samples by kind. */
  get counts(): Readonly<Partial<Record<SkipKind, number>>> {
    return Object.fromEntries(this.#counts);
  }

  /** Appends what was skipped, and will be, to a file; what it lists already counts and is not listed again. */
  async writeTo(path: string): Promise<void> {
    const { stat } = await fileSystem();
    const lines = (await stat(path).catch(() => undefined)) ? (await readTextFile(path)).split('\n') : [];
    // A kill may have cut the last line.
    if (lines.at(-1)) await appendFile(path, '\n');
    const before = new Map(lines.flatMap(parse).map((skip) => [idOf(skip), skip]));
    const missing = this.#waiting.filter((skip) => !before.has(idOf(skip)));
    this.#waiting = [];
    this.#path = path;
    for (const [id, skip] of before) if (!this.#listed.has(id)) this.#count(id, skip);
    for (const skip of missing) this.#write(skip);
    await this.#written;
  }

  /** Counts the samples of an archive. @throws DataError when too many were skipped */
  opened(usable: number, skips: readonly Skip[]): void {
    this.#annotated.seen += usable + skips.length;
    this.#annotated.failed += skips.length;
    for (const skip of skips) this.#list(skip);
    this.#expect(this.#annotated);
  }

  /** Counts an image that was read, whole or with what is wrong with it. @throws DataError when too many were skipped */
  read(skip?: Skip): void {
    this.#images.seen++;
    if (!skip) return;
    this.#images.failed++;
    this.#list(skip);
    this.#expect(this.#images);
  }

  /** What was skipped and is in no file; from now on it counts as told. */
  take(): Skip[] {
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }

  /** Counts and lists what others have skipped. */
  add(skips: readonly Skip[]): void {
    for (const skip of skips) this.#list(skip);
  }

  /** Waits until the file holds every line. */
  async flush(): Promise<void> {
    await this.#written;
  }

  #list(skip: Skip): void {
    const id = idOf(skip);
    if (this.#listed.has(id)) return;
    this.#count(id, skip);
    if (this.#path === undefined) this.#waiting.push(skip);
    else this.#write(skip);
  }

  #count(id: string, { kind }: Skip): void {
    this.#listed.add(id);
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  #write(skip: Skip): void {
    const path = this.#path!;
    this.#written = this.#written.then(() => appendFile(path, `${JSON.stringify(skip)}\n`));
  }

  #expect({ seen, failed }: { seen: number; failed: number }): void {
    if (seen < SEEN_AT_LEAST || failed <= this.#maxShare * seen) return;
    const kinds = [...this.#counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
    throw new DataError(
      `SkipLog: at most ${100 * this.#maxShare} % of the samples may be skipped, got ${failed} of ${seen} (${kinds}). ` +
        'See skipped.jsonl of the run, mend the data, or raise data.maxSkippedShare.',
    );
  }
}

/** Lists on the first rank what the others have skipped. Every rank calls it at the same place. */
export async function gatherSkips(transport: Transport, skips: SkipLog): Promise<void> {
  if (transport.size === 1) return;
  const isLead = transport.rank === 0;
  const texts = await allTexts(transport, JSON.stringify(isLead ? [] : skips.take()));
  if (isLead) for (const text of texts) skips.add(JSON.parse(text) as Skip[]);
}

const idOf = ({ shard, key }: Skip): string => JSON.stringify([shard, key]);

/** The skip on a line; none on an empty one and on one that a kill cut. */
function parse(line: string): Skip[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as Skip];
  } catch (cause) {
    if (cause instanceof SyntaxError) return [];
    throw cause;
  }
}
