// Counter-based random numbers for the sample data: Threefry-2x32 with 20 rounds.
// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 4.
//
// A (seed, stream) pair names an independent sequence, so scene 17 of seed 1 is the same picture whichever
// scenes were built before it, and a sampler resumes from two integers.

const PARITY = 0x1bd11bda; // the key schedule's constant: no key of zeros gives an all-zero schedule
const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** A reproducible sequence of random numbers, named by a seed and a stream (integers below 2^32). */
export class Random {
  readonly #key: readonly [number, number, number];
  #counter = 0;
  #spare = 0;
  #hasSpare = false;

  constructor(seed: number, stream = 0) {
    this.#key = [seed >>> 0, stream >>> 0, (seed ^ stream ^ PARITY) >>> 0];
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    if (this.#hasSpare) {
      this.#hasSpare = false;
      return this.#spare;
    }
    const key = this.#key;
    let x0 = (this.#counter + key[0]) | 0;
    let x1 = (Math.floor(this.#counter / 2 ** 32) + key[1]) | 0;
    this.#counter++;
    for (let round = 0; round < 20; round++) {
      const r = ROTATIONS[round & 7];
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
      if ((round & 3) === 3) {
        const turn = (round + 1) >> 2;
        x0 = (x0 + key[turn % 3]) | 0;
        x1 = (x1 + key[(turn + 1) % 3] + turn) | 0;
      }
    }
    this.#spare = x1 >>> 0;
    this.#hasSpare = true;
    return x0 >>> 0;
  }

  /** Uniform in [0, 1) on a grid of 2^-32. */
  uniform(): number {
    return this.bits() / 2 ** 32;
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Standard normal by Box and Muller 1958. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Uniform integer in {0, ..., n - 1}; the bias for n below 2^20 is under 2^-12. */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** Fisher and Yates, in place; returns the same array. */
  shuffle<A extends number[] | Uint32Array>(array: A): A {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const held = array[i];
      array[i] = array[j];
      array[j] = held;
    }
    return array;
  }
}

/** A seed of its own for each purpose: FNV-1a of the text, started from the seed. */
export function seedFor(seed: number, purpose: string): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed >>> 0, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}
