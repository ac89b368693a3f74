import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ALL_CASES } from '../../bench/cases.ts';
import { formatDevices, parseCertificate } from '../../bench/devices.ts';
import { storedCertificates, storedResults, writeReport, writeText } from '../../bench/host.ts';
import {
  adapterInWords,
  type BenchResult,
  formatResults,
  formatSummary,
  HEADLINES,
  parseForeign,
  parseResult,
  rewriteBlock,
  SUMMARY,
} from '../../bench/report.ts';
import { Table } from '../../bench/table.ts';
import type { Certificate } from '../../engine/index.ts';
import { digits } from '../../engine/internal.ts';
import { throws } from '../harness.ts';

const PEAKS = { gflops: 1000, gbPerS: 100, dispatchUs: 4.321 };
const COMMON = { dtype: 'f32', tier: 0, library: 'ps3-webgpu', runs: 3, maxError: 3.4e-6 } as const;
const RESULT: BenchResult = {
  adapter: 'Example GPU',
  runtime: 'node 20.20.2',
  versions: { 'ps3-webgpu': '0.1.0', webgpu: '0.6.2' },
  date: '2025-03-04T05:06:07.000Z',
  peaks: PEAKS,
  rows: [
    {
      ...COMMON,
      ...{ op: 'matmul NT', shape: '512x512x512', medianMs: 0.5368, spreadMs: 0.0123 },
      ...{ gflops: 500, gbPerS: 5.9, percentOfPeak: 50 },
    },
    {
      ...COMMON,
      ...{ op: 'matmul NT', shape: '8|8', medianMs: 0.5, spreadMs: 0 },
      ...{ gflops: 1, gbPerS: 1, percentOfPeak: 1 },
    },
    {
      ...COMMON,
      ...{ op: 'softmax', shape: '6|4', medianMs: 12.34, spreadMs: 1 },
      ...{ gflops: null, gbPerS: 25, percentOfPeak: 25 },
    },
    {
      ...COMMON,
      ...{ op: 'gather', shape: '7', medianMs: 123.4, spreadMs: 0 },
      ...{ gflops: null, gbPerS: null, percentOfPeak: null },
    },
  ],
};
const PAGE = '# Title\n\nBefore.\n\n<!-- bench:begin -->\nold\n<!-- bench:end -->\n\nAfter.\n';

test('report: only what stands between the markers changes, and a second rewriting changes nothing', () => {
  const text = rewriteBlock(PAGE, 'bench', 'new');
  assert.is(text, '# Title\n\nBefore.\n\n<!-- bench:begin -->\n\nnew\n\n<!-- bench:end -->\n\nAfter.\n');
  assert.is(rewriteBlock(text, 'bench', 'new'), text);
});

test('report: headlines give time, the rate nearer to its peak, and the error, at the shape that takes longest', () => {
  const lines = formatResults([RESULT]).split('\n');
  assert.ok(lines.includes('| matmul NT | 512x512x512 | f32 | 0.537 ± 0.012 | 500 GFLOP/s | 50 % | 3e-6 |'));
  assert.ok(lines.includes('| softmax | 6\\|4 | f32 | 12.3 ± 1.00 | 25.0 GB/s | 25 % | 3e-6 |'));
  assert.is(lines.filter((line) => line.startsWith('| matmul NT ')).length, 1);
  assert.ok(lines.includes('| gather | 7 | f32 | 123 ± 0.000 | – | – | 3e-6 |'));
  assert.ok(
    lines.some((line) =>
      line.includes('2025-03-04. Peaks measured in the same run: 1000 GFLOP/s, 100 GB/s, 4.32 µs'),
    ),
  );
});

test('report: looks have a table of their own, with what they read and hold', () => {
  const [row] = RESULT.rows;
  const look = { ...row, op: 'look', shape: 'small, 2560', bytes: 12_345_678, peakBytes: 2e9 };
  const lines = `${formatResults([{ ...RESULT, rows: [...RESULT.rows, look] }])}\n`.split('\n');
  const from = lines.indexOf('| op | shape | ms | MB read | peak MB |');
  assert.equal(lines.slice(from + 1, from + 4), [
    '|---|---|--:|--:|--:|',
    '| look | small, 2560 | 0.537 ± 0.012 | 12.3 | 2000 |',
    '',
  ]);
});

