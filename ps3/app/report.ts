// The report of a run: one HTML file that needs nothing but itself.
import { join } from 'node:path';
import { expectKeys } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { stageConfig, type TrainConfig } from '../train/config.ts';
import type { Evaluation, Interval } from '../train/evaluate.ts';
import { LOOKS, type QuestionsEvaluation } from '../train/evaluation/questions.ts';
import { type Metric, trainingSeconds } from '../train/metrics.ts';
import {
  type IntervalEvaluation,
  readEvaluation,
  readEvaluations,
  readQuestions,
  readZeroShot,
  type ZeroShotEvaluation,
} from '../train/run/evaluations.ts';
import { STAGE_TITLES, type StageName } from '../train/run/progress.ts';
import type { RunFolder } from '../train/run.ts';
import { VILA_STAGES } from '../train/vila.ts';
import { LOOK_NAMES } from './evaluation_text.ts';
import { type Html, html, markup } from './html.ts';
import { CURVE_COLOURS, type Line, lineChart, lossChart } from './loss_curves.ts';
import { formatSeconds } from './progress.ts';
import { htmlPage, percent } from './report_page.ts';
import { type ReportParts, readReportParts } from './report_parts.ts';
import { protocolSection, zeroShotSection } from './report_protocols.ts';

/** What is known of a run. */
export interface ReportOptions extends ReportParts {
  /** Of all held-out images, once training is done. */
  readonly evaluation?: Evaluation;
  /** Of a VILA-HD, once it is trained. */
  readonly questions?: QuestionsEvaluation;
  /** Evaluations on the way. */
  readonly evaluations?: readonly IntervalEvaluation[];
  /** Of folders of labelled images. */
  readonly zeroShot?: readonly ZeroShotEvaluation[];
  /** Whether training goes on, so that browsers load the page again. */
  readonly isRunning?: boolean;
  /** Default: now. */
  readonly date?: Date;
}

const REPORT_OPTIONS = {
  adapterName: true,
  data: true,
  examples: true,
  evaluation: true,
  questions: true,
  evaluations: true,
  zeroShot: true,
  isRunning: true,
  date: true,
} as const;

/** Seconds after which browsers load the page of a run that goes on. */
const REFRESH_SECONDS = 60;

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

/** How a VILA-HD answered, by what it looked at, and how much of the place that answers it saw. */
function questionTables({ questions, candidates, budgetShare, looks }: QuestionsEvaluation): Html {
  const results = LOOKS.flatMap((way) => {
    const result = looks[way];
    return result ? [{ name: LOOK_NAMES[way], ...result }] : [];
  });
  const seen = results.map(({ name, recall }) =>
    recall ? tableRow(name, recall.mean, [recall.low, recall.high]) : undefined,
  );
  const recall = html`<table>
<caption><b>Patch recall.</b> Share of the patches of the place that answers which one look takes, at a budget of ${percent(budgetShare)} of all patches</caption>
${seen}</table>
`;
  const right = results.map(({ name, right }) =>
    right ? tableRow(name, right.mean, [right.low, right.high]) : undefined,
  );
  const answers = html`<table>
<caption><b>Answers.</b> The right one is the most likely of ${candidates}, ${questions} questions about an image each</caption>
${tableRow('chance', 1 / candidates)}${right}</table>
`;
  return html`${candidates > 0 ? answers : undefined}
${budgetShare > 0 ? recall : undefined}`;
}

function lossSection(metrics: readonly Metric[]): Html {
  const [blue, orange] = CURVE_COLOURS;
  const towers = metrics.filter(({ stage }) => stage === 'towers');
  const ps3 = metrics.filter(({ stage }) => stage === 'ps3');
  const ofVila = VILA_STAGES.flatMap((name) => {
    const stage = metrics.filter((metric) => metric.stage === name);
    return [
      lossChart(STAGE_TITLES[name], stage, [{ name: 'answers', loss: 'answers', colour: blue }]),
      lossChart(`${STAGE_TITLES[name]}, maps`, stage, [
        { name: 'cross-entropy', loss: 'entropy', colour: blue },
        { name: 'DICE', loss: 'dice', colour: orange },
      ]),
    ];
  });
  const charts = [
    lossChart('Stage 1: towers', towers, [{ name: 'contrastive', loss: 'loss', colour: blue }]),
    lossChart('Stage 2: PS3, features', ps3, [{ name: 'contrastive', loss: 'contrastive', colour: blue }]),
    lossChart('Stage 2: PS3, selection', ps3, [
      { name: 'bottom-up', loss: 'bottomUp', colour: blue },
      { name: 'top-down', loss: 'topDown', colour: orange },
    ]),
    ...ofVila,
  ];
  if (charts.every((chart) => chart === undefined)) return html`<p>The run logged no losses.</p>`;
  return html`<p>Faint: every step. Strong: moving average over a fortieth of the stage.</p><div class="charts">${charts}</div>`;
}

