// Models over the questions of a benchmark: what they answer, and a report of it.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Engine, makeFolder } from '../../engine/index.ts';
import type { Question } from '../benchmarks/build/ask.ts';
import { questionCard, spread } from '../benchmarks/build/page.ts';
import type { BenchmarkRecord } from '../benchmarks/record.ts';
import { NANO_4K } from '../model/checkpoint/shipped.ts';
import { PS3 } from '../model/ps3.ts';
import { askAll, type Entrant } from '../train/evaluation/choices/ask.ts';
import { budgetsOf } from '../train/evaluation/choices/budgets.ts';
import { type Latency, measureLatencies } from '../train/evaluation/choices/latency.ts';
import { Glances, LOOKS, PS3Answerer } from '../train/evaluation/choices/ps3_answerer.ts';
import { resultsOf } from '../train/evaluation/choices/results.ts';
import { CONTROLS, RESOLUTIONS, type Showing } from '../train/evaluation/choices/views.ts';
import { VilaAnswerer } from '../train/evaluation/choices/vila_answerer.ts';
import { RunFolder } from '../train/run.ts';
import { VilaModel } from '../vila/vila.ts';
import { formatResults, resultsPage } from './benchmark_report.ts';
import { loadingProgress } from './progress.ts';

/** The largest resolution is that at which looks are compared. */
const FULL: readonly Showing[] = RESOLUTIONS.slice(-1);

/** A PS3 by each way to look: top-down at every resolution and with the controls, the others at full size. */
function ps3Entrants(engine: Engine, model: PS3, glances: Glances, name: string): Entrant[] {
  return LOOKS.map((look) => ({
    answerer: new PS3Answerer(engine, model, glances, name, look),
    showings: look === 'top-down' ? [...RESOLUTIONS, ...CONTROLS] : FULL,
  }));
}

/** A VILA-HD as it looks by itself, at every resolution and with the controls, and at parts of all patches at full size. */
export function vilaEntrants(model: VilaModel, name: string): Entrant[] {
  const own = { answerer: new VilaAnswerer(model, name), showings: [...RESOLUTIONS, ...CONTROLS] };
  const budgets = model.encoder.looks ? budgetsOf(model) : [];
  return [
    own,
    ...budgets.map(({ amount }) => ({ answerer: new VilaAnswerer(model, name, amount), showings: FULL })),
  ];
}

/** What is asked, and of whom. */
export interface AskOptions {
  readonly records: readonly BenchmarkRecord[];
  /** Name of the benchmark. */
  readonly title: string;
  /** Folder for answers.jsonl, which a call that was stopped goes on from, and the report in three forms. */
  readonly out: string;
  /** Runs, checkpoints, or folders of a VILA-HD; default nano-4k, the model of this package. */
  readonly models?: readonly string[];
  readonly onProgress?: (done: number, all: number) => void;
}

/** Asks models, and writes results.json, results.md and index.html. @returns  the text */
export async function askBenchmark(engine: Engine, options: AskOptions): Promise<string> {
  const { records, title, out, models, onProgress } = options;
  await makeFolder(out);
  const path = join(out, 'answers.jsonl');
  let latencies: readonly Latency[] = [];
  const places = models ?? [undefined];
  let answers = await askAll(records, [], path);
  for (const place of places) {
    const name = place === undefined ? 'nano-4k' : basename(place);
    if (place !== undefined && existsSync(join(place, 'llm'))) {
      using model = await VilaModel.load(engine, place, { storage: 'stored', onProgress: loadingProgress() });
      answers = await askAll(records, vilaEntrants(model, name), path, onProgress);
      latencies = await measureLatencies(model, name, records, join(out, 'latencies.jsonl'));
      continue;
    }
    using model = await PS3.load(engine, place === undefined ? NANO_4K : await RunFolder.checkpointOf(place));
    using glances = new Glances(engine, model);
    answers = await askAll(records, ps3Entrants(engine, model, glances, name), path, onProgress);
  }
  const results = { ...resultsOf(records, answers), latencies };
  const text = formatResults(results, title);
  // Cards are of questions whose images are files and whose answers have a place.
  const shown = spread(
    records.filter(
      (record): record is Question =>
        !record.cycle &&
        typeof record.image === 'string' &&
        (record.boxes?.length ?? 0) > 0 &&
        record.leastPx !== undefined,
    ),
  );
  const cards = await Promise.all(
    shown.map((question) => questionCard(question.image, pathToFileURL(question.image).href, question)),
  );
  await writeFile(join(out, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`);
  await writeFile(join(out, 'results.md'), text);
  await writeFile(join(out, 'index.html'), resultsPage(results, title, cards));
  return text;
}
