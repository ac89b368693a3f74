// The archive is made (about a minute of xz), unpacked elsewhere and run there without an environment.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ALL_CASES } from '../../bench/cases.ts';
import { parseResult } from '../../bench/report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const name = `ps3-webgpu-bench-${process.platform}-${process.arch}`;
const archive = join(root, `bench/dist/${name}.tar.xz`);
const test = suite('the bundle');
const parent = mkdtempSync(join(tmpdir(), 'unpacked-'));
const launcher = join(parent, name, 'bench');

/** Runs in `parent` with an empty PATH; of the environment stays only which Vulkan driver to use. */
function runAlone(words: string[], drivers = process.env.VK_DRIVER_FILES) {
  const env = { PATH: '', ...(drivers === undefined ? {} : { VK_DRIVER_FILES: drivers }) };
  return spawnSync(launcher, words, { cwd: parent, env, encoding: 'utf8' });
}

test.before(() => {
  const words = ['--import', './engine/wgsl_loader.mjs', '--import', 'tsx', 'bench/pack.ts'];
  const packed = spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8' });
  assert.is(packed.status, 0, packed.stderr);
  assert.match(packed.stdout, /\.tar\.xz, \d\d\.\d MB\n$/);
  const unpacked = spawnSync('tar', ['--extract', '--file', archive, '--directory', parent]);
  assert.is(unpacked.status, 0, String(unpacked.stderr));
});

test.after(() => rmSync(parent, { recursive: true }));

test('bench bundle: is below 60 MB', () => {
  assert.ok(statSync(archive).size < 60e6, `${statSync(archive).size} bytes`);
});

test('bench bundle: runs without an environment, and its results are those of the suite', () => {
  const { status, stdout, stderr } = runAlone(['--quick', '--filter', 'fill', '--json', 'out.json']);
  assert.is(status, 0, `${stdout}\n${stderr}`);
  const result = parseResult('out.json', readFileSync(join(parent, 'out.json'), 'utf8'));
  assert.is(result.runtime, `node ${process.versions.node}`);
  assert.is(
    result.versions['ps3-webgpu'],
    JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
  );
  assert.ok(result.peaks.gflops > 0 && result.peaks.gbPerS > 0);
  const wanted = ALL_CASES.filter(({ op, quick }) => quick && op.includes('fill'));
  assert.equal(
    result.rows.map(({ op, shape }) => `${op} ${shape}`),
    wanted.map(({ op, shape }) => `${op} ${shape}`),
  );
  for (const { op, medianMs, gbPerS } of result.rows)
    assert.ok(medianMs > 0 && gbPerS! > 0, `${op}: ${medianMs} ms, ${gbPerS} GB/s`);
});

test('bench bundle: shows rows of PyTorch beneath ours, for which it has the script', () => {
  assert.ok(existsSync(join(parent, name, 'torch_cuda.py')));
  const row = {
    ...{ op: 'fill', shape: '839808', dtype: 'f32', tier: 0, library: 'torch f32', medianMs: 1, spreadMs: 0 },
    ...{ runs: 1, gflops: null, gbPerS: 1, percentOfPeak: null, maxError: 0 },
  };
  writeFileSync(join(parent, 'torch.json'), JSON.stringify({ versions: { torch: '2.9.0' }, rows: [row] }));
  const { status, stdout, stderr } = runAlone(['--quick', '--filter', 'fill', '--merge', 'torch.json']);
  assert.is(status, 0, stderr);
  assert.match(stdout, /^fill +839808 +ps3-webgpu .*\nfill +839808 +torch f32 +1\.00 /m);
});

test('bench bundle: one sentence where the other libraries are not', () => {
  const { status, stderr } = runAlone(['--peers', '--filter', 'top_k']);
  assert.is(status, 1);
  assert.match(
    stderr,
    /^bench: --peers must find .*, got no such file\. Run it in a checkout of the repository or in an archive made by npm run bench:bundle -- --peers\.$/m,
  );
});

test('bench bundle: one sentence where no Vulkan driver answers', () => {
  const { status, stderr } = runAlone(['--quick'], '/no/such/driver.json');
  assert.is(status, 1);
  assert.match(stderr, /^engine: a GPU adapter must answer, got none\. /m);
});

test('bench bundle: a mistake in the flags is one sentence', () => {
  const { status, stderr } = runAlone(['--fast']);
  assert.is(status, 2);
  assert.match(stderr, /^bench: flags must be of .*, got --fast\.\n$/);
});

test.run();
