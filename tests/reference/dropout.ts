// Dropout with a mask of arbitrary-precision words.
import { threefry } from './random.ts';

export function dropout(
  x: Float64Array,
  { p, seed, stream = 0, step = 0 }: { p: number; seed: number; stream?: number; step?: number },
): Float64Array {
  const least = Math.floor(p * 2 ** 32);
  return x.map((value, e) => {
    const block = [BigInt(e >> 1), BigInt(step)] as const;
    const word = threefry(block, [BigInt(seed), BigInt(stream)])[e % 2];
    return word >= least ? value / (1 - p) : 0;
  });
}
