// Runs beside one another on one page: losses by step and by time, what differs in their configurations, final numbers.
import { basename } from 'node:path';
import type { TrainConfig } from '../train/config.ts';
import type { Evaluation, Interval } from '../train/evaluate.ts';
import { type Metric, trainingSeconds } from '../train/metrics.ts';
import { readEvaluation } from '../train/run/evaluations.ts';
import type { RunFolder } from '../train/run.ts';
import { type Html, html } from './html.ts';
import { CURVE_COLOURS, type Line, lineChart } from './loss_curves.ts';
import { htmlPage, percent, wideTable } from './report_page.ts';
import { withInterval } from './report_protocols.ts';

/** What is compared of a run. */
interface Compared {
  readonly name: string;
  readonly colour: string;
  readonly config: TrainConfig;
  readonly metrics: readonly Metric[];
  /** Seconds of training up to each of the metrics. */
  readonly seconds: readonly number[];
  readonly evaluation: Evaluation | undefined;
}

/** Every value of a configuration by its dotted key, lists as they are. */
function leaves(value: object, prefix = ''): [key: string, value: string][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? leaves(inner, `${prefix}${key}.`)
      : [[`${prefix}${key}`, JSON.stringify(inner)] as [string, string]],
  );
}

function differences(runs: readonly Compared[]): Html {
  const values = runs.map(({ config }) => new Map(leaves(config)));
  const keys = [...new Set(values.flatMap((map) => [...map.keys()]))];
  const rows = keys
    .map((key) => [key, ...values.map((map) => map.get(key) ?? '–')])
    .filter(([, first, ...others]) => others.some((other) => other !== first));
  if (rows.length === 0) return html`<p>The runs have one configuration.</p>`;
  return wideTable(html`Keys whose values are not all equal`, ['', ...runs.map(({ name }) => name)], rows);
}

/** Losses of a stage, each by step and by minutes. */
function charts(runs: readonly Compared[], stage: Metric['stage'], losses: readonly string[]): Html[] {
  const title = stage === 'towers' ? 'Stage 1' : 'Stage 2';
  return losses.flatMap((loss) => {
    const lines = (x: (run: Compared, i: number) => number): Line[] =>
      runs.map((run) => ({
        name: run.name,
        colour: run.colour,
        isMeasuredShown: false,
        points: run.metrics.flatMap(({ stage: of, [loss]: y }, i) =>
          of === stage && typeof y === 'number' ? [{ x: x(run, i), y }] : [],
        ),
      }));
    const hasTimes = runs.some(({ seconds }) => seconds.some((value) => value > 0));
    const bySteps = lines((run, i) => run.metrics[i].step + 1);
    const byTime = lines((run, i) => run.seconds[i] / 60);
    return [
      lineChart(`${title}: ${loss}`, { x: 'step', y: loss }, bySteps),
      hasTimes ? lineChart(`${title}: ${loss}, by minutes`, { x: 'minutes', y: loss }, byTime) : undefined,
    ].flatMap((chart) => chart ?? []);
  });
}

/** Numbers of the end, a row each. */
function results(runs: readonly Compared[]): Html {
  const rowOf = (name: string, cell: (evaluation: Evaluation) => string | undefined): string[] => [
    name,
    ...runs.map(({ evaluation }) => (evaluation && cell(evaluation)) ?? '–'),
  ];
  const around = (mean: number, [low, high]: Interval, count: number): string =>
    withInterval({ mean, low, high, count });
  const rows = [
    rowOf('boxes, images', ({ boxes, protocols }) => `${boxes}, ${protocols.images}`),
    rowOf('chance of the right caption', ({ candidates }) => percent(1 / candidates)),
    ...(
      [
        ['PS3, its own selection', 'predicted'],
        ['PS3, the box selected', 'ps3'],
        ['low-res only', 'lowRes'],
      ] as const
    ).map(([name, key]) =>
      rowOf(`right caption: ${name}`, ({ retrieval, intervals, boxes }) =>
        around(retrieval[key], intervals.retrieval[key], boxes),
      ),
    ),
    ...(
      [
        ['random', 'random'],
        ['bottom-up', 'bottomUp'],
        ['top-down', 'topDown'],
      ] as const
    ).map(([name, key]) =>
      rowOf(`box’s patches selected: ${name}`, ({ recall, intervals, boxes }) =>
        around(recall[key], intervals.recall[key], boxes),
      ),
    ),
    rowOf('area under selection’s curve, top-down', ({ protocols }) => {
      const { all } = protocols.selection.topDown;
      return all && withInterval(all.area);
    }),
    rowOf(
      'pointing, top-down',
      ({ protocols }) => protocols.pointing && withInterval(protocols.pointing.topDown),
    ),
    rowOf('whole image to its caption, recall at 1', ({ protocols }) => {
      const { global } = protocols;
      return global && withInterval(global.imageToText.recall1);
    }),
  ];
  return wideTable(
    html`Held-out images at the end of each run, in brackets 95 % of what other images would give. Runs are comparable where they have the same held-out images`,
    ['', ...runs.map(({ name }) => name)],
    rows,
  );
}

/** Names that differ: those of the folders, with as much of the path before as that takes. */
function namesOf(paths: readonly string[]): string[] {
  const names = paths.map((path) => basename(path));
  return new Set(names).size === names.length ? names : [...paths];
}

/**
 * One page about several runs.
 *
 * @throws RunError where a folder holds no run
 */
export async function comparePage(folders: readonly RunFolder[]): Promise<string> {
  const quiet = (): void => undefined; // broken lines are told when the run goes on
  const names = namesOf(folders.map(({ path }) => path));
  const runs = await Promise.all(
    folders.map(async (run, i): Promise<Compared> => {
      const metrics = await run.metrics(quiet);
      return {
        name: names[i],
        colour: CURVE_COLOURS[i % CURVE_COLOURS.length],
        config: await run.config(),
        metrics,
        seconds: trainingSeconds(metrics),
        evaluation: await readEvaluation(run.path),
      };
    }),
  );
  const body = html`<h2>Results</h2>
${runs.some(({ evaluation }) => evaluation) ? results(runs) : html`<p>No run is finished yet.</p>`}
<h2>Configuration</h2>
${differences(runs)}
<h2>Losses</h2>
<p>Moving averages over a fortieth of the stage. Minutes are those of training steps, without saving and evaluation.</p>
<div class="charts pairs">${charts(runs, 'ps3', ['loss', 'contrastive', 'bottomUp', 'topDown'])}${charts(runs, 'towers', ['loss'])}</div>`;
  return htmlPage(`${runs.length} runs`, body);
}
