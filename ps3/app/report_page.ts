// The frame of the pages about runs: one HTML file that needs nothing but itself.
import { type Html, html, markup } from './html.ts';

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
@media (min-width: 50rem) { .pairs { grid-template-columns: 1fr 1fr; } }
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
.wide { overflow-x: auto; }
.wide table { max-width: none; width: auto; }
.wide th, .wide td, .wide td:nth-child(2) { width: auto; padding-right: 1.2rem; white-space: nowrap; text-align: left; }
.wide caption { white-space: nowrap; }
.wide th { color: var(--soft); }
.now { padding: .6rem .9rem; border: 1px solid var(--line); border-radius: .4rem; }
@media (max-width: 40rem) { .row { grid-template-columns: repeat(2, 1fr); } th { width: 6rem; } td:nth-child(2) { width: 7.5rem; } }
`;

/** How a page is shown. */
export interface PageOptions {
  /** Seconds after which a browser loads it again; never by default. */
  readonly refreshSeconds?: number;
}

/** A whole page. */
export function htmlPage(title: string, body: Html, { refreshSeconds }: PageOptions = {}): string {
  const refresh = refreshSeconds && markup(`<meta http-equiv="refresh" content="${refreshSeconds}">\n`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${refresh || undefined}<title>${title}</title>
<style>${markup(STYLE)}</style>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`.html;
}

/** `12.3 %`. */
export const percent = (share: number): string => `${(100 * share).toFixed(1)}\u00a0%`;

/** A table of texts, which scrolls where it is wide. */
export function wideTable(
  caption: Html,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): Html {
  const cells = (row: readonly string[]): Html =>
    html`<tr><th scope="row">${row[0]}</th>${row.slice(1).map((cell) => html`<td>${cell}</td>`)}</tr>\n`;
  return html`<div class="wide"><table><caption>${caption}</caption>
<tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr>
${rows.map(cells)}</table></div>
`;
}
