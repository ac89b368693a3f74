// A VILA-HD in the worker: glances at an image once, and for each question looks at it and answers.
import { type Engine, noGrad } from '../../../engine/index.ts';
import { total } from '../../model/config/config.ts';
import type { DecodedImage } from '../../model/decoder.ts';
import { questionIds } from '../../vila/answer.ts';
import type { VilaLoadOptions } from '../../vila/checkpoint.ts';
import { VilaModel } from '../../vila/vila.ts';
import type { Seen, VilaLook } from '../../vila/vila_types.ts';
import type { Answer, ModelFacts, Request, ShownMaps } from './messages.ts';
import { type AboutImage, mapOf, type Opened, type Post, towerFacts } from './opened.ts';

/** Opens a checkpoint. @throws as `VilaModel.load` */
export async function openVila(
  engine: Engine,
  source: (Request & { kind: 'load' })['source'],
  options: Pick<VilaLoadOptions, 'storage' | 'onProgress' | 'signal'>,
): Promise<Opened> {
  return new Answering(engine, await VilaModel.load(engine, source, options));
}

/** A VILA-HD and its image; it owns the model. */
class Answering implements Opened {
  readonly facts: ModelFacts;
  readonly #engine: Engine;
  readonly #model: VilaModel;
  #seen: Seen | undefined;

  constructor(engine: Engine, model: VilaModel) {
    this.#engine = engine;
    this.#model = model;
    const { config, encoder, vision, parameters, language } = model;
    const facts = towerFacts(engine, vision.config, [parameters, language.parameters]);
    this.facts = {
      ...facts,
      // Other encoders see all at once.
      ...(!encoder.looks && { budgets: [], grids: facts.grids.slice(0, 1) }),
      answers: true,
      patches: encoder.looks ? (config.tokens ?? config.looks * total(vision.config.budgets)) : 0,
      costs: undefined,
      words: undefined,
    };
  }

  async read(decoded: DecodedImage): Promise<Answer & { kind: 'read' }> {
    this.#seen?.[Symbol.dispose]();
    this.#seen = undefined;
    const started = performance.now();
    const seen = noGrad(() => this.#model.see(decoded));
    this.#seen = seen;
    await this.#engine.idle();
    return { kind: 'read', glance: { tokens: seen.low.shape[1], ms: performance.now() - started } };
  }

  async answer(request: AboutImage, post: Post, signal: AbortSignal): Promise<void> {
    const seen = this.#seen;
    if (!seen || request.kind !== 'ask') return post({ kind: 'stopped' });
    const { question } = request;
    const model = this.#model;
    const started = performance.now();
    const since = (): number => performance.now() - started;
    using look = await model.lookFor(question, seen, model.encoder.looks ? { tokens: request.tokens } : {});
    signal.throwIfAborted();
    const [{ shape }] = look.blocks;
    const lookMs = since();
    post({ kind: 'seen', ...(await this.#whereOf(look)), ms: lookMs });

    let firstMs = 0;
    let answerTokens = 0;
    for await (const { text, logProb } of model.answer(question, look, { logProbs: true, signal })) {
      if (answerTokens++ === 0) firstMs = since();
      post({ kind: 'token', text, probability: Math.exp(logProb!) });
    }
    const lowTokens = seen.low.shape[1];
    const asked = questionIds(model.tokenizer, question, 1).length - 1; // the image's own token is replaced
    const { liveBytes, peakBytes } = this.#engine.stats();
    post({
      kind: 'answered',
      tokens: {
        ...{ low: lowTokens, seen: shape[1] - lowTokens, text: asked, answer: answerTokens },
        kept: look.prefix?.length ?? 0,
      },
      ...{ lookMs, firstMs: firstMs || since(), ms: since() },
      ...{ liveBytes, peakBytes },
    });
  }

  /** Maps, and indices of the patches that were selected, per high-res scale. */
  async #whereOf({ vision }: VilaLook): Promise<{ maps?: ShownMaps; taken: Uint32Array[] }> {
    if (!vision) return { taken: [] };
    const { maps, selectionMaps } = vision;
    const [, grid] = this.facts.grids;
    const [bottomUp, probs] = await Promise.all(
      [maps.bottomUp[0], maps.probs[0]].map((map) => mapOf(map, grid)),
    );
    const selected = await Promise.all(selectionMaps.map((map) => map.data()));
    const taken = selected.map((map) => Uint32Array.from([...map.keys()].filter((i) => map[i] > 0)));
    return { maps: { bottomUp, topDown: maps.topDown && probs }, taken };
  }

  [Symbol.dispose](): void {
    this.#seen?.[Symbol.dispose]();
    this.#model.dispose();
  }
}