/** Numbers on held-out images over the steps. */
function evaluationSection(evaluations: readonly IntervalEvaluation[]): Html | undefined {
  const [blue, orange, green] = CURVE_COLOURS;
  const lineOf = (name: string, colour: string, value: (evaluation: Evaluation) => number): Line => ({
    name,
    colour,
    points: evaluations.map(({ step, evaluation }) => ({ x: step, y: value(evaluation) })),
    isSmooth: false,
  });
  const axes = { x: 'step', y: 'share' };
  const charts = [
    lineChart('Right caption for a box', axes, [
      lineOf('PS3, its own selection', blue, ({ retrieval }) => retrieval.predicted),
      lineOf('PS3, the box selected', orange, ({ retrieval }) => retrieval.ps3),
      lineOf('low-res only', green, ({ retrieval }) => retrieval.lowRes),
    ]),
    lineChart('Box’s patches selected', axes, [
      lineOf('bottom-up', blue, ({ recall }) => recall.bottomUp),
      lineOf('top-down', orange, ({ recall }) => recall.topDown),
      lineOf('random', green, ({ recall }) => recall.random),
    ]),
  ];
  if (evaluations.length === 0) return undefined;
  return html`<h2>Held-out images on the way</h2>
<div class="charts">${charts}</div>
`;
}

/** What else of the last stage that has begun is worth a look. */
function courseSection(metrics: readonly Metric[]): Html {
  const stage = metrics.at(-1)?.stage ?? 'towers';
  const [blue] = CURVE_COLOURS;
  const chart = (title: string, y: string, value: (metric: Metric) => number | undefined): Html | undefined =>
    lineChart(title, { x: 'step', y }, [
      {
        name: '',
        colour: blue,
        points: metrics.flatMap((metric) => {
          const found = metric.stage === stage ? value(metric) : undefined;
          return found === undefined ? [] : [{ x: metric.step + 1, y: found }];
        }),
      },
    ]);
  const numberOf = (key: string) => (metric: Metric) => {
    const { [key]: value } = metric;
    return typeof value === 'number' ? value : undefined;
  };
  const charts = [
    chart('Gradient norm', 'norm', numberOf('gradNorm')),
    chart('Logit scale', 'factor', numberOf('logitScale')),
    chart('Learning rate', 'rate', numberOf('lr')),
    chart('Images per second', 'images/s', ({ speed }) => speed?.imagesPerS),
    chart('Share of the adapter’s peak', 'share', ({ speed }) => speed?.peakShare),
    chart('Waiting for data', 'ms a step', ({ speed }) => speed?.dataWaitMs),
  ];
  return html`<p>${STAGE_TITLES[stage].replace(/^s/, 'S')}.</p><div class="charts">${charts}</div>`;
}

function limits({ boxes, candidates }: Evaluation, { recipe, seed }: TrainConfig): Html {
  return html`<p>One run with one seed (${seed}), recipe “${recipe}”. The intervals hold 95 % of what other images of the same kind would give: images are drawn anew with all their boxes, ${boxes} in all. Another seed would move the numbers too.</p>
<p>In retrieval both models are told the box: “low-res only” pools the low-res tokens that the box touches, PS3 the high-res patches that the box touches, of a look that it selects by itself (bottom-up), or of one that takes the box’s patches first (teacher-forced, as in training). Both use the same trained weights; “low-res only” is not a separately trained model. Captions come from the held-out images, ${candidates} at a time with the right one among them.</p>
<p>Patch recall counts every patch that a box touches, at all high-res scales. Random selection takes the same number of patches per scale, evenly.</p>
<p>The numbers are those of this model on this data. They say nothing about images of other kinds, nor about the published models.</p>`;
}

