// VILA-HD: a language model that glances at images, asks PS3 where to look by its own hidden state, and reads what was seen.
// Shi et al. 2025, arXiv:2503.19903; NVlabs/VILA, llava/model/llava_arch.py and language_model/llava_topdown_llama.py.
//
//   glance   low-res tokens of every image, joined and projected; the same for all questions
//   ask      the language model reads them and the question; the state of its last token is the prompt of the selection
//   look     the patches that the prompt selects; complete groups of them are joined and projected
//   answer   [low-res | seen | newline] of every image stand where its token stood
import {
  concat,
  type Engine,
  expect,
  expectKeys,
  noGrad,
  output,
  ParameterStore,
  Scope,
  slice,
  type Tensor,
  tidy,
  Weights,
} from '../../engine/index.ts';
import type { GeneratedToken, GenerateOptions } from '../language/generate.ts';
import { LanguageModel } from '../language/language_model.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { inGoes, type WeightDType } from '../model/checkpoint/checkpoint.ts';
import type { CheckpointSource } from '../model/checkpoint/files.ts';
import { drawParameters, specOf } from '../model/checkpoint/init.ts';
import { freeBytes } from '../model/checkpoint/memory.ts';
import type { SaveOptions } from '../model/checkpoint/writer.ts';
import { expectConfig } from '../model/config/config.ts';
import type { DecodedImage } from '../model/decoder.ts';
import { resizeToSquare } from '../model/image.ts';
import { partOf } from '../model/parts.ts';
import { VisionModel } from '../model/vision/vision.ts';
import type { Glance } from '../model/vision/vision_types.ts';
import { answer, type Question, questionIds } from './answer.ts';
import {
  LOAD_OPTIONS,
  planVila,
  saveVila,
  type VilaLoadOptions,
  VilaReader,
  withImages,
} from './checkpoint.ts';
import type { VilaConfig } from './config.ts';
import { vilaEncoder } from './encoder.ts';
import { answerIds, likelihoods } from './likelihood.ts';
import { expectVilaMemory } from './memory.ts';
import { decodeBehind, prefixOf, readPrefix } from './prefix.ts';
import { Projector } from './projector.ts';
import { highResScalesOf } from './ps3_encoder.ts';
import { imageCount, partsOf, questionPlace, type VilaTokens } from './sequence.ts';
import type { Prefix, Seen, VilaEncoder, VilaLook, VilaLookOptions, VilaSizes } from './vila_types.ts';

/** Whether a parameter is what a plain image tower has too, or its positions; not what selects, nor what joins. */
function isOfTower(name: string): boolean {
  const part = partOf(name);
  return name.startsWith('vision_model.') && (part === 'vision' || part === 'positions');
}

/**
 * A vision-language model. Dispose it when done.
 *
 * Optimizer groups of `parameters`: 0 matrices and 1 vectors of the projector and of what selects, 2 and 3 those of the tower.
 */
export class VilaModel implements Disposable {
  /** What joins tower and language model. */
  readonly config: VilaConfig;
  /** Reads texts and what was seen; the model owns it. */
  readonly language: LanguageModel;
  /** Of tower and projector, by the names in their folders. */
  readonly parameters: ParameterStore;
  /** The tower. */
  readonly vision: VisionModel;
  /** From the tower's tokens to the language model's, and back. */
  readonly projector: Projector;
  /** How it sees images. */
  readonly encoder: VilaEncoder;
  /** Ids of what stands for images and around them. */
  readonly tokens: VilaTokens;
  readonly #tokenizer: LanguageTokenizer | undefined;

  private constructor(
    { config, vision, image }: VilaSizes,
    language: LanguageModel,
    parameters: ParameterStore,
    tokens: VilaTokens | undefined,
  ) {
    // Without a tokenizer the tokens must be told.
    const texts = language.hasTokenizer || !tokens ? withImages(language.tokenizer) : undefined;
    expectConfig(vision.depth >= 2, 'the tower must have at least two blocks', vision.depth);
    const weights = new Weights(parameters);
    this.config = config;
    this.language = language;
    this.parameters = parameters;
    this.vision = new VisionModel(vision, image, weights.in('vision_model'));
    this.projector = new Projector(weights, config.ratio);
    this.tokens = tokens ?? texts!.tokens;
    const { newline } = this.tokens;
    this.encoder = vilaEncoder(config.encoder, {
      vision: this.vision,
      projector: this.projector,
      weights,
      between: (like) => this.#words([...newline, ...newline], like),
    });
    this.#tokenizer = texts?.tokenizer;
  }

