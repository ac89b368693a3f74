// Tokens, patches and times of the looks so far.
import { byId, element, facts } from './elements.ts';
import type { Answer, ModelFacts } from './messages.ts';
import { coveredShare, cssColour, lineOf, type TakenPatches } from './overlay.ts';

const totals = byId('totals', HTMLElement);
const rows = byId('looks', HTMLElement);

/** 12,345. */
export const counted = (count: number): string => count.toLocaleString('en');

/** '0.42 ms', '42 ms', '1.2 s'. */
export function time(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** '6.65 GFLOP'. */
export function operations(flops: number): string {
  const [unit, name] = flops >= 1e12 ? [1e12, 'TFLOP'] : [1e9, 'GFLOP'];
  return `${(flops / unit).toPrecision(3)} ${name}`;
}

/** '1.66 MB'. */
export function bytes(count: number): string {
  const unit = [1e9, 1e6, 1e3].find((unit) => count >= unit) ?? 1;
  const name = { 1e9: 'GB', 1e6: 'MB', 1e3: 'kB', 1: 'bytes' }[unit];
  return `${unit === 1 ? count : (count / unit).toPrecision(3)} ${name}`;
}

const squarePx = (scale: number): HTMLElement => {
  const mark = element('i', 'swatch');
  mark.style.borderColor = cssColour(lineOf(scale).colour);
  return mark;
};

/** The swatch and the side of a high-res scale; 0 is the coarsest. */
export function scaleName(scale: number, { scalesPx }: ModelFacts): HTMLElement {
  return element('span', 'scale', squarePx(scale), `${scalesPx[scale + 1]} px`);
}

/** Begins with the low-res pass. */
export function showLowRes(model: ModelFacts, { ms }: Answer & { kind: 'maps' }): void {
  byId('counters', HTMLElement).hidden = false;
  const heads = [
    element('th', '', 'Look'),
    ...model.budgets.map((_, scale) => element('th', 'number', scaleName(scale, model))),
    element('th', 'number', 'Time'),
  ];
  for (const head of heads) head.scope = 'col';
  byId('looks-head', HTMLElement).replaceChildren(...heads);
  const name = element('th', '', 'Low-res');
  name.scope = 'row';
  const low = element('td', 'number', `${counted(lowTokens(model))} tokens`);
  low.colSpan = model.budgets.length;
  rows.replaceChildren(element('tr', '', name, low, element('td', 'number', time(ms))));
}

/** Adds a row of patches per scale. */
export function showLook({ index, taken, ms }: Answer & { kind: 'look' }): void {
  const name = element('th', '', `Look ${index}`);
  name.scope = 'row';
  const counts = taken.map(({ length }) => element('td', 'number', counted(length)));
  rows.append(element('tr', '', name, ...counts, element('td', 'number', time(ms))));
}

/** Sums over everything that was seen. */
export function showTotals(
  model: ModelFacts,
  patches: readonly TakenPatches[],
  looks: number,
  ms: number,
): void {
  const taken = patches.reduce((sum, { count }) => sum + count, 0);
  const all = patches.reduce((sum, { grid }) => sum + grid[0] * grid[1], 0);
  showCosts(model, taken);
  totals.replaceChildren(
    ...facts([
      ['Tokens', counted(lowTokens(model) + taken)],
      ['Patches', `${counted(taken)} of ${counted(all)}`],
      ['Looks', counted(looks)],
      ['Image seen in detail', `${(100 * coveredShare(patches)).toFixed(1)} %`],
      ['Time', time(ms)],
    ]),
  );
}

function lowTokens({ grids: [[Y, X]] }: ModelFacts): number {
  return Y * X;
}

/** What was encoded so far beside a plain ViT that sees every patch of the image, at every size. */
function showCosts({ costs, scalesPx }: ModelFacts, taken: number): void {
  const { lowRes, patchFlops, plain } = costs;
  const flops = lowRes.flops + taken * patchFlops;
  const row = (name: string, tokens: number, flops: number): HTMLElement => {
    const head = element('th', '', name);
    head.scope = 'row';
    return element(
      'tr',
      '',
      head,
      element('td', 'number', counted(tokens)),
      element('td', 'number', operations(flops)),
    );
  };
  const own = row(`PS3, up to ${scalesPx[scalesPx.length - 1]} px`, lowRes.tokens + taken, flops);
  own.className = 'own';
  byId('costs', HTMLElement).replaceChildren(
    own,
    ...plain.map((cost, i) => row(`Plain ViT at ${scalesPx[i]} px`, cost.tokens, cost.flops)),
  );
  const times = plain[plain.length - 1].flops / flops;
  byId('cost-note', HTMLElement).textContent =
    `Everything at ${scalesPx[scalesPx.length - 1]} px would cost ${times >= 10 ? counted(Math.round(times)) : times.toFixed(1)} times as much.`;
}
