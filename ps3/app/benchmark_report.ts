// What models made of a benchmark, as text and as a page.
import { dot, link, plot } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { NEEDS } from '../benchmarks/build/choose.ts';
import type { BenchmarkResults, ShowingResult } from '../train/evaluation/choices/results.ts';
import { CONTROLS, RESOLUTIONS } from '../train/evaluation/choices/views.ts';
import type { Estimate } from '../train/evaluation/intervals.ts';
import { type Html, html, markup } from './html.ts';
import { CURVE_COLOURS, lineChart } from './loss_curves.ts';
import { htmlPage, percent, wideTable } from './report_page.ts';

const modelsOf = ({ results }: BenchmarkResults): string[] => [...new Set(results.map(({ model }) => model))];

const shown = (estimate: Estimate | undefined): string =>
  estimate
    ? `${percent(estimate.mean)} (${(100 * estimate.low).toFixed(0)}–${(100 * estimate.high).toFixed(0)})`
    : '–';

/** Rows of all ways to show questions, resolutions first. */
function rowsOf(results: BenchmarkResults): ShowingResult[] {
  const order: readonly ShowingResult['showing'][] = [...RESOLUTIONS, ...CONTROLS];
  return modelsOf(results).flatMap((model) =>
    results.results
      .filter((result) => result.model === model)
      .toSorted((a, b) => order.indexOf(a.showing) - order.indexOf(b.showing)),
  );
}

const showingName = ({ showing }: ShowingResult): string =>
  typeof showing === 'number' ? `${showing} px` : showing;

/** Which categories a model can say something about: where it told options apart at all. */
function silences(results: BenchmarkResults): string[] {
  const names = new Map<string, string[]>();
  for (const { model, showing, untold } of results.results)
    if (showing === 3780 && untold > 0)
      names.set(percent(untold), [...(names.get(percent(untold)) ?? []), model]);
  return [...names].map(
    ([share, models]) =>
      `Guesses of ${models.join(', ')}: of ${share} of the questions no known word tells the options apart.`,
  );
}

function needRows({ categories }: BenchmarkResults): string[][] {
  return Object.entries(categories).map(([name, { questions, images, imagePx, neededPx, needs }]) => [
    name,
    ...[questions, images, imagePx].map(String),
    `${Math.round(neededPx.mean)} (${Math.round(neededPx.low)}–${Math.round(neededPx.high)})`,
    ...NEEDS.map((need) => percent(needs[need])),
  ]);
}

const NEED_HEAD = [
  ...['category', 'questions', 'images', 'image px', 'needed px'],
  ...NEEDS.map((need) => `needs ${need}`),
];

function resultRows(results: BenchmarkResults): string[][] {
  return rowsOf(results).map((result) => [
    `${result.model}, ${showingName(result)}`,
    shown(result.all),
    ...NEEDS.map((need) => shown(result.needs[need])),
    ...Object.keys(results.categories).map((name) => shown(result.categories[name])),
  ]);
}

const resultHead = ({ categories }: BenchmarkResults): string[] => [
  ...['model', 'all'],
  ...NEEDS.map((need) => `needs ${need}`),
  ...Object.keys(categories),
];

/** Accuracy and time of VILA-HDs by the share of all patches that is looked at, as in the paper. */
function budgetRows({ results, latencies = [] }: BenchmarkResults): string[][] {
  return latencies.map(({ model, share, tokens, firstTokenMs, totalMs }) => {
    const result = results.find((one) => one.model === model && one.showing === 3780);
    return [
      model,
      percent(share),
      ...[`${tokens}`, shown(result?.all)],
      ...NEEDS.map((need) => shown(result?.needs[need])),
      ...[firstTokenMs, totalMs].map((ms) => `${(ms / 1000).toPrecision(3)} s`),
    ];
  });
}

const BUDGET_HEAD = [
  ...['model', 'of all patches', 'tokens', 'all'],
  ...NEEDS.map((need) => `needs ${need}`),
  ...['first token', 'answer'],
];

/** Where models looked, of those that do. */
function lookedRows(results: BenchmarkResults): string[][] {
  return rowsOf(results).flatMap((result) => {
    const { model, looked } = result;
    if (!looked) return [];
    return [
      [
        `${model}, ${showingName(result)}`,
        shown(looked.all),
        ...NEEDS.map((need) => shown(looked.needs[need])),
      ],
    ];
  });
}

const LOOKED_HEAD = ['model', 'all', ...NEEDS.map((need) => `needs ${need}`)];
/** What the table of `lookedRows` is. */
const LOOKED = 'Share of the answer’s patches that are looked at';

