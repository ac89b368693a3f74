// A PS3 in the worker: looks at what stands out in an image, at what fits a prompt, or at a region.
import type { Engine, Tensor } from '../../../engine/index.ts';
import { total } from '../../model/config/config.ts';
import { encodingCost, plainVitCost } from '../../model/cost.ts';
import type { DecodedImage } from '../../model/decoder.ts';
import { resizeToSquare } from '../../model/image.ts';
import type { PS3 } from '../../model/ps3.ts';
import type { Answer, ModelCosts, ModelFacts, Request } from './messages.ts';
import { type AboutImage, mapOf, type Opened, type Post, towerFacts } from './opened.ts';

/** A PS3 and its image; it owns the model. */
export class Looking implements Opened {
  readonly facts: ModelFacts;
  readonly #engine: Engine;
  readonly #model: PS3;
  /** [1, S, S, 4] u8. */
  #image: Tensor | undefined;

  constructor(engine: Engine, model: PS3) {
    this.#engine = engine;
    this.#model = model;
    this.facts = {
      ...towerFacts(engine, model.config.vision, [model.parameters]),
      answers: false,
      patches: total(model.config.vision.budgets),
      costs: costsOf(engine, model),
      words: model.tokenizer.words,
    };
  }

  async read(decoded: DecodedImage): Promise<Answer & { kind: 'read' }> {
    const { scalesPx } = this.#model.config.vision;
    this.#image?.dispose();
    this.#image = undefined;
    this.#image = resizeToSquare(this.#engine, decoded, scalesPx[scalesPx.length - 1]);
    await this.#engine.idle();
    return { kind: 'read' };
  }

  async answer(request: AboutImage, post: Post, signal: AbortSignal): Promise<void> {
    if (!this.#image || request.kind === 'ask') return post({ kind: 'stopped' });
    if (request.kind === 'look') return this.#look(this.#image, request, post, signal);
    using similarity = await this.#model.similarity(this.#image, request.captions);
    post({ kind: 'compared', probabilities: Array.from(await similarity.probabilities.data()) });
  }

  async #look(
    open: Tensor,
    { prompt, region, tokens }: Request & { kind: 'look' },
    post: Post,
    signal: AbortSignal,
  ): Promise<void> {
    const model = this.#model;
    using scope = this.#engine.scope();
    const image = open.in(scope);
    const where = region ? { region } : { prompt };
    const looks = model.vision.plan(model.vision.grids(image), { tokens }).length;
    let elapsedMs = 0;
    for await (const look of model.looks(image, { ...where, tokens, signal })) {
      using seen = look;
      const ms = seen.elapsedMs - elapsedMs;
      elapsedMs = seen.elapsedMs;
      if (seen.index === 0) {
        const [, grid] = this.facts.grids;
        const [bottomUp, probs] = await Promise.all(
          [seen.bottomUp[0], seen.selectionProbs[0]].map((map) => mapOf(map, grid)),
        );
        const topDown = prompt === undefined && region === undefined ? undefined : probs;
        const unknown = prompt ? model.tokenizer.unknownWords(prompt) : [];
        post({ kind: 'maps', maps: { bottomUp, topDown }, looks, unknown, ms });
        continue;
      }
      const taken = await Promise.all(
        seen.choices.map(async ({ indices }) => (indices ? indices.data() : new Uint32Array())),
      );
      post({ kind: 'look', index: seen.index, taken, ms });
    }
    post({ kind: 'looked', ms: elapsedMs });
  }

  [Symbol.dispose](): void {
    this.#image?.dispose();
    this.#model.dispose();
  }
}

function costsOf(engine: Engine, model: PS3): ModelCosts {
  const { vision } = model.config;
  const [lowRes, withLook] = [0, 1].map((looks) => encodingCost(engine, model, { looks }));
  return {
    lowRes,
    patchFlops: (withLook.flops - lowRes.flops) / (withLook.tokens - lowRes.tokens),
    plain: vision.scalesPx.map((side) => plainVitCost(vision, side)),
  };
}
