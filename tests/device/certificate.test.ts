// A certificate as data and as text, and what an engine takes from it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FAST_PATHS } from '../../engine/device/proofs.ts';
import { timedOps } from '../../engine/device/timings.ts';
import type { MatmulForce } from '../../engine/gpu/tuning.ts';
import {
  type Certificate,
  certify,
  Engine,
  formatCertificate,
  matmul,
  type Tuning,
  useDeviceRecord,
} from '../../engine/index.ts';
import { askedTier, engine } from '../harness.ts';

const CERTIFICATE: Certificate = {
  ...{ adapter: 'vendor a-gpu driver 1.2', driver: 'driver 1.2', runtime: 'node 20.20.2' },
  versions: { 'ps3-webgpu': '0.1.0', webgpu: '0.6.2' },
  date: '2026-01-02T03:04:05.678Z',
  ...{ tier: 3, subgroupSize: 32, matrixUnit: { M: 16, N: 16, K: 8 }, features: ['shader-f16', 'subgroups'] },
  limits: {
    maxBufferSize: 2 ** 31,
    maxStorageBufferBindingSize: 2 ** 30,
    maxStorageBuffersPerShaderStage: 16,
    maxComputeWorkgroupStorageSize: 48 * 1024,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupsPerDimension: 65_535,
  },
  peaks: { gflops: 1000, matrixGflops: 8000, gbPerS: 100, dispatchUs: 4.321 },
  kernels: [
    {
      ...{ feature: 'plain kernels', cases: 9, error: 0 },
      times: [
        { op: 'sum', shape: '8x9', medianMs: 0.5, gflops: null, gbPerS: 50, percentOfPeak: 50 },
        { op: 'matmul', shape: '7x7x7', medianMs: 12.34, gflops: 250, gbPerS: null, percentOfPeak: 25 },
      ],
    },
    { feature: 'rows in registers', cases: 2, error: 3.4e-6, fault: '1 instead of 2 as number 0', times: [] },
  ],
  tuning: {
    adapter: 'vendor a-gpu driver 1.2',
    matmul: {
      '7x8x9 NT': { kind: 'tiled', tile: 96, splits: 2 },
      '1x8x9 NN': { kind: 'register', splits: 1, transposeFirst: true },
    },
  },
};

