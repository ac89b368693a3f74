// Loss curves as SVG: what was measured as a faint line, its moving average as a strong one.
import { dot, line, plot, ruleY } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Metric } from '../train/metrics.ts';
import { type Html, html, markup } from './html.ts';

/** One line of a chart of losses. */
export interface Curve {
  readonly name: string;
  /** Key of a metric. */
  readonly loss: string;
  /** Any CSS colour. */
  readonly colour: string;
}

/** Where a line goes through. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** One line of a chart. */
export interface Line {
  /** For the legend; '' for a chart of one line, which its title names. */
  readonly name: string;
  /** Any CSS colour. */
  readonly colour: string;
  readonly points: readonly Point[];
  /** Show the moving average as the line; default true. */
  readonly isSmooth?: boolean;
  /** Show what was measured, faintly; default true. */
  readonly isMeasuredShown?: boolean;
}

/** What the axes are called. */
export interface Axes {
  readonly x: string;
  readonly y: string;
}

/** Colours of lines, told apart with the common colour deficiencies on light and dark ground. */
export const CURVE_COLOURS: readonly string[] = [
  '#2f7ed8',
  '#d9822b',
  '#3a9d5d',
  '#b45fc4',
  '#8a8f98',
  '#c9a227',
];

/** So few points are drawn besides the line through them. */
const FEW_POINTS = 20;

/** Points of a line that a reader can tell apart; longer runs are thinned to it. */
const MOST_POINTS = 800;

/**
 * Moving average that falls off exponentially to both sides, so that it does not lag.
 *
 *   average[i] = sum_j e^(-|i - j| / span) value[j] / sum_j e^(-|i - j| / span)
 *
 * @param span  steps over which a value's weight falls to 1/e
 */
export function movingAverage(values: readonly number[], span: number): number[] {
  const keep = Math.exp(-1 / span);
  /** Weighted sum and weight of each value with all before it. */
  const upTo = (list: readonly number[]): [number, number][] => {
    let sum = 0;
    let weight = 0;
    return list.map((value) => {
      sum = keep * sum + value;
      weight = keep * weight + 1;
      return [sum, weight];
    });
  };
  const before = upTo(values);
  const after = upTo(values.toReversed()).toReversed();
  return values.map((value, i) => (before[i][0] + after[i][0] - value) / (before[i][1] + after[i][1] - 1));
}

/** Every k-th point and the last, at most MOST_POINTS. */
function thinned(points: readonly Point[]): Point[] {
  const stride = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % stride === 0 || i === points.length - 1);
}

/** A figure of the losses over the steps of one stage; nothing where the stage logged none. */
export function lossChart(
  title: string,
  metrics: readonly Metric[],
  curves: readonly Curve[],
): Html | undefined {
  const lines = curves.map(({ name, loss, colour }) => ({
    name,
    colour,
    points: metrics.flatMap(({ step, [loss]: value }) =>
      typeof value === 'number' ? [{ x: step + 1, y: value }] : [],
    ),
  }));
  return lineChart(title, { x: 'step', y: 'loss' }, lines);
}

/** A figure of lines; those without points are left out, and the figure with them. */
export function lineChart(title: string, axes: Axes, lines: readonly Line[]): Html | undefined {
  const drawn = lines.flatMap((one) => {
    const { points, isSmooth = true } = one;
    if (points.length === 0) return [];
    const values = points.map(({ y }) => y);
    const averages = isSmooth ? movingAverage(values, Math.max(1, points.length / 40)) : values;
    return [{ ...one, smooth: points.map(({ x }, i) => ({ x, y: averages[i] })) }];
  });
  if (drawn.length === 0) return undefined;
  const { document } = parseHTML('<html><body></body></html>');
  const encoding = { x: 'x', y: 'y' };
  const isWhole = drawn.every(({ points }) => points.every(({ x }) => Number.isInteger(x)));
  const svg = plot({
    document,
    width: 420,
    height: 260,
    marginLeft: 52,
    marginBottom: 38,
    marginTop: 22,
    style: { fontSize: '13px', background: 'none' },
    x: { label: axes.x, ticks: 5, ...(isWhole ? { tickFormat: 'd' } : {}) },
    y: { label: axes.y, ticks: 5, zero: true, grid: true, tickFormat: tick },
    marks: [
      ruleY([0]),
      ...drawn.flatMap(({ points, colour, isSmooth = true, isMeasuredShown = true }) =>
        isSmooth && isMeasuredShown
          ? [line(thinned(points), { ...encoding, stroke: colour, strokeOpacity: 0.3, strokeWidth: 1 })]
          : [],
      ),
      ...drawn.map(({ smooth, colour }) =>
        line(thinned(smooth), { ...encoding, stroke: colour, strokeWidth: 2.2 }),
      ),
      ...drawn.flatMap(({ smooth, colour }) =>
        smooth.length < FEW_POINTS ? [dot(smooth, { ...encoding, fill: colour, r: 2.5 })] : [],
      ),
    ],
  });
  const last = (points: readonly Point[]): string => {
    const { y } = points[points.length - 1];
    return y !== 0 && Math.abs(y) < 0.01 ? y.toExponential(1) : y.toFixed(Math.abs(y) < 10 ? 3 : 1);
  };
  const legend = drawn.map(({ name, colour, smooth }) =>
    name === ''
      ? html`<small>ends at ${last(smooth)}</small>`
      : html`<span class="key"><i style="background:${colour}"></i>${name} <small>ends at ${last(smooth)}</small></span> `,
  );
  return html`<figure class="chart"><figcaption><b>${title}</b> ${legend}</figcaption>${markup(svg.outerHTML)}</figure>`;
}

/** A number at a tick: in powers of ten where it is small. */
function tick(value: number): string {
  return value !== 0 && Math.abs(value) < 0.001
    ? value.toExponential(0)
    : String(Number(value.toPrecision(4)));
}
