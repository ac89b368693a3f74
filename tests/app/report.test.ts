import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { comparePage } from '../../ps3/app/compare.ts';
import { type Example, examplesOf } from '../../ps3/app/examples.ts';
import { html, markup } from '../../ps3/app/html.ts';
import { lossChart, movingAverage } from '../../ps3/app/loss_curves.ts';
import { type ReportOptions, reportPage, writeReport } from '../../ps3/app/report.ts';
import { examplesHtml, factsOf, writeReportParts } from '../../ps3/app/report_parts.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import { type Box, boxCells } from '../../ps3/data/boxes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import type { Evaluation } from '../../ps3/train/evaluate.ts';
import { ImageBootstrap } from '../../ps3/train/evaluation/intervals.ts';
import { protocolsOf } from '../../ps3/train/evaluation/protocols.ts';
import type { Metric } from '../../ps3/train/metrics.ts';
import { PRESETS, presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import {
  appendEvaluation,
  readEvaluation,
  readEvaluations,
  rewindEvaluations,
  writeEvaluation,
} from '../../ps3/train/run/evaluations.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { compare, engine, random } from '../harness.ts';

const SIDE = 112;

function sample(key: string, captions: string[]): Sample {
  const boxes: Box[] = [
    [3, 5, 30, 33],
    [60, 70, 101, 90],
    [80, 2, 110, 40],
  ];
  const rgba = Uint8Array.from(random(4 * SIDE * SIDE, key.length), (value) => 127 + 127 * value);
  return {
    key,
    side: SIDE,
    rgba,
    captions,
    boxes: boxes.slice(0, captions.length),
    globalCaption: undefined,
  };
}

const config = trainConfig({
  preset: 'smoke',
  set: ['seed=7', 'towers.steps=30', 'ps3.steps=20', 'method.globalMix=false'],
});

const SPEED = {
  imagesPerS: 4,
  tokensPerS: 100,
  gflopPerS: 12.5,
  peakShare: 0.456,
  deviceBytes: 123e6,
  dataWaitMs: 7.5,
};

const metrics: Metric[] = [
  ...Array.from({ length: 30 }, (_, step) => ({
    stage: 'towers' as const,
    step,
    lr: 1e-3,
    speed: { ...SPEED, stepMs: 100 },
    loss: 4 - step / 10,
  })),
  ...Array.from({ length: 20 }, (_, step) => ({
    stage: 'ps3' as const,
    step,
    lr: 1e-3,
    speed: { ...SPEED, stepMs: 5000 },
    loss: 6,
    contrastive: 3,
    bottomUp: 2,
    topDown: 1,
  })),
];

function example(captions: string[]): Example {
  const one = sample('a', captions);
  const attention = {
    probs: Float32Array.from(random(64, 1)),
    grid: [8, 8] as const,
    selected: [4, 8].map((side) => ({
      map: boxCells([one.boxes[0]], SIDE, side),
      grid: [side, side] as const,
    })),
    recall: [0.875, 0.125] as const,
  };
  return { sample: one, boxes: [0, 1], bottomUp: attention, topDown: [attention, attention] };
}

const EVALUATION: Evaluation = {
  boxes: 393,
  candidates: 32,
  retrieval: { lowRes: 0.1234, ps3: 0.4321, predicted: 0.3456 },
  recall: { random: 0.0951, bottomUp: 0.2345, topDown: 0.6789 },
  budgetShare: 0.0952,
  intervals: {
    retrieval: { lowRes: [0.1, 0.15], ps3: [0.38, 0.48], predicted: [0.3, 0.39] },
    recall: { random: [0.09, 0.1], bottomUp: [0.21, 0.26], topDown: [0.65, 0.7] },
  },
  protocols: protocolsOf(new ImageBootstrap(2, 1), 2, [], []),
};

async function options(captions = ['ring', 'snowman']): Promise<ReportOptions> {
  return {
    evaluation: EVALUATION,
    examples: await examplesHtml([example(captions)]),
    data: factsOf({
      trainedOn: '3 images',
      heldOut: [sample('b', ['ring']), sample('c', ['ring', 'key'])],
      heldOutMeans: 'Held-out images: other photographs.',
      credits: ['@iconify-json/noto 1.2.9 (npm): Apache-2.0; https://example.org/noto'],
    }),
    adapterName: 'llvmpipe',
    date: new Date('2025-03-25T10:20:00Z'),
  };
}

/** Text of the page with plain spaces. */
function textOf(page: string): string {
  const { document } = parseHTML(page);
  for (const style of document.querySelectorAll('style')) style.remove();
  return (document.body.textContent ?? '').replace(/\s+/g, ' ');
}

test('report: the page holds every number of the evaluation, the facts of the run and the sources', async () => {
  const text = textOf(reportPage(config, metrics, await options()));
  for (const want of [
    '12.3 % 10.0–15.0',
    '43.2 % 38.0–48.0',
    '34.6 % 30.0–39.0',
    '3.1 %',
    '9.5 %',
    '23.4 %',
    '67.9 %',
    'among 32 for a box, 393 boxes of 2 images',
    'a budget of 9.5 %',
    'Trained on 3 images, tested on 2 with 3 boxes',
    'Held-out images: other photographs.',
    '88 % of its box, 13 % of the other’s',
    'llvmpipe',
    '2025-03-25 10:20 UTC',
    '30 + 20 steps',
    'training time 1 min 43 s',
    'switched off: globalMix',
    '@iconify-json/noto 1.2.9 (npm): Apache-2.0',
    'the first holds and the second holds',
    'from the coarsest scale to the finest blue, green.',
  ])
    assert.ok(text.includes(want), `the page must say ${want}, got ${text.slice(0, 1500)}`);
});

test('report: the page says so when the order of the paper did not come out', async () => {
  const given = { ...(await options()), examples: await examplesHtml([]) };
  const flipped = {
    ...EVALUATION,
    recall: { ...EVALUATION.recall, topDown: 0.2 },
    retrieval: { lowRes: 0.2, ps3: 0.2, predicted: 0.2 },
  };
  const text = textOf(reportPage(config, [], { ...given, evaluation: flipped }));
  assert.match(text, 'the first does not hold and the second does not hold');
  const close = { ...EVALUATION, retrieval: { lowRes: 0.2, ps3: 0.22, predicted: 0.2 } };
  const closeText = textOf(reportPage(config, [], { ...given, evaluation: close }));
  assert.match(closeText, 'the first holds by less than the intervals and the second holds');
  assert.match(text, 'No held-out image has two different captions');
  assert.match(text, 'The run logged no losses');
});

test('report: nothing is fetched from elsewhere', async () => {
  const page = reportPage(config, metrics, await options());
  const { document } = parseHTML(page);
  const urls = [...document.querySelectorAll('[src], [href]')].map(
    (element) => element.getAttribute('src') ?? element.getAttribute('href') ?? '',
  );
  assert.is(urls.length, 4);
  for (const url of urls) assert.match(url, /^data:image\/jpeg;base64,\/9j\//);
  assert.is(document.querySelectorAll('script, link, iframe, object').length, 0);
  assert.not.match(page, /@import|url\(/);
});

test('report: captions with markup are shown and not obeyed', async () => {
  const captions = ['<script>alert(1)</script> & "co"', "it's <b>"];
  const page = reportPage(config, metrics, await options(captions));
  const { document } = parseHTML(page);
  assert.is(document.querySelectorAll('script').length, 0);
  assert.is(document.querySelectorAll('.row figure').length, 4);
  const alts = [...document.querySelectorAll('img')].map((image) => image.getAttribute('alt'));
  assert.is(alts[2], `top-down map for ${captions[0]}`);
  for (const caption of captions) assert.ok(textOf(page).includes(caption), caption);
});

test('report: three charts of losses, raw and smoothed lines in each', async () => {
  const { document } = parseHTML(reportPage(config, metrics, await options()));
  const charts = [...document.querySelectorAll('figure.chart')];
  assert.equal(
    charts.slice(0, 3).map((chart) => chart.querySelectorAll('g[aria-label="line"] path').length),
    [2, 2, 4],
  );
  assert.match(charts[0].textContent ?? '', 'Stage 1: towers');
});

test('report: a chart of a stage that logged nothing is left out', () => {
  assert.is(lossChart('none', [], [{ name: 'loss', loss: 'loss', colour: 'red' }]), undefined);
});

test('report: the moving average is the weighted mean of its formula', () => {
  const values = [...random(23, 3)];
  const span = 4;
  const want = values.map((_, i) => {
    const weights = values.map((_, j) => Math.exp(-Math.abs(i - j) / span));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.reduce((total, weight, j) => total + weight * values[j], 0) / sum;
  });
  compare('average', movingAverage(values, span), want, { abs: 1e-12, rel: 0 });
});

test('html: fillings are escaped, pieces and lists are not escaped twice', () => {
  assert.is(
    html`<p title="${'"'}">${'<&>'}${[html`<b>${"'"}</b>`, 1]}${undefined}</p>`.html,
    '<p title="&quot;">&lt;&amp;&gt;<b>&#39;</b>1</p>',
  );
  assert.is(html`${markup('<hr>')}`.html, '<hr>');
});

test('report: of a VILA-HD it has the answers, the steps of its stages, and the course of the last one', async () => {
  const { evaluation: _, examples: __, ...begun } = await options();
  const estimate = { mean: 0.375, low: 0.25, high: 0.5, count: 8 };
  const looks = { topDown: { right: estimate, recall: { ...estimate, mean: 0.625 }, tokens: 69 } };
  const questions = { questions: 8, candidates: 16, budgetShare: 0.08, looks, budgets: [] };
  const lines = (['align', 'answers', 'select'] as const).flatMap((stage) =>
    [0, 1].map((step): Metric => ({ stage, step, lr: 0.5, loss: 2, answers: 1.5, gradNorm: 3 })),
  );
  const vila = trainConfig({ preset: 'vila-s', set: ['vila.align.steps=2', 'vila.answers.batch=8'] });
  const text = textOf(reportPage(vila, lines, { ...begun, questions }));
  const { answers, select } = vila.vila!;
  for (const want of [
    `2 + ${answers.steps} + ${select.steps} steps`,
    `${select.batch} images per step`,
    'what the question selects37.5 %',
    'what the question selects62.5 %',
    'VILA-HD, stage 3: answers where it looks.',
  ])
    assert.ok(text.replaceAll('\n', '').includes(want), `the page must say ${want}, got ${text}`);
});

test('report: a run that goes on shows where it stands and loads itself again, a finished one does not', async () => {
  const { evaluation: _, examples: __, ...begun } = await options();
  const page = reportPage(config, metrics.slice(0, 40), { ...begun, isRunning: true });
  const refresh = '<meta http-equiv="refresh" content="60">';
  assert.ok(page.includes(refresh));
  const text = textOf(page);
  const speed =
    '12.5 GFLOP/s · 45.6 % of this adapter’s peak · 123 MB on the device · 7.5 ms waiting for data';
  for (const want of ['In training: 10 of 20 steps of stage 2, PS3', `100 tokens/s · ${speed}`, '50 s left'])
    assert.ok(text.includes(want), `the page must say ${want}, got ${text}`);
  const interrupted = reportPage(config, metrics.slice(0, 40), begun);
  assert.ok(textOf(interrupted).includes('Not finished: 10 of 20 steps'));
  for (const finished of [
    interrupted,
    reportPage(config, metrics, { ...(await options()), isRunning: true }),
  ])
    assert.not.ok(finished.includes(refresh));
});

test('report: evaluations on the way are curves over the steps', async () => {
  const evaluations = [5, 10, 15].map((step) => ({ stage: 'ps3' as const, step, evaluation: EVALUATION }));
  const { document } = parseHTML(reportPage(config, metrics, { ...(await options()), evaluations }));
  const titles = [...document.querySelectorAll('figcaption b')].map(({ textContent }) => textContent);
  for (const title of ['Right caption for a box', 'Box’s patches selected'])
    assert.ok(titles.includes(title), title);
});

test('report: it is built from the run folder alone, and is one file of that name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-report-'));
  const run = await RunFolder.create(join(folder, 'run'), config);
  for (const metric of metrics) await run.log(metric);
  const { data, adapterName, examples } = await options();
  await writeReport(run);
  await writeReportParts(run.path, { data, adapterName, examples });
  await writeEvaluation(run.path, EVALUATION);
  for (const step of [5, 10])
    await appendEvaluation(run.path, { stage: 'ps3', step, evaluation: EVALUATION });
  const path = await writeReport(run);
  assert.is(path, join(run.path, 'report.html'));
  const page = await readFile(path, 'utf8');
  assert.match(page, /^<!doctype html>/);
  for (const want of ['43.2', 'llvmpipe', 'other photographs', 'class="row"', 'Held-out images on the way'])
    assert.ok(page.includes(want), want);
  const files = [
    'config.json',
    'evaluation.json',
    'evaluations.jsonl',
    'metrics.jsonl',
    'report.html',
    'report.json',
  ];
  assert.equal((await readdir(run.path)).sort(), files);
  // Back at a checkpoint of step 7, the second evaluation is still to come.
  await rewindEvaluations(run.path, { stage: 'ps3', step: 7 }, console.error);
  const kept = await readEvaluations(run.path, console.error);
  assert.equal(
    kept.map(({ step }) => step),
    [5],
  );
  assert.is(await readEvaluation(run.path), undefined, 'its end is to come, too');
  await rewindEvaluations(run.path, undefined, console.error);
  assert.equal(await readEvaluations(run.path, console.error), []);
  await rm(folder, { recursive: true });
});

