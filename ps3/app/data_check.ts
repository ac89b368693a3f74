// A check of a collection: parts that were checked before are not checked again, all of them together make the page.

import { existsSync } from 'node:fs';
import { appendFile, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../engine/index.ts';
import { type CheckPart, checkPart, partsOf } from '../data/check/check_part.ts';
import { type Findings, type Summary, summarise } from '../data/check/findings.ts';
import type { CollectionPlaces } from '../data/collection.ts';
import { ShardCache } from '../data/stream/shard_cache.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import { fromLead, ownPart, SINGLE, type Transport } from '../ranks/transport.ts';
import { checkPage, type Shown } from './check_page.ts';

/** What a check takes. */
export interface CheckOptions extends CollectionPlaces {
  /** Folder of the result. */
  readonly out: string;
  /** Counts captions in tokens, with the name that the page gives it. */
  readonly tokenizer?: { readonly name: string; readonly tokenizer: Tokenizer };
  /** Ranks that share the parts; default: this process alone. */
  readonly transport?: Transport;
  /** Parts done, of how many, and faults so far; of several ranks, those of this one. */
  readonly onProgress?: (done: number, all: number, faults: number) => void;
}

/** Of what is found: what a check of another one has kept is not used. */
const VERSION = 2;
/** Images on the page. */
const SHOWN = 24;

/** What is kept of a part: a line of check.jsonl. */
interface Checked {
  readonly state: string;
  readonly findings: Findings;
}

/**
 * Checks a collection and writes `check.html` and `faults.jsonl`; `check.jsonl` beside them keeps what was found by part,
 * so that a check that was stopped goes on, with whatever number of ranks, and only parts that changed are checked anew.
 *
 * @returns  what was found, on the first rank; undefined on the others
 * @throws DataError when there is no collection at the places
 */
export async function checkData(options: CheckOptions): Promise<Summary | undefined> {
  const { images, out, tokenizer, transport = SINGLE, onProgress } = options;
  const fetched = join(out, '.fetched');
  const cache = new ShardCache({ folder: fetched, maxBytes: 1e10 });
  const parts = await partsOf(options, cache);
  const kept = new Kept(out, transport);
  const { states, missing } = await fromLead(transport, async () => {
    await makeFolder(out);
    await kept.gather();
    const states: string[] = [];
    for (const [i, part] of parts.entries())
      states.push(`${VERSION} ${tokenizer?.name ?? ''} ${i} ${await part.state()}`);
    return { states, missing: states.flatMap((state, i) => (kept.of(state) ? [] : [i])) };
  });
  const own = ownPart(transport, missing);
  // One process tells of all parts, a rank of its own.
  const before = transport.size === 1 ? states.flatMap((state) => kept.of(state) ?? []) : [];
  let faults = before.reduce((sum, findings) => sum + findings.faults.length, 0);
  for (const [i, part] of own.entries()) {
    const findings = await checkPart(parts[part], tokenizer?.tokenizer);
    await kept.add({ state: states[part], findings });
    faults += findings.faults.length;
    onProgress?.(before.length + i + 1, before.length + own.length, faults);
  }
  await transport.barrier();
  if (transport.rank > 0) return undefined;
  await kept.gather(states);
  const done = parts.map((part, i) => ({ part, shard: part.shard, findings: kept.of(states[i])! }));
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

/** What was found by part: check.jsonl, and beside it check.RANK.jsonl of each of several ranks until all is done. */
class Kept {
  readonly #folder: string;
  readonly #path: string;
  /** Where this process adds. */
  readonly #ownPath: string;
  /** In check.jsonl. */
  readonly #found = new Map<string, Findings>();

  constructor(folder: string, { rank, size }: Transport) {
    this.#folder = folder;
    this.#path = join(folder, 'check.jsonl');
    this.#ownPath = size === 1 ? this.#path : join(folder, `check.${rank}.jsonl`);
  }

  /** Reads check.jsonl and puts what ranks left beside it into it. @param order  of the states that it has in the end */
  async gather(order: readonly string[] = []): Promise<void> {
    const text = existsSync(this.#path) ? await readFile(this.#path, 'utf8') : '';
    for (const { state, findings } of linesOf(text)) this.#found.set(state, findings);
    // A kill may have cut the last line.
    if (text !== '' && !text.endsWith('\n')) await appendFile(this.#path, '\n');
    const names = (await readdir(this.#folder)).filter((name) => /^check\.\d+\.jsonl$/.test(name));
    const left = new Map<string, Findings>();
    for (const name of names)
      for (const { state, findings } of linesOf(await readFile(join(this.#folder, name), 'utf8')))
        left.set(state, findings);
    for (const state of new Set([...order, ...left.keys()])) {
      const findings = left.get(state);
      if (!findings || this.#found.has(state)) continue;
      this.#found.set(state, findings);
      await appendFile(this.#path, lineOf({ state, findings }));
    }
    for (const name of names) await rm(join(this.#folder, name));
  }

  of(state: string): Findings | undefined {
    return this.#found.get(state);
  }

  async add(checked: Checked): Promise<void> {
    if (this.#ownPath === this.#path) this.#found.set(checked.state, checked.findings);
    await appendFile(this.#ownPath, lineOf(checked));
  }
}

const lineOf = ({ state, findings }: Checked): string => `${JSON.stringify({ state, findings })}\n`;

/** What whole lines hold. */
function linesOf(text: string): Checked[] {
  return text.split('\n').flatMap((line) => parse(line) ?? []);
}

function parse(line: string): Checked | undefined {
  try {
    return line === '' ? undefined : (JSON.parse(line) as Checked);
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}