/** What the times are of. */
const timesOf = ({ latencies = [] }: BenchmarkResults): string =>
  `Times are medians from the decoded image to the first token and to the end of the answer, on ${[...new Set(latencies.map(({ adapter }) => adapter))].join(' and ')}.`;

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Markdown: what categories need, and what models answered. */
export function formatResults(results: BenchmarkResults, title: string): string {
  const { questions, images, chance } = results;
  return [
    `# ${title}`,
    `${questions} questions on ${images} images; guessing gives ${percent(chance)}. In brackets 95 % of what other images would give.`,
    markdown(NEED_HEAD, needRows(results)),
    markdown(resultHead(results), resultRows(results)),
    ...(results.latencies?.length ? [markdown(BUDGET_HEAD, budgetRows(results)), timesOf(results)] : []),
    ...(lookedRows(results).length > 0 ? [`${LOOKED}:`, markdown(LOOKED_HEAD, lookedRows(results))] : []),
    ...silences(results),
  ]
    .join('\n\n')
    .concat('\n');
}

/** Image size and needed resolution of each category. */
function needFigure({ categories }: BenchmarkResults): Html {
  const rows = Object.entries(categories).map(([name, needs]) => ({ name, ...needs }));
  const { document } = parseHTML('<html><body></body></html>');
  const svg = plot({
    document,
    width: 620,
    height: 70 + 30 * rows.length,
    marginLeft: 110,
    marginBottom: 40,
    style: { fontSize: '13px', background: 'transparent' },
    x: { label: 'long side, pixels', domain: [0, 4000], grid: true },
    y: { label: null, domain: rows.map(({ name }) => name) },
    marks: [
      link(rows, {
        x1: ({ neededPx }: { neededPx: Estimate }) => neededPx.mean,
        x2: 'imagePx',
        y: 'name',
        stroke: '#8a8f98',
        strokeDasharray: '3 4',
      }),
      link(rows, {
        x1: ({ neededPx }: { neededPx: Estimate }) => neededPx.low,
        x2: ({ neededPx }: { neededPx: Estimate }) => neededPx.high,
        y: 'name',
        stroke: '#2f7ed8',
        strokeWidth: 3,
      }),
      dot(rows, {
        x: ({ neededPx }: { neededPx: Estimate }) => neededPx.mean,
        y: 'name',
        r: 5,
        fill: '#2f7ed8',
      }),
      dot(rows, { x: 'imagePx', y: 'name', r: 5, fill: '#d9822b' }),
    ],
  });
  return html`<figure><figcaption><b>What is needed, beside the size of the images</b> <span class="key"><i style="background:#2f7ed8"></i>least long side at which the reader is right, mean with 95 %</span> <span class="key"><i style="background:#d9822b"></i>image</span></figcaption>${markup(svg.outerHTML)}</figure>`;
}

/** Accuracy over resolution, a line for each model: of all questions, of a need, or of a category. */
function accuracyChart(
  results: BenchmarkResults,
  title: string,
  of: (result: ShowingResult) => Estimate | undefined,
): Html | undefined {
  const lines = modelsOf(results).map((name, i) => ({
    name,
    colour: CURVE_COLOURS[i % CURVE_COLOURS.length],
    isSmooth: false,
    points: RESOLUTIONS.flatMap((px) => {
      const result = results.results.find(({ model, showing }) => model === name && showing === px);
      const estimate = result && of(result);
      return estimate ? [{ x: px, y: 100 * estimate.mean }] : [];
    }),
  }));
  // Who was shown one resolution alone has no line.
  const drawn = lines.filter(({ points }) => points.length > 1);
  return lineChart(title, { x: 'long side, pixels', y: 'right, %' }, drawn.length > 0 ? drawn : lines);
}

/**
 * The page.
 *
 * @param cards  questions with their crops
 */
export function resultsPage(results: BenchmarkResults, title: string, cards: readonly string[]): string {
  const { questions, images, chance, categories } = results;
  const charts = [
    accuracyChart(results, 'All questions', ({ all }) => all),
    ...NEEDS.map((need) => accuracyChart(results, `Needs ${need}`, ({ needs }) => needs[need])),
    ...Object.keys(categories).map((name) =>
      accuracyChart(results, name, (result) => result.categories[name]),
    ),
  ];
  return htmlPage(
    title,
    html`<p>${questions} questions on ${images} images; guessing gives ${percent(chance)}. Intervals are 95 % of what other images would give. Models are shown an image reduced to a long side and enlarged again. The reader is told where the answer is; by its reading the questions were chosen, so its line is theirs by construction.</p>
${silences(results).map((sentence) => html`<p>${sentence}</p>`)}
${needFigure(results)}
${wideTable(html`What the categories need`, NEED_HEAD, needRows(results))}
<h2>Accuracy by resolution</h2><div class="row">${charts}</div>
${wideTable(html`Right answers, controls among them`, resultHead(results), resultRows(results))}
${results.latencies?.length ? html`${wideTable(html`Right answers and time by the share of all patches`, BUDGET_HEAD, budgetRows(results))}<p>${timesOf(results)}</p>` : undefined}
${lookedRows(results).length > 0 ? wideTable(html`${LOOKED}`, LOOKED_HEAD, lookedRows(results)) : undefined}
<h2>Questions</h2><style>.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1em } .cards figure { margin: 0; padding: .6em; border: 1px solid #8886; border-radius: 6px } .cards img { max-width: 100% } .right { font-weight: bold }</style>
<div class="cards">${markup(cards.join('\n'))}</div>`,
  );
}
