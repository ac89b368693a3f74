// Ranks in one process, for tests of what is built on a transport: each call waits for the same call of the others.
import type { Transport } from '../../ps3/ranks/transport.ts';

type Call = { readonly bytes: Uint8Array; readonly to: number };

/** N transports that reach each other. Each call's name and length must be the same on all ranks, or it throws. */
export function localRanks(size: number): Transport[] {
  /** By its number, a call of every rank, and what goes on once the last one has made it. */
  const rounds: { name: string; calls: Call[]; waiting: (() => void)[] }[] = [];
  return Array.from({ length: size }, (_, rank) => {
    let count = 0;
    const meet = async (name: string, bytes: Uint8Array, to = 0): Promise<Call[]> => {
      const number = count++;
      rounds[number] ??= { name, calls: [], waiting: [] };
      const { name: known, calls, waiting } = rounds[number];
      if (known !== name) throw new Error(`call ${number} is ${name} here and ${known} elsewhere`);
      calls[rank] = { bytes: bytes.slice(), to };
      return new Promise((resolve) => {
        waiting.push(() => resolve(calls));
        if (waiting.length === size) for (const goOn of waiting) goOn();
      });
    };
    const bytesOf = (values: Float32Array): Uint8Array =>
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return {
      rank,
      size,
      async allReduce(values) {
        const calls = await meet(`allReduce of ${values.length}`, bytesOf(values));
        values.fill(0);
        for (const { bytes } of calls)
          new Float32Array(bytes.buffer).forEach((value, i) => {
            values[i] += value;
          });
      },
      async allGather(bytes) {
        const calls = await meet(`allGather of ${bytes.length}`, bytes);
        return new Uint8Array(calls.flatMap((call) => [...call.bytes]));
      },
      async sendReceive(bytes, to, from) {
        const calls = await meet(`sendReceive of ${bytes.length}`, bytes, to);
        if (calls[from].to !== rank) throw new Error(`rank ${from} sends to ${calls[from].to}, not ${rank}`);
        return calls[from].bytes.slice();
      },
      async barrier() {
        await meet('barrier', new Uint8Array());
      },
    };
  });
}
