// Loss curves as SVG: what was measured as a faint line, its moving average as a strong one.
import { line, plot, ruleY } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Metric } from '../train/metrics.ts';
import { type Html, html, markup } from './html.ts';

/** One line of a chart. */
export interface Curve {
  readonly name: string;
  /** Key of a metric. */
  readonly loss: string;
  /** Any CSS colour. */
  readonly colour: string;
}

interface Point {
  readonly step: number;
  readonly value: number;
}

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

/** A figure of the curves over the steps of one stage; nothing where the stage logged none. */
export function lossChart(
  title: string,
  metrics: readonly Metric[],
  curves: readonly Curve[],
): Html | undefined {
  const lines = curves.flatMap((curve) => {
    const points: Point[] = metrics.flatMap(({ step, [curve.loss]: value }) =>
      typeof value === 'number' ? [{ step: step + 1, value }] : [],
    );
    if (points.length === 0) return [];
    const span = Math.max(1, points.length / 40);
    const averages = movingAverage(
      points.map(({ value }) => value),
      span,
    );
    return [{ ...curve, raw: points, smooth: points.map(({ step }, i) => ({ step, value: averages[i] })) }];
  });
  if (lines.length === 0) return undefined;
  const { document } = parseHTML('<html><body></body></html>');
  const encoding = { x: 'step', y: 'value' };
  const svg = plot({
    document,
    width: 420,
    height: 260,
    marginLeft: 44,
    marginBottom: 38,
    marginTop: 22,
    style: { fontSize: '13px', background: 'none' },
    x: { label: 'step', ticks: 5, tickFormat: 'd' },
    y: { label: 'loss', ticks: 5, zero: true, grid: true },
    marks: [
      ruleY([0]),
      ...lines.map(({ raw, colour }) =>
        line(thinned(raw), { ...encoding, stroke: colour, strokeOpacity: 0.3, strokeWidth: 1 }),
      ),
      ...lines.map(({ smooth, colour }) =>
        line(thinned(smooth), { ...encoding, stroke: colour, strokeWidth: 2.2 }),
      ),
    ],
  });
  const last = (points: readonly Point[]): string => points[points.length - 1].value.toFixed(3);
  const legend = lines.map(
    ({ name, colour, smooth }) =>
      html`<span class="key"><i style="background:${colour}"></i>${name} <small>ends at ${last(smooth)}</small></span> `,
  );
  return html`<figure class="chart"><figcaption><b>${title}</b> ${legend}</figcaption>${markup(svg.outerHTML)}</figure>`;
}
