import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ALL_CASES } from '../../bench/cases.ts';
import type { BenchCase } from '../../bench/harness.ts';
import { type Failure, measure, type Row } from '../../bench/measure.ts';
import { measurePeer } from '../../bench/peers/compare.ts';
import { labelled, type Operand, type Peer, type PeerOp, separated } from '../../bench/peers/peer.ts';
import { add } from '../../engine/index.ts';
import { engine } from '../harness.ts';

const PEAKS = { gflops: 10, gbPerS: 4, dispatchUs: 20 };
const SECONDS = 0.01;
const LEFT = Float32Array.from({ length: 1000 }, (_, i) => i % 7);
const RIGHT = Float32Array.from({ length: 1000 }, (_, i) => i % 11);

const CASE: BenchCase = {
  op: 'add',
  shape: '1000',
  bytes: 12_000,
  clock: 'wall',
  peer: { name: 'add' },
  prepare: (engine) => {
    const a = engine.tensor(LEFT);
    const b = engine.tensor(RIGHT);
    return {
      run: () => add(a, b),
      maxError: async (out) =>
        Math.max(...(await out.data()).map((value, i) => Math.abs(value - LEFT[i] - RIGHT[i]))),
    };
  },
};

interface Seen {
  readonly peer: Peer;
  readonly counts: number[];
  readonly asked: { op: PeerOp; operands: readonly Operand[]; copies: number }[];
  disposed: number;
}

/** A library that adds on the CPU, off by `error`; notes what it is asked for. */
function adder(error: number, run: (count: number) => void = () => undefined): Seen {
  const seen: Seen = { peer: { library: 'adder', prepare }, counts: [], asked: [], disposed: 0 };
  async function add(operands: readonly Operand[]) {
    const [a, b] = operands;
    let sum = new Float32Array(0);
    return {
      run: async (count: number) => {
        seen.counts.push(count);
        run(count);
        sum = Float32Array.from(a.data, (value, i) => value + b.data[i] + error);
      },
      read: async () => sum,
      dispose: async () => {
        seen.disposed++;
      },
    };
  }
  function prepare(op: PeerOp, operands: readonly Operand[], copies: number) {
    seen.asked.push({ op, operands, copies });
    return add(operands);
  }
  return seen;
}

async function ours(): Promise<Row> {
  const row = await measure(engine, CASE, PEAKS, SECONDS);
  if ('reason' in row) throw new Error(row.reason);
  return row;
}

const compare = async (peer: Peer, row: Row): Promise<Row | Failure | undefined> =>
  measurePeer(engine, peer, CASE, row, PEAKS, SECONDS);

test('peers: a library with a wrong result is run once for the check, not timed, and named with its error', async () => {
  for (const error of [2e-4, Number.NaN]) {
    const seen = adder(error);
    const result = await compare(seen.peer, await ours());
    assert.ok(result && 'reason' in result && !('medianMs' in result));
    assert.match(result.reason, /^error .* is above 0\.0001$/);
    assert.is(result.library, 'adder');
    assert.equal(seen.counts, [1]);
    assert.is(seen.disposed, 1);
  }
});

test('peers: a right library gets a row of its own, by as many runs in a sample as ours, over as many copies', async () => {
  const row = { ...(await ours()), runs: 7, copies: 5 };
  const seen = adder(0);
  const result = await compare(seen.peer, row);
  assert.ok(result && 'medianMs' in result);
  assert.is(result.library, 'adder');
  assert.is(result.runs, 7);
  assert.is(result.copies, 5);
  assert.is(seen.asked[0].copies, 5);
  assert.is(result.maxError, 0);
  assert.ok(Math.abs(result.gbPerS! - 12_000 / result.medianMs / 1e6) < 1e-9);
  const [check, once, ...others] = seen.counts;
  assert.equal([check, once], [1, 1]);
  assert.ok(others.length >= 1 + 3, 'a warm-up and three samples');
  assert.ok(others.every((count) => count === 7));
  assert.is(seen.disposed, 1);
});