function facts(
  config: TrainConfig,
  metrics: readonly Metric[],
  { adapterName, date = new Date() }: ReportOptions,
): Html {
  const names: readonly StageName[] = config.vila ? VILA_STAGES : ['towers', 'ps3'];
  const stages = names.map((name) => stageConfig(config, name));
  const lines = [
    adapterName,
    `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    `${stages.map(({ steps }) => steps).join(' + ')} steps`,
    `${stages[stages.length - 1].batch} images per step`,
    `seed ${config.seed}`,
    `training time ${formatSeconds(trainingSeconds(metrics).at(-1) ?? 0)}`,
  ];
  const off = Object.entries(config.method).flatMap(([name, isOn]) => (isOn ? [] : [name]));
  if (off.length > 0) lines.push(`switched off: ${off.join(', ')}`);
  return html`<ul class="facts">${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

/** Where a run stands that has no evaluation yet, and how fast it goes. */
function standing(config: TrainConfig, metrics: readonly Metric[], isRunning: boolean): Html {
  const last = metrics.at(-1);
  if (!last) return html`<p class="now">No step is done yet.</p>`;
  const { stage, step, speed } = last;
  const { steps, batch } = stageConfig(config, stage);
  const done = `${step + 1} of ${steps} steps of ${STAGE_TITLES[stage].replace(':', ',')}`;
  const recent = metrics.filter((metric) => metric.stage === stage).slice(-50);
  const times = recent.flatMap(({ speed }) => (speed ? [speed.stepMs] : []));
  const stepMs = times.reduce((sum, ms) => sum + ms, 0) / Math.max(1, times.length);
  const left = ((steps - step - 1) * stepMs) / 1000;
  const words = [
    isRunning ? `In training: ${done}` : `Not finished: ${done}`,
    ...(speed
      ? [
          `${((1000 * batch) / stepMs).toPrecision(3)} images/s`,
          `${speed.tokensPerS.toFixed(0)} tokens/s`,
          ...(speed.gflopPerS === undefined ? [] : [`${speed.gflopPerS.toPrecision(3)} GFLOP/s`]),
          ...(speed.peakShare === undefined ? [] : [`${percent(speed.peakShare)} of this adapter’s peak`]),
          `${(speed.deviceBytes / 1e6).toFixed(0)} MB on the device`,
          ...(speed.dataWaitMs === undefined ? [] : [`${speed.dataWaitMs.toFixed(1)} ms waiting for data`]),
          ...(isRunning ? [`${formatSeconds(left)} left in this stage`] : []),
        ]
      : []),
  ];
  return html`<p class="now">${words.join(' · ')}</p>`;
}

/** The report as one page. */
export function reportPage(config: TrainConfig, metrics: readonly Metric[], options: ReportOptions): string {
  expectKeys('reportPage', options, REPORT_OPTIONS);
  const { evaluation, questions, evaluations = [], zeroShot = [], examples, data } = options;
  const { isRunning = false } = options;
  const results = evaluation
    ? html`<h2>Result on held-out images</h2>
<p>${data.heldOutMeans} Trained on ${data.trainedOn}, tested on ${data.heldOutImages} with ${data.heldOutBoxes} boxes.</p>
${resultTables(evaluation)}`
    : questions
      ? html`<h2>Result on held-out images</h2>
${questionTables(questions)}`
      : standing(config, metrics, isRunning);
  const looks =
    examples &&
    html`<h2>Where it looks</h2>
${markup(examples)}
`;
  const body = html`${facts(config, metrics, options)}
${results}
${looks}<h2>Losses</h2>
${lossSection(metrics)}
${evaluationSection(evaluations)}<h2>Course</h2>
${courseSection(metrics)}
${evaluation && protocolSection(evaluation.protocols)}${zeroShotSection(zeroShot)}${
  evaluation &&
  html`<h2>What this shows, and what not</h2>
${limits(evaluation, config)}
`
}<h2>Images and licences</h2>
<p>Images above may be passed on only under the terms of everything that went into them. The sources of this data set:</p>
<details open><summary>${data.credits.length} sources</summary><ul>${data.credits.map((credit) => html`<li>${credit}</li>`)}</ul></details>`;
  const isOpen = isRunning && !evaluation && !questions;
  return htmlPage(
    `${config.vila ? 'VILA-HD' : 'PS3'}, preset ${config.preset}`,
    body,
    isOpen ? { refreshSeconds: REFRESH_SECONDS } : {},
  );
}

/**
 * Writes `report.html` into the run's folder, from what else is there; it appears whole or not at all.
 *
 * @param options.isRunning  whether training goes on
 * @returns  its path
 * @throws RunError where the folder holds no run
 */
export async function writeReport(
  run: RunFolder,
  options: { readonly isRunning?: boolean } = {},
): Promise<string> {
  expectKeys('writeReport', options, { isRunning: true });
  const path = join(run.path, 'report.html');
  const quiet = (): void => undefined; // broken lines are told when the run goes on
  const [config, metrics, parts, evaluation, questions, evaluations, zeroShot] = await Promise.all([
    run.config(),
    run.metrics(quiet),
    readReportParts(run.path),
    readEvaluation(run.path),
    readQuestions(run.path),
    readEvaluations(run.path, quiet),
    readZeroShot(run.path, quiet),
  ]);
  await writeWhole(
    path,
    reportPage(config, metrics, { ...parts, ...options, evaluation, questions, evaluations, zeroShot }),
  );
  return path;
}
