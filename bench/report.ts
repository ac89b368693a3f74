// Rewrites what is measured in README.md and bench/README.md from the files of bench/results/: nobody types a number.
//
//   README.md        a summary of eight cases, the devices of bench/devices/, and what `npm start` printed
//   bench/README.md  a table for each device
import { EngineError, type Peaks } from '../engine/index.ts';
import { digits, rateOf } from '../engine/internal.ts';
import { isOurs, LIBRARY } from './harness.ts';
import type { Failure, Row } from './measure.ts';

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

/** A file of results or a README is not what it should be. */
export class ReportError extends EngineError {
  constructor(message: string) {
    super('report', message);
  }
}

/** @throws ReportError with the file's name when it is not a result of the benchmark */
export function parseResult(path: string, text: string): BenchResult {
  const value = parseJson<BenchResult>(path, text);
  const { adapter, runtime, versions, date, peaks, rows, failures } = value;
  if (!adapter || !runtime || !versions || !date || !peaks || !Array.isArray(rows))
    throw new ReportError(
      `report: ${path} must hold adapter, runtime, versions, date, peaks and rows, got ${Object.keys(value).join(', ') || 'nothing'}. Write it with: npm run bench -- --json ${path}`,
    );
  return { adapter, runtime, versions, date, peaks, rows, failures };
}

/** What `--merge` takes: results of a library that runs elsewhere, without peaks of its own. */
export type ForeignResult = Pick<BenchResult, 'versions' | 'rows'>;

/** @throws ReportError with the file's name when it holds no rows */
export function parseForeign(path: string, text: string): ForeignResult {
  const value = parseJson<ForeignResult>(path, text);
  const { versions, rows } = value;
  if (!versions || !Array.isArray(rows))
    throw new ReportError(
      `bench: ${path} must hold versions and rows, got ${Object.keys(value).join(', ') || 'nothing'}. Write it with: python3 bench/peers/torch_cuda.py --json ${path}`,
    );
  return { versions, rows };
}

/** @throws ReportError with the file's name when it is not JSON */
export function parseJson<T>(path: string, text: string): Partial<T> {
  try {
    return JSON.parse(text) ?? {};
  } catch (cause) {
    throw new ReportError(`report: ${path} must be JSON, got ${(cause as Error).message}.`);
  }
}

/**
 * A page with what is between the two markers of a block replaced: `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
 *
 * @throws ReportError without exactly one pair of markers
 */
export function rewriteBlock(page: string, name: string, content: string): string {
  const [opening, closing] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [begin, end] = [page.indexOf(opening), page.indexOf(closing)];
  if (begin < 0 || end < begin || page.lastIndexOf(opening) !== begin || page.lastIndexOf(closing) !== end)
    throw new ReportError(`report: the page must hold ${opening} and then ${closing}, once each.`);
  return `${page.slice(0, begin + opening.length)}\n\n${content}\n\n${page.slice(end)}`;
}

/** A section per adapter and runtime: the machine, its peaks and a table. */
export function formatResults(results: readonly BenchResult[]): string {
  return results.map(formatResult).join('\n\n');
}

/** The cases of the README's table. */
export const SUMMARY: readonly (readonly [op: string, shape: string])[] = [
  ['matmul NN', '1024x1024x1024'],
  ['matmul NN', '256x4304x1152'],
  ['self_attention', '1x256+729x16x72'],
  ['layer_norm', '2560x1152'],
  ['softmax', '11664x729'],
  ['gelu erf', '729x4304'],
  ['gather', '2560 of 15309x1152'],
  ['vit training step', '4x196x192, depth 4'],
];

/**
 * Eight cases on a GPU beside PyTorch and in a browser beside the fastest of the other libraries there, and where they were measured.
 *
 * @throws ReportError when no results with PyTorch, or none of a browser, are stored
 */
export function formatSummary(results: readonly BenchResult[]): string {
  const onGpu = results.filter(({ rows }) => rows.some(({ library }) => library === TORCH));
  const inBrowser = results.filter(({ runtime }) => runtime.startsWith('Chrom'));
  if (onGpu.length === 0 || inBrowser.length === 0)
    throw new ReportError(
      `report: the summary needs results beside ${TORCH} and results of Chromium, got ${onGpu.length} and ${inBrowser.length}. Store both in bench/results.`,
    );
  const times = (from: readonly BenchResult[], [op, shape]: (typeof SUMMARY)[number]): Row[] =>
    from
      .map(({ rows }) => rows.filter((row) => row.op === op && row.shape === shape))
      .find((rows) => rows.some(isOurs)) ?? [];
  const fastest = (rows: readonly Row[], which: (row: Row) => boolean): Row | undefined =>
    rows.filter(which).sort((a, b) => a.medianMs - b.medianMs)[0];
  const beside = (ours: Row | undefined, other: Row | undefined): string =>
    ours && other ? `${(other.medianMs / ours.medianMs).toFixed(2)}×` : '–';
  const cells = SUMMARY.map((named) => {
    const [gpu, browser] = [times(onGpu, named), times(inBrowser, named)];
    const [oursGpu, oursBrowser] = [gpu.find(isOurs), browser.find(isOurs)];
    return [
      ...named,
      oursGpu ? timeOf(oursGpu) : '–',
      oursGpu ? percentOf(oursGpu) : '–',
      beside(
        oursGpu,
        fastest(gpu, ({ library }) => library === TORCH),
      ),
      oursBrowser ? timeOf(oursBrowser) : '–',
      beside(
        oursBrowser,
        fastest(browser, (row) => !isOurs(row)),
      ),
    ];
  });
  const names = (from: readonly BenchResult[]): string =>
    `${adapterInWords(from[0].adapter)}, ${from[0].runtime}, ${from.map(({ date }) => date.slice(0, 10)).join(' and ')}`;
  const heads = [
    ...['op', 'shape', 'GPU, ms', 'of peak', 'PyTorch f32 takes'],
    ...['browser, ms', 'fastest other library takes'],
  ];
  return `${formatTable([heads, cells])}\n\nGPU: ${names(onGpu)}. Browser: ${names(inBrowser)}.`;
}

