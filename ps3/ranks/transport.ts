// What N processes that work on one thing, the ranks, need of each other, and its trivial case: one process.
import { EngineError } from '../../engine/errors.ts';

/** Ranks do not fit together, or one of them has stopped. */
export class RanksError extends EngineError {
  constructor(message: string) {
    super('ranks', message);
  }
}

/**
 * Calls that wait for other ranks: every rank makes the same ones in the same order, with equal lengths. One that is made
 * before another has ended waits for its turn.
 */
export interface Transport {
  /** Number of this process, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /** Replaces `values` by their sums over all ranks, the same bits on each. */
  allReduce(values: Float32Array): Promise<void>;
  /** The bytes of every rank, one after another in the order of ranks. */
  allGather(bytes: Uint8Array): Promise<Uint8Array>;
  /** Sends bytes to one rank while as many arrive from another; returns those. */
  sendReceive(bytes: Uint8Array, to: number, from: number): Promise<Uint8Array>;
  /** Waits until every rank is here. */
  barrier(): Promise<void>;
}

/** A transport with channels and an end. */
export interface OpenTransport extends Transport {
  /** Another one between the same ranks, whose calls have an order of their own. Every rank asks for it at the same place. */
  channel(): Transport;
  /** After the last call of every rank. Then end by process.exit(): Node would unload the library under its threads. */
  close(): void;
  /** Ends every rank at once: for an error that the others do not know of. */
  abort(code: number): void;
}

const ALONE: Transport = {
  rank: 0,
  size: 1,
  allReduce: () => Promise.resolve(),
  allGather: (bytes) => Promise.resolve(bytes.slice()),
  sendReceive: (bytes) => Promise.resolve(bytes.slice()),
  barrier: () => Promise.resolve(),
};

/** The only process. */
export const SINGLE: OpenTransport = {
  ...ALONE,
  channel: () => ALONE,
  close: () => {},
  abort: (code) => process.exit(code),
};

/** Does something on rank 0 alone. @returns what it gives, as JSON has it, on every rank */
export async function fromLead<T>(transport: Transport, work: () => Promise<T>): Promise<T> {
  const { rank, size } = transport;
  if (size === 1) return work();
  const bytes = new TextEncoder().encode(rank === 0 ? JSON.stringify(await work()) : '');
  const length = Float32Array.of(bytes.length); // exact below 16 MiB
  await transport.allReduce(length);
  const padded = new Uint8Array(length[0]);
  padded.set(bytes);
  const all = await transport.allGather(padded);
  return JSON.parse(new TextDecoder().decode(all.subarray(0, length[0]))) as T;
}

/** The texts of all ranks, in their order. */
export async function allTexts(transport: Transport, text: string): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const lengths = new Uint32Array((await transport.allGather(bytesOf(Uint32Array.of(bytes.length)))).buffer);
  const padded = new Uint8Array(Math.max(...lengths));
  padded.set(bytes);
  const all = await transport.allGather(padded);
  return Array.from(lengths, (length, r) => {
    const begin = r * padded.length;
    return new TextDecoder().decode(all.subarray(begin, begin + length));
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** This rank's part of a list: every item is that of one rank, whatever their number. */
export function ownPart<T>({ rank, size }: Pick<Transport, 'rank' | 'size'>, items: readonly T[]): T[] {
  return items.filter((_, i) => i % size === rank);
}