test('peers: a slow library runs less often, in samples of a tenth of a second', async () => {
  const row = { ...(await ours()), runs: 1000, copies: 16 };
  const seen = adder(0, (count) => {
    const start = performance.now();
    while (performance.now() - start < 26 * count);
  });
  const result = await compare(seen.peer, row);
  assert.ok(result && 'medianMs' in result);
  assert.ok(result.runs >= 1 && result.runs <= 4, `${result.runs} runs`);
  const [, , warmUp, ...samples] = seen.counts;
  assert.ok(warmUp <= 16);
  assert.ok(samples.every((count) => count === result.runs));
});

test('peers: a library is given what the case uploads, in that order', async () => {
  const seen = adder(0);
  await compare(seen.peer, await ours());
  const [{ op, operands }] = seen.asked;
  assert.equal(op, { name: 'add' });
  assert.equal(
    operands.map(({ shape }) => shape),
    [[1000], [1000]],
  );
  assert.equal(operands[0].data, LEFT);
  assert.equal(operands[1].data, RIGHT);
});

test('peers: an error of a library is a failure of this library, and it is disposed', async () => {
  const seen = adder(0, () => {
    throw new Error('out of memory\nat somewhere');
  });
  const result = await compare(seen.peer, await ours());
  assert.equal(result, { op: 'add', shape: '1000', library: 'adder', reason: 'out of memory' });
  assert.is(seen.disposed, 1);
});

test('peers: a library that lacks the op gives neither row nor failure', async () => {
  const lacking: Peer = { library: 'lacking', prepare: () => undefined };
  assert.is(await compare(lacking, await ours()), undefined);
});

test('peers: a comparison leaves no tensor behind', async () => {
  const row = await ours();
  const before = engine.stats().liveTensors;
  await compare(adder(0).peer, row);
  await compare(adder(1).peer, row);
  assert.is(engine.stats().liveTensors, before);
});

test('peers: attention is given cached keys before own ones, heads apart', () => {
  // Of row t and packed column c, own numbers are 100 t + c, cached ones 1000 more.
  const packed = (rows: number, from: number): Operand => ({
    data: Float32Array.from({ length: rows * 12 }, (_, i) => from + 100 * Math.floor(i / 12) + (i % 12)),
    shape: [1, rows, 12],
  });
  const [q, k, v] = separated([packed(2, 0), packed(1, 1000)], 2);
  assert.equal(q, { data: Float32Array.of(0, 1, 2, 3, 100, 101, 102, 103), shape: [2, 2, 2] });
  assert.equal(k.data, Float32Array.of(1004, 1005, 1006, 1007, 4, 5, 6, 7, 104, 105, 106, 107));
  assert.equal(v.data, Float32Array.of(1008, 1009, 1010, 1011, 8, 9, 10, 11, 108, 109, 110, 111));
  assert.equal(v.shape, [3, 2, 2]);
});

test('peers: labels that do not count have no share in the loss, the others equal ones', () => {
  const [x, weight] = [1, 2].map((n): Operand => ({ data: new Float32Array(n), shape: [n] }));
  const labels = { data: Int32Array.of(3, -100, 0, 2, -100), shape: [5] };
  const [first, second, places, shares] = labelled([x, weight, labels]);
  assert.equal([first, second], [x, weight]);
  assert.equal(places, { data: Int32Array.of(3, 0, 0, 2, 0), shape: [5, 1] });
  assert.equal(shares, { data: Float32Array.of(-1 / 3, 0, -1 / 3, -1 / 3, 0), shape: [5, 1] });
});

test('peers: the cases to compare cover every operation', () => {
  const names = new Set(ALL_CASES.flatMap(({ peer }) => (peer ? [peer.name] : [])));
  const all: PeerOp['name'][] = [
    ...(['matmul', 'softmax', 'layerNorm', 'gelu', 'attention', 'topK'] as const),
    ...(['gather', 'add', 'sum', 'permute', 'bicubic', 'vitStep'] as const),
    ...(['causalAttention', 'linearCrossEntropy', 'decoder'] as const),
  ];
  assert.equal([...names].sort(), [...all].sort());
});

test.run();
