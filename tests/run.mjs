// Runs the tests, each file in a process of its own: node tests/run.mjs [--full | --browser] [--jobs N] [part of a path]...
//
// A file that is named *.full.test.ts takes minutes and runs only with --full; --browser runs *.browser.test.ts and nothing else. The counts are those that uvu prints; a file that
// crashes, runs too long or prints none counts as one failure. A test that the adapter cannot run prints a line
// `skipped: <reason>` and is counted as skipped. The last line is `N passed, N failed`.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const limitMin = 10; // per file

/** The command line, or an exit with one sentence. */
function readArguments() {
  const flag = { type: 'boolean', default: false };
  const options = { full: flag, browser: flag, jobs: { type: 'string', default: '2' } };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const jobs = Number(values.jobs);
    if (!Number.isInteger(jobs) || jobs < 1)
      throw new Error(`--jobs must be a whole number, got ${values.jobs}`);
    return { ...values, filters: positionals, jobs: Math.min(jobs, availableParallelism()) };
  } catch (error) {
    console.error(`tests: ${error.message}`);
    process.exit(2);
  }
}

function findFiles({ full, browser, filters }) {
  return readdirSync(join(root, 'tests'), { recursive: true })
    .map((path) => ['tests', ...path.split(sep)].join('/'))
    .filter((path) => path.endsWith('.test.ts') && (full || !path.endsWith('.full.test.ts')))
    .filter((path) => path.endsWith('.browser.test.ts') === browser)
    .filter((path) => filters.length === 0 || filters.some((part) => path.includes(part)))
    .sort();
}

const running = new Set();

/** Ends a test file with everything it has started. */
function end(child) {
  if (process.platform === 'win32') {
    child.kill('SIGKILL');
    return;
  }
  try {
    process.kill(-child.pid, 'SIGKILL'); // each file leads a process group
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has just ended by itself
  }
}

/** Runs one file; resolves to its counts, its output and the reason for which it counts as a failure, if any. */
function runFile(path) {
  const started = performance.now();
  const loader = pathToFileURL(join(root, 'engine/wgsl_loader.mjs')).href;
  const child = spawn(process.execPath, ['--import', loader, '--import', 'tsx', path], {
    cwd: root,
    detached: process.platform !== 'win32',
    env: { ...process.env, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR || tmpdir() }, // or the Vulkan loader complains
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.on('data', (chunk) => chunks.push(chunk));
  return new Promise((resolve) => {
    let cause = null;
    const timer = setTimeout(() => {
      cause = `ran longer than ${limitMin} minutes`;
      end(child);
    }, limitMin * 60_000);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const output = stripVTControlCharacters(Buffer.concat(chunks).toString());
      const seconds = (performance.now() - started) / 1000;
      resolve({ path, output, seconds, ...judge(output, code, cause ?? (signal && `ended by ${signal}`)) });
    });
  });
}

/** Counts of one file from its output and exit code. */
function judge(output, code, cause) {
  const count = (label) =>
    Number([...output.matchAll(new RegExp(`^ *${label}: +(\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  const unable = output.match(/^(?:[•✘] )*skipped: /gm)?.length ?? 0; // uvu's marks stand before what a test prints
  const failed = count('Total') - count('Passed');
  const passed = count('Passed') - unable;
  const skipped = count('Skipped') + unable;
  const counts = { passed: Math.max(passed, 0), failed, skipped, unable };
  if (cause) return { ...counts, failed: failed + 1, cause };
  if (code !== 0 && failed === 0) return { ...counts, failed: 1, cause: `exit code ${code}` };
  if (count('Total') + skipped === 0) return { ...counts, failed: 1, cause: 'ran no test' };
  return counts;
}

function report({ path, output, seconds, passed, failed, skipped, unable, cause }) {
  const counts = [`${passed} passed`, failed && `${failed} failed`, skipped && `${skipped} skipped`].filter(
    Boolean,
  );
  console.log(
    `${failed ? 'FAIL' : 'ok  '}  ${path}  ${counts.join(', ')}${cause ? ` (${cause})` : ''}  ${seconds.toFixed(1)} s`,
  );
  if (failed || unable) console.log(`\n${output.trimEnd().replace(/^/gm, '      ')}\n`);
}

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
]) {
  process.on(signal, () => {
    for (const child of running) end(child);
    console.error(`tests: stopped by ${signal}`);
    process.exit(128 + number);
  });
}

const options = readArguments();
const files = findFiles(options);
const waiting = [...files];
const sum = { passed: 0, failed: 0, skipped: 0 };
const work = async () => {
  for (let path = waiting.shift(); path; path = waiting.shift()) {
    const result = await runFile(path);
    report(result);
    for (const key of Object.keys(sum)) sum[key] += result[key];
  }
};
await Promise.all(Array.from({ length: options.jobs }, work));
if (files.length === 0)
  console.log(`no test file matches ${options.filters.join(' ') || 'tests/**/*.test.ts'}`);
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
