// The study's page: sentences, tables and figures, all from the analysis.
import { dot, link, plot, ruleX, text } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { type Html, html, markup } from '../../ps3/app/html.ts';
import { BUDGETS } from '../../ps3/train/evaluation/located.ts';
import type { Analysis, Comparison, Score, TableRow } from './analysis.ts';
import { LOOK, LOW_ENOUGH, NEEDS_TOP } from './design.ts';
import {
  bestSentence,
  claim,
  controlSentence,
  growthSentence,
  limits,
  naiveSentence,
  points,
  pointsWithin,
  primarySentence,
  pText,
} from './sentences.ts';
import type { StoredStudy } from './stored.ts';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** An accuracy with its interval. */
function scoreText(score: Score | undefined): string {
  if (!score) return '–';
  const [low, high] = score.interval.map((value) => (100 * value).toFixed(0));
  return `${percent(score.mean)} (${low}–${high})`;
}

/** Operations in the unit that fits. */
function flopsText(flops: number | undefined): string {
  if (flops === undefined) return '–';
  if (flops >= 1e12) return `${(flops / 1e12).toFixed(2)} T`;
  return flops >= 1e9 ? `${(flops / 1e9).toFixed(1)} G` : `${(flops / 1e6).toFixed(0)} M`;
}

/** Differences of all comparisons: a dot for each training, a line for the interval, a tick for the mean. */
export function differencesFigure(comparisons: readonly Comparison[]): Html {
  const { document } = parseHTML('<html><body></body></html>');
  const label = ({ names: [a, b], id }: Comparison): string =>
    id.startsWith('ablation-') ? a.replace('PS3 with ', '+ ') : `${a} − ${b}`;
  const rows = comparisons.map((one) => ({ ...one, label: label(one) }));
  const svg = plot({
    document,
    width: 860,
    height: 70 + 26 * rows.length,
    marginBottom: 45,
    marginLeft: 400,
    marginRight: 30,
    style: { fontSize: '12px', background: 'transparent' },
    x: { label: 'difference, points', grid: true },
    y: { label: null, domain: rows.map(({ label }) => label) },
    marks: [
      ruleX([0]),
      link(rows, {
        x1: ({ interval: [low] }: Comparison) => 100 * low,
        x2: ({ interval: [, high] }: Comparison) => 100 * high,
        y: 'label',
        stroke: '#2f7ed8',
        strokeWidth: 2,
      }),
      dot(
        rows.flatMap(({ perSeed, label }) => perSeed.map((value) => ({ x: 100 * value, label }))),
        { x: 'x', y: 'label', r: 4, fill: '#d9822b', fillOpacity: 0.75 },
      ),
      text(rows, {
        x: ({ mean }: Comparison) => 100 * mean,
        y: 'label',
        text: () => '|',
        fill: '#2f7ed8',
        fontWeight: 'bold',
        fontSize: 15,
      }),
    ],
  });
  return markup(svg.outerHTML);
}

/** Accuracies of the rows that are compared at equal tokens: a dot for each training. */
export function accuraciesFigure(rows: readonly TableRow[], subset: 'top' | 'low', title: string): Html {
  const { document } = parseHTML('<html><body></body></html>');
  const shown = rows.flatMap((row) => {
    const score = row.scores[subset];
    return score ? [{ label: nameOf(row), ...score }] : [];
  });
  const svg = plot({
    document,
    width: 460,
    height: 70 + 26 * shown.length,
    marginLeft: 180,
    marginBottom: 45,
    style: { fontSize: '12px', background: 'transparent' },
    x: { label: 'accuracy, %', domain: [0, 100], grid: true },
    y: { label: null, domain: shown.map(({ label }) => label) },
    marks: [
      ruleX([25], { strokeDasharray: '4 3' }),
      link(shown, {
        x1: ({ interval: [low] }: Score) => 100 * low,
        x2: ({ interval: [, high] }: Score) => 100 * high,
        y: 'label',
        stroke: '#2f7ed8',
        strokeWidth: 2,
      }),
      dot(
        shown.flatMap(({ perSeed, label }) => perSeed.map((value) => ({ x: 100 * value, label }))),
        { x: 'x', y: 'label', r: 4, fill: '#d9822b', fillOpacity: 0.75 },
      ),
    ],
  });
  return html`<figure>${markup(svg.outerHTML)}<figcaption>${title}</figcaption></figure>`;
}