test('certificate: as text it has every fact, every kernel and every choice', () => {
  const lines = formatCertificate(CERTIFICATE).split('\n');
  for (const line of [
    'adapter       vendor a-gpu driver 1.2',
    'driver        driver 1.2',
    'versions      ps3-webgpu 0.1.0, webgpu 0.6.2',
    'tier          3, of 0 to 3',
    'subgroups     of 32',
    'matrix units  16x16x8',
    'limits        buffers 2048 MiB; bindings 1024 MiB, 16 a kernel; workgroups 1024 invocations, 48 KiB',
    'peaks         1000 GFLOP/s, 8000 GFLOP/s by matrix units, 100 GB/s, 4.32 µs per dispatch',
    'left out      rows in registers: 1 instead of 2 as number 0',
    'tuned         2 products',
    'kernel             cases  error  op      shape     ms         rate  of peak',
    'plain kernels          9      0  sum     8x9    0.500    50.0 GB/s     50 %',
    '                                 matmul  7x7x7   12.3  250 GFLOP/s     25 %',
    'rows in registers      2  wrong  –',
    '7x8x9 NT  tiled 96, 2 splits',
    '1x8x9 NN  register, transposed first',
  ])
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join('\n')}`);
});

test('certificate: what is not there is said', () => {
  const { tuning, matrixUnit, ...less } = CERTIFICATE;
  const text = formatCertificate({ ...less, driver: '', subgroupSize: 1, kernels: [less.kernels[0]] });
  for (const line of [
    'driver        not told by the runtime',
    'subgroups     none of a known size',
    'matrix units  none',
    'left out      none',
    'tuned         nothing',
  ])
    assert.ok(text.split('\n').includes(line), text);
});

test('certificate: an engine of the same adapter leaves out what failed and plans as measured, another one does not', async () => {
  const other = await Engine.create({ tier: askedTier });
  const { adapterName: adapter, target } = other;
  const tuning: Tuning = { adapter, matmul: { '8x8x8 NN': { kind: 'register', splits: 1 } } };
  const kernels = [{ feature: 'rows in registers', cases: 1, error: 0, fault: '1 instead of 2' }];
  const record = { adapter, tier: 2, runtime: 'any', versions: {}, kernels, tuning } as const;
  assert.equal(useDeviceRecord(other, { ...record, adapter: 'another' }), []);
  assert.equal([other.target, other.gpu.tuning], [target, undefined]);
  const sentences = useDeviceRecord(other, JSON.parse(JSON.stringify(record)));
  assert.is(sentences.length, 1);
  assert.match(
    sentences[0],
    /^engine: rows in registers must compute what plain kernels do, got 1 instead of 2, on /,
  );
  assert.equal(other.target.without, ['held']);
  assert.equal(other.gpu.tuning, tuning);
  other.destroy();
});

test('certificate: products that were planned before a record came are planned by its tuning from then on', async () => {
  const other = await Engine.create();
  const { adapterName: adapter, gpu } = other;
  const { run } = gpu;
  const entries: string[] = [];
  gpu.run = (kernel, bind, call) => {
    entries.push(kernel.entry);
    run.call(gpu, kernel, bind, call);
  };
  const [a, b] = [other.ones([64, 64]), other.ones([64, 64])];
  const multiplied = (): string[] => {
    entries.length = 0;
    matmul(a, b).dispose();
    return [...entries];
  };
  const matmulOf = (force: MatmulForce): Tuning => ({ adapter, matmul: { '64x64x64 NN': force } });
  const versions = { adapter, tier: 2, runtime: 'any', versions: {}, kernels: [] } as const;
  const before = multiplied();
  const [kind, wanted] = before.includes('matmul_tiled')
    ? (['register', 'matmul'] as const)
    : (['tiled', 'matmul_tiled'] as const);
  useDeviceRecord(other, { ...versions, tuning: matmulOf({ kind, splits: 1 }) });
  assert.ok(multiplied().includes(wanted), `${before} before, ${entries} after`);
  other.destroy();
});

test('certificate: this device has one, which survives JSON', async () => {
  if (engine.target.kind === 'gpu' && engine.isSoftware)
    return console.log('skipped: a CPU would compile for minutes');
  const other = await Engine.create({ tier: askedTier, profile: true });
  const said: string[] = [];
  const certificate = await certify(other, {
    ...{ runtime: 'a runtime', versions: { a: '1' }, seconds: 0.01 },
    tune: [{ M: 5, N: 8, K: 8 }],
    onProgress: (what, done, all) => said.push(`${what} ${done}/${all}`),
  });
  const { adapter, tier, limits, peaks, kernels, tuning } = certificate;
  assert.equal(JSON.parse(JSON.stringify(certificate)), certificate);
  assert.equal([adapter, tier], [other.adapterName, other.tier]);
  assert.is(limits.maxBufferSize, other.limits.maxBufferSize);
  assert.ok(peaks.gflops > 0 && peaks.gbPerS > 0);
  const taken = FAST_PATHS.filter(({ isTaken }) => isTaken(other.target)).map(({ feature }) => feature);
  assert.equal(
    kernels.map(({ feature }) => feature),
    taken,
  );
  for (const { feature, times, fault } of kernels) {
    assert.is(fault, undefined, feature);
    assert.ok(times.length > 0, `${feature} has no time`);
    for (const { op, medianMs, percentOfPeak } of times) assert.ok(medianMs > 0 && percentOfPeak! > 0, op);
  }
  assert.equal(Object.keys(tuning!.matmul), ['5x8x8 NN']);
  for (const what of ['proving kernels', 'timing kernels'])
    assert.ok(said.includes(`${what} ${taken.length}/${taken.length}`), said.join());
  assert.is(other.stats().liveTensors, 0);
  other.destroy();
});

test('certificate: every fast path has an op that is timed', () => {
  const untimed = FAST_PATHS.filter((path) => timedOps(engine, path).length === 0);
  assert.equal(
    untimed.map(({ feature }) => feature),
    [],
  );
});

test.run();
