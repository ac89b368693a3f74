// Both towers and the logit scalars over one store of parameters: what encoding, looking and comparing build on.

import {
  clamp,
  type Engine,
  expect,
  expectKeys,
  noGrad,
  output,
  type ParameterSpec,
  ParameterStore,
  type Scope,
  Tensor,
  UseError,
  Weights,
} from '../../engine/index.ts';
import type { WeightDType } from './checkpoint/checkpoint.ts';
import { planParameters } from './checkpoint/init.ts';
import type { ModelConfig } from './config/config.ts';
import { isTower, partOf } from './parts.ts';
import { CLEAN } from './text/canonicalize.ts';
import { encodeText, type TextOutput } from './text/text.ts';
import type { Tokenizer } from './text/tokenizer.ts';
import { VisionModel } from './vision/vision.ts';
import type { CheckpointBlocks } from './vision/vit.ts';

/**
 * Optimizer groups. Tensors of fewer than two dimensions are not decayed. What only PS3 has is apart from the two
 * towers, so that these can be trained alone.
 */
export const GROUPS: readonly { readonly tower: boolean; readonly decay: boolean }[] = [
  { tower: true, decay: true },
  { tower: true, decay: false },
  { tower: false, decay: true },
  { tower: false, decay: false },
];

/** What an empty model is made with. */
export interface AllocateOptions {
  /** The one that the text tower was or will be trained with. */
  readonly tokenizer?: Tokenizer;
  /** How a weight is kept; f32 by default. */
  readonly dtypeOf?: (name: string) => WeightDType;
  /** Which weights training leaves as they are; none by default. */
  readonly isLocked?: IsLocked;
}

/** Whether training leaves a weight as it is, by its official name. */
export type IsLocked = (name: string, config: ModelConfig) => boolean;

/** The parameters of a model, all zero, under the official names. */
export function allocateParameters(
  engine: Engine,
  config: ModelConfig,
  { dtypeOf, isLocked }: Omit<AllocateOptions, 'tokenizer'> = {},
): ParameterStore {
  const specs: ParameterSpec[] = [...planParameters(config)].map(([name, { shape }]) => ({
    name,
    shape,
    dtype: dtypeOf?.(name),
    isLocked: isLocked?.(name, config),
    group: (isTower(partOf(name)) ? 0 : 2) + (shape.length >= 2 ? 0 : 1),
  }));
  return new ParameterStore(engine, specs);
}

/** Checks texts that a caller has the text tower read. @throws UseError without a tokenizer, ShapeError for texts */
export function expectTexts(op: string, model: ModelCore, texts: readonly string[]): void {
  if (!model.hasTokenizer)
    throw new UseError(`${op}: the model must have a tokenizer to read texts, got none. Pass token ids.`);
  expect(texts.length > 0, op, 'there must be a text', 'none');
  const rule =
    'a text must have letters or digits besides punctuation and blanks, which the text tower does not see';
  const clean = CLEAN[model.tokenizer.clean];
  for (const text of texts) expect(clean(text) !== '', op, rule, JSON.stringify(text));
}

/** Both towers over one store of parameters, under the official names. Dispose it when done. */
export class ModelCore {
  /** What the model is made of. */
  readonly config: ModelConfig;
  /** All weights, under the official names. */
  readonly parameters: ParameterStore;
  /** The image side. */
  readonly vision: VisionModel;
  #checkpointText = false;
  readonly #tokenizer: Tokenizer | undefined;

  /** @param tokenizer  the one that the text tower was or will be trained with */
  constructor(config: ModelConfig, parameters: ParameterStore, tokenizer?: Tokenizer) {
    this.config = config;
    this.parameters = parameters;
    this.#tokenizer = tokenizer;
    this.vision = new VisionModel(config.vision, config.image, new Weights(parameters, 'vision_model.'));
  }

  /** Turns texts into the ids that the text tower reads. @throws UseError when the model came without one */
  get tokenizer(): Tokenizer {
    if (!this.#tokenizer)
      throw new UseError(
        'PS3.tokenizer: the model must have a tokenizer to read texts, got none. Pass token ids.',
      );
    return this.#tokenizer;
  }

  /** Whether the model reads texts, not token ids alone. */
  get hasTokenizer(): boolean {
    return this.#tokenizer !== undefined;
  }

  /** Which blocks keep only their inputs for backward, and run again there; none at first. */
  get checkpointBlocks(): CheckpointBlocks {
    return { ...this.vision.checkpointBlocks, text: this.#checkpointText };
  }

  /** Chooses them. */
  set checkpointBlocks({ text, ...image }: CheckpointBlocks) {
    this.#checkpointText = text;
    this.vision.checkpointBlocks = image;
  }

  /** Logarithm of the factor on cosines, [1]. */
  get logitScale(): Tensor {
    return this.parameters.get('logit_scale');
  }

  /** Added to the scaled cosines, [1]. */
  get logitBias(): Tensor {
    return this.parameters.get('logit_bias');
  }

  /**
   * The text tower.
   *
   * @param texts  one or several, read without gradients; the caller disposes the results unless there is a scope.
   *   Or token ids [B, L] u32 or i32, L <= contextLength, with gradients; results live where these live
   * @throws UseError for texts when the model came without a tokenizer; ShapeError for no text and for one of
   *   punctuation and blanks only
   */
  encodeText(
    texts: string | readonly string[] | Tensor,
    options: { readonly scope?: Scope } = {},
  ): TextOutput {
    expectKeys('PS3.encodeText', options, { scope: true });
    const encode = (ids: Tensor): TextOutput =>
      encodeText(ids, new Weights(this.parameters, 'text_model.'), this.config.text, this.#checkpointText);
    if (texts instanceof Tensor) return encode(texts);
    using ids = this.#textIds(typeof texts === 'string' ? [texts] : texts, options.scope);
    return noGrad(() => encode(ids));
  }

  /** Token ids [n, L] of texts. */
  #textIds(texts: readonly string[], scope: Scope | undefined): Tensor {
    expectTexts('PS3.encodeText', this, texts);
    const ids = this.tokenizer.encode(texts);
    const tensor = output([this.logitScale], [texts.length, ids.length / texts.length], 'i32');
    tensor.moveTo(scope).write(ids);
    return tensor;
  }

  /** Keeps the scale of the logits within [1, most], as after every optimizer step of SigLIP, unless it is locked. */
  clampLogitScale(most = 100): void {
    if (this.parameters.isLocked('logit_scale')) return;
    const { logitScale } = this;
    using plain = logitScale.detach();
    using clamped = clamp(plain, 0, Math.log(most));
    logitScale.write(clamped);
  }

  /** Frees the weights, their gradients, and nothing else. */
  dispose(): void {
    this.parameters.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