test('compare: runs share charts by step and time, keys that differ and final numbers with intervals', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-compare-'));
  const runs: RunFolder[] = [];
  for (const [name, seed] of [
    ['a', 7],
    ['b <x>', 8],
  ] as const) {
    const run = await RunFolder.create(join(folder, name), { ...config, seed });
    for (const metric of metrics) await run.log(metric);
    runs.push(run);
  }
  await writeEvaluation(runs[1].path, EVALUATION);
  const page = await comparePage(runs);
  const { document } = parseHTML(page);
  const text = textOf(page);
  for (const want of ['seed78', 'b <x>', 'a', '34.6 % (30.0–39.0)', '67.9 % (65.0–70.0)'])
    assert.ok(text.includes(want), `the page must say ${want}, got ${text}`);
  assert.not.ok(text.includes('towers.batch'), 'what is equal is left out');
  const charts = [...document.querySelectorAll('figure.chart')];
  const names = charts.map((chart) => chart.querySelector('b')?.textContent);
  for (const want of ['Stage 1: loss', 'Stage 2: loss', 'Stage 2: loss, by minutes'])
    assert.ok(names.includes(want), want);
  for (const chart of charts) assert.is(chart.querySelectorAll('g[aria-label="line"] path').length, 2);
  const same = await comparePage([runs[0], new RunFolder(runs[0].path)]);
  assert.ok(textOf(same).includes('The runs have one configuration.'));
  await rm(folder, { recursive: true });
});

