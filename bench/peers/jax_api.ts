// The part of jax-js that is used here.
import type { TensorData } from '../../engine/index.ts';

export interface JaxArray {
  readonly shape: readonly number[];
  readonly ref: JaxArray;
  data(): Promise<TensorData>;
  dispose(): void;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  sum(axis?: number): JaxArray;
  mean(axis: number): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(order: readonly number[]): JaxArray;
}

export interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): void;
  blockUntilReady(arrays: readonly JaxArray[]): Promise<unknown>;
  /** Arguments and results are trees of arrays. */
  jit<A extends readonly unknown[], R>(run: (...args: A) => R): (...args: A) => R;
  valueAndGrad(
    loss: (weights: readonly JaxArray[], ...rest: JaxArray[]) => JaxArray,
  ): (weights: readonly JaxArray[], ...rest: JaxArray[]) => [JaxArray, JaxArray[]];
  readonly numpy: {
    array(values: ArrayLike<number> | number, options?: { shape: readonly number[] }): JaxArray;
    zeros(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    concatenate(parts: readonly JaxArray[], axis: number): JaxArray;
    takeAlongAxis(x: JaxArray, indices: JaxArray, axis: number): JaxArray;
    take(table: JaxArray, indices: JaxArray, axis: number): JaxArray;
    /** @param parts  equal ones, or where they begin */
    split(x: JaxArray, parts: number | readonly number[], axis: number): JaxArray[];
    power(base: number, exponent: JaxArray): JaxArray;
    subtract(a: number, b: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
  };
  readonly nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    standardize(x: JaxArray, axis: number, options: { epsilon: number }): JaxArray;
    gelu(x: JaxArray, options: { approximate: boolean }): JaxArray;
    silu(x: JaxArray): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options?: { isCausal: boolean }): JaxArray;
  };
  readonly lax: { topK(x: JaxArray, k: number): [values: JaxArray, indices: JaxArray] };
}
