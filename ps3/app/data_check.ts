// A check of a collection: parts that were checked before are not checked again, all of them together make the page.

import { existsSync } from 'node:fs';
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../engine/index.ts';
import { type CheckPart, checkPart, partsOf } from '../data/check/check_part.ts';
import { type Findings, type Summary, summarise } from '../data/check/findings.ts';
import type { CollectionPlaces } from '../data/collection.ts';
import { ShardCache } from '../data/stream/shard_cache.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import { checkPage, type Shown } from './check_page.ts';

/** What a check takes. */
export interface CheckOptions extends CollectionPlaces {
  /** Folder of the result. */
  readonly out: string;
  /** Counts captions in tokens, with the name that the page gives it. */
  readonly tokenizer?: { readonly name: string; readonly tokenizer: Tokenizer };
  /** Parts done, of how many, and faults so far. */
  readonly onProgress?: (done: number, all: number, faults: number) => void;
}

/** Images on the page. */
const SHOWN = 24;

/** What is kept of a part: a line of check.jsonl. */
interface Checked {
  readonly state: string;
  readonly findings: Findings;
}

/**
 * Checks a collection and writes `check.html` and `faults.jsonl`; `check.jsonl` beside them keeps what was found by part,
 * so that a check that was stopped goes on, and only parts that changed are checked anew.
 *
 * @throws DataError when there is no collection at the places
 */
export async function checkData(options: CheckOptions): Promise<Summary> {
  const { images, out, tokenizer, onProgress } = options;
  const fetched = join(out, '.fetched');
  const cache = new ShardCache({ folder: fetched, maxBytes: 1e10 });
  const parts = await partsOf(options, cache);
  await makeFolder(out);
  const kept = new Kept(join(out, 'check.jsonl'));
  await kept.read();
  const done: { part: CheckPart; shard: string; findings: Findings }[] = [];
  let faults = 0;
  for (const [i, part] of parts.entries()) {
    const state = `${tokenizer?.name ?? ''} ${i} ${await part.state()}`;
    const findings = kept.of(state) ?? (await checkPart(part, tokenizer?.tokenizer));
    await kept.add({ state, findings });
    done.push({ part, shard: part.shard, findings });
    faults += findings.faults.length;
    onProgress?.(i + 1, parts.length, faults);
  }
  const summary = summarise(done);
  const lines = summary.faults.map((fault) => `${JSON.stringify(fault)}\n`);
  await writeWhole(join(out, 'faults.jsonl'), lines.join(''));
  const page = await checkPage(images, summary, await shownOf(done), tokenizer?.name);
  await writeWhole(join(out, 'check.html'), page);
  await rm(fetched, { recursive: true, force: true });
  return summary;
}

/** Images whose hashes are the lowest: as good as drawn at random, and the same every time. */
async function shownOf(done: readonly { part: CheckPart; findings: Findings }[]): Promise<Shown[]> {
  const drawn = done
    .flatMap(({ part, findings }) => findings.images.map(({ key, hash }) => ({ part, key, hash })))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .slice(0, SHOWN);
  const shown: Shown[] = [];
  for (const part of new Set(drawn.map(({ part }) => part))) {
    const keys = new Set(drawn.flatMap((image) => (image.part === part ? [image.key] : [])));
    await part.open(async ({ references }) => {
      for (const reference of references.filter(({ key }) => keys.has(key)))
        shown.push({ reference, encoded: await reference.shard.read(reference) });
    });
  }
  return shown;
}

/** The file of what was found by part. */
class Kept {
  readonly #path: string;
  readonly #found = new Map<string, Findings>();

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<void> {
    if (!existsSync(this.#path)) return;
    const text = await readFile(this.#path, 'utf8');
    for (const line of text.split('\n')) {
      const checked = parse(line);
      if (checked) this.#found.set(checked.state, checked.findings);
    }
    // A kill may have cut the last line.
    if (text !== '' && !text.endsWith('\n')) await appendFile(this.#path, '\n');
  }

  of(state: string): Findings | undefined {
    return this.#found.get(state);
  }

  async add({ state, findings }: Checked): Promise<void> {
    if (this.#found.has(state)) return;
    this.#found.set(state, findings);
    await appendFile(this.#path, `${JSON.stringify({ state, findings })}\n`);
  }
}

function parse(line: string): Checked | undefined {
  try {
    return line === '' ? undefined : (JSON.parse(line) as Checked);
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}
