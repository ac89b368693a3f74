// What is built on a transport, against plain loops: the ring of blocks and sums in bf16.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { sumBf16 } from '../../ps3/ranks/bf16_sum.ts';
import { ring } from '../../ps3/ranks/ring.ts';
import { localRanks } from './local_ranks.ts';

/** What rank `r` makes of the block of rank `owner`: whole numbers, so that sums are exact in any order. */
const made = (r: number, owner: number): Float32Array => Float32Array.of(100 * r + owner, r - owner, 1);

for (const size of [1, 2, 3, 4, 5, 6])
  test(`ring of ${size}: every block visits every other rank once, and its gradients come back`, async () => {
    const results = await Promise.all(
      localRanks(size).map(async (transport) => {
        const met: number[] = [];
        const sum = await ring(transport, Uint8Array.of(7, transport.rank), async (block, owner) => {
          assert.equal(block, Uint8Array.of(7, owner));
          met.push(owner);
          return made(transport.rank, owner);
        });
        return { met: met.sort(), sum };
      }),
    );
    for (const [rank, { met, sum }] of results.entries()) {
      const others = Array.from({ length: size }, (_, r) => r).filter((r) => r !== rank);
      assert.equal(met, others);
      const expected = Float32Array.of(0, 0, 0);
      for (const r of others) for (let i = 0; i < 3; i++) expected[i] += made(r, rank)[i];
      assert.equal(sum, size === 1 ? undefined : expected);
    }
  });

const bits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;

for (const size of [1, 2, 3, 4])
  test(`bf16 sums over ${size} ranks are the f32 sums rounded once, the same everywhere`, async () => {
    const ranks = localRanks(size);
    // Multiples of 1/8 below 32 are exact in bf16; their sums need more bits than it has.
    const numberOf = (rank: number, i: number): number => ((i * 37 + rank * 101) % 255) / 8;
    const parts = ranks.map((_, rank) => Uint16Array.from({ length: 11 }, (_, i) => bits(numberOf(rank, i))));
    await Promise.all(ranks.map((transport, rank) => sumBf16(transport, parts[rank])));
    for (let i = 0; i < 11; i++) {
      const sum = parts.reduce((total, _, rank) => total + numberOf(rank, i), 0);
      // Of 8 significant bits: to the nearest multiple of the unit in the last place, ties to even.
      const unit = sum === 0 ? 1 : 2 ** (Math.floor(Math.log2(sum)) - 7);
      const below = Math.floor(sum / unit);
      const rest = sum / unit - below;
      const isUp = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
      for (const part of parts)
        assert.is(part[i], bits((below + Number(isUp)) * unit), `number ${i} of ${sum}`);
    }
  });

test('bf16 sums keep what is not finite', async () => {
  const ranks = localRanks(2);
  const parts = [
    Uint16Array.of(bits(Infinity), bits(Infinity), 0x7fc1),
    Uint16Array.of(0, bits(-Infinity), 0),
  ];
  await Promise.all(ranks.map((transport, rank) => sumBf16(transport, parts[rank])));
  for (const part of parts) assert.equal(part, Uint16Array.of(0x7f80, 0x7fc0, 0x7fc0));
});

test.run();
