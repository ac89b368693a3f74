// What a VILA-HD is asked a benchmark with: parts of all patches, and how long an answer takes with each.
import { existsSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import * as v from 'valibot';
import { onPath } from '../../../../engine/index.ts';
import type { BenchmarkRecord } from '../../../benchmarks/record.ts';
import { jsonLines } from '../../../benchmarks/rows/json_rows.ts';
import { rowError } from '../../../benchmarks/rows/rows.ts';
import { decodeImage } from '../../../model/image.ts';
import type { VilaModel } from '../../../vila/vila.ts';
import { median } from '../retrieval.ts';
import { budgetsOf } from './budgets.ts';
import { type VilaAmount, VilaAnswerer } from './vila_answerer.ts';

/** Questions of which the time is taken, each about an image of its own. */
const TIMED = 8;
/** Tokens of an answer, at most. */
const MOST_TOKENS = 32;

/** How long an answer takes, from the decoded image on: the low-res pass, the question, the look, and each token. */
export interface Latency {
  /** As of its answers. */
  readonly model: string;
  readonly share: number;
  /** What it ran on. */
  readonly adapter: string;
  /** Tokens that stand for an image. */
  readonly tokens: number;
  /** Until the first token is there, milliseconds; medians of `questions`. */
  readonly firstTokenMs: number;
  /** Until the answer ends, or has 32 tokens. */
  readonly totalMs: number;
  readonly questions: number;
}

const LINE: v.GenericSchema<unknown, Latency> = v.strictObject({
  model: v.string(),
  share: v.number(),
  adapter: v.string(),
  tokens: v.number(),
  firstTokenMs: v.number(),
  totalMs: v.number(),
  questions: v.number(),
});

/** What a file of latencies holds; nothing where there is none. @throws DataError for a line of another form */
async function readLatencies(path: string): Promise<Latency[]> {
  const latencies: Latency[] = [];
  if (!existsSync(path)) return latencies;
  for await (const { values, where } of jsonLines(path)) {
    const result = v.safeParse(LINE, values);
    if (!result.success)
      throw rowError(where, 'a line must be as written', result.issues[0].input, 'Remove the file.');
    latencies.push(result.output);
  }
  return latencies;
}

/**
 * Takes the time of a model's answers with each of its budgets.
 *
 * @param name  of the model, as its answers have it
 * @param path  file of latencies, a JSON line each; what it holds is not measured again
 * @returns     all that the file then holds
 */
export async function measureLatencies(
  model: VilaModel,
  name: string,
  records: readonly BenchmarkRecord[],
  path: string,
): Promise<Latency[]> {
  const latencies = await readLatencies(path);
  const groups = new Map(records.toReversed().map((record) => [record.group, record]));
  const asked = [...groups.values()].toReversed().slice(0, TIMED);
  for (const { share, amount } of budgetsOf(model)) {
    using answerer = new VilaAnswerer(model, name, amount);
    if (latencies.some((known) => known.model === answerer.name)) continue;
    const times: Timed[] = [];
    // The first time is that of compiling kernels, too.
    for (const record of [asked[0], ...asked]) times.push(await timeOf(model, record, amount));
    const measured = times.slice(1);
    const latency: Latency = {
      ...{ model: answerer.name, share, adapter: model.language.engine.adapterName },
      tokens: median(measured.map(({ tokens }) => tokens)),
      firstTokenMs: median(measured.map(({ firstTokenMs }) => firstTokenMs)),
      totalMs: median(measured.map(({ totalMs }) => totalMs)),
      questions: measured.length,
    };
    await onPath(path, () => appendFile(path, `${JSON.stringify(latency)}\n`));
    latencies.push(latency);
  }
  return latencies;
}

type Timed = Pick<Latency, 'tokens' | 'firstTokenMs' | 'totalMs'>;

async function timeOf(
  model: VilaModel,
  { image, question }: BenchmarkRecord,
  amount: VilaAmount,
): Promise<Timed> {
  const decoded = await decodeImage(image);
  const started = performance.now();
  using seen = model.see(decoded);
  using look = await model.lookFor(question, seen, amount);
  let firstTokenMs: number | undefined;
  for await (const _ of model.answer(question, look, { maxTokens: MOST_TOKENS }))
    firstTokenMs ??= performance.now() - started;
  const totalMs = performance.now() - started;
  // An answer that ends at once has no token but the one that ends it.
  return { tokens: look.blocks[0].shape[1], firstTokenMs: firstTokenMs ?? totalMs, totalMs };
}
