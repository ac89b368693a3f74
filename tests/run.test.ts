// The test runner itself, on a small folder of test files that pass, fail, crash and skip.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));
const uvu = "import { test } from 'uvu';\n";
const files = {
  'pass.test.ts': `${uvu}test('a', () => {});\ntest('b', () => {});\ntest.run();`,
  'fail.test.ts': `${uvu}test('a', () => {});\ntest('b', () => { throw new Error('wrong'); });\ntest.run();`,
  'skip.test.ts': `${uvu}test('a', () => {});\ntest('b', () => console.log('skipped: needs shader-f16'));\ntest.run();`,
  'crash.test.ts': "throw new Error('boom');",
  'late.test.ts': `${uvu}test('a', () => {});\ntest.run();\nprocess.on('exit', () => process.kill(process.pid, 'SIGKILL'));`,
  'orphan.test.ts':
    "import { spawn } from 'node:child_process';\nspawn('sleep', ['300'], { stdio: 'inherit' });\nprocess.exit(1);",
  'silent.test.ts': "console.log('nothing to run');",
  'gpu/engine.test.ts': `${uvu}test('a', () => {});\ntest.run();`,
  'page.browser.test.ts': `${uvu}test('a', () => {});\ntest.run();`,
  'long.full.test.ts': `${uvu}test('a', () => {});\ntest.run();`,
  'slow.browser.full.test.ts': `${uvu}test('a', () => {});\ntest.run();`,
};

let folder = '';
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'ps3-run-'));
  for (const path of [
    ...['tests/run.mjs', 'tests/places.mjs', 'tests/error_table.mjs'],
    ...['engine/wgsl_loader.mjs', 'package.json'],
  ]) {
    cpSync(join(root, path), join(folder, path));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, 'tests/gpu'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'tests', name), text);
});
test.after(() => rmSync(folder, { recursive: true }));

function runWith(env: Record<string, string>, ...args: string[]): { status: number | null; lines: string[] } {
  const { status, stdout } = spawnSync(process.execPath, [join(folder, 'tests/run.mjs'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, lines: stdout.trimEnd().split('\n') };
}

const run = (...args: string[]) => runWith({}, ...args);

const lastLine = (lines: string[]): string | undefined => lines.at(-1);

test('run: sums passed and failed tests and ends with one line', () => {
  const { status, lines } = run('pass', 'fail');
  assert.is(lastLine(lines), '3 passed, 1 failed');
  assert.is(status, 1);
});

test('run: shows the output of a failing file only', () => {
  const text = run('pass', 'fail').lines.join('\n');
  assert.match(text, 'wrong');
  assert.is(text.match(/Total:/g)?.length, 1);
});

test('run: exits with 0 when everything passes', () => {
  const { status, lines } = run('pass');
  assert.is(lastLine(lines), '2 passed, 0 failed');
  assert.is(status, 0);
});

test('run: counts a test that prints its reason as skipped', () => {
  const { status, lines } = run('skip');
  assert.is(lastLine(lines), '1 passed, 0 failed, 1 skipped');
  assert.match(lines.join('\n'), 'skipped: needs shader-f16');
  assert.is(status, 0);
});

test('run: counts a crash before the tests, one after them, and a file without tests as one failure each', () => {
  assert.is(lastLine(run('crash').lines), '0 passed, 1 failed');
  assert.is(lastLine(run('late').lines), '1 passed, 1 failed');
  assert.is(lastLine(run('silent').lines), '0 passed, 1 failed');
});

test('run: does not wait for what a crashed file has left running', () => {
  const started = performance.now();
  assert.is(lastLine(run('orphan').lines), '0 passed, 1 failed');
  assert.ok(performance.now() - started < 60_000);
});

test('run: takes long files only with --full', () => {
  assert.is(run('long').status, 1);
  assert.is(lastLine(run('--full', 'long').lines), '1 passed, 0 failed');
});

test('run: takes tests that drive a browser only with --browser', () => {
  assert.is(run('page').status, 1);
  assert.is(lastLine(run('--browser', 'page').lines), '1 passed, 0 failed');
  for (const flag of ['--browser', '--full']) assert.is(run(flag, 'slow').status, 1);
  assert.is(lastLine(run('--browser', '--full', 'slow').lines), '1 passed, 0 failed');
});

test('run: counts the portable files of every place, and names a place that does not exist', () => {
  const { lines } = run('--on', 'dawn', '--on', 'dawn-tier0', '--smoke', 'deno', 'pass', 'engine');
  assert.is(lastLine(lines), '5 passed, 0 failed');
  assert.match(lines.join('\n'), 'ok    dawn-tier0: tests/gpu/engine.test.ts  1 passed');
  assert.match(lines.join('\n'), 'ok    deno: tests/gpu/engine.test.ts  1 passed');
  assert.is(run('--on', 'mars').status, 2);
});

test('run: a place without its browser is a failure that says what to install', () => {
  const { status, lines } = runWith({ CHROMIUM: '/nowhere/chromium' }, '--on', 'chromium', 'engine');
  assert.is(lastLine(lines), '0 passed, 1 failed');
  assert.match(lines.join('\n'), '/nowhere/chromium must exist, got no such file. Run as root: apt-get');
  assert.is(status, 1);
});

test('run: the place that only some machines can have is skipped with a sentence', () => {
  const env = { DEBIAN_ROOT: '/nowhere/debian13' };
  const { status, lines } = runWith(env, '--on', 'dawn', '--on', 'debian13-tier3', 'engine');
  assert.is(lastLine(lines), '1 passed, 0 failed, 1 skipped');
  assert.match(lines.join('\n'), '/nowhere/debian13/usr/share/vulkan/icd.d/lvp_icd.json must exist, got no');
  assert.match(lines.join('\n'), 'node tests/debian_root.mjs');
  assert.is(status, 0);
});

test.run();
