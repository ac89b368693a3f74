// Both towers and the logit scalars: what one checkpoint holds.
import {
  clamp,
  type Engine,
  type ParameterSpec,
  ParameterStore,
  Random,
  type Tensor,
  UseError,
  Weights,
} from '../../engine/index.ts';
import type { ModelConfig } from './config.ts';
import { draw, type InitOptions, planParameters } from './init.ts';
import { encodeText, type TextOutput } from './text.ts';
import type { Tokenizer } from './tokenizer.ts';
import { VisionModel } from './vision.ts';

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

/** Parameters that a plain image-text model has too. */
function isTower(name: string): boolean {
  if (name.startsWith('text_model.')) return !name.startsWith('text_model.prompt_proj.');
  return name.startsWith('vision_model.trunk.') || name.startsWith('logit_');
}

/** A PS3 model: both towers over one store of parameters, under the official names. Dispose it when done. */
export class PS3 {
  /** What the model is made of. */
  readonly config: ModelConfig;
  /** All weights, under the official names. */
  readonly parameters: ParameterStore;
  /** The image side. */
  readonly vision: VisionModel;
  readonly #tokenizer: Tokenizer | undefined;

  /** @param tokenizer  the one that the text tower was or will be trained with */
  constructor(config: ModelConfig, parameters: ParameterStore, tokenizer?: Tokenizer) {
    this.config = config;
    this.parameters = parameters;
    this.#tokenizer = tokenizer;
    this.vision = new VisionModel(config.vision, new Weights(parameters, 'vision_model.'));
  }

  /** Makes a model whose weights are zero, with room for tensors of these official names and shapes. */
  static allocate(
    engine: Engine,
    config: ModelConfig,
    shapes: ReadonlyMap<string, readonly number[]>,
    tokenizer?: Tokenizer,
  ): PS3 {
    const specs: ParameterSpec[] = [...shapes].map(([name, shape]) => ({
      name,
      shape,
      group: (isTower(name) ? 0 : 2) + (shape.length >= 2 ? 0 : 1),
    }));
    return new PS3(config, new ParameterStore(engine, specs), tokenizer);
  }

  /** Makes a model with random weights. Same seed, same bits, in any runtime. */
  static create(engine: Engine, config: ModelConfig, seed: number, options: InitOptions = {}): PS3 {
    const plan = planParameters(config, options);
    const model = PS3.allocate(engine, config, new Map([...plan].map(([name, { shape }]) => [name, shape])));
    let stream = 0;
    for (const [name, parameter] of plan)
      model.parameters.get(name).write(draw(parameter, new Random(seed, ++stream)));
    return model;
  }

  /** Turns texts into the ids that the text tower reads. @throws UseError when the model came without one */
  get tokenizer(): Tokenizer {
    if (!this.#tokenizer)
      throw new UseError('ps3: the model must have a tokenizer to read texts, got none. Pass token ids.');
    return this.#tokenizer;
  }

  /** Logarithm of the factor on cosines, [1]. */
  get logitScale(): Tensor {
    return this.parameters.get('logit_scale');
  }

  /** Added to the scaled cosines, [1]. */
  get logitBias(): Tensor {
    return this.parameters.get('logit_bias');
  }

  /** The text tower. @param ids  [B, L] u32 or i32, L <= contextLength */
  encodeText(ids: Tensor): TextOutput {
    return encodeText(ids, new Weights(this.parameters, 'text_model.'), this.config.text);
  }

  /** Keeps the logit scale within [0, ln 100], as after every optimizer step of SigLIP. */
  clampLogitScale(): void {
    const { logitScale } = this;
    using plain = logitScale.detach();
    using clamped = clamp(plain, 0, Math.log(100));
    logitScale.gpu.copy(clamped.range, logitScale.range);
  }

  /** Frees the weights, their gradients, and nothing else. */
  dispose(): void {
    this.parameters.dispose();
  }
}
