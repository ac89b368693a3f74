// Runs the tests, each file in a process of its own:
//
//   node tests/run.mjs [--full] [--browser] [--jobs N] [--on PLACE]... [--smoke PLACE]... [--matrix] [part of a path]...
//
// Places are those of places.mjs; without --on, everything runs in Dawn. --smoke runs a few files in a place, --matrix the
// portable files in every place. A file that is named *.full.test.ts takes minutes and runs only with --full; one that is
// named *.browser.test.ts drives Chromium from Node and runs only with --browser; *.browser.full.test.ts needs both. --errors
// writes what the files report about their errors to tests/results.
//
// The counts are those that uvu prints; a file that crashes, runs too long or prints none counts as one failure. A test that
// the adapter cannot run prints a line `skipped: <reason>` and is counted as skipped. A place without its adapter is a
// failure, or skipped where it is optional. The last line is `N passed, N failed`.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { readErrors, writeErrors } from './error_table.mjs';
import {
  isForMatrixUnits,
  isOptional,
  isPortable,
  isSmoke,
  missing,
  notPortable,
  places,
} from './places.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const limitMin = 20; // per file: attention with the plans for GPUs is compiled for some ten minutes on a CPU

/** The command line, or an exit with one sentence. */
function readArguments() {
  const flag = { type: 'boolean', default: false };
  const list = { type: 'string', multiple: true, default: [] };
  const options = {
    ...{ full: flag, browser: flag, matrix: flag, errors: flag, on: list, smoke: list },
    jobs: { type: 'string', default: '2' },
  };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const jobs = Number(values.jobs);
    if (!Number.isInteger(jobs) || jobs < 1)
      throw new Error(`--jobs must be a whole number, got ${values.jobs}`);
    for (const name of [...values.on, ...values.smoke])
      if (!(name in places))
        throw new Error(`a place must be one of ${Object.keys(places).join(', ')}, got ${name}`);
    return { ...values, filters: positionals, jobs: Math.min(jobs, availableParallelism()) };
  } catch (error) {
    console.error(`tests: ${error.message}`);
    process.exit(2);
  }
}

/** The files that run in a place. */
const fitsIn = (place) => (path) =>
  isPortable(path) || (place.startsWith('debian13') && isForMatrixUnits(path));

/** Pairs of a file and a place; in the first place first. */
function findRuns({ full, browser, matrix, on, smoke, filters }) {
  const files = readdirSync(join(root, 'tests'), { recursive: true })
    .map((path) => ['tests', ...path.split(sep)].join('/'))
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => (full || !path.includes('.full.')) && (browser || !path.includes('.browser.')))
    .filter((path) => filters.length === 0 || filters.some((part) => path.includes(part)))
    .sort();
  const everywhere = matrix ? Object.keys(places) : on.length > 0 ? on : ['dawn'];
  return [
    ...everywhere.map((place) => ({ place, fits: place === 'dawn' && !matrix ? () => true : fitsIn(place) })),
    ...smoke.map((place) => ({ place, fits: isSmoke })),
  ].flatMap(({ place, fits }) => files.filter(fits).map((path) => ({ path, place })));
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
async function runFile({ path, place }) {
  const lacking = missing(place);
  if (lacking) {
    const counts = isOptional(place)
      ? { passed: 0, failed: 0, skipped: 1, unable: 0, cause: lacking }
      : judge('', 1, lacking);
    return { path, place, output: '', seconds: 0, ...counts };
  }
  const started = performance.now();
  const { command, env } = places[place];
  const [program, ...args] = command(path);
  const child = spawn(program, args, {
    cwd: root,
    detached: process.platform !== 'win32',
    env: {
      XDG_RUNTIME_DIR: tmpdir(), // or the Vulkan loader complains
      ...process.env,
      ...env,
    },
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
    child.on('exit', () => end(child)); // what a crashed file has left would hold its output open
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const output = stripVTControlCharacters(Buffer.concat(chunks).toString());
      const seconds = (performance.now() - started) / 1000;
      resolve({
        path,
        place,
        output,
        seconds,
        ...judge(output, code, cause ?? (signal && `ended by ${signal}`)),
      });
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

function report({ path, place, output, seconds, passed, failed, skipped, unable, cause }) {
  const counts = [`${passed} passed`, failed && `${failed} failed`, skipped && `${skipped} skipped`].filter(
    Boolean,
  );
  console.log(
    `${failed ? 'FAIL' : 'ok  '}  ${place === 'dawn' ? '' : `${place}: `}${path}  ${counts.join(', ')}${cause ? ` (${cause})` : ''}  ${seconds.toFixed(1)} s`,
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
const runs = findRuns(options);
const waiting = [...runs];
const sum = { passed: 0, failed: 0, skipped: 0 };
const errors = [];
const work = async () => {
  for (let run = waiting.shift(); run; run = waiting.shift()) {
    const result = await runFile(run);
    report(result);
    errors.push(...readErrors(result));
    for (const key of Object.keys(sum)) sum[key] += result[key];
  }
};
await Promise.all(Array.from({ length: options.jobs }, work));
if (options.errors) writeErrors(errors);
if (runs.length === 0)
  console.log(`no test file matches ${options.filters.join(' ') || 'tests/**/*.test.ts'}`);
if (options.matrix) console.log(`not in the matrix: ${notPortable}`);
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped ? `, ${sum.skipped} skipped` : ''}`);
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0;
