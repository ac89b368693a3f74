// npm run bench [-- --quick --filter TEXT --json FILE --seconds NUMBER]: this adapter's peaks, then every case beside them.
// npm run bench -- --report: the README's table from bench/results/.
import { Engine, EngineError, MemoryError } from '../engine/index.ts';
import { ALL_CASES } from './cases.ts';
import { deviceClock, wallClock } from './clock.ts';
import type { BenchCase } from './harness.ts';
import { commandLine, exit, rootPath, runtimeName, versions, writeReport, writeText } from './host.ts';
import { type Failure, measure, type Row } from './measure.ts';
import { type BenchOptions, parseOptions, UsageError } from './options.ts';
import { measurePeaks, type Peaks } from './peaks.ts';
import type { BenchResult } from './report.ts';
import { digits, Table } from './table.ts';

/** Unrounded timestamps; other runtimes ignore the switch. */
const ENGINE_OPTIONS = { profile: true, dawnOptions: ['disable-dawn-features=timestamp_quantization'] };

/** Rewrites the README's table. */
async function report(): Promise<number> {
  await writeReport(rootPath('README.md'), rootPath('bench/results'));
  return 0;
}

function chosen({ quick, filter }: BenchOptions): BenchCase[] {
  const cases = ALL_CASES.filter((one) => (!quick || one.quick) && (!filter || one.op.includes(filter)));
  if (cases.length === 0)
    throw new UsageError(`bench: --filter must be part of an op's name, got ${filter}. Ops: ${opNames()}.`);
  return cases;
}

function opNames(): string {
  return [...new Set(ALL_CASES.map(({ op }) => op))].join(', ');
}

async function bench(options: BenchOptions): Promise<number> {
  const cases = chosen(options);
  let engine = await Engine.create(ENGINE_OPTIONS);
  const { adapterName } = engine;
  console.log(`${adapterName}, ${runtimeName()}, tier ${engine.tier}`);
  const clock = engine.gpu.timesKernels ? deviceClock : wallClock;
  const peaks = await measurePeaks(engine, clock, options.seconds);
  console.log(
    `peaks: ${digits(peaks.gflops)} GFLOP/s, ${digits(peaks.gbPerS)} GB/s, ${digits(peaks.dispatchUs)} µs per dispatch; ` +
      `times by ${engine.gpu.timesKernels ? 'device timestamps' : 'the wall clock: the adapter has no timestamps'}\n`,
  );
  const table = new Table(cases, peaks);
  console.log(table.head);
  const rows: Row[] = [];
  const failures: Failure[] = [];
  for (const one of cases) {
    const result = await attempt(engine, one, peaks, options.seconds);
    console.log(table.row(result));
    if ('reason' in result) {
      failures.push(result);
      // After a fault of the device every later command fails, so the rest gets a new one.
      if (engine.gpu.recorder.failure) {
        engine.destroy();
        engine = await Engine.create(ENGINE_OPTIONS);
      }
    } else rows.push(result);
  }
  const named = await versions();
  console.log(
    `\n${adapterName}, ${runtimeName()}, ${Object.entries(named)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
  );
  const failed = failures.filter(({ skipped }) => !skipped).length;
  if (failed > 0) console.log(`${failed} of ${cases.length} cases failed`);
  if (options.json) {
    const date = new Date().toISOString();
    const result: BenchResult = {
      ...{ adapter: adapterName, runtime: runtimeName(), versions: named, date },
      ...{ peaks, rows, failures },
    };
    await writeText(options.json, `${JSON.stringify(result, undefined, 1)}\n`);
  }
  return failed > 0 ? 1 : 0;
}

/** A case that throws fails alone; one that needs more memory than there is, is skipped. */
async function attempt(
  engine: Engine,
  one: BenchCase,
  peaks: Peaks,
  seconds: number,
): Promise<Row | Failure> {
  try {
    return await measure(engine, one, peaks, seconds);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [firstLine] = error.message.split('\n');
    return { op: one.op, shape: one.shape, reason: firstLine, skipped: error instanceof MemoryError };
  }
}

async function main(): Promise<number> {
  try {
    const options = parseOptions(commandLine());
    return options.report ? await report() : await bench(options);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    console.error(error.message);
    return error instanceof UsageError ? 2 : 1;
  }
}

exit(await main());
