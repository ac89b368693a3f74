// Threefry-2x32-20 once more, with arbitrary-precision integers instead of 32-bit tricks.
const MASK = 0xffffffffn;

function rotate(word: bigint, by: bigint): bigint {
  return ((word << by) | (word >> (32n - by))) & MASK;
}

/** The 2^32-ary digits of threefry2x32 with 20 rounds. */
export function threefry(
  counter: readonly [bigint, bigint],
  key: readonly [bigint, bigint],
): [number, number] {
  const rotations = [13n, 15n, 26n, 6n, 17n, 29n, 16n, 24n];
  const keys = [key[0], key[1], 0x1bd11bdan ^ key[0] ^ key[1]];
  let [a, b] = [(counter[0] + keys[0]) & MASK, (counter[1] + keys[1]) & MASK];
  for (let round = 0; round < 20; round++) {
    a = (a + b) & MASK;
    b = rotate(b, rotations[round % 8]) ^ a;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      a = (a + keys[injection % 3]) & MASK;
      b = (b + keys[(injection + 1) % 3] + BigInt(injection)) & MASK;
    }
  }
  return [Number(a), Number(b)];
}

/** The first n words of a seed and stream. */
export function words(n: number, seed: number, stream: number): number[] {
  return Array.from({ length: Math.ceil(n / 2) }, (_, b) =>
    threefry([BigInt(b), 0n], [BigInt(seed), BigInt(stream)]),
  )
    .flat()
    .slice(0, n);
}

/** Box and Muller's pair from two words. */
export function boxMuller(first: number, second: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log((first + 0.5) / 2 ** 32));
  const angle = 2 * Math.PI * (second / 2 ** 32 - 0.5);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** Largest distance between the empirical distribution of the sample and a distribution function (Kolmogorov-Smirnov). */
export function kolmogorovSmirnov(sample: Float64Array, cdf: (x: number) => number): number {
  const sorted = sample.slice().sort();
  const n = sorted.length;
  return sorted.reduce((worst, x, i) => Math.max(worst, cdf(x) - i / n, (i + 1) / n - cdf(x)), 0);
}
