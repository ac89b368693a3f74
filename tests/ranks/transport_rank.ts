// One rank of transport.test.ts: `node ... transport_rank.ts CASE [PIECE_BYTES]`. Prints a line where everything is as plain loops say.
import * as assert from 'uvu/assert';
import { openMpi } from '../../ps3/ranks/mpi.ts';
import { implementationOf, openTransport } from '../../ps3/ranks/open.ts';
import { allTexts, fromLead, type OpenTransport } from '../../ps3/ranks/transport.ts';

/** Number `i` of a rank's part: whole and small, so that float32 sums are exact in any order. */
const numberOf = (rank: number, i: number): number => ((i * 7 + rank * 31) % 1013) - 500;
const byteOf = (rank: number, i: number): number => (i * 13 + rank * 101) % 256;
const bytesOf = (rank: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => byteOf(rank, i));

async function functions(transport: OpenTransport, lengths: readonly number[]): Promise<void> {
  const { rank, size } = transport;
  for (const length of lengths) {
    // A view in the middle of an array: what is beside it stays.
    const numbers = new Float32Array(length + 2).fill(-0.5);
    for (let i = 0; i < length; i++) numbers[i + 1] = numberOf(rank, i);
    await transport.allReduce(numbers.subarray(1, length + 1));
    const sums = Float32Array.from({ length }, (_, i) => {
      let sum = 0;
      for (let r = 0; r < size; r++) sum += numberOf(r, i);
      return sum;
    });
    assert.equal(numbers, Float32Array.of(-0.5, ...sums, -0.5), `allReduce of ${length}`);

    const all = new Uint8Array(size * length);
    for (let r = 0; r < size; r++) for (let i = 0; i < length; i++) all[r * length + i] = byteOf(r, i);
    assert.equal(await transport.allGather(bytesOf(rank, length)), all, `allGather of ${length}`);

    for (let distance = 0; distance < size; distance++) {
      const [to, from] = [(rank + distance) % size, (rank + size - distance) % size];
      const received = await transport.sendReceive(bytesOf(rank, length), to, from);
      assert.equal(received, bytesOf(from, length), `sendReceive of ${length}, ${distance} further`);
    }
  }
}

/** Calls in flight together keep their order, and timers run while they wait. */
async function concurrency(transport: OpenTransport): Promise<void> {
  const { rank, size } = transport;
  const parts = Array.from({ length: 5 }, (_, i) => Float32Array.of(rank + i));
  await Promise.all(parts.map((part) => transport.allReduce(part)));
  for (const [i, part] of parts.entries()) assert.is(part[0], (size * (size - 1)) / 2 + size * i);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  if (rank === 0) await new Promise((resolve) => setTimeout(resolve, 300));
  await transport.barrier();
  clearInterval(timer);
  // Two channels: the order of calls differs between ranks, and neither waits for the other.
  const other = transport.channel();
  const [a, b] = [Float32Array.of(rank), Float32Array.of(2 * rank)];
  const calls = [() => transport.allReduce(a), () => other.allReduce(b)];
  await Promise.all((rank % 2 === 0 ? calls : calls.reverse()).map((call) => call()));
  assert.equal([a[0], b[0]], [(size * (size - 1)) / 2, size * (size - 1)]);
  assert.equal(await fromLead(transport, async () => ({ text: `é of rank ${rank}` })), {
    text: 'é of rank 0',
  });
  const texts = Array.from({ length: size }, (_, r) => 'é'.repeat(r));
  assert.equal(await allTexts(transport, texts[rank]), texts);
  assert.ok(ticks > 5, `${ticks} ticks of a timer while a rank waits 300 ms`);
}

const [name, pieceBytes] = process.argv.slice(2);
const transport = pieceBytes
  ? openMpi(implementationOf(process.env)!, Number(pieceBytes))
  : await openTransport();
const { rank, size } = transport;
if (name === 'functions') {
  await functions(transport, [0, 1, 7, 4096, 100_003]);
  await concurrency(transport);
} else if (name === 'unequal') {
  const sent = transport.sendReceive(new Uint8Array(rank === 0 ? 4 : 8), 1 - rank, 1 - rank);
  console.log(await sent.then(String, (error: Error) => error.message));
} else if (name === 'abort' && rank === 1) transport.abort(7);
else if (name === 'die' && rank === 1) process.kill(process.pid, 'SIGKILL');
await transport.barrier();
transport.close();
console.log(`rank ${rank} of ${size} agrees`);
process.exit(0); // as ps3 does: Node would unload the library while threads of Open MPI's run in it
