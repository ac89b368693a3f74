// A PS3 as a model that answers: the option whose text is nearest to what it looked at.
import {
  type Engine,
  l2Normalize,
  noGrad,
  Random,
  type Scope,
  type Tensor,
} from '../../../../engine/index.ts';
import type { Answerer, AskedImage, Choice, Scored } from '../../../benchmarks/answerer.ts';
import { randomSelection } from '../../../model/baselines/controls.ts';
import { regionFeature } from '../../../model/baselines/regions.ts';
import { type DecodedImage, decodeImage, resizeToSquare } from '../../../model/image.ts';
import type { PS3 } from '../../../model/ps3.ts';
import type { Grid } from '../../../model/vision/scales.ts';
import type { SelectionFeatures } from '../../../model/vision/selection.ts';
import type { LowRes } from '../../../model/vision/vision_types.ts';
import { captionIds } from '../../batch_loader.ts';

/**
 * Where it looks: for each option in turn, at what stands out, anywhere, or nowhere: at low resolution alone. Or what others make of the
 * same tower: the tokens of all tiles of AnyRes (as NVILA), of all scales of S², or of all patches as one sequence (native).
 */
export const LOOKS = ['top-down', 'bottom-up', 'random', 'whole image', 'anyres', 's2', 'native'] as const;
/** A name of `LOOKS`. */
export type LookName = (typeof LOOKS)[number];

/** A look as one vector. */
interface Pooled {
  /** [E], of length 1. */
  readonly feature: Float32Array;
  /** Of each high-res scale, nonzero in the patches that were taken; undefined of the whole image. */
  readonly maps?: readonly Float32Array[];
}

/** What was made of an image, for all questions about it. */
export interface Glance {
  readonly of: AskedImage;
  readonly decoded: DecodedImage;
  readonly scope: Scope;
  readonly image: Tensor<'u8'>;
  readonly grids: readonly Grid[];
  readonly lowRes: LowRes;
  readonly features: SelectionFeatures;
  /** Of the ways to look that are the same for every question. */
  readonly pooled: Map<LookName, Promise<Pooled>>;
}

/** The image that was seen last: whoever looks in another way at the same one begins with what is known of it. */
export class Glances implements Disposable {
  readonly #engine: Engine;
  readonly #model: PS3;
  #last: Glance | undefined;

  /** @param model  not disposed */
  constructor(engine: Engine, model: PS3) {
    this.#engine = engine;
    this.#model = model;
  }

  /** The low-res pass over an image, and what patches are selected by. */
  async at(asked: AskedImage): Promise<Glance> {
    if (this.#last?.of === asked) return this.#last;
    this[Symbol.dispose]();
    const decoded: DecodedImage = typeof asked === 'string' ? await decodeImage(asked) : asked;
    const { vision, config } = this.#model;
    const scope = this.#engine.scope();
    const image = resizeToSquare(this.#engine, decoded, config.image.imagePx, { scope });
    const [lowRes, features] = noGrad(() => {
      const lowRes = vision.lowRes(image);
      return [lowRes, vision.selectionFeatures(image, lowRes)] as const;
    });
    const grids = vision.grids(image);
    this.#last = { of: asked, decoded, scope, image, grids, lowRes, features, pooled: new Map() };
    return this.#last;
  }

  [Symbol.dispose](): void {
    this.#last?.scope[Symbol.dispose]();
    this.#last = undefined;
  }
}

/**
 * Answers by contrast, without a language model and without being told where the answer is:
 *
 *   score of option o = cos(pooled tokens of a look, text of o);   top-down: of a look for o; tiles, scales: the mean of theirs
 */
export class PS3Answerer implements Answerer {
  readonly name: string;
  readonly #engine: Engine;
  readonly #model: PS3;
  readonly #look: LookName;
  readonly #random: Random;
  readonly #glances: Glances;

  /**
   * @param model    with a tokenizer; not disposed
   * @param glances  of the same model, which others may share
   */
  constructor(engine: Engine, model: PS3, glances: Glances, name: string, look: LookName, seed = 1) {
    this.#engine = engine;
    this.#glances = glances;
    this.#model = model;
    this.#look = look;
    this.name = `${name} ${look}`;
    this.#random = new Random(seed, 0x5e1e);
  }

  /** Words that it does not know are one to it. */
  async tells(options: readonly string[]): Promise<boolean> {
    using scope = this.#engine.scope();
    const ids = captionIds(this.#engine, this.#model.tokenizer, options, scope);
    const numbers = await ids.data();
    const length = numbers.length / options.length;
    const rows = options.map((_, o) => numbers.slice(o * length, (o + 1) * length).join());
    return new Set(rows).size > 1;
  }

  async answer(image: AskedImage, { options }: Choice): Promise<Scored> {
    const glance = await this.#glances.at(image);
    using scope = this.#engine.scope();
    const text = noGrad(() =>
      this.#model.encodeText(captionIds(this.#engine, this.#model.tokenizer, options, scope)),
    );
    const texts = await text.features.data();
    const E = texts.length / options.length;
    const cosine = ({ feature }: Pooled, o: number): number =>
      feature.reduce((sum, value, e) => sum + value * texts[o * E + e], 0);
    if (this.#look !== 'top-down') {
      const known = this.#look === 'random' ? undefined : glance.pooled.get(this.#look);
      const made = known ?? this.#feature(glance, scope);
      glance.pooled.set(this.#look, made);
      const pooled = await made;
      return { scores: options.map((_, o) => cosine(pooled, o)), looked: pooled.maps && [pooled.maps] };
    }
    const prompts = await text.prompt.data();
    const C = prompts.length / options.length;
    const looks: Pooled[] = [];
    for (const o of options.keys()) {
      const prompt = this.#engine.tensor(prompts.slice(o * C, (o + 1) * C), [1, C], { scope });
      looks.push(await this.#feature(glance, scope, prompt));
    }
    return { scores: looks.map(cosine), looked: looks.flatMap(({ maps }) => (maps ? [maps] : [])) };
  }

  async #feature(
    { decoded, image, grids, lowRes, features }: Glance,
    scope: Scope,
    prompt?: Tensor<'f32'>,
  ): Promise<Pooled> {
    const { vision } = this.#model;
    const way = this.#look;
    if (way === 'anyres' || way === 's2' || way === 'native')
      return regionFeature(this.#engine, this.#model, way, { image: decoded, boxes: [] });
    const inside = image.in(scope);
    if (way === 'whole image') {
      const whole = lowRes.hidden[lowRes.hidden.length - 1].in(scope);
      return { feature: await noGrad(() => l2Normalize(vision.pool(whole))).data() };
    }
    const { tokens, choices } = noGrad(() => {
      const maps = vision.maps(features, grids, { prompt });
      const [counts] = vision.plan(grids, { looks: 1 });
      const drawn = (): Tensor<'f32'>[] =>
        randomSelection(
          counts,
          grids.slice(1).map(([side]) => side),
          1,
          this.#random,
        ).map((map) => this.#engine.tensor(map, [1, map.length], { scope }));
      const probs = { 'top-down': () => maps.topDown!, 'bottom-up': () => maps.bottomUp, random: drawn };
      return vision.look(inside, lowRes, { ...maps, probs: probs[way]() }, grids, counts);
    });
    const feature = noGrad(() => l2Normalize(vision.pool(tokens)));
    const taken = await Promise.all(choices.map(({ map }) => map.data()));
    return { feature: await feature.data(), maps: taken as Float32Array[] };
  }
}
