// npm run bench [-- --quick --filter TEXT --json FILE --seconds NUMBER]: this adapter's peaks, then every case beside them.
// npm run bench -- --peers: the cases that other libraries can do, in ours and in those, on this adapter.
// npm run bench -- --merge FILE: rows of peers/torch_cuda.py beneath ours.
// npm run bench -- --report: the README's table from bench/results/.
import { Engine, EngineError, MemoryError } from '../engine/index.ts';
import { ALL_CASES } from './cases.ts';
import { deviceClock, wallClock } from './clock.ts';
import type { BenchCase } from './harness.ts';
import {
  commandLine,
  exit,
  installPeers,
  readForeign,
  rootPath,
  runsNode,
  runtimeName,
  versions,
  writeReport,
  writeText,
} from './host.ts';
import { type Failure, LIBRARY, measure, type Row } from './measure.ts';
import { type BenchOptions, parseOptions, UsageError } from './options.ts';
import { measurePeaks, type Peaks } from './peaks.ts';
import { measurePeer } from './peers/compare.ts';
import { openPeers } from './peers/open.ts';
import type { Peer } from './peers/peer.ts';
import type { BenchResult } from './report.ts';
import { digits, Table } from './table.ts';

const ENGINE_OPTIONS = { profile: true };

/** On a software adapter, cases beyond this would take minutes in each library. */
const SOFTWARE_PEER_FLOPS = 12e9;

/** Rewrites the README's table. */
async function report(): Promise<number> {
  await writeReport(rootPath('README.md'), rootPath('bench/results'));
  return 0;
}

function chosen({ quick, filter, peers }: BenchOptions): BenchCase[] {
  const asked = ALL_CASES.filter((one) => (!quick || one.quick) && (!peers || one.peer));
  const cases = asked.filter((one) => !filter || one.op.includes(filter));
  if (cases.length === 0)
    throw new UsageError(
      `bench: --filter must be part of an op's name, got ${filter}. Ops: ${[...new Set(asked.map(({ op }) => op))].join(', ')}.`,
    );
  return peers ? cases.map((one) => ({ ...one, clock: 'wall' })) : cases;
}

async function bench(options: BenchOptions): Promise<number> {
  const asked = chosen(options);
  const urls = options.peers ? installPeers() : undefined;
  const merged = options.merge ? await readForeign(options.merge) : undefined;
  let engine = await Engine.create(ENGINE_OPTIONS);
  const { adapterName } = engine;
  const isLong = ({ flops = 0 }: BenchCase): boolean => engine.gpu.isSoftware && flops > SOFTWARE_PEER_FLOPS;
  const cases = options.peers ? asked.filter((one) => !isLong(one)) : asked;
  console.log(`${adapterName}, ${runtimeName()}, tier ${engine.tier}`);
  const clock = engine.gpu.timesKernels ? deviceClock : wallClock;
  const peers: Peer[] = urls ? await openPeers(urls, runsNode()) : [];
  const peaks = await measurePeaks(engine, clock, options.seconds);
  console.log(
    `peaks: ${digits(peaks.gflops)} GFLOP/s, ${digits(peaks.gbPerS)} GB/s, ${digits(peaks.dispatchUs)} µs per dispatch; ` +
      `times by ${timing(engine, options)}\n`,
  );
  const libraries = [LIBRARY, ...peers.map(({ library }) => library), ...librariesOf(merged?.rows ?? [])];
  const table = new Table(cases, peaks, libraries);
  console.log(table.head);
  const rows: Row[] = [];
  const failures: Failure[] = [];
  for (const one of cases) {
    const keep = (result: Row | Failure): void => {
      console.log(table.row(result));
      if ('reason' in result) failures.push(result);
      else rows.push(result);
    };
    const ours = await attempt(engine, one, peaks, options.seconds);
    keep(ours);
    if ('reason' in ours) {
      // After a fault of the device every later command fails, so the rest gets a new one.
      if (engine.gpu.recorder.failure) {
        engine.destroy();
        engine = await Engine.create(ENGINE_OPTIONS);
      }
      continue;
    }
    for (const peer of peers) {
      const theirs = await measurePeer(engine, peer, one, ours, peaks, options.seconds);
      if (theirs) keep(theirs);
      else console.log(table.lack(one, peer.library));
    }
    for (const row of merged?.rows ?? []) if (row.op === one.op && row.shape === one.shape) keep(row);
  }
  const named = { ...(await versions(peers.length > 0)), ...merged?.versions };
  console.log(
    `\n${adapterName}, ${runtimeName()}, ${Object.entries(named)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
  );
  const failed = failures.filter(({ library, skipped }) => library === LIBRARY && !skipped).length;
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
    return {
      ...{ op: one.op, shape: one.shape, library: LIBRARY },
      ...{ reason: firstLine, skipped: error instanceof MemoryError },
    };
  }
}

function timing({ gpu }: Engine, { peers }: BenchOptions): string {
  if (peers) return 'the wall clock, in all libraries';
  return gpu.timesKernels ? 'device timestamps' : 'the wall clock: the adapter has no timestamps';
}

function librariesOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ library }) => library))];
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