const nameOf = ({ name, trained }: TableRow): string =>
  trained === name ? name : trained === 'towers' ? `${name}, training-free` : `${trained}: ${name}`;

/** Rows that the main figures show, in the order of the expectation. */
export function mainRows(table: readonly TableRow[]): TableRow[] {
  const wanted = [
    'ps3 / top-down',
    's2 112 / s2 112',
    'anyres 112 / anyres 112',
    'low-res / low-res',
    'towers / s2 112',
    'towers / anyres 112',
    'towers / low-res',
    'ps3 / box',
    'towers / oracle crop',
    'ps3 / shuffled image',
    'towers / blind',
  ];
  return wanted.flatMap((place) => table.find(({ trained, name }) => `${trained} / ${name}` === place) ?? []);
}

const table = (heads: readonly string[], rows: readonly (readonly (string | number)[])[]): Html =>
  html`<table><thead><tr>${heads.map((head) => html`<th>${head}</th>`)}</tr></thead><tbody>${rows.map(
    (cells) => html`<tr>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table>`;

const STYLE = `:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:1000px;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;margin:1rem 0;font-size:13px}
th,td{padding:.25rem .6rem;border-bottom:1px solid #8884;text-align:right}td{white-space:nowrap}th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}.wide table{font-size:11px}
figure{display:inline-block;margin:.5rem 0;vertical-align:top}figcaption{font-size:13px;opacity:.8}
.first{font-size:1.15rem;font-weight:600}svg{max-width:100%;height:auto}li{margin:.35rem 0}`;

/** The whole page. */
export function studyPage({ environment, cells }: StoredStudy, analysis: Analysis): string {
  const { comparisons, control, growth, recall, budgets, mixes } = analysis;
  const { leastClaim, name } = cells.size;
  const main = mainRows(analysis.table);
  const ids = (prefix: string): Comparison[] => comparisons.filter(({ id }) => id.startsWith(prefix));
  const primary = comparisons.slice(0, 3).filter(({ subset }) => subset === 'top');
  const sentences = (some: readonly Comparison[]): Html =>
    html`<ul>${some.map((one) => html`<li>${claim(one, leastClaim)}</li>`)}</ul>`;
  const statistics = table(
    [
      'difference',
      'mean',
      'over trainings and images',
      'trainings alone',
      'images alone (BCa)',
      'p',
      'Holm',
      'McNemar',
      'power for 10',
      'verdict',
    ],
    [...comparisons, ...control].map((one) => [
      one.names.join(' − '),
      points(one.mean),
      pointsWithin(one.interval),
      pointsWithin(one.overTrainings),
      pointsWithin(one.overImages),
      pText(one.p),
      pText(one.adjustedP),
      one.mcnemar.map((p) => p.toFixed(3)).join(', ') || '–',
      percent(one.power),
      one.verdict,
    ]),
  );
  const all = table(
    [
      'trained: way to see',
      'tokens',
      'operations',
      'ms',
      'training operations',
      'needs the top',
      'needs least',
      'all',
    ],
    analysis.table.map((row) => [
      nameOf(row),
      row.tokens,
      flopsText(row.flops),
      row.ms?.toFixed(0) ?? '–',
      flopsText(row.trainingFlops),
      scoreText(row.scores.top),
      scoreText(row.scores.low),
      scoreText(row.scores.all),
    ]),
  );
  const budgetRows = budgets.map(({ patches, score }) => ({
    label: `${patches} patches (${((100 * patches) / 320).toFixed(0)} %)`,
    mean: score?.mean,
  }));
  const mixRows = mixes.map(({ coarse, score }) => ({
    label: `${coarse} of ${LOOK} patches at 112 px`,
    mean: score?.mean,
  }));
  const page = html`<!doctype html><html lang="en"><meta charset="utf-8"><title>PS3 study, ${name}</title><style>${markup(STYLE)}</style>
<h1>The paper’s claims at a scale that one machine can afford: ${name} study</h1>
<p class="first">${primarySentence(analysis)}</p>
<p>${environment.date}, ${environment.adapter}, ps3-webgpu ${environment['ps3-webgpu']}. Dots are trainings, lines are 95 % intervals over trainings and images; the dashed line is chance.</p>
<ul>${limits(cells).map((limit) => html`<li>${limit}</li>`)}</ul>
<h2>Equal tokens</h2>
${accuraciesFigure(main, 'top', `Questions that need more than ${NEEDS_TOP} of the side`)}
${accuraciesFigure(main, 'low', `Questions that need at most ${LOW_ENOUGH} of the side`)}
${sentences(primary)}<p>${controlSentence(analysis)}</p>
<h2>All expectations</h2>
${differencesFigure(comparisons)}
${sentences(comparisons.slice(primary.length).filter(({ id }) => !id.startsWith('ablation-')))}
<h2>Ablations</h2>
${sentences(ids('ablation-'))}
<h2>Selection recall</h2>
${table(
  ['training, map', 'objects', ...BUDGETS.map((share) => `${100 * share} %`)],
  [
    ['random', 'all', ...BUDGETS.map(percent)],
    ...recall.map(({ arm, map, subset, shares }) => [
      `${arm}, ${map === 'topDown' ? 'top-down' : 'bottom-up'}`,
      { top: 'that need the top', low: 'that need least', all: 'all' }[subset],
      ...shares.map(percent),
    ]),
  ],
)}
<h2>Budgets and scales</h2>
<p>${bestSentence('Accuracy by budget of patches, of one training with 20 %', budgetRows)} ${bestSentence('Accuracy by the mix of scales of one look', mixRows)}</p>
${table(
  ['patches of a look, or mix', 'accuracy'],
  [...budgetRows, ...mixRows].map(({ label, mean }) => [label, mean === undefined ? '–' : percent(mean)]),
)}
<h2>Cost</h2>
<p>${growthSentence(growth)} ${naiveSentence(cells)}</p>
${table(
  ['way to see', 'side, px', 'tokens', 'operations', 'peak, MB', 'ms'],
  cells.costs.map(({ name, sidePx, tokens, flops, peakBytes, ms }) => [
    { constant: 'PS3, fixed budget', naive: 'all patches, naive', ps3: 'PS3' }[name] ?? name,
    sidePx,
    tokens,
    flopsText(flops),
    (peakBytes / 1e6).toFixed(1),
    [...ms].sort((a, b) => a - b)[ms.length >> 1].toFixed(0),
  ]),
)}
<h2>All rows</h2><div class="wide">${all}</div>
<h2>All statistics</h2><div class="wide">${statistics}</div>
</html>
`;
  return page.html;
}

/** A summary in Markdown, for a README. */
export function studySummary({ environment, cells }: StoredStudy, analysis: Analysis): string {
  const { leastClaim, name } = cells.size;
  const rows = mainRows(analysis.table).map(
    (row) =>
      `| ${nameOf(row)} | ${row.tokens} | ${flopsText(row.flops)} | ${scoreText(row.scores.top)} | ${scoreText(row.scores.low)} |`,
  );
  return [
    `# The ${name} study`,
    '',
    `Written by \`npm run study\`, ${environment.date}, ${environment.adapter}.`,
    '',
    primarySentence(analysis),
    '',
    '| way to see | tokens | operations | needs the top | needs least |',
    '|---|--:|--:|--:|--:|',
    ...rows,
    '',
    'Accuracy of four options (chance 25 %), with 95 % intervals over trainings and images.',
    '',
    ...analysis.comparisons.map((one) => `- ${claim(one, leastClaim)}`),
    `- ${controlSentence(analysis)}`,
    `- ${growthSentence(analysis.growth)}`,
    `- ${naiveSentence(cells)}`,
    '',
    ...limits(cells).map((limit) => `- ${limit}`),
    '',
  ].join('\n');
}
