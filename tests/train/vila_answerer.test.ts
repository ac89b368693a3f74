// A VILA-HD that is asked a benchmark: its scores are likelihoods, and an image is glanced at once.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { vilaEntrants } from '../../ps3/app/benchmark_ask.ts';
import { formatResults, resultsPage } from '../../ps3/app/benchmark_report.ts';
import type { BenchmarkRecord } from '../../ps3/benchmarks/record.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { measureLatencies } from '../../ps3/train/evaluation/choices/latency.ts';
import { resultsOf } from '../../ps3/train/evaluation/choices/results.ts';
import { VilaAnswerer } from '../../ps3/train/evaluation/choices/vila_answerer.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { writeTinyVila } from '../app/tiny_vila.ts';
import { engine } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-answerer-'));
test.after(() => rm(folder, { recursive: true }));

test('VilaAnswerer: scores of options after a look, and one glance for an image', async () => {
  await writeTinyVila(engine, folder);
  using model = await VilaModel.load(engine, join(folder, 'model'));
  const path = join(folder, 'photo.png');
  const options = ['red', 'green', 'blue'];
  const question = 'Which colour?';
  const { liveTensors } = engine.stats();
  {
    using answerer = new VilaAnswerer(model, 'tiny', { looks: 2 });
    assert.is(answerer.name, 'tiny 2 looks');
    const { scores, looked } = await answerer.answer(path, { question, options });
    using seen = model.see(await decodeImage(path));
    using look = await model.lookFor(question, seen, { looks: 2 });
    assert.equal(scores, await model.likelihoods(question, options, look));
    const maps = await Promise.all(look.vision!.selectionMaps.map((map) => map.data()));
    assert.equal(looked, [maps]);
    assert.ok(maps.some((map) => map.includes(1)) && maps.some((map) => map.includes(0)));
    assert.is(await answerer.see(path), await answerer.see(path));
    const first = await answerer.see(path);
    assert.is.not(await answerer.see(await decodeImage(path)), first);
  }
  assert.is(engine.stats().liveTensors, liveTensors, 'nothing is left');
});

test('measureLatencies: parts of all patches by the names of their answers, once, and rows of the report', async () => {
  using model = await VilaModel.load(engine, join(folder, 'model'));
  const image = join(folder, 'photo.png');
  const records: BenchmarkRecord[] = ['Which colour?', 'Which shape?'].map((question, i) => ({
    ...{ id: `q${i}`, image, width: 160, height: 90, question, options: ['a', 'b'], answer: i },
    ...{ metric: 'choice', boxes: [], group: `${i}`, category: 'x' },
    leastPx: { constructed: 3780, reader: i === 0 ? 378 : 3024 },
  }));
  const path = join(folder, 'latencies.jsonl');
  const latencies = await measureLatencies(model, 'tiny', records, path);
  const patches = model.vision.config.gridSides.slice(1).reduce((sum, side) => sum + side * side, 0);
  const [some, more] = [0.18, 0.35].map((share) => Math.round(share * patches));
  const names = ['tiny 0 looks', `tiny ${some} tokens`, `tiny ${more} tokens`];
  assert.equal(
    latencies.map(({ model, share, questions }) => [model, share, questions]),
    names.map((name, i) => [name, [0, 0.18, 0.35][i], 2]),
  );
  const low = model.vision.config.gridSides[0];
  assert.is(
    latencies[0].tokens,
    Math.ceil(low / 2) ** 2 + 1,
    'low-res tokens, and the first of them once more',
  );
  assert.ok(latencies.every(({ firstTokenMs, totalMs }) => firstTokenMs > 0 && totalMs >= firstTokenMs));
  const before = await readFile(path, 'utf8');
  assert.equal(await measureLatencies(model, 'tiny', records, path), latencies);
  assert.is(await readFile(path, 'utf8'), before, 'nothing is measured twice');
  assert.equal(
    vilaEntrants(model, 'tiny').map(({ answerer }) => answerer.name),
    ['tiny', ...names],
  );
  // Of the two questions the first is right; it needs less than 2268 pixels, the other more.
  const answers = names.flatMap((model) =>
    records.map(({ id }) => ({ id, model, showing: 3780 as const, scores: [1, 0] })),
  );
  const results = { ...resultsOf(records, answers), latencies };
  const rows = formatResults(results, 'title')
    .split('\n')
    .map((line) => line.split(' | '));
  const row = rows.find(
    ([name, share]) => name === `| tiny ${some} tokens` && share.trim().startsWith('18'),
  )!;
  assert.is(Number.parseFloat(row[3]), 50);
  assert.equal(
    row.slice(4, 7).map((cell) => Number.parseFloat(cell)),
    [0, Number.NaN, 100],
  );
  assert.is(row[7], `${(latencies[1].firstTokenMs / 1000).toPrecision(3)} s`);
  assert.match(resultsPage(results, 'title', []), /Right answers and time by the share of all patches/);
});

test.run();