test('report: with other libraries, only what they were compared on, with how many times as long they take', () => {
  const [ours, , softmax] = RESULT.rows;
  const rows = [...RESULT.rows, { ...ours, library: 'another', medianMs: 3 * ours.medianMs, spreadMs: 0.25 }];
  const failures = [
    { op: ours.op, shape: ours.shape, library: 'third', reason: 'error 1 is above 0', wrong: true },
    { op: softmax.op, shape: softmax.shape, library: 'third', reason: 'out of memory' },
  ];
  const lines = `${formatResults([{ ...RESULT, rows, failures }])}\n`.split('\n');
  const from = lines.indexOf('| op | shape | ps3-webgpu, ms | of peak | another, ms | third, ms |');
  assert.equal(lines.slice(from + 1, from + 5), [
    '|---|---|--:|--:|--:|--:|',
    '| matmul NT | 512x512x512 | 0.537 ± 0.012 | 50 % | 1.61 ± 0.250 (3.00×) | wrong |',
    '| softmax | 6\\|4 | 12.3 ± 1.00 | 25 % | – | failed |',
    '',
  ]);
});

test('report: the headlines and the comparison are those of cases that exist, in 25 lines at most', () => {
  const ops = new Set(ALL_CASES.map(({ op }) => op));
  assert.equal(
    HEADLINES.filter((op) => !ops.has(op)),
    [],
  );
  assert.ok(HEADLINES.length <= 25);
  assert.ok(ALL_CASES.filter(({ peer }) => peer).length <= 25);
});

test('report: a file to merge needs no peaks, but versions and rows', () => {
  const { versions, rows } = RESULT;
  assert.equal(parseForeign('torch.json', JSON.stringify({ adapter: 'x', versions, rows })), {
    versions,
    rows,
  });
  throws(
    () => parseForeign('e.json', '{"rows": []}'),
    /^bench: e\.json must hold versions and rows, got rows\. /,
  );
});

test('report: the cases of torch_cuda.py bear the names of ours', async () => {
  const text = await readFile(new URL('../../bench/peers/torch_cuda.py', import.meta.url), 'utf8');
  const named = [...text.matchAll(/^(?: {4}|VIT = )\("(.+?)", "(.+?)"\)/gm)].map(
    ([, op, shape]) => `${op} ${shape}`,
  );
  const known = new Set(ALL_CASES.map(({ op, shape }) => `${op} ${shape}`));
  assert.ok(named.length > 25);
  assert.equal(
    named.filter((name) => !known.has(name)),
    [],
  );
});

test('report: a page without its markers, or with two pairs, is refused', () => {
  for (const text of ['# Title\n', PAGE + PAGE, '<!-- bench:end --> <!-- bench:begin -->'])
    throws(
      () => rewriteBlock(text, 'bench', 'new'),
      /the page must hold <!-- bench:begin --> and then <!-- bench:end -->/,
    );
});

test('report: a file that holds no result is named', () => {
  throws(() => parseResult('a.json', '{'), /^report: a\.json must be JSON, got /);
  throws(
    () => parseResult('b.json', '{"adapter": "x"}'),
    /^report: b\.json must hold .* rows, got adapter\. /,
  );
  throws(() => parseResult('c.json', 'null'), /^report: c\.json must hold .*, got nothing\. /);
  const failures = [{ op: 'sort', shape: '7', library: 'third', reason: 'out of memory' }];
  const result = { ...RESULT, failures };
  assert.equal(parseResult('d.json', JSON.stringify(result)), result);
});

