// `ps3 benchmark`.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import * as v from 'valibot';
import { makeFolder, onPath } from '../../../engine/index.ts';
import { BENCHMARK_NAMES, type BenchmarkName, readBenchmark } from '../../benchmarks/benchmarks.ts';
import { type FieldMap, readFieldMap } from '../../benchmarks/loaders/field_map.ts';
import { overviewOf } from '../../benchmarks/overview.ts';
import { promptOf, SUITES, type Suite } from '../../benchmarks/prompts.ts';
import type { BenchmarkRecord } from '../../benchmarks/record.ts';
import { jsonLines } from '../../benchmarks/rows/json_rows.ts';
import { rowError, shown } from '../../benchmarks/rows/rows.ts';
import { type Reply, type ScoredQuestion, scoreReply, summarize } from '../../benchmarks/scores/score.ts';
import { ImageBootstrap } from '../../train/evaluation/intervals.ts';
import { askBenchmark } from '../benchmark_ask.ts';
import { formatOverview, formatScore, overviewJson } from '../benchmark_text.ts';
import { type Command, command, on, oneOf, text, texts, UsageError, type Values, whole } from '../flags.ts';
import { ProgressBar } from '../progress.ts';
import { withEngine } from './engine.ts';

const BENCHMARK = {
  as: oneOf(BENCHMARK_NAMES, `What the files are: ${BENCHMARK_NAMES.join(', ')}`),
  map: text('<file>', 'JSON naming the column of each field, for any other benchmark'),
  prompts: text('<file>', 'Writes a JSON line for each question: id, image, prompt, maxNewTokens, suite'),
  images: text('<dir>', 'With --prompts: writes the images that stand in a table as files, each once'),
  score: text(
    '<file>',
    'Scores a JSON line for each question: id, and reply, losses of the options, or point',
  ),
  ask: text(
    '<dir>',
    'Asks models all questions, which have options, and writes answers and a report there; goes on after a stop',
  ),
  every: whole('With --ask: questions about every n-th image alone; default 1'),
  model: texts('<place>', 'With --ask: a run or a checkpoint; may be repeated; default nano-4k'),
  suite: oneOf(SUITES, `Whose prompts: ${SUITES.join(', ')}; default ${SUITES[0]}`),
  json: on('Print JSON'),
};

const REPLY = v.strictObject({
  id: v.union([v.string(), v.pipe(v.number(), v.transform(String))]),
  reply: v.optional(v.string()),
  losses: v.optional(v.pipe(v.array(v.number()), v.minLength(2))),
  point: v.optional(v.tuple([v.number(), v.number()])),
});

async function repliesIn(path: string): Promise<Map<string, Reply>> {
  const replies = new Map<string, Reply>();
  for await (const { values, where } of jsonLines(path)) {
    const result = v.safeParse(REPLY, values);
    if (!result.success) {
      const [issue] = result.issues;
      const key = v.getDotPath(issue) ?? 'the line';
      throw rowError(where, `\`${key}\` must be as in {"id": "1", "reply": "B"}`, issue.input, 'Correct it.');
    }
    const { id, ...reply } = result.output;
    if (replies.has(id)) throw rowError(where, 'there must be one reply to a question', id, 'Remove one.');
    replies.set(id, reply);
  }
  return replies;
}

type Source = BenchmarkName | FieldMap;

/** Writes the prompts; an image that is bytes becomes a file named after its group, where a folder is given. */
async function writePrompts(
  source: Source,
  path: string,
  { prompts: out, images, suite }: { prompts: string; images: string | undefined; suite: Suite },
): Promise<void> {
  if (typeof source !== 'string')
    throw new UsageError('benchmark: --prompts must stand beside --as, got --map.');
  if (images !== undefined) await makeFolder(images);
  const file = createWriteStream(out);
  await onPath(out, () => once(file, 'open'));
  const written = new Map<string, string>();
  for await (const record of readBenchmark(source, path)) {
    const { id, image, group } = record;
    let place = typeof image === 'string' ? image : written.get(group);
    if (place === undefined && images !== undefined && typeof image !== 'string') {
      place = join(images, `${group}.${(await sharp(image).metadata()).format}`);
      const name = place;
      await onPath(name, () => writeFile(name, image));
      written.set(group, name);
    }
    const line = { id, image: place, ...promptOf(source, suite, record), suite };
    if (!file.write(`${JSON.stringify(line)}\n`)) await once(file, 'drain');
  }
  file.end();
  await onPath(out, () => once(file, 'close'));
}

