// What the page shows, as elements. Text goes in as text, never as markup.
import { element, facts } from '../../ps3/app/page/elements.ts';
import type { Failure, Row } from '../measure.ts';
import type { Peaks } from '../peaks.ts';
import type { BenchResult } from '../report.ts';
import { digits, rateOf } from '../table.ts';

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

/** One who measured a case: a library on an adapter. */
interface Contender {
  readonly label: string;
  readonly here: boolean;
  readonly ms: number;
}

/**
 * Bars for each case that a stored result has from another library too: lengths are speeds, the fastest is full.
 *
 * @param rows  of this run
 */
export function comparison(rows: readonly Row[], stored: BenchResult): HTMLElement[] {
  return rows.flatMap((row) => {
    const others = stored.rows.filter(({ op, shape }) => op === row.op && shape === row.shape);
    if (!others.some(({ library }) => library !== row.library)) return [];
    const contenders: Contender[] = [
      { label: `${row.library}, this run`, here: true, ms: row.medianMs },
      ...others.map(({ library, medianMs }) => ({ label: library, here: false, ms: medianMs })),
    ];
    const fastestMs = Math.min(...contenders.map(({ ms }) => ms));
    const lines = contenders
      .sort((a, b) => a.ms - b.ms)
      .map(({ label, here, ms }) =>
        element(
          'li',
          here ? 'here' : '',
          element('span', 'label', label),
          bar(fastestMs / ms),
          element('span', 'number', `${digits(ms)} ms`),
        ),
      );
    const heading = element('h3', '', row.op, ' ', element('span', 'shape', row.shape));
    return [element('div', 'group', heading, element('ul', '', ...lines))];
  });
}