  /** The language model's, with the tokens of images. @throws UseError when the language model came without one */
  get tokenizer(): LanguageTokenizer {
    return this.#tokenizer ?? this.language.tokenizer;
  }

  /**
   * Loads a folder of the published layout: `llm/`, `vision_tower/` and `mm_projector/`. Media tokens that the vocabulary lacks are
   * added; no embedding of theirs is ever read. Weights stream to the GPU a piece at a time.
   *
   * @throws ConfigError for what is not built, and: one error that lists every missing, unknown, misshapen and repeated tensor
   *   of a folder
   * @throws MemoryError when weights, a look and its answer do not fit; it says what would need less
   * @throws SafetensorsError, TokenizerError, ShapeError for unknown options, and the signal's reason
   */
  static async load(
    engine: Engine,
    source: CheckpointSource,
    options: VilaLoadOptions = {},
  ): Promise<VilaModel> {
    expectKeys('VilaModel.load', options, LOAD_OPTIONS);
    const { storage = 'f32', languageStorage = storage, isLocked, memoryLimitBytes, ...reading } = options;
    await using file = await VilaReader.open(source, options);
    const limit = memoryLimitBytes ?? (await freeBytes(engine));
    expectVilaMemory(
      limit,
      await file.need(storage, languageStorage, options),
      `${storage} and ${languageStorage}`,
    );
    const go = inGoes(reading.onProgress, file.storedBytes);
    const language = await LanguageModel.load(engine, file.language, {
      ...reading,
      ...go(),
      storage: languageStorage,
      isLocked,
    });
    let made: Disposable = language;
    try {
      const plan = await file.plan(language.config.width);
      const dtypeOf = (name: string, { length }: readonly number[]): WeightDType =>
        length < 2 ? 'f32' : storage === 'stored' ? plan.get(name)!.stored : storage;
      const model = VilaModel.allocate(engine, file, language, { dtypeOf, isLocked });
      made = model;
      await file.fill(model.parameters, { ...reading, ...go() });
      return model;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  /** Makes a model whose tower and projector are zero. It owns the language model from then on. */
  static allocate(
    engine: Engine,
    sizes: VilaSizes,
    language: LanguageModel,
    options: {
      /** Default: as the language model's tokenizer has them. */
      readonly tokens?: VilaTokens;
      readonly dtypeOf?: (name: string, shape: readonly number[]) => WeightDType;
      readonly isLocked?: (name: string) => boolean;
    } = {},
  ): VilaModel {
    expectKeys('VilaModel.allocate', options, { tokens: true, dtypeOf: true, isLocked: true });
    const { tokens, dtypeOf, isLocked } = options;
    const { tower, projector } = planVila(sizes.config, sizes.vision, language.config.width);
    const specs = [...tower, ...projector].map(([name, { shape }]) => {
      const spec = specOf(name, shape, dtypeOf?.(name, shape), isLocked);
      return { ...spec, group: (spec.group ?? 0) + (isOfTower(name) ? 2 : 0) };
    });
    return new VilaModel(sizes, language, new ParameterStore(engine, specs), tokens);
  }

  /**
   * Makes a model whose projector is random, as the reference begins, and its tower too.
   *
   * @param language  with its tokenizer; the model owns it from then on
   */
  static create(engine: Engine, sizes: VilaSizes, language: LanguageModel, seed: number): VilaModel {
    const model = VilaModel.allocate(engine, sizes, language);
    const { tower, projector } = planVila(sizes.config, sizes.vision, language.config.width);
    drawParameters(model.parameters, [...tower, ...projector], seed);
    return model;
  }

  /** Writes a folder that `load`, and the reference, read. Node and Deno only. */
  save(folder: string, options: Omit<SaveOptions, 'untied'> = {}): Promise<void> {
    return saveVila(folder, this, options);
  }

  /**
   * Looks at images as far as no question is needed: PS3 at low resolution, another encoder at all of them. Differentiable.
   *
   * @param image       [n, 3, H, W] f32 normalised or [n, H, W, 4] u8: squares of `encoder.sidePx`, or of any shape without it
   * @param longSidePx  of the images before they were squashed: what `dynamicScales` goes by; without it all scales are looked at
   */
  glance(image: Tensor, longSidePx?: number): Seen {
    const scope = new Scope();
    const { dynamicScales = false } = this.config;
    const isSized = dynamicScales && longSidePx !== undefined;
    const sized = isSized && { onlyFirstScales: highResScalesOf(longSidePx, this.vision.config.scalesPx) };
    return { ...this.encoder.glance(image.in(scope)), ...sized, [Symbol.dispose]: () => scope.dispose() };
  }

  /** As `glance`, of an image of any shape. */
  see(image: DecodedImage): Seen {
    const { engine } = this.language;
    const { sidePx } = this.encoder;
    const { rgba, width, height } = image;
    using pixels =
      sidePx === undefined
        ? engine.tensor(rgba, [1, height, width, 4])
        : resizeToSquare(engine, image, sidePx);
    return this.glance(pixels, Math.max(width, height));
  }

  /**
   * Asks where to look: the state of the language model at the end of a question about images that it has glanced at.
   *
   * @param ids  of the text up to the answer, with one image token for each image
   * @param low  [n, g * g, d] of `glance`, of the images that the text names
   * @param prefix  what the text begins with, where it was read: it is not read again, and there are no gradients
   * @returns    state [1, d], of which `projector.prompt` makes the prompt of the selection; the embedded text that was
   *   read, [1, T, d]; and its last place in `ids`
   */
  ask(
    ids: readonly number[],
    low: Tensor<'f32'>,
    prefix?: Prefix,
  ): { state: Tensor<'f32'>; embedded: Tensor<'f32'>; place: number } {
    const place = questionPlace(ids, this.tokens.turnEnd);
    const asked = ids.slice(0, place + 1);
    const [state, embedded] = tidy([low], (low) => {
      const count = imageCount(asked, this.tokens.image);
      const blocks = Array.from({ length: count }, (_, i) =>
        slice(low as Tensor<'f32'>, { axis: 0, start: i, length: 1 }),
      );
      const embedded = this.embed(asked, blocks, low);
      const hidden = prefix ? decodeBehind(this.language, prefix, embedded) : this.language.decode(embedded);
      return [
        slice(hidden, { axis: 1, start: hidden.shape[1] - 1, length: 1 }).reshape([1, -1]),
        embedded,
      ] as const;
    });
    return { state, embedded, place };
  }

  /**
   * Looks closely at all images. Differentiable.
   *
   * @throws ShapeError for impossible looks or tokens
   */
  look(seen: Seen, options: VilaLookOptions = {}): Promise<VilaLook> {
    return this.encoder.look(seen, options, (fn) => fn());
  }

  /**
   * Looks for what a question asks, as the model's configuration says: at what its state selects, or at what stands out.
   *
   * @param options  as of `look`, but for the prompt; default as many looks or tokens as the configuration has
   * @returns        what was looked at, to dispose of when the answer is there
   * @throws ShapeError for impossible looks or tokens; UseError where the language model came without a tokenizer
   */
  async lookFor(
    question: Question,
    seen: Seen,
    options: Omit<VilaLookOptions, 'prompt'> = {},
  ): Promise<VilaLook & Disposable> {
    const { lookMode, looks, tokens } = this.config;
    const isFree = !this.encoder.looks || options.looks !== undefined || options.tokens !== undefined;
    const amount = isFree ? {} : tokens === null ? { looks } : { tokens };
    // What one question leaves does not wait for the end of the others.
    const scope = new Scope();
    const inside = {
      image: seen.image.in(scope),
      low: seen.low.in(scope),
      glance: seen.glance && glanceIn(seen.glance, scope),
      onlyFirstScales: seen.onlyFirstScales,
    };
    const ids = questionIds(this.tokenizer, question, seen.low.shape[0]);
    try {
      const read = readPrefix(this, seen, ids);
      const prefix = { ...read, layers: read.layers.map((layer) => layer.in(scope)) };
      const promptOf = (): Tensor<'f32'> => this.projector.prompt(this.ask(ids, inside.low, prefix).state);
      const asks = this.encoder.looks && lookMode === 'after_prompt';
      const prompted = asks ? { prompt: noGrad(promptOf) } : {};
      const look = await this.encoder.look(inside, { ...amount, ...options, ...prompted }, noGrad);
      return { ...look, prefix, [Symbol.dispose]: () => scope.dispose() };
    } catch (error) {
      scope.dispose();
      throw error;
    }
  }

  /**
   * Answers a question, token by token as they come. Leave the loop to end it early.
   *
   * ```ts
   * using seen = model.glance(image); // once for an image
   * using look = await model.lookFor('What does the sign say?', seen);
   * for await (const { text } of model.answer('What does the sign say?', look)) write(text);
   * ```
   *
   * @param look  undefined for a question about no image
   * @throws as `LanguageModel.generate`; ShapeError where the question does not name as many images as were looked at
   */
  answer(
    question: Question,
    look: Pick<VilaLook, 'blocks' | 'prefix'> | undefined,
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { blocks, prefix } = look ?? { blocks: [] };
    return answer(this, questionIds(this.tokenizer, question, blocks.length), { blocks, prefix }, options);
  }

  /**
   * How probable each option is as the whole answer: the mean log-probability of its tokens and of the one that ends it. The question is
   * read once. What a benchmark scores by.
   *
   * @param look  undefined for a question about no image
   * @returns     a score for each option, at most 0, the highest for the likeliest
   * @throws as `answer`; UseError where question and option do not fit into the context
   */
  async likelihoods(
    question: Question,
    options: readonly string[],
    look: Pick<VilaLook, 'blocks' | 'prefix'> | undefined,
  ): Promise<number[]> {
    const { blocks, prefix } = look ?? { blocks: [] };
    const ids = questionIds(this.tokenizer, question, blocks.length);
    using scope = new Scope();
    const own = blocks.map((block) => block.in(scope));
    const embedded = noGrad(() => this.embed(ids, own));
    const answers = options.map((option) => answerIds(this.tokenizer, option));
    const begun = prefixOf(prefix, ids, this.tokens.image);
    return await likelihoods(this.language, embedded.moveTo(scope), answers, begun);
  }

  /**
   * A text as what the language model reads: tokens by their embeddings, images by their blocks with a newline behind each.
   *
   * @param blocks  [1, tokens, d] each, in the order of the image tokens
   * @param like    whose scope the result lives in; default: the first block's, else the model's
   * @returns       [1, T, d]
   * @throws ShapeError where there are not as many blocks as image tokens
   */
  embed(ids: readonly number[], blocks: readonly Tensor<'f32'>[], like?: Tensor): Tensor<'f32'> {
    const { image, newline } = this.tokens;
    const count = imageCount(ids, image);
    expect(
      count === blocks.length,
      'VilaModel.embed',
      `the text must name ${blocks.length} images`,
      `${count}`,
    );
    const place = like ?? blocks[0] ?? this.language.parameters.get('model.norm.weight');
    return tidy([place, ...blocks], (place, ...blocks) => {
      const words = (ids: readonly number[]): Tensor<'f32'> => this.#words(ids, place);
      const parts = partsOf(ids, image).flatMap((part) =>
        'ids' in part ? [words(part.ids)] : [blocks[part.image] as Tensor<'f32'>, words(newline)],
      );
      return concat(parts, { axis: 1 });
    });
  }

  /** Embeddings of tokens, [1, n, d], in the scope of a tensor. */
  #words(ids: readonly number[], like: Tensor): Tensor<'f32'> {
    const numbers = output([like], [1, ids.length], 'u32');
    numbers.write(Uint32Array.from(ids));
    return this.language.embed(numbers);
  }

  /** Logits of the next token after each one. @param embedded  [1, T, d] @returns [1, T, V] */
  logits(embedded: Tensor<'f32'>): Tensor<'f32'> {
    return tidy([embedded], (embedded) => this.language.logits(this.language.decode(embedded)));
  }

  /** Frees all weights. */
  dispose(): void {
    this.language.dispose();
    this.parameters.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The features that questions are compared with, as of a scope. */
function glanceIn({ lowRes, features }: Glance, scope: Scope): Glance {
  return { lowRes, features: { low: features.low.in(scope), aux: features.aux?.in(scope) } };
}
