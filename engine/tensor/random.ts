// Random numbers on the host: counter-based, the same bits as shaders/random.wgsl, and the same numbers in any runtime, because
// nothing but integer arithmetic, + - * / and sqrt is used.
import { UseError } from '../gpu/errors.ts';

const MAX_U32 = 2 ** 32 - 1;
const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/**
 * Threefry-2x32 with 20 rounds: two random words from a counter and a key.
 *
 * Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
export function threefry2x32(
  counter: readonly [number, number],
  key: readonly [number, number],
): [number, number] {
  const keys = [key[0], key[1], 0x1bd11bda ^ key[0] ^ key[1]];
  let a = (counter[0] + keys[0]) | 0;
  let b = (counter[1] + keys[1]) | 0;
  for (let round = 0; round < 20; round++) {
    const rotation = ROTATIONS[round % 8];
    a = (a + b) | 0;
    b = ((b << rotation) | (b >>> (32 - rotation))) ^ a;
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    a = (a + keys[injection % 3]) | 0;
    b = (b + keys[(injection + 1) % 3] + injection) | 0;
  }
  return [a >>> 0, b >>> 0];
}

/** The state of a generator; survives JSON. */
export interface RandomState {
  /** Integer in [0, 2^32). */
  readonly seed: number;
  /** Integer in [0, 2^32). */
  readonly stream: number;
  /** Words drawn so far. */
  readonly counter: number;
}

/** A sequence of random numbers, determined by seed and stream. */
export class Random {
  #seed = 0;
  #stream = 0;
  #counter = 0;
  #block = -1;
  #words: [number, number] = [0, 0];

  /**
   * @param seed    integer in [0, 2^32)
   * @param stream  integer in [0, 2^32); other streams of one seed are independent
   * @throws UseError when either is something else
   */
  constructor(seed: number, stream = 0) {
    this.restore({ seed, stream, counter: 0 });
  }

  /** A 32-bit word. Word k of the sequence is word k mod 2 of block floor(k / 2). */
  bits(): number {
    const block = Math.floor(this.#counter / 2);
    if (block !== this.#block) {
      this.#words = threefry2x32([block >>> 0, Math.floor(block / 2 ** 32)], [this.#seed, this.#stream]);
      this.#block = block;
    }
    return this.#words[this.#counter++ % 2];
  }

  /** Uniform in [0, 1), a multiple of 2^-53. */
  uniform(): number {
    const high = this.bits() >>> 5;
    const low = this.bits() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  /** Uniform in [low, high), or [low, high] where rounding reaches up. */
  range(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Standard normal. Polar method, Marsaglia & Bray 1964. */
  normal(): number {
    for (;;) {
      const u = 2 * this.uniform() - 1;
      const v = 2 * this.uniform() - 1;
      const s = u * u + v * v;
      if (s > 0 && s < 1) return u * Math.sqrt((-2 * naturalLogarithm(s)) / s);
    }
  }

  /** Uniform in 0, ..., n - 1. @throws UseError when n is not an integer in [1, 2^53) */
  integer(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1)
      throw new UseError(`random: integer(n) needs an integer n in [1, 2^53), got ${n}.`);
    return Math.floor(this.uniform() * n);
  }

  /** Puts the elements into random order, in place, and returns the array. Fisher & Yates. */
  shuffle<T extends { length: number; [index: number]: unknown }>(array: T): T {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = array[i];
      array[i] = array[j];
      array[j] = swapped;
    }
    return array;
  }

  /** An independent generator; depends on seed, stream and `stream` here, not on what was drawn. */
  fork(stream: number): Random {
    // Counters of the sequence itself do not reach this high word.
    return new Random(...threefry2x32([stream, MAX_U32], [this.#seed, this.#stream]));
  }

  /** The state of the sequence, for `restore`. */
  state(): RandomState {
    return { seed: this.#seed, stream: this.#stream, counter: this.#counter };
  }

  /** Goes on where `state()` was taken. @throws UseError when it is not a state */
  restore({ seed, stream, counter }: RandomState): this {
    expectU32('seed', seed);
    expectU32('stream', stream);
    if (!Number.isSafeInteger(counter) || counter < 0)
      throw new UseError(`random: the counter must be a non-negative integer, got ${counter}.`);
    this.#seed = seed;
    this.#stream = stream;
    this.#counter = counter;
    this.#block = -1;
    return this;
  }
}

/** @throws UseError */
export function expectU32(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > MAX_U32)
    throw new UseError(`random: ${name} must be an integer in [0, 2^32), got ${value}.`);
}

/** ln x for 0 < x < 1. Math.log may differ between engines in the last bit, and a seed must mean the same everywhere. */
function naturalLogarithm(x: number): number {
  let exponent = 0;
  let mantissa = x;
  for (; mantissa < Math.SQRT1_2; mantissa *= 2) exponent--;
  // ln m = 2 artanh z with z = (m - 1) / (m + 1), |z| < 0.172
  const z = (mantissa - 1) / (mantissa + 1);
  let series = 0;
  for (let k = 21; k > 0; k -= 2) series = series * z * z + 1 / k;
  return 2 * z * series + exponent * Math.LN2;
}