/** Results on a GPU beside PyTorch, and in a browser beside two other libraries. */
function summarized(): BenchResult[] {
  const [row] = RESULT.rows;
  const rowsOf = (medianMs: number, library: string): BenchResult['rows'] =>
    SUMMARY.map(([op, shape]) => ({ ...row, op, shape, library, medianMs, spreadMs: 0 }));
  const gpu = { ...RESULT, rows: [...rowsOf(2, 'ps3-webgpu'), ...rowsOf(3, 'torch f32')] };
  const rows = [...rowsOf(4, 'ps3-webgpu'), ...rowsOf(10, 'one'), ...rowsOf(8, 'two')];
  return [gpu, { ...RESULT, adapter: 'google swiftshader', runtime: 'Chromium 156', rows }];
}

test('report: the summary has eight cases, beside PyTorch on a GPU and beside the fastest other library in a browser', () => {
  const lines = formatSummary(summarized()).split('\n');
  assert.is(SUMMARY.length, 8);
  const [[op, shape]] = SUMMARY;
  assert.is(lines[2], `| ${op} | ${shape} | 2.00 ± 0.000 | 50 % | 1.50× | 4.00 ± 0.000 | 2.00× |`);
  assert.is(lines.length, 2 + 8 + 2);
  assert.match(
    lines.at(-1)!,
    /^GPU: Example GPU, node .*2025-03-04\. Browser: SwiftShader \(CPU\), Chromium 156/,
  );
  throws(() => formatSummary([RESULT]), /^report: the summary needs .*, got 0 and 0\. /);
});

const CERTIFICATE: Certificate = {
  ...{ adapter: 'Example GPU', driver: '', runtime: 'node 20.20.2', versions: { 'ps3-webgpu': '0.1.0' } },
  ...{ date: '2025-03-04T05:06:07.000Z', tier: 2, subgroupSize: 32, features: [], limits: {}, peaks: PEAKS },
  kernels: [
    {
      ...{ feature: 'subgroups', cases: 17, error: 0 },
      times: [
        { op: 'matmul', shape: '8', medianMs: 1, gflops: 620, gbPerS: null, percentOfPeak: 62 },
        { op: 'matmul', shape: '9', medianMs: 1, gflops: 605, gbPerS: null, percentOfPeak: 60.5 },
      ],
    },
    { feature: 'rows in registers', cases: 3, error: 0, fault: '1 instead of 2', times: [] },
  ],
};

test('report: a device has a line, with what is left out on it and its best shares of the peak', () => {
  const lines = formatDevices([CERTIFICATE]).split('\n');
  assert.is(lines[1], '|---|---|--:|--:|--:|---|--:|--:|--:|--:|');
  assert.equal(lines.slice(2), [
    '| Example GPU | node 20.20.2, 2025-03-04 | 2 | 2 | 20 | rows in registers | 1000 | 100 | 62 % | – |',
  ]);
  const right = { ...CERTIFICATE, kernels: CERTIFICATE.kernels.slice(0, 1) };
  assert.match(formatDevices([right]), / \| 1 \| 17 \| none \| /);
});

test('report: a file that holds no certificate is named', () => {
  assert.equal(parseCertificate('a.json', JSON.stringify(CERTIFICATE)), CERTIFICATE);
  throws(
    () => parseCertificate('b.json', '{"adapter": "x"}'),
    /^report: b\.json must hold .* kernels, got adapter\. Write it with: npx ps3 device --json b\.json$/,
  );
});

test('report: adapters have the names that people know', () => {
  const names = {
    'nvidia nvidia-h200 NVIDIA: 580.159.04 580.159.4.0': 'NVIDIA H200 (driver 580.159.04)',
    '65541 0 llvmpipe (LLVM 15.0.6, 256 bits)': 'Mesa lavapipe (CPU, LLVM 15.0.6)',
    'mesa software llvmpipe-llvm-15-0-6-256-bits- llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1':
      'Mesa lavapipe 25.0.7 (CPU, LLVM 15.0.6)',
    'google swiftshader swiftshader-device-subzero- SwiftShader driver 5.0.0': 'SwiftShader (CPU)',
    'Example GPU': 'Example GPU',
  };
  for (const [adapter, name] of Object.entries(names)) assert.is(adapterInWords(adapter), name);
});

