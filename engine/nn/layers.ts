// Layers as functions over named weights, with PyTorch's names: `norm.weight`, `fc1.bias`.
import { layerNorm } from '../ops/layer_norm.ts';
import { type LinearOptions, linear } from '../ops/matmul/linear.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Where weights come from: a ParameterStore, or a part of one. */
export interface WeightSource {
  /** Whether there is a weight of this name. */
  has(name: string): boolean;
  /** The weight of this name. @throws UseError for an unknown name */
  get(name: string): Tensor;
}

/** The weights whose names begin with a prefix. */
export class Weights implements WeightSource {
  readonly #source: WeightSource;
  readonly #prefix: string;

  constructor(source: WeightSource, prefix = '') {
    this.#source = source;
    this.#prefix = prefix;
  }

  /** Whether there is a weight of this name below the prefix. */
  has(name: string): boolean {
    return this.#source.has(this.#prefix + name);
  }

  /** The weight of this name below the prefix. @throws UseError for an unknown name */
  get(name: string): Tensor {
    return this.#source.get(this.#prefix + name);
  }

  /** `weights.in('blocks.0')` holds what is called `blocks.0.…` here. */
  in(name: string): Weights {
    return new Weights(this.#source, `${this.#prefix}${name}.`);
  }
}

/** `linear` with the layer's `weight` [N, K] and, where there is one, `bias` [N]; x is [..., M, K]. */
export function linearLayer(
  x: Tensor,
  weights: WeightSource,
  options: Omit<LinearOptions, 'bias'> = {},
): Tensor<'f32'> {
  return linear(x, weights.get('weight'), {
    bias: weights.has('bias') ? weights.get('bias') : undefined,
    ...options,
  });
}

/** `layerNorm` with the layer's `weight` and `bias` [C]; x is [..., C]. */
export function layerNormLayer(
  x: Tensor,
  weights: WeightSource,
  options: { readonly eps?: number } = {},
): Tensor<'f32'> {
  return layerNorm(x, weights.get('weight'), weights.get('bias'), options);
}
