// The weights of a decoder: parameters, and matrices that are kept in integers.
import {
  inferenceLinear,
  linear,
  type ParameterStore,
  type QuantizedMatrix,
  swiglu,
  type Tensor,
  UseError,
} from '../../engine/index.ts';

/** Weights by name; matrices may be in integers, for inference. */
export class LanguageWeights {
  readonly #parameters: ParameterStore;
  readonly #integers: ReadonlyMap<string, QuantizedMatrix>;

  constructor(parameters: ParameterStore, integers: ReadonlyMap<string, QuantizedMatrix>) {
    this.#parameters = parameters;
    this.#integers = integers;
  }

  /** A vector. @throws UseError for an unknown name */
  vector(name: string): Tensor {
    return this.#parameters.get(name);
  }

  /** A matrix or table. @throws UseError for an unknown name */
  matrix(name: string): Tensor | QuantizedMatrix {
    return this.#integers.get(name) ?? this.#parameters.get(name);
  }

  /** A matrix or table in floats. @throws UseError for one in integers */
  tensor(name: string): Tensor {
    if (this.#integers.has(name))
      throw new UseError(
        `LanguageModel: to be trained, ${name} must be in floats, got integers. Load it with another storage.`,
      );
    return this.#parameters.get(name);
  }

  /**
   * `linear` with the layer's `weight` and, where there is one, `bias`.
   *
   * @param options.isGated      `swiglu` follows: the weight's rows are those of gate and, behind them, of up
   * @param options.isInference  without gradients, which integers have none of in any case: few rows read the weight once
   */
  linear(
    x: Tensor,
    layer: string,
    options: { readonly residual?: Tensor; readonly isGated?: boolean; readonly isInference?: boolean } = {},
  ): Tensor<'f32'> {
    const { residual, isGated, isInference } = options;
    const name = `${layer}.weight`;
    const biasName = `${layer}.bias`;
    const bias = this.#parameters.has(biasName) ? this.#parameters.get(biasName) : undefined;
    const weight = this.#integers.get(name);
    if (weight || isInference)
      return inferenceLinear(x, weight ?? this.#parameters.get(name), { bias, residual, swiglu: isGated });
    const y = linear(x, this.#parameters.get(name), { bias, residual });
    return isGated ? swiglu(y) : y;
  }

  /** Frees the matrices in integers; parameters stay. */
  dispose(): void {
    for (const matrix of this.#integers.values()) matrix.dispose();
  }
}
