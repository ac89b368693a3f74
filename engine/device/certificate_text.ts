// A certificate as text: for the terminal, the page, and whoever reads bench/devices.
import type { MatmulForce } from '../gpu/tuning.ts';
import type { Certificate, CertifiedKernel } from './certificate.ts';
import { digits, rateOf } from './rates.ts';

const binary = (bytes: number): string =>
  bytes >= 2 ** 20 ? `${Math.floor(bytes / 2 ** 20)} MiB` : `${bytes / 2 ** 10} KiB`;

/** A certificate in some fifty lines. */
export function formatCertificate(certificate: Certificate): string {
  const { adapter, driver, runtime, versions, date, tier, subgroupSize, matrixUnit, features, limits } =
    certificate;
  const { peaks, kernels, tuning } = certificate;
  const units = matrixUnit && `${matrixUnit.M}x${matrixUnit.N}x${matrixUnit.K}`;
  const faults = kernels.flatMap(({ feature, fault }) => (fault ? [`${feature}: ${fault}`] : []));
  const choices = Object.entries(tuning?.matmul ?? {});
  const facts: [name: string, value: string][] = [
    ['adapter', adapter],
    ['driver', driver || 'not told by the runtime'],
    ['runtime', runtime],
    ['versions', list(Object.entries(versions).map(([name, version]) => `${name} ${version}`))],
    ['date', date.slice(0, 10)],
    ['tier', `${tier}, of 0 to 3`],
    ['subgroups', subgroupSize > 1 ? `of ${subgroupSize}` : 'none of a known size'],
    ['matrix units', units ?? 'none'],
    ['features', list(features)],
    [
      'limits',
      [
        `buffers ${binary(limits.maxBufferSize)}`,
        `bindings ${binary(limits.maxStorageBufferBindingSize)}, ${limits.maxStorageBuffersPerShaderStage} a kernel`,
        `workgroups ${limits.maxComputeInvocationsPerWorkgroup} invocations, ${binary(limits.maxComputeWorkgroupStorageSize)}`,
      ].join('; '),
    ],
    [
      'peaks',
      [
        `${digits(peaks.gflops)} GFLOP/s`,
        ...(peaks.matrixGflops ? [`${digits(peaks.matrixGflops)} GFLOP/s by matrix units`] : []),
        `${digits(peaks.gbPerS)} GB/s`,
        `${digits(peaks.dispatchUs)} µs per dispatch`,
      ].join(', '),
    ],
    ['left out', list(faults)],
    ['tuned', choices.length > 0 ? `${choices.length} products` : 'nothing'],
  ];
  const heads = ['kernel', 'cases', 'error', 'op', 'shape', 'ms', 'rate', 'of peak'];
  return [
    ...facts.map(([name, value]) => `${name.padEnd(13)} ${value}`),
    '',
    ...columns([heads, ...kernels.flatMap((kernel) => linesOf(kernel, certificate))], 'lrrllrrr'),
    ...(choices.length > 0
      ? [
          '',
          ...columns([['product', 'choice'], ...choices.map(([key, force]) => [key, wordsOf(force)])], 'll'),
        ]
      : []),
    '',
  ].join('\n');
}

const list = (words: readonly string[]): string => words.join(', ') || 'none';

function linesOf(
  { feature, cases, error, fault, times }: CertifiedKernel,
  { peaks }: Certificate,
): string[][] {
  const right = fault ? 'wrong' : error === 0 ? '0' : error.toExponential(0);
  const [first, ...others] = times.map(({ op, shape, medianMs, percentOfPeak, ...rate }) => [
    ...[op, shape, digits(medianMs), rateOf(rate, peaks)],
    percentOfPeak === null ? '–' : `${percentOfPeak.toFixed(0)} %`,
  ]);
  return [
    [feature, String(cases), right, ...(first ?? ['–', '', '', '', ''])],
    ...others.map((cells) => ['', '', '', ...cells]),
  ];
}

/** 'tiled 96, 2 splits'. */
function wordsOf({ kind, tile, onUnits, splits = 1, streams, transposeFirst }: MatmulForce): string {
  return [
    `${kind ?? 'as planned'}${tile ? ` ${tile}` : ''}`,
    ...(onUnits ? [`on matrix units${onUnits === 'f32' ? ' in f32' : ''}`] : []),
    ...(splits > 1 ? [`${splits} splits`] : []),
    ...(streams ? [`${streams} streams`] : []),
    ...(transposeFirst ? ['transposed first'] : []),
  ].join(', ');
}

/** Cells under each other. @param sides  of each column: l or r */
function columns(rows: readonly (readonly string[])[], sides: string): string[] {
  const widths = [...sides].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (sides[i] === 'l' ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
}
