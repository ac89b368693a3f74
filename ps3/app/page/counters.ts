// Tokens, patches and times of the looks, or of the questions, so far.
import { byId, element, facts } from './elements.ts';
import type { Answer, ModelCosts, ModelFacts } from './messages.ts';
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

/** Begins the table of looks, or of questions. */
function showHeads(first: string, ...others: (string | Node)[]): void {
  byId('counters', HTMLElement).hidden = false;
  const heads = [element('th', '', first), ...others.map((name) => element('th', 'number', name))];
  for (const head of heads) head.scope = 'col';
  byId('looks-head', HTMLElement).replaceChildren(...heads);
}

function rowHead(name: string): HTMLElement {
  return Object.assign(element('th', '', name), { scope: 'row' });
}

/** Begins with the low-res pass. */
export function showLowRes(model: ModelFacts, { ms }: Answer & { kind: 'maps' }): void {
  showHeads('Look', ...model.budgets.map((_, scale) => scaleName(scale, model)), 'Time');
  const low = element('td', 'number', `${counted(lowTokens(model))} tokens`);
  low.colSpan = model.budgets.length;
  rows.replaceChildren(element('tr', '', rowHead('Low-res'), low, element('td', 'number', time(ms))));
}

/** Adds a row of patches per scale. */
export function showLook({ index, taken, ms }: Answer & { kind: 'look' }): void {
  const counts = taken.map(({ length }) => element('td', 'number', counted(length)));
  rows.append(element('tr', '', rowHead(`Look ${index}`), ...counts, element('td', 'number', time(ms))));
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
  if (model.costs) showCosts(model, model.costs, taken);
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
function showCosts({ scalesPx }: ModelFacts, costs: ModelCosts, taken: number): void {
  const { lowRes, patchFlops, plain } = costs;
  const flops = lowRes.flops + taken * patchFlops;
  const row = (name: string, tokens: number, flops: number): HTMLElement => {
    return element(
      'tr',
      '',
      rowHead(name),
      element('td', 'number', counted(tokens)),
      element('td', 'number', operations(flops)),
    );
  };
  const own = row(`PS3, up to ${scalesPx[scalesPx.length - 1]} px`, lowRes.tokens + taken, flops);
  own.className = 'own';
  byId('cost-rows', HTMLElement).replaceChildren(
    own,
    ...plain.map((cost, i) => row(`Plain ViT at ${scalesPx[i]} px`, cost.tokens, cost.flops)),
  );
  const times = plain[plain.length - 1].flops / flops;
  byId('cost-note', HTMLElement).textContent =
    `Everything at ${scalesPx[scalesPx.length - 1]} px would cost ${times >= 10 ? counted(Math.round(times)) : times.toFixed(1)} times as much.`;
}

/** Begins the questions about an image with what is paid once for it. */
export function showGlance({ tokens, ms }: Glance): void {
  showHeads('Question', 'Low-res', 'Look', 'First token', 'All');
  rows.replaceChildren(questionRow(['Image', time(ms), '', '', '']));
  totals.replaceChildren(...facts([['Tokens for the language model', `${counted(tokens)} low-res`]]));
}

type Glance = NonNullable<(Answer & { kind: 'read' })['glance']>;

/** Adds the row of a question, and counts its tokens, patches and memory. */
export function showAnswered(
  { tokens, lookMs, firstMs, ms, liveBytes, peakBytes }: Answer & { kind: 'answered' },
  patches: readonly TakenPatches[],
): void {
  rows.append(questionRow([`${rows.children.length}`, 'reused', time(lookMs), time(firstMs), time(ms)]));
  const { low, seen, text, kept, answer } = tokens;
  const taken = patches.reduce((sum, { count }) => sum + count, 0);
  const all = patches.reduce((sum, { grid }) => sum + grid[0] * grid[1], 0);
  totals.replaceChildren(
    ...facts([
      ['Tokens read', counted(low + seen + text)],
      ['of them low-res', counted(low)],
      ['of them looked at', counted(seen)],
      ['of them text', counted(text)],
      ['kept for the next question', counted(kept)],
      ['Tokens answered', counted(answer)],
      ['Patches looked at', `${counted(taken)} of ${counted(all)}`],
      ['Memory', `${bytes(liveBytes)}, at most ${bytes(peakBytes)}`],
    ]),
  );
}

function questionRow([name, ...cells]: readonly string[]): HTMLElement {
  return element('tr', '', rowHead(name), ...cells.map((cell) => element('td', 'number', cell)));
}
