// The devices that have a certificate, as a table of the README: bench/devices/*.json, which `ps3 device --json` and the page write.
import type { Certificate } from '../engine/index.ts';
import { digits } from '../engine/internal.ts';
import { adapterInWords, formatTable, parseJson, ReportError } from './report.ts';

/** @throws ReportError with the file's name when it is no certificate */
export function parseCertificate(path: string, text: string): Certificate {
  const value = parseJson<Certificate>(path, text);
  const { adapter, runtime, date, peaks, kernels } = value;
  if (!adapter || !runtime || !date || !peaks || !Array.isArray(kernels))
    throw new ReportError(
      `report: ${path} must hold adapter, runtime, date, peaks and kernels, got ${Object.keys(value).join(', ') || 'nothing'}. Write it with: npx ps3 device --json ${path}`,
    );
  return value as Certificate;
}

/** A line for each certificate: what is right on the device, and how near its fastest kernels come to its peaks. */
export function formatDevices(certificates: readonly Certificate[]): string {
  const heads = [
    'device',
    'runtime',
    'tier',
    'kernels',
    'cases',
    'left out',
    'GFLOP/s',
    'GB/s',
    'matmul',
    'attention',
  ];
  const cells = certificates.map(({ adapter, runtime, tier, kernels, peaks, date }) => {
    const faults = kernels.filter(({ fault }) => fault).map(({ feature }) => feature);
    const cases = kernels.reduce((sum, kernel) => sum + kernel.cases, 0);
    const fastest = (op: string): string => {
      const [best] = kernels
        .flatMap(({ times }) => times)
        .filter((time) => time.op === op)
        .sort((a, b) => (b.gflops ?? 0) - (a.gflops ?? 0));
      return best ? `${(best.percentOfPeak ?? 0).toFixed(0)} %` : '–';
    };
    return [
      ...[adapterInWords(adapter), `${runtime}, ${date.slice(0, 10)}`, String(tier), String(kernels.length)],
      ...[String(cases), faults.join(', ') || 'none', digits(peaks.gflops), digits(peaks.gbPerS)],
      ...[fastest('matmul'), fastest('attention')],
    ];
  });
  return formatTable([heads, cells]);
}
