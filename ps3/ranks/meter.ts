// What exchanges cost.
import type { Transport } from './transport.ts';

/** What was exchanged since the last time somebody asked. */
export interface Exchanged {
  /** For how long a call was under way, waiting for slower ranks included. */
  readonly ms: number;
  /** What this rank had to send; of a sum as by a ring, 2 (N - 1)/N of it. */
  readonly bytes: number;
}

/** Watches the calls of a transport. */
export class Meter {
  /** The same, watched. */
  readonly transport: Transport;
  #ms = 0;
  #bytes = 0;
  #underWay = 0;
  #since = 0;

  constructor(transport: Transport) {
    const { rank, size } = transport;
    this.transport = {
      rank,
      size,
      allReduce: (values) =>
        this.#watch(transport.allReduce(values), (2 * values.byteLength * (size - 1)) / size),
      allGather: (bytes) => this.#watch(transport.allGather(bytes), bytes.length * (size - 1)),
      sendReceive: (bytes, to, from) => this.#watch(transport.sendReceive(bytes, to, from), bytes.length),
      barrier: () => this.#watch(transport.barrier(), 0),
    };
  }

  /** Counts begin anew. */
  take(): Exchanged {
    const taken = { ms: this.#ms, bytes: Math.round(this.#bytes) };
    [this.#ms, this.#bytes] = [0, 0];
    return taken;
  }

  async #watch<T>(call: Promise<T>, bytes: number): Promise<T> {
    if (this.#underWay++ === 0) this.#since = performance.now();
    this.#bytes += bytes;
    try {
      return await call;
    } finally {
      if (--this.#underWay === 0) this.#ms += performance.now() - this.#since;
    }
  }
}
