// Rewrites the table of results in the README from the files of bench/results/: nobody types a number.
import { EngineError } from '../engine/index.ts';
import type { Failure, Row } from './measure.ts';
import type { Peaks } from './peaks.ts';
import { digits, rateOf } from './table.ts';

/** What `--json` writes. */
export interface BenchResult {
  readonly adapter: string;
  readonly runtime: string;
  readonly versions: Readonly<Record<string, string>>;
  /** ISO 8601. */
  readonly date: string;
  readonly peaks: Peaks;
  readonly rows: readonly Row[];
  /** Cases that gave no time. */
  readonly failures?: readonly Failure[];
}

/** A file of results or the README is not what it should be. */
export class ReportError extends EngineError {
  constructor(message: string) {
    super('report', message);
  }
}

const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';

/** @throws ReportError with the file's name when it is not a result of the benchmark */
export function parseResult(path: string, text: string): BenchResult {
  let value: Partial<BenchResult> | null;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ReportError(`report: ${path} must be JSON, got ${(cause as Error).message}.`);
  }
  const { adapter, runtime, versions, date, peaks, rows } = value ?? {};
  if (!adapter || !runtime || !versions || !date || !peaks || !Array.isArray(rows))
    throw new ReportError(
      `report: ${path} must hold adapter, runtime, versions, date, peaks and rows, got ${Object.keys(value ?? {}).join(', ') || 'nothing'}. Write it with: npm run bench -- --json ${path}`,
    );
  return { adapter, runtime, versions, date, peaks, rows };
}

/**
 * The README with what stands between its two markers replaced.
 *
 * @throws ReportError without exactly one pair of markers
 */
export function rewriteReport(readme: string, results: readonly BenchResult[]): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin || readme.lastIndexOf(BEGIN) !== begin || readme.lastIndexOf(END) !== end)
    throw new ReportError(`report: the README must hold ${BEGIN} and then ${END}, once each.`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${formatResults(results)}\n\n${readme.slice(end)}`;
}

/** A section per adapter and runtime: the machine, its peaks and a table. */
export function formatResults(results: readonly BenchResult[]): string {
  return results.map(formatResult).join('\n\n');
}

function formatResult({ adapter, runtime, versions, date, peaks, rows }: BenchResult): string {
  const libraries = new Set(rows.map(({ library }) => library));
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const table = rows.map((row) => {
    const { op, shape, dtype, library, medianMs, spreadMs, percentOfPeak, maxError } = row;
    return [
      ...(libraries.size > 1 ? [library] : []),
      op,
      shape,
      dtype,
      `${digits(medianMs)} ± ${digits(spreadMs)}`,
      rateOf(row, peaks),
      percentOfPeak === null ? '–' : `${percentOfPeak.toFixed(0)} %`,
      maxError.toExponential(0),
    ];
  });
  const heads = ['op', 'shape', 'type', 'ms', 'rate', 'of peak', 'max error'];
  if (libraries.size > 1) heads.unshift('library');
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${heads.map((head) => (['ms', 'rate', 'of peak', 'max error'].includes(head) ? '--:' : '---')).join('|')}|`;
  return [
    `**${adapter}**, ${runtime}, ${named.join(', ')}, ${date.slice(0, 10)}. Peaks measured in the same run: ` +
      `${digits(peaks.gflops)} GFLOP/s, ${digits(peaks.gbPerS)} GB/s, ${digits(peaks.dispatchUs)} µs per dispatch.`,
    '',
    line(heads),
    rule,
    ...table.map(line),
  ].join('\n');
}
