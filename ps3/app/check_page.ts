// The page of a check: what is in a collection, what is wrong with it, and some of its images with their boxes.
import { plot, rectY, ruleY } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import sharp from 'sharp';
import { edgesOf, MEASURES, type MeasureName, type Summary } from '../data/check/findings.ts';
import type { Reference } from '../data/stream/shard.ts';
import { type Html, html, markup } from './html.ts';

/** Sentences that are shown of one kind of fault. */
const MOST_REASONS = 5;
/** Long side of the images that are shown. */
const THUMBNAIL_PX = 360;
const COLOURS = ['#ffd60a', '#00e5ff', '#ff5ecb', '#7dff5e', '#ff9f43', '#b28dff'];

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5c6670; --paper: #ffffff; --line: #d9dee3; --bar: #2f7ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b0; --paper: #14171a; --line: #33393f; --bar: #6aaef2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; font-weight: normal; vertical-align: top; padding: .25rem 1rem .25rem 0; border-top: 1px solid var(--line); }
td:nth-child(2) { text-align: right; }
small, li { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.1rem; }
figure { margin: 0; }
figcaption { font-size: .9rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1.2rem; }
.charts svg { width: 100%; height: auto; color: var(--ink); fill: currentColor; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); gap: 1rem; align-items: start; }
.sheet svg { width: 100%; max-height: 18rem; display: block; }
.sheet figcaption { font-size: .8rem; line-height: 1.35; padding-top: .25rem; overflow-wrap: anywhere; }
.sheet i { display: inline-block; width: .7em; height: .7em; border: 1px solid #000; margin-right: .3em; }
.sheet span { display: block; max-height: 4em; overflow: auto; }
`;

/** An image that is shown. */
export interface Shown {
  readonly reference: Pick<Reference, 'key' | 'boxes' | 'captions' | 'globalCaption' | 'questions'>;
  readonly encoded: Uint8Array;
}

/** A histogram as SVG; undefined where nothing was counted. */
export function histogramChart(
  name: MeasureName,
  histogram: Readonly<Record<string, number>>,
): Html | undefined {
  const bars = Object.entries(histogram).map(([bin, count]) => {
    const [low, high] = edgesOf(name, Number(bin));
    return { low, high, count };
  });
  if (bars.length === 0) return undefined;
  const { document } = parseHTML('<html><body></body></html>');
  const { title, perOctave } = MEASURES[name];
  const svg = plot({
    document,
    width: 420,
    height: 220,
    marginLeft: 52,
    style: { fontSize: '13px', background: 'none' },
    x: { label: null, ...(perOctave && { type: 'log', base: 2, tickFormat: ticks }), ticks: 6 },
    y: { label: null, ticks: 4, grid: true },
    marks: [
      rectY(bars, { x1: 'low', x2: 'high', y: 'count', fill: 'var(--bar)', insetLeft: 0.5, insetRight: 0.5 }),
      ruleY([0]),
    ],
  });
  return html`<figure><figcaption><b>${title}</b></figcaption>${markup(svg.outerHTML)}</figure>`;
}

const ticks = (value: number): string => String(Number(value.toPrecision(3)));

/** An image with its boxes drawn, in pixels of the original. */
async function shownImage({ reference, encoded }: Shown): Promise<Html> {
  const { key, boxes, captions, globalCaption, questions = [] } = reference;
  const pipeline = sharp(encoded, { ignoreIcc: true });
  const { width, height } = await pipeline.metadata();
  const thumbnail = await pipeline
    .resize(THUMBNAIL_PX, THUMBNAIL_PX, { fit: 'inside', withoutEnlargement: true })
    .flatten({ background: '#808080' })
    .toColourspace('srgb')
    .jpeg({ quality: 80 })
    .toBuffer();
  const line = Math.max(width, height) / 180;
  const colour = (i: number): string => COLOURS[i % COLOURS.length];
  const rectangles = boxes.map(
    ([x1, y1, x2, y2], i) =>
      html`<rect x="${x1}" y="${y1}" width="${Math.max(0, x2 - x1)}" height="${Math.max(0, y2 - y1)}" fill="none" stroke="${colour(i)}" stroke-width="${line}"><title>${captions[i]}</title></rect>`,
  );
  const names = captions.map(
    (caption, i) => html`<span><i style="background:${colour(i)}"></i>${caption}</span>`,
  );
  const asked = questions.map(
    ({ question, answer = 'not told' }) => html`<span>${question}: ${answer}</span>`,
  );
  const whole = globalCaption === undefined ? undefined : html`<span>${globalCaption}</span>`;
  return html`<figure><svg viewBox="0 0 ${width} ${height}"><image href="data:image/jpeg;base64,${thumbnail.toString('base64')}" width="${width}" height="${height}" preserveAspectRatio="none"/>${rectangles}</svg>
<figcaption><small>${key}, ${width} × ${height}</small>${whole}${names}${asked}</figcaption></figure>
`;
}

/** Counts of faults by kind, most first. */
export function faultCounts({ faults }: Pick<Summary, 'faults'>): [kind: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { kind } of faults) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

function faultTable(summary: Summary): Html {
  if (summary.faults.length === 0) return html`<p>No faults were found.</p>`;
  const rows = faultCounts(summary).map(([kind, count]) => {
    const reasons = summary.faults.filter((fault) => fault.kind === kind).slice(0, MOST_REASONS);
    const items = reasons.map(({ key, reason }) => html`<li>${key ? `${key}: ` : ''}${reason}</li>`);
    return html`<tr><th scope="row">${kind}</th><td>${count}</td><td><ul>${items}</ul></td></tr>\n`;
  });
  return html`<table>${rows}</table><p><small>All of them are in faults.jsonl beside this page.</small></p>`;
}

/** What is in a collection, as rows of a table. */
export function countRows(summary: Summary, tokenizer?: string): [string, string][] {
  const { samples, decoded, boxes, captions, globalCaptions, cutCaptions, sameContent, sameKey } = summary;
  const { questions, answers } = summary;
  const all = captions + globalCaptions;
  const share = all === 0 ? 0 : (100 * cutCaptions) / all;
  return [
    ['samples with image and annotation', `${samples}`],
    ['images that decode', `${decoded}`],
    ['boxes with captions', `${boxes}`],
    ['global captions', `${globalCaptions}`],
    ...(questions > 0 ? [['questions, with an answer', `${questions}, ${answers}`] as [string, string]] : []),
    ...(tokenizer
      ? [[`captions that ${tokenizer} cuts`, `${cutCaptions} (${share.toFixed(1)} %)`] as [string, string]]
      : []),
    ['images with the content of another', `${sameContent.length}`],
    ['keys that are in an earlier shard too', `${sameKey.length}`],
    ['faults', `${summary.faults.length}`],
  ];
}

/** The page of a check, which needs nothing but itself. */
export async function checkPage(
  name: string,
  summary: Summary,
  shown: readonly Shown[],
  tokenizer?: string,
): Promise<string> {
  const names = Object.keys(MEASURES) as MeasureName[];
  const charts = names.map((name) => histogramChart(name, summary.histograms[name]));
  const images: Html[] = [];
  for (const image of shown) images.push(await shownImage(image));
  const rows = countRows(summary, tokenizer).map(
    ([what, count]) => html`<tr><th scope="row">${what}</th><td>${count}</td></tr>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name}</title>
<style>${markup(STYLE)}</style>
</head>
<body>
<h1>${name}</h1>
<table>${rows}</table>
<h2>Faults</h2>
${faultTable(summary)}
<h2>Sizes and lengths</h2>
<div class="charts">${charts}</div>
<h2>${shown.length} images, drawn by their content</h2>
<div class="sheet">${images}</div>
</body>
</html>
`.html;
}