test('report: examples come from the first images with two captions, with maps and shares that agree', async () => {
  const tokenizer = buildWordTokenizer(['ring', 'snowman', 'key'], { contextLength: 8 });
  const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
  const samples = [
    sample('one', ['ring']),
    sample('same', ['ring', 'ring']),
    sample('two', ['key', 'key', 'ring']),
    sample('three', ['snowman', 'key']),
    sample('four', ['snowman', 'ring']),
  ];
  const before = engine.stats().liveTensors;
  const examples = await examplesOf(engine, model, samples, 2);
  assert.is(engine.stats().liveTensors, before, 'every tensor is freed');
  assert.equal(
    examples.map(({ sample: { key }, boxes }) => [key, ...boxes]),
    [
      ['two', 0, 2],
      ['three', 0, 1],
    ],
  );
  const { budgets, gridSides } = model.config.vision;
  for (const { sample: one, boxes, bottomUp, topDown } of examples)
    for (const { probs, grid, selected, recall } of [bottomUp, ...topDown]) {
      assert.is(probs.length, grid[0] * grid[1]);
      assert.ok(probs.every((value) => value > 0 && value < 1));
      assert.equal(
        selected.map(({ map }) => Array.from(map).filter((value) => value === 1).length),
        [...budgets],
      );
      boxes.forEach((box, i) => {
        let wanted = 0;
        let taken = 0;
        gridSides.slice(1).forEach((side, scale) => {
          boxCells([one.boxes[box]], SIDE, side).forEach((cell, j) => {
            wanted += cell;
            taken += cell * selected[scale].map[j];
          });
        });
        assert.is(recall[i], taken / wanted);
      });
    }
  assert.is.not(String(examples[0].topDown[0].probs), String(examples[0].topDown[1].probs));
  assert.not.match(
    reportPage(config, metrics, {
      ...(await options()),
      examples: await examplesHtml(examples),
    }),
    'NaN',
  );
  model.dispose();
});

test.run();
