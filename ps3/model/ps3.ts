// Both towers and the logit scalars: what one checkpoint holds.
import { clamp, type Engine, type ParameterSpec, ParameterStore, type Tensor, Weights } from '../../engine/index.ts';
import type { ModelConfig } from './config.ts';
import { encodeText, type TextOutput } from './text.ts';
import { VisionModel } from './vision.ts';

/** Weight decay groups: 0 = decayed, 1 = not (fewer than two dimensions). */
export const DECAY_GROUP = 0;
export const NO_DECAY_GROUP = 1;

export class PS3 {
  readonly config: ModelConfig;
  readonly parameters: ParameterStore;
  readonly vision: VisionModel;

  constructor(config: ModelConfig, parameters: ParameterStore) {
    this.config = config;
    this.parameters = parameters;
    this.vision = new VisionModel(config.vision, new Weights(parameters, 'vision_model.'));
  }

  /** Makes a model whose weights are zero, with room for tensors of these names and shapes. */
  static allocate(engine: Engine, config: ModelConfig, shapes: ReadonlyMap<string, readonly number[]>): PS3 {
    const specs: ParameterSpec[] = [...shapes].map(([name, shape]) => ({
      name,
      shape,
      group: shape.length >= 2 ? DECAY_GROUP : NO_DECAY_GROUP,
    }));
    return new PS3(config, new ParameterStore(engine, specs));
  }

  /** Logarithm of the factor on cosines, [1]. */
  get logitScale(): Tensor {
    return this.parameters.get('logit_scale');
  }

  get logitBias(): Tensor {
    return this.parameters.get('logit_bias');
  }

  /** @param ids  [B, L] u32 or i32 */
  encodeText(ids: Tensor): TextOutput {
    return encodeText(ids, new Weights(this.parameters, 'text_model.'), this.config.text);
  }

  /** Keeps the logit scale within [0, ln 100], as after every optimizer step of SigLIP. */
  clampLogitScale(): void {
    const { logitScale } = this;
    using clamped = clamp(logitScale.detach(), 0, Math.log(100));
    logitScale.gpu.copy(clamped.range, logitScale.range);
  }

  dispose(): void {
    this.parameters.dispose();
  }
}
