// What the page shows, as elements. Text goes in as text, never as markup.
import type { Peaks } from '../../engine/index.ts';
import { digits, rateOf } from '../../engine/internal.ts';
import { element, facts } from '../../ps3/app/page/elements.ts';
import { isOurs, LIBRARY } from '../harness.ts';
import type { Failure, Row } from '../measure.ts';
import type { BenchResult } from '../report.ts';

export function peakFacts({ gflops, gbPerS, dispatchUs }: Peaks): HTMLElement[] {
  return facts([
    ['peak arithmetic, f32', `${digits(gflops)} GFLOP/s`],
    ['peak copy', `${digits(gbPerS)} GB/s`],
    ['cost of a dispatch', `${digits(dispatchUs)} µs`],
  ]);
}

/** A bar of a share between 0 and 1, cut off at 1. */
function bar(share: number): HTMLElement {
  const filled = element('span', 'filled');
  filled.style.width = `${100 * Math.min(1, share)}%`;
  return element('span', 'bar', filled);
}

/** A row of the table of results. */
export function tableRow(result: Row | Failure, peaks: Peaks): HTMLElement {
  const name = element('th', 'op', result.op);
  name.scope = 'row';
  const shape = element('td', 'shape', result.shape);
  if ('reason' in result) {
    const { skipped, reason } = result;
    const said = element('td', 'reason', `${skipped ? 'skipped' : 'failed'}: ${reason}`);
    said.colSpan = 4;
    return element('tr', skipped ? 'skipped' : 'failed', name, shape, said);
  }
  const { medianMs, spreadMs, percentOfPeak, maxError } = result;
  const share = element('td', 'share');
  if (percentOfPeak === null) share.append('–');
  else share.append(bar(percentOfPeak / 100), element('span', 'percent', `${digits(percentOfPeak)} %`));
  const spread = element('span', 'spread', ` ± ${digits(spreadMs)} ms`);
  return element(
    'tr',
    '',
    name,
    shape,
    element('td', 'number ms', digits(medianMs), spread),
    element('td', 'number rate', rateOf(result, peaks)),
    share,
    element('td', 'number error', maxError === 0 ? '0' : maxError.toExponential(1)),
  );
}

type Measured = Pick<BenchResult, 'rows' | 'failures'>;

/**
 * Bars for each of our cases that other libraries were asked for too: lengths are speeds, the fastest is full. Beneath them,
 * why a library has none.
 *
 * @param run     this one
 * @param stored  another, whose libraries to show in place of this run's
 */
export function comparison(run: Measured, stored?: Measured): HTMLElement[] {
  const { rows, failures = [] } = stored ?? run;
  return run.rows.filter(isOurs).flatMap((row) => {
    const isThis = ({ op, shape }: Row | Failure): boolean => op === row.op && shape === row.shape;
    const others = rows.filter((one) => isThis(one) && one !== row);
    const without = failures.filter((one) => isThis(one) && !isOurs(one));
    if (others.every(isOurs) && without.length === 0) return [];
    const fastestMs = Math.min(row.medianMs, ...others.map(({ medianMs }) => medianMs));
    const line = (one: Row): HTMLElement =>
      element(
        'li',
        one === row ? 'here' : '',
        element('span', 'label', stored && one === row ? `${LIBRARY}, this run` : one.library),
        bar(fastestMs / one.medianMs),
        element('span', 'number', `${digits(one.medianMs)} ms`),
      );
    const lines = [row, ...others].sort((a, b) => a.medianMs - b.medianMs).map(line);
    const reasons = without.map(({ library, reason }) =>
      element('li', '', element('span', 'label', library), element('span', 'reason', reason)),
    );
    const heading = element('h3', '', row.op, ' ', element('span', 'shape', row.shape));
    return [element('div', 'group', heading, element('ul', '', ...lines, ...reasons))];
  });
}
