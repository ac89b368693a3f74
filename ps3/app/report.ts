// The report of a run: one HTML file that needs nothing but itself.
import { join } from 'node:path';
import { expectKeys } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import type { TrainConfig } from '../train/config.ts';
import type { Evaluation, Interval } from '../train/evaluate.ts';
import type { Metric } from '../train/metrics.ts';
import type { RunFolder } from '../train/run.ts';
import { SCALE_LINES } from './colours.ts';
import { type Example, exampleRow } from './examples.ts';
import { type Html, html, markup } from './html.ts';
import { lossChart } from './loss_curves.ts';
import { formatSeconds } from './progress.ts';
import type { TrainingData } from './training_data.ts';

export interface ReportOptions {
  readonly evaluation: Evaluation;
  readonly examples: readonly Example[];
  /** Counted and described, not shown. */
  readonly data: Pick<TrainingData, 'trainedOn' | 'heldOut' | 'heldOutMeans' | 'credits'>;
  /** The adapter in words. */
  readonly adapterName: string;
  /** Wall time. */
  readonly seconds: number;
  /** Default: now. */
  readonly date?: Date;
}

const REPORT_OPTIONS = {
  evaluation: true,
  examples: true,
  data: true,
  adapterName: true,
  seconds: true,
  date: true,
} as const;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5c6670; --paper: #ffffff; --line: #d9dee3; --bar: #a9cdf3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b0; --paper: #14171a; --line: #33393f; --bar: #2b5681; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { max-width: 46rem; margin: .5rem 0; }
small, .facts { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 0 1.2rem; margin: 0; padding: 0; list-style: none; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; max-width: 40rem; font-variant-numeric: tabular-nums; margin: .8rem 0 1.2rem; }
caption { text-align: left; padding: .3rem 0; }
th, td { text-align: left; font-weight: normal; padding: .3rem .5rem .3rem 0; border-top: 1px solid var(--line); }
th { width: 9rem; }
td:nth-child(2) { text-align: right; white-space: nowrap; width: 8.5rem; }
.bar { display: block; height: .9rem; background: var(--bar); min-width: 1px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
figure { margin: 0; }
.chart { display: flex; flex-direction: column; justify-content: space-between; }
.chart figcaption { font-size: .9rem; }
.key { white-space: nowrap; margin-right: .6rem; }
.key i { display: inline-block; width: 1em; height: 3px; vertical-align: middle; margin-right: .3em; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .6rem; margin: 0 0 1.4rem; }
.row img { width: 100%; height: auto; display: block; }
.row figcaption { font-size: .85rem; line-height: 1.35; padding-top: .25rem; overflow-wrap: anywhere; }
.row figcaption b, .row figcaption small { display: block; }
.swatch { display: inline-block; width: .75em; height: .75em; margin: 0 .3em 0 .1em; border: 1px solid #000; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
li { overflow-wrap: anywhere; }
@media (max-width: 40rem) { .row { grid-template-columns: repeat(2, 1fr); } th { width: 6rem; } td:nth-child(2) { width: 7.5rem; } }
`;

const percent = (share: number): string => `${(100 * share).toFixed(1)}\u00a0%`;

function tableRow(name: string, share: number, interval?: Interval): Html {
  const bar = markup(`<span class="bar" style="width:${(100 * Math.min(1, share)).toFixed(1)}%"></span>`);
  const range =
    interval && html` <small>${interval.map((edge) => (100 * edge).toFixed(1)).join('–')}</small>`;
  return html`<tr><th scope="row">${name}</th><td>${percent(share)}${range}</td><td>${bar}</td></tr>\n`;
}

/** The two tables, and whether the paper's order came out. */
function resultTables(evaluation: Evaluation): Html {
  const { boxes, candidates, retrieval, recall, budgetShare, intervals, protocols } = evaluation;
  const asInPaper = recall.topDown > recall.bottomUp && recall.bottomUp > recall.random;
  const half = ([low, high]: Interval): number => (high - low) / 2;
  const gain = retrieval.ps3 - retrieval.lowRes;
  const isClear = gain > Math.hypot(half(intervals.retrieval.ps3), half(intervals.retrieval.lowRes));
  const better = gain <= 0 ? 'does not hold' : isClear ? 'holds' : 'holds by less than the intervals';
  return html`<table>
<caption><b>Local retrieval.</b> The right caption among ${candidates} for a box, ${boxes} boxes of ${protocols.images} images</caption>
${tableRow('chance', 1 / candidates)}${tableRow('low-res only', retrieval.lowRes, intervals.retrieval.lowRes)}${tableRow('PS3, its own selection', retrieval.predicted, intervals.retrieval.predicted)}${tableRow('PS3, the box selected', retrieval.ps3, intervals.retrieval.ps3)}</table>
<table>
<caption><b>Patch recall.</b> Share of a box’s patches that one look selects, at a budget of ${percent(budgetShare)} of all patches</caption>
${tableRow('random', recall.random, intervals.recall.random)}${tableRow('bottom-up', recall.bottomUp, intervals.recall.bottomUp)}${tableRow('top-down', recall.topDown, intervals.recall.topDown)}</table>
<p>The paper’s order is PS3 (the box selected, as in training) &gt; low-res only, and top-down &gt; bottom-up &gt; random. Here the first ${better} and the second ${asInPaper ? 'holds' : 'does not hold'}.</p>
`;
}

function lossSection(metrics: readonly Metric[]): Html {
  const [blue, orange] = ['#2f7ed8', '#d9822b'];
  const towers = metrics.filter(({ stage }) => stage === 'towers');
  const ps3 = metrics.filter(({ stage }) => stage === 'ps3');
  const charts = [
    lossChart('Stage 1: towers', towers, [{ name: 'contrastive', loss: 'loss', colour: blue }]),
    lossChart('Stage 2: PS3, features', ps3, [{ name: 'contrastive', loss: 'contrastive', colour: blue }]),
    lossChart('Stage 2: PS3, selection', ps3, [
      { name: 'bottom-up', loss: 'bottomUp', colour: blue },
      { name: 'top-down', loss: 'topDown', colour: orange },
    ]),
  ];
  if (charts.every((chart) => chart === undefined)) return html`<p>The run logged no losses.</p>`;
  return html`<p>Faint: every step. Strong: moving average over a fortieth of the stage.</p><div class="charts">${charts}</div>`;
}

function limits({ boxes, candidates }: Evaluation, { recipe, seed }: TrainConfig): Html {
  return html`<p>One run with one seed (${seed}), recipe “${recipe}”. The intervals hold 95 % of what other images of the same kind would give: images are drawn anew with all their boxes, ${boxes} in all. Another seed would move the numbers too.</p>
<p>In retrieval both models are told the box: “low-res only” pools the low-res tokens that the box touches, PS3 the high-res patches that the box touches, of a look that it selects by itself (bottom-up), or of one that takes the box’s patches first (teacher-forced, as in training). Both use the same trained weights; “low-res only” is not a separately trained model. Captions come from the held-out images, ${candidates} at a time with the right one among them.</p>
<p>Patch recall counts every patch that a box touches, at all high-res scales. Random selection takes the same number of patches per scale, evenly.</p>
<p>The numbers are those of this model on this data. They say nothing about images of other kinds, nor about the published models.</p>`;
}

function facts(config: TrainConfig, { adapterName, seconds, date = new Date() }: ReportOptions): Html {
  const lines = [
    adapterName,
    `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    `${config.towers.steps} + ${config.ps3.steps} steps`,
    `${config.ps3.batch} images per step`,
    `seed ${config.seed}`,
    `wall time ${formatSeconds(seconds)}`,
  ];
  const off = Object.entries(config.method).flatMap(([name, isOn]) => (isOn ? [] : [name]));
  if (off.length > 0) lines.push(`switched off: ${off.join(', ')}`);
  return html`<ul class="facts">${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

/** Which line is which scale, where there are several. */
function lineNames(examples: readonly Example[]): string {
  const count = examples[0]?.bottomUp.selected.length ?? 0;
  const names = SCALE_LINES.slice(0, count).map(({ name }) => name);
  return count > 1 ? `, from the coarsest scale to the finest ${names.join(', ')}` : '';
}

function chosen(count: number): string {
  if (count === 0) return 'No held-out image has two different captions, so none is shown.';
  const which = count === 1 ? 'The first held-out image' : `The first ${count} held-out images`;
  return `${which} with two different captions, not chosen by outcome.`;
}

/** The report as one page. */
export async function reportPage(
  config: TrainConfig,
  metrics: readonly Metric[],
  options: ReportOptions,
): Promise<string> {
  expectKeys('reportPage', options, REPORT_OPTIONS);
  const { evaluation, examples, data } = options;
  const rows: Html[] = [];
  for (const example of examples) rows.push(await exampleRow(example));
  const boxCount = data.heldOut.reduce((sum, { boxes }) => sum + boxes.length, 0);
  const title = `PS3, preset ${config.preset}`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${markup(STYLE)}</style>
</head>
<body>
<h1>${title}</h1>
${facts(config, options)}
<h2>Result on held-out images</h2>
<p>${data.heldOutMeans} Trained on ${data.trainedOn}, tested on ${data.heldOut.length} with ${boxCount} boxes.</p>
${resultTables(evaluation)}
<h2>Where it looks</h2>
<p>${chosen(examples.length)} Dark to bright runs from the lowest to the highest value of each map. Outlines are the patches that one look selects${lineNames(examples)}. Percentages are shares of a box’s patches that the look takes.</p>
${rows}
<h2>Losses</h2>
${lossSection(metrics)}
<h2>What this shows, and what not</h2>
${limits(evaluation, config)}
<h2>Images and licences</h2>
<p>Images above may be passed on only under the terms of everything that went into them. The sources of this data set:</p>
<details open><summary>${data.credits.length} sources</summary><ul>${data.credits.map((credit) => html`<li>${credit}</li>`)}</ul></details>
</body>
</html>
`.html;
}

/**
 * Writes `report.html` into the run's folder; it appears whole or not at all.
 *
 * @returns its path
 */
export async function writeReport(run: RunFolder, options: ReportOptions): Promise<string> {
  const path = join(run.path, 'report.html');
  await writeWhole(path, await reportPage(await run.config(), await run.metrics(), options));
  return path;
}
