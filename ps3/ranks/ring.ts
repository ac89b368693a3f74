// A block of every rank visits every other rank, and what they make of it travels back to its owner.
import { EngineError } from '../../engine/errors.ts';
import type { Transport } from './transport.ts';

/** What a rank makes of the block of another one: a gradient of it, as many numbers at every call. */
export type Visit = (block: Uint8Array, owner: number) => Promise<Float32Array>;

/**
 * The bidirectional ring: in round k, the blocks of the ranks k to the left and k to the right are here. There are
 * floor((N - 1) / 2) rounds of both and, for even N, one more of those from the left. Gradients go the same ways back, and
 * each rank adds its own. The next exchange is in flight while `visit` works.
 *
 * @param block  of this rank, as long as that of every other rank
 * @returns      the sum of what `visit` returned for this rank's block on the others; undefined for one rank
 * Source: open_clip's SigLipLoss, bidirectional.
 */
export async function ring(
  transport: Transport,
  block: Uint8Array,
  visit: Visit,
): Promise<Float32Array | undefined> {
  const { size } = transport;
  const [fromLeft, fromRight] = [new Way(transport, 1), new Way(transport, -1)];
  let coming = [fromLeft, fromRight].slice(0, size - 1).map((way) => way.pass(block));
  for (let k = 1; coming.length > 0; k++) {
    const blocks = await Promise.all(coming);
    // The rank opposite is met once.
    const next = [fromLeft, fromRight].filter((_, i) => (i === 0 ? 2 * (k + 1) <= size : 2 * (k + 1) < size));
    coming = next.map((way, i) => way.pass(blocks[i]));
    for (const [i, way] of [fromLeft, fromRight].slice(0, blocks.length).entries())
      way.gradients.push(await visit(blocks[i], way.ownerOf(k)));
  }
  const sums = [await fromLeft.back(), await fromRight.back()];
  return sums.reduce((sum, other) => (sum && other ? sum.map((value, i) => value + other[i]) : sum));
}

/** One of the two ways round the ring. */
class Way {
  readonly #transport: Transport;
  /** Where blocks go, as a difference of ranks. */
  readonly #direction: 1 | -1;
  /** Of the block that arrived in each round. */
  readonly gradients: Float32Array[] = [];

  constructor(transport: Transport, direction: 1 | -1) {
    this.#transport = transport;
    this.#direction = direction;
  }

  #neighbour(distance: number): number {
    const { rank, size } = this.#transport;
    return (rank + distance * this.#direction + size * size) % size;
  }

  /** Whose block has arrived after `rounds` rounds. */
  ownerOf(rounds: number): number {
    return this.#neighbour(-rounds);
  }

  /** Sends a block on and receives the next one. */
  pass(block: Uint8Array): Promise<Uint8Array> {
    return this.#transport.sendReceive(block, this.#neighbour(1), this.#neighbour(-1));
  }

  /** Sends gradients the way back. @returns the sum of those of this rank's own block; undefined where it went nowhere */
  async back(): Promise<Float32Array | undefined> {
    let sum: Float32Array | undefined;
    for (const own of this.gradients.toReversed()) {
      if (sum && sum.length !== own.length)
        throw new EngineError(
          'ranks',
          `ring: every gradient must be as long, got ${sum.length} and ${own.length}.`,
        );
      const carried = sum ? own.map((value, i) => value + sum![i]) : own;
      const bytes = new Uint8Array(carried.buffer, carried.byteOffset, carried.byteLength);
      const arrived = await this.#transport.sendReceive(bytes, this.#neighbour(-1), this.#neighbour(1));
      sum = new Float32Array(arrived.buffer, arrived.byteOffset, own.length);
    }
    return sum;
  }
}
