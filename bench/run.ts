// npm run bench [-- --quick --filter TEXT --tier NUMBER --json FILE --seconds NUMBER]: this adapter's peaks, then every case beside them.
// npm run bench -- --peers: the cases that other libraries can do, in ours and in those, on this adapter.
// npm run bench -- --merge FILE: rows of peers/torch_cuda.py beneath ours.
// npm run bench -- --report: what is measured in README.md and bench/README.md, from bench/results/.
import { EngineError } from '../engine/index.ts';
import { digits } from '../engine/internal.ts';
import { isOurs } from './harness.ts';
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
import { type BenchOptions, parseOptions, UsageError } from './options.ts';
import { measurePeer } from './peers/compare.ts';
import { openPeers } from './peers/open.ts';
import type { Peer } from './peers/peer.ts';
import type { BenchResult } from './report.ts';
import { runSuite } from './suite.ts';
import { Table } from './table.ts';

/** Rewrites what is measured in the two READMEs. */
async function report(): Promise<number> {
  await writeReport(rootPath('.'), rootPath('bench/results'));
  return 0;
}

async function bench(options: BenchOptions): Promise<number> {
  const merged = options.merge ? await readForeign(options.merge) : undefined;
  const open = async (): Promise<Peer[]> => {
    const urls = installPeers();
    if (runsNode()) (await import('./peers/dawn.ts')).provideNavigator();
    return openPeers(urls);
  };
  const peers = { open, measure: measurePeer };
  let table: Table;
  const { adapter, peaks, rows, failures } = await runSuite(
    options,
    (event) => {
      if (event.kind === 'adapter') {
        console.log(`${event.adapter}, ${runtimeName()}, tier ${event.tier}`);
        console.log(`times by ${event.timesBy}`);
      } else if (event.kind === 'peaks') {
        const { gflops, gbPerS, dispatchUs } = event.peaks;
        console.log(
          `peaks: ${digits(gflops)} GFLOP/s, ${digits(gbPerS)} GB/s, ${digits(dispatchUs)} µs per dispatch\n`,
        );
        table = new Table(event.cases, event.peaks, event.libraries);
        console.log(table.head);
      } else console.log(event.kind === 'lack' ? table.lack(event) : table.row(event.result));
    },
    { peers: options.peers ? peers : undefined, rows: merged?.rows },
  );
  const named = { ...(await versions(options.peers)), ...merged?.versions };
  const inWords = Object.entries(named).map(([name, version]) => `${name} ${version}`);
  console.log(`\n${adapter}, ${runtimeName()}, ${inWords.join(', ')}`);
  const ours = failures.filter(isOurs);
  const failed = ours.filter(({ skipped }) => !skipped).length;
  if (failed > 0) console.log(`${failed} of ${rows.filter(isOurs).length + ours.length} cases failed`);
  if (options.json) {
    const date = new Date().toISOString();
    const result: BenchResult = {
      adapter,
      runtime: runtimeName(),
      versions: named,
      date,
      peaks,
      rows,
      failures,
    };
    await writeText(options.json, `${JSON.stringify(result, undefined, 1)}\n`);
  }
  return failed > 0 ? 1 : 0;
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
