// Which token comes next: the most probable one, or one drawn by its probability.
import { expect, Random } from '../../engine/index.ts';

/** How tokens are chosen. */
export interface SamplingOptions {
  /** Divides logits; 0, the default, always takes the most probable token. */
  readonly temperature?: number;
  /** Draws from so many of the most probable tokens; default: all. */
  readonly topK?: number;
  /** Draws from the fewest tokens whose probabilities reach this sum; default 1: all. */
  readonly topP?: number;
  /** Makes tokens that were there already less probable: positive logits are divided by this, negative ones multiplied. Default 1. */
  readonly repetitionPenalty?: number;
  /** Decides what is drawn; default 0. */
  readonly seed?: number;
}

export const SAMPLING_KEYS = {
  temperature: true,
  topK: true,
  topP: true,
  repetitionPenalty: true,
  seed: true,
} as const;

/** Whether the most probable token is always taken. */
export function isGreedy({ temperature = 0, repetitionPenalty = 1 }: SamplingOptions): boolean {
  return temperature === 0 && repetitionPenalty === 1;
}

/** @throws ShapeError naming the option that is out of range */
export function expectSampling(op: string, options: SamplingOptions): void {
  const { temperature = 0, topK = 1, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
  expect(temperature >= 0, op, 'temperature must be at least 0', `${temperature}`);
  expect(Number.isSafeInteger(topK) && topK >= 1, op, 'topK must be a whole number from 1', `${topK}`);
  expect(topP > 0 && topP <= 1, op, 'topP must be in (0, 1]', `${topP}`);
  expect(repetitionPenalty > 0, op, 'repetitionPenalty must be positive', `${repetitionPenalty}`);
  expect(
    Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32,
    op,
    'seed must be in [0, 2^32)',
    `${seed}`,
  );
}

/** Draws tokens of one text, in steps that are numbered: a token depends on logits, seed, text and number alone. */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #stream: number;

  /** @param stream  the number of the text in its batch */
  constructor(options: SamplingOptions, stream: number) {
    this.#options = options;
    this.#stream = stream;
  }

  /**
   * The next token.
   *
   * @param logits  [V]; changed
   * @param seen    tokens of the text so far, for the penalty of repetitions
   * @param step    number of the token in the answer, from 0
   * Source of the order (penalty, temperature, top-k, top-p): transformers, generation/logits_process.py.
   */
  next(logits: Float32Array, seen: Iterable<number>, step: number): number {
    const {
      temperature = 0,
      topK = logits.length,
      topP = 1,
      repetitionPenalty = 1,
      seed = 0,
    } = this.#options;
    if (repetitionPenalty !== 1)
      for (const id of new Set(seen))
        logits[id] = logits[id] < 0 ? logits[id] * repetitionPenalty : logits[id] / repetitionPenalty;
    if (temperature === 0) return largest(logits);
    const random = new Random(seed, this.#stream);
    random.restore({ seed, stream: this.#stream, counter: 2 * step });
    return draw(candidates(logits, temperature, topK, topP), random.uniform());
  }
}

/** The first of the largest. */
function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** What may be drawn, in the order of ids, with weights that are not normalised. */
interface Candidates {
  readonly ids: readonly number[];
  readonly weights: readonly number[];
}

/** The most probable tokens that topK and topP leave; of equal ones at the cut the lower ids. */
function candidates(logits: Float32Array, temperature: number, topK: number, topP: number): Candidates {
  const most = logits[largest(logits)];
  const weightOf = (logit: number): number => Math.exp((logit - most) / temperature);
  // Ranks are needed only where they cut something off.
  const cut = topK < logits.length || topP < 1 ? cutOf(logits, weightOf, topK, topP) : undefined;
  const ids: number[] = [];
  let equal = cut?.equal ?? 0;
  logits.forEach((logit, id) => {
    if (!cut || logit > cut.logit || (logit === cut.logit && equal-- > 0)) ids.push(id);
  });
  return { ids, weights: ids.map((id) => weightOf(logits[id])) };
}

/** The lowest logit that is left, and how many that equal it. */
function cutOf(
  logits: Float32Array,
  weightOf: (logit: number) => number,
  topK: number,
  topP: number,
): { logit: number; equal: number } {
  const ranked = logits.toSorted().reverse().subarray(0, topK);
  const enough = topP * ranked.reduce((sum, logit) => sum + weightOf(logit), 0);
  let sum = 0;
  let count = 0;
  while (count < ranked.length && (count === 0 || sum < enough)) sum += weightOf(ranked[count++]);
  const logit = ranked[count - 1];
  return { logit, equal: count - ranked.indexOf(logit) };
}

/** @param at  in [0, 1): the place in the sum of the weights */
function draw({ ids, weights }: Candidates, at: number): number {
  const place = at * weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const drawn = weights.findIndex((weight) => {
    sum += weight;
    return place < sum;
  });
  return ids[drawn < 0 ? ids.length - 1 : drawn];
}