const TORCH = 'torch f32';

/** The name that a person knows an adapter by: WebGPU implementations put vendor, architecture, device and driver after each other. */
export function adapterInWords(adapter: string): string {
  const nvidia = /nvidia-(\w+) NVIDIA: ([\d.]+)/.exec(adapter);
  if (nvidia) return `NVIDIA ${nvidia[1].toUpperCase()} (driver ${nvidia[2]})`;
  const mesa = /Mesa ([\d.]+)/.exec(adapter)?.[1];
  const llvm = /LLVM ([\d.]+)/.exec(adapter)?.[1];
  if (/llvmpipe/.test(adapter)) return `Mesa lavapipe${mesa ? ` ${mesa}` : ''} (CPU, LLVM ${llvm})`;
  if (/swiftshader/i.test(adapter)) return 'SwiftShader (CPU)';
  return adapter;
}

/** Ops of a table without other libraries, each at the shape that takes longest. */
export const HEADLINES: readonly string[] = [
  ...['matmul NN', 'matmul NT', 'matmul TN', 'linear + gelu'],
  ...['self_attention', 'self_attention + gradients', 'pool_attention'],
  ...['layer_norm', 'softmax', 'gelu erf', 'add', 'sum', 'permute'],
  ...['gather', 'top_k selection', 'patch_gather u8', 'resize bicubic', 'contrastive', 'adamw'],
  ...['vit training step', 'model: low-res pass', 'model: one look', 'model: training step'],
];

function formatResult(result: BenchResult): string {
  const { adapter, runtime, versions, date, peaks } = result;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const tables = [othersOf(result).length > 0 ? comparison(result) : headlines(result), looks(result)];
  return [
    `**${adapterInWords(adapter)}**, ${runtime}, ${named.join(', ')}, ${date.slice(0, 10)}. Peaks measured in the same run: ` +
      `${digits(peaks.gflops)} GFLOP/s, ${digits(peaks.gbPerS)} GB/s, ${digits(peaks.dispatchUs)} µs per dispatch.`,
    ...tables.filter(([, rows]) => rows.length > 0).map(formatTable),
  ].join('\n\n');
}

/** A table of Markdown: words to the left, numbers to the right. */
export function formatTable([heads, rows]: Cells): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    line(heads),
    `|${heads.map((head) => (WORDS.includes(head) ? '---' : '--:')).join('|')}|`,
    ...rows.map(line),
  ].join('\n');
}

const WORDS = ['op', 'shape', 'type', 'device', 'runtime', 'left out'];

type Cells = [heads: string[], rows: string[][]];

const timeOf = ({ medianMs, spreadMs }: Row): string => `${digits(medianMs)} ± ${digits(spreadMs)}`;

const percentOf = ({ percentOfPeak }: Row): string =>
  percentOfPeak === null ? '–' : `${percentOfPeak.toFixed(0)} %`;

function headlines({ rows, peaks }: BenchResult): Cells {
  const longest = HEADLINES.flatMap((op) => {
    const [first] = rows.filter((row) => row.op === op).sort((a, b) => b.medianMs - a.medianMs);
    return first ? [first] : [];
  });
  const cells = longest.map((row) => [
    ...[row.op, row.shape, row.dtype, timeOf(row)],
    ...[rateOf(row, peaks), percentOf(row), row.maxError.toExponential(0)],
  ]);
  return [['op', 'shape', 'type', 'ms', 'rate', 'of peak', 'max error'], cells];
}

/** What looks cost as images grow and as they follow each other. */
function looks({ rows }: BenchResult): Cells {
  const inMB = (bytes: number | undefined): string => (bytes === undefined ? '–' : digits(bytes / 1e6));
  const cells = rows
    .filter(({ op }) => op === 'look' || op === 'looks')
    .map((row) => [row.op, row.shape, timeOf(row), inMB(row.bytes), inMB(row.peakBytes)]);
  return [['op', 'shape', 'ms', 'MB read', 'peak MB'], cells];
}

/** Our time, then each library's and how many times as long that is. */
function comparison(result: BenchResult): Cells {
  const { rows, failures = [] } = result;
  const others = othersOf(result);
  const cells = rows.filter(isOurs).flatMap((ours) => {
    const isSame = ({ op, shape }: Row | Failure): boolean => op === ours.op && shape === ours.shape;
    const theirs = others.map((other) => {
      const row = rows.find((one) => isSame(one) && one.library === other);
      if (row) return `${timeOf(row)} (${(row.medianMs / ours.medianMs).toFixed(2)}×)`;
      const failure = failures.find((one) => isSame(one) && one.library === other);
      return failure ? (failure.wrong ? 'wrong' : 'failed') : '–';
    });
    if (theirs.every((cell) => cell === '–')) return [];
    return [[ours.op, ours.shape, timeOf(ours), percentOf(ours), ...theirs]];
  });
  return [['op', 'shape', `${LIBRARY}, ms`, 'of peak', ...others.map((other) => `${other}, ms`)], cells];
}

/** The libraries besides ours, in the order of the rows. */
function othersOf({ rows, failures = [] }: BenchResult): string[] {
  const names = [...rows, ...failures].map(({ library }) => library);
  return [...new Set(names)].filter((name) => name !== LIBRARY);
}
