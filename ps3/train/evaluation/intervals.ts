// Confidence intervals of averages over questions, by drawing images anew: questions about one image are not independent.
import { Random } from '../../../engine/index.ts';

/** An average with its 95 % interval. */
export interface Estimate {
  /** Over all questions. */
  readonly mean: number;
  /** 2.5 % of the draws are below. */
  readonly low: number;
  /** 2.5 % of the draws are above. */
  readonly high: number;
  /** Questions. */
  readonly count: number;
}

/** One answer: what it scored and which image it is about. */
export interface Answer {
  readonly image: number;
  readonly value: number;
}

/** Numbers that the table of draws may hold. */
const MOST_DRAWN = 2e7;

/**
 * Bootstrap by image.
 *
 *   mean = sum of values / number of values;  draw d takes image i w[d,i] times, sum_i w[d,i] = number of images
 *   mean_d = sum_i w[d,i] (sum of values of image i) / sum_i w[d,i] (number of values of image i)
 *   low, high = the 2.5 and 97.5 % quantiles of mean_d
 *
 * All estimates of one object see the same draws. Source: Efron & Tibshirani 1993, percentile interval, of clusters.
 */
export class ImageBootstrap {
  readonly #images: number;
  readonly #draws: number;
  /** [draws, images], how often each image is taken. */
  readonly #weights: Uint16Array;

  /**
   * @param images  how many there are
   * @param seed    of the draws
   * @param draws   10,000, fewer for many images: at least 200
   */
  constructor(images: number, seed: number, draws = 10_000) {
    this.#images = images;
    this.#draws = Math.max(200, Math.min(draws, Math.floor(MOST_DRAWN / images)));
    this.#weights = new Uint16Array(this.#draws * images);
    const random = new Random(seed, 0xb007);
    for (let draw = 0; draw < this.#draws; draw++)
      for (let i = 0; i < images; i++) this.#weights[draw * images + random.integer(images)]++;
  }

  /** @returns undefined where nothing was asked */
  estimate(answers: readonly Answer[]): Estimate | undefined {
    if (answers.length === 0) return undefined;
    const sums = new Float64Array(this.#images);
    const counts = new Float64Array(this.#images);
    for (const { image, value } of answers) {
      sums[image] += value;
      counts[image]++;
    }
    const means: number[] = [];
    for (let draw = 0; draw < this.#draws; draw++) {
      let sum = 0;
      let count = 0;
      for (let i = 0; i < this.#images; i++) {
        const weight = this.#weights[draw * this.#images + i];
        sum += weight * sums[i];
        count += weight * counts[i];
      }
      // A draw of images without such a question says nothing.
      if (count > 0) means.push(sum / count);
    }
    means.sort((a, b) => a - b);
    const quantile = (share: number): number => means[Math.round(share * (means.length - 1))];
    const mean = answers.reduce((sum, { value }) => sum + value, 0) / answers.length;
    return { mean, low: quantile(0.025), high: quantile(0.975), count: answers.length };
  }
}
