export type { AdapterOptions, Tier } from './gpu/adapter.ts';
export {
  AdapterError,
  DeviceLostError,
  DTypeError,
  EngineError,
  MemoryError,
  ShaderError,
  ShapeError,
  UseError,
} from './gpu/errors.ts';
export type { KernelTime } from './gpu/profiler.ts';
export { Engine, type EngineStats, type TensorOptions } from './engine.ts';
export {
  encodeSafetensors,
  openSafetensors,
  type SafetensorsDType,
  SafetensorsError,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from './io/safetensors.ts';
export { layerNormLayer, linearLayer, Weights, type WeightSource } from './nn/layers.ts';
export { type ParameterSpec, ParameterStore } from './nn/parameters.ts';
export { warmupCosine } from './nn/schedule.ts';
export { adaptiveMaxPool } from './ops/adaptive_max_pool.ts';
export { backward, checkpoint } from './ops/backward.ts';
export { columnSum } from './ops/column_sum.ts';
export { binaryCrossEntropy } from './ops/binary_cross_entropy.ts';
export { sigmoidContrastive } from './ops/contrastive.ts';
export { concat, permute, slice } from './ops/copy.ts';
export { cosineMap } from './ops/cosine.ts';
export { depthwiseConv } from './ops/depthwise_conv.ts';
export { diceLoss } from './ops/dice.ts';
export { fill } from './ops/fill.ts';
export { gatherRows, scatterRows } from './ops/gather.ts';
export { l2Normalize } from './ops/l2_normalize.ts';
export { layerNorm } from './ops/layer_norm.ts';
export { linear, type LinearOptions, matmul, type MatmulOptions } from './ops/matmul.ts';
export { patchGather, unfold } from './ops/patch_gather.ts';
export { accumulate, add, div, equal, greater, less, maximum, minimum, mul, sub, where } from './ops/pointwise.ts';
export { broadcastTo, max, mean, squaredNorm, sum, sumTo } from './ops/reduce.ts';
export { resize, type ResizeMode, resizeRows } from './ops/resize.ts';
export { sortKeys } from './ops/sort.ts';
export { compactMap, selectTopK, topK } from './ops/top_k.ts';
export {
  abs,
  affine,
  clamp,
  exp,
  log,
  neg,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  softplus,
  sqrt,
  square,
  tanh,
} from './ops/unary.ts';
export { noGrad } from './tensor/autograd.ts';
export { tidy } from './tensor/dispatch.ts';
export type { Shape } from './tensor/shape.ts';
export { type DType, Scope, Tensor, type TensorData } from './tensor/tensor.ts';