async function score(source: Source, path: string, given: string, suite: Suite, json?: true): Promise<void> {
  const replies = await repliesIn(given);
  const questions: ScoredQuestion[] = [];
  for await (const record of readBenchmark(source, path)) {
    const reply = replies.get(record.id);
    if (!reply)
      throw new UsageError(
        `benchmark: ${given} must have a reply to every question, got none to ${record.id}.`,
      );
    replies.delete(record.id);
    // The image is not needed any more.
    questions.push(scoreReply({ ...record, image: '' }, reply, suite === 'lmms-eval'));
  }
  const [unasked] = replies.keys();
  if (unasked !== undefined)
    throw new UsageError(`benchmark: ${given} must reply to questions of ${path}, got ${shown(unasked)}.`);
  const groups = [...new Set(questions.map(({ record }) => record.group))];
  const indices = new Map(groups.map((group, i) => [group, i]));
  const answers = questions.map(({ record, value }) => ({ image: indices.get(record.group)!, value }));
  const result = summarize(questions);
  const interval = new ImageBootstrap(groups.length, 1).estimate(answers)!;
  if (json) console.log(JSON.stringify({ suite, ...result, interval }));
  else console.log(`Prompts of ${suite}\n\n${formatScore(result, interval)}`);
}

async function run(values: Values<typeof BENCHMARK>, [path]: readonly string[]): Promise<number> {
  const { as, map, prompts, suite = SUITES[0], json } = values;
  if ((as === undefined) === (map === undefined))
    throw new UsageError(`benchmark: there must be either --as or --map, got ${as ? 'both' : 'none'}.`);
  if (values.images !== undefined && prompts === undefined)
    throw new UsageError('benchmark: --images must stand beside --prompts, got it alone.');
  if (prompts !== undefined && values.score !== undefined)
    throw new UsageError('benchmark: there must be --prompts or --score, got both.');
  const { ask, model: models, every } = values;
  if (ask !== undefined && (prompts ?? values.score) !== undefined)
    throw new UsageError('benchmark: --ask must stand without --prompts and --score, got another with it.');
  for (const [name, value] of Object.entries({ model: models, every }))
    if (value !== undefined && ask === undefined)
      throw new UsageError(`benchmark: --${name} must stand beside --ask, got it alone.`);
  const source: Source = as ?? (await readFieldMap(map!));
  if (ask !== undefined) {
    const all: BenchmarkRecord[] = [];
    for await (const record of readBenchmark(source, path)) all.push(record);
    const images = [...new Set(all.map(({ group }) => group))];
    const asked = new Set(images.filter((_, i) => i % (every ?? 1) === 0));
    const records = all.filter(({ group }) => asked.has(group));
    const bar = new ProgressBar();
    const onProgress = (done: number, all: number): void => bar.update('asking about images', done, all);
    const options = { records, title: as ?? basename(path), out: ask, models, onProgress };
    console.log(await withEngine((engine) => askBenchmark(engine, options)));
    return 0;
  }
  if (prompts !== undefined) await writePrompts(source, path, { prompts, images: values.images, suite });
  else if (values.score !== undefined) await score(source, path, values.score, suite, json);
  else {
    const overview = (await overviewOf(readBenchmark(source, path)))!;
    console.log(json ? JSON.stringify(overviewJson(overview)) : formatOverview(overview));
  }
  return 0;
}

/** Reads, asks and scores public benchmarks. */
export const benchmarkCommand: Command = command({
  name: 'benchmark',
  operands: '<path>',
  help: 'Show what a benchmark holds, write its prompts, score replies to it, or ask models',
  flags: BENCHMARK,
  run,
});