test('report: reads a folder of results and rewrites both pages', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-bench-'));
  try {
    const [gpu, browser] = summarized();
    const blocks = ['devices', 'start', 'nano', 'study'].map(
      (name) => `<!-- ${name}:begin --><!-- ${name}:end -->`,
    );
    await writeText(join(folder, 'README.md'), `${PAGE}${blocks.join('')}`);
    await writeText(join(folder, 'bench/README.md'), PAGE);
    await writeText(join(folder, 'bench/devices/a.json'), JSON.stringify(CERTIFICATE));
    await writeText(join(folder, 'results/b.json'), JSON.stringify(browser));
    await writeText(join(folder, 'results/a.json'), JSON.stringify(gpu));
    await writeText(join(folder, 'results/npm-start.txt'), 'PS3 48.6 %\n');
    const evaluation = 'Held out\n\nnames 39.6 %\n\npatches 36.4 %\n\nmore';
    await writeText(join(folder, 'ps3/checkpoints/nano-4k/evaluation.txt'), evaluation);
    const study = '# The quick study\n\nWritten by it.\n\nNot shown.\n\n| a |\n\nIntervals.\n\n- more';
    await writeText(join(folder, 'bench/study/results/quick.md'), study);
    await writeReport(folder, join(folder, 'results'));
    const text = await readFile(join(folder, 'bench/README.md'), 'utf8');
    assert.ok(text.indexOf('**Example GPU**') < text.indexOf('**SwiftShader (CPU)**'));
    const front = await readFile(join(folder, 'README.md'), 'utf8');
    assert.is(front.match(/^\| layer_norm \|/gm)?.length, 1);
    assert.is(front.match(/^\| Example GPU \|/gm)?.length, 1);
    assert.ok(front.includes('```\nPS3 48.6 %\n```'));
    assert.ok(front.includes('```\nHeld out\n\nnames 39.6 %\n\npatches 36.4 %\n```'));
    assert.ok(
      front.includes('<!-- study:begin -->\n\nNot shown.\n\n| a |\n\nIntervals.\n\n<!-- study:end -->'),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('report: the pages of this repository are what the stored results make them', async () => {
  const results = await storedResults(fileURLToPath(new URL('../../bench/results', import.meta.url)));
  const page = async (path: string): Promise<string> =>
    readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
  const tables = await page('bench/README.md');
  assert.is(rewriteBlock(tables, 'bench', formatResults(results)), tables);
  const readme = await page('README.md');
  assert.is(rewriteBlock(readme, 'bench', formatSummary(results)), readme);
  const devices = await storedCertificates(fileURLToPath(new URL('../../bench/devices', import.meta.url)));
  assert.ok(devices.length > 0);
  assert.is(rewriteBlock(readme, 'devices', formatDevices(devices)), readme);
  const block = (name: string): string =>
    readme.split(`<!-- ${name}:begin -->`)[1].split(`<!-- ${name}:end -->`)[0];
  const evaluated = (await page('ps3/checkpoints/nano-4k/evaluation.txt')).split('\n\n');
  assert.is(block('nano'), `\n\n\`\`\`\n${evaluated.slice(0, 3).join('\n\n')}\n\`\`\`\n\n`);
  const studied = (await page('bench/study/results/quick.md')).split('\n\n');
  assert.is(block('study'), `\n\n${studied.slice(2, 5).join('\n\n')}\n\n`);
});

test('table: three digits, columns under each other, failures with their reason', () => {
  assert.equal([1234.5, 99.94, 9.994, 0.1234, Number.NaN].map(digits), [
    '1235',
    '99.9',
    '9.99',
    '0.123',
    'NaN',
  ]);
  const one = { op: 'matmul NT', shape: '512x512x512', prepare: () => assert.unreachable() as never };
  const table = new Table([one], PEAKS, ['ps3-webgpu']);
  assert.is(table.row(RESULT.rows[0]).length, table.head.length);
  assert.match(
    table.row({ op: 'sort', shape: '7', library: 'ps3-webgpu', reason: 'error 1 is above 0' }),
    /^sort .* FAILED: error 1 is above 0$/,
  );
});

test.run();
