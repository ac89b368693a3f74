// A VILA-HD as a model that answers: the likeliest option behind the question, after looking where the question asks.
import type { Answerer, AskedImage, Choice, Scored } from '../../../benchmarks/answerer.ts';
import { decodeImage } from '../../../model/image.ts';
import type { VilaModel } from '../../../vila/vila.ts';
import type { Seen, VilaLookOptions } from '../../../vila/vila_types.ts';

/** How much a VILA-HD looks at. */
export type VilaAmount = Pick<VilaLookOptions, 'looks' | 'tokens'>;

/**
 * Answers by likelihood:
 *
 *   score of option o = mean log-probability of its tokens and of the one that ends it
 *
 * The options are not part of the question, so their order does not matter. An image is glanced at once for all questions about it.
 */
export class VilaAnswerer implements Answerer, Disposable {
  readonly name: string;
  readonly #model: VilaModel;
  readonly #amount: VilaAmount;
  #last: { readonly of: AskedImage; readonly seen: Seen } | undefined;

  /**
   * @param model   with a tokenizer; not disposed
   * @param amount  default: as the model has it
   */
  constructor(model: VilaModel, name: string, amount: VilaAmount = {}) {
    this.#model = model;
    this.#amount = amount;
    const [[unit, count] = []] = Object.entries(amount);
    this.name = unit === undefined ? name : `${name} ${count} ${unit}`;
  }

  /** What was made of an image; of another one than before it is made anew. */
  async see(asked: AskedImage): Promise<Seen> {
    if (this.#last?.of !== asked) {
      this[Symbol.dispose]();
      const decoded = typeof asked === 'string' ? await decodeImage(asked) : asked;
      this.#last = { of: asked, seen: this.#model.see(decoded) };
    }
    return this.#last!.seen;
  }

  async answer(image: AskedImage, { question, options }: Choice): Promise<Scored> {
    const seen = await this.see(image);
    using look = await this.#model.lookFor(question, seen, this.#amount);
    const scores = await this.#model.likelihoods(question, options, look);
    const { vision } = look;
    return vision
      ? { scores, looked: [await Promise.all(vision.selectionMaps.map((map) => map.data()))] }
      : { scores };
  }

  /** Forgets the image. */
  [Symbol.dispose](): void {
    this.#last?.seen[Symbol.dispose]();
    this.#last = undefined;
  }
}
