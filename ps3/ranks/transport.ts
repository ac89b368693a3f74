// What N processes that work on one thing, the ranks, need of each other, and its trivial case: one process.
import { EngineError } from '../../engine/errors.ts';

/** Ranks do not fit together, or one of them has stopped. */
export class RanksError extends EngineError {
  constructor(message: string) {
    super('ranks', message);
  }
}

/** Calls that wait for other ranks: every rank makes the same ones in the same order, with equal lengths. */
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

/** A transport with an end. */
export interface OpenTransport extends Transport {
  /** After the last call of every rank. */
  close(): void;
  /** Ends every rank at once: for an error that the others do not know of. */
  abort(code: number): void;
}

/** The only process. */
export const SINGLE: OpenTransport = {
  rank: 0,
  size: 1,
  allReduce: () => Promise.resolve(),
  allGather: (bytes) => Promise.resolve(bytes.slice()),
  sendReceive: (bytes) => Promise.resolve(bytes.slice()),
  barrier: () => Promise.resolve(),
  close: () => {},
  abort: (code) => process.exit(code),
};

/** This rank's part of a list: every item is that of one rank, whatever their number. */
export function ownPart<T>({ rank, size }: Pick<Transport, 'rank' | 'size'>, items: readonly T[]): T[] {
  return items.filter((_, i) => i % size === rank);
}
