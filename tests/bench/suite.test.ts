import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ALL_CASES } from '../../bench/cases.ts';
import type { Row } from '../../bench/measure.ts';
import type { Peer } from '../../bench/peers/peer.ts';
import { isSlow, type Others, runSuite, type SuiteEvent } from '../../bench/suite.ts';

const SECONDS = 0.01;
/** What stands in the lines of the table, in their order. */
const named = (events: readonly SuiteEvent[]): string[] =>
  events.flatMap((event) => {
    if (event.kind === 'lack') return [`${event.op} ${event.shape} ${event.library} lacks`];
    if (event.kind !== 'result') return [];
    const { op, shape, library } = event.result;
    return [`${op} ${shape} ${library}${'reason' in event.result ? ' failed' : ''}`];
  });

async function run(filter: string, quick: boolean, others?: Others) {
  const events: SuiteEvent[] = [];
  const result = await runSuite({ filter, quick, seconds: SECONDS }, (event) => events.push(event), others);
  return { ...result, events };
}

test('suite: the adapter, its peaks, then every quick case once', async () => {
  const { events, rows, failures, peaks } = await run('sum', true);
  const cases = ALL_CASES.filter(({ op, quick }) => quick && op.includes('sum'));
  assert.ok(cases.length > 1);
  const wanted = cases.map(({ op, shape }) => ({ op, shape }));
  assert.equal(
    events.map(({ kind }) => kind),
    ['adapter', 'peaks', ...cases.map(() => 'result')],
  );
  assert.equal(events[1], { kind: 'peaks', peaks, cases: wanted, libraries: ['ps3-webgpu'] });
  assert.equal(
    rows.map(({ op, shape }) => ({ op, shape })),
    wanted,
  );
  assert.equal(failures, []);
});

test('suite: with libraries, only the cases they can do, by the wall clock, and theirs beneath ours', async () => {
  const cases = ALL_CASES.filter(({ op, peer }) => peer && op.includes('top_k'));
  const [one] = cases;
  const { op, shape } = one;
  const asked: string[] = [];
  const peers: Peer[] = ['right', 'lacking', 'broken'].map((library) => ({
    library,
    prepare: () => assert.unreachable() as never,
  }));
  const measured = async (ours: Row, library: string): Promise<Row> => ({ ...ours, library });
  const foreign = { op, shape, library: 'elsewhere' };
  const { events, rows, failures } = await run('top_k', false, {
    peers: {
      open: async () => peers,
      measure: async (_engine, { library }, benchCase, ours) => {
        asked.push(`${benchCase.op} ${benchCase.shape} ${benchCase.clock} ${library}`);
        if (library === 'broken') throw new Error('no such function\nat somewhere');
        return library === 'lacking' ? undefined : measured(ours, library);
      },
    },
    rows: [foreign, { ...foreign, shape: 'another' }].map((names) => ({
      ...names,
      ...{ dtype: 'f32', tier: 0, medianMs: 1, spreadMs: 0, runs: 1, gflops: 1, gbPerS: 1 },
      ...{ percentOfPeak: 1, maxError: 0 },
    })),
  });
  assert.equal(
    named(events),
    cases.flatMap((it) => [
      `${it.op} ${it.shape} ps3-webgpu`,
      `${it.op} ${it.shape} right`,
      `${it.op} ${it.shape} lacking lacks`,
      `${it.op} ${it.shape} broken failed`,
      ...(it === one ? [`${op} ${shape} elsewhere`] : []),
    ]),
  );
  assert.equal(
    asked,
    cases.flatMap((it) => peers.map(({ library }) => `${it.op} ${it.shape} wall ${library}`)),
  );
  const [, told] = events;
  assert.equal(told.kind === 'peaks' && told.libraries, [
    ...['ps3-webgpu', 'right', 'lacking', 'broken', 'elsewhere'],
  ]);
  assert.equal(new Set(rows.map(({ library }) => library)), new Set(['ps3-webgpu', 'right', 'elsewhere']));
  assert.equal(
    failures.map(({ library, reason, skipped }) => ({ library, reason, skipped })),
    cases.map(() => ({ library: 'broken', reason: 'no such function', skipped: false })),
  );
});

test('suite: a quick run leaves out the training of a ViT where peaks are low, unless it is asked for', () => {
  const options = { quick: true, filter: undefined, seconds: SECONDS };
  const slow = (gflops: number, change = {}): string[] =>
    ALL_CASES.filter((one) => one.quick)
      .filter((one) => isSlow(one, { ...options, ...change }, { gflops, gbPerS: 1, dispatchUs: 1 }))
      .map(({ op }) => op);
  assert.equal(slow(15), ['vit training step']); // SwiftShader on two cores
  assert.equal(slow(50), []); // lavapipe
  assert.equal(slow(15, { filter: 'vit' }), []);
  assert.equal(slow(15, { quick: false }), []);
});

test.run();
