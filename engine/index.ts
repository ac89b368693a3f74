/** @internal */
export { fileSystem, freeMemoryBytes, hashFunctions } from '#system';
export {
  type Certificate,
  type CertifiedKernel,
  type CertifiedTime,
  type CertifyOptions,
  certify,
  type DeviceRecord,
  useDeviceRecord,
} from './device/certificate.ts';
export { formatCertificate } from './device/certificate_text.ts';
export type { Peaks } from './device/peaks.ts';
export { proveKernels } from './device/proofs.ts';
export type { Rates } from './device/rates.ts';
export { Engine, type TensorOptions } from './engine.ts';
export type { AdapterOptions, DeviceHandle, Tier } from './gpu/adapter.ts';
export type { BufferHandle, BufferSlice, DeviceLimits } from './gpu/buffer.ts';
export {
  AdapterError,
  DeviceLostError,
  DTypeError,
  EngineError,
  expect,
  expectDType,
  expectKeys,
  MemoryError,
  ShaderError,
  ShapeError,
  UseError,
} from './gpu/errors.ts';
export {
  chromeTrace,
  type DispatchTime,
  formatKernelTimes,
  type KernelTime,
  kernelTimes,
} from './gpu/profiler.ts';
export type { Reflection, Shader, ShaderBinding, ShaderParam } from './gpu/shader.ts';
export type { Define } from './gpu/specialise.ts';
export type { FastKernel, MatrixShape, Target } from './gpu/target.ts';
export type { MatmulForce, Tuning } from './gpu/tuning.ts';
export type { BlobLike, UrlLike } from './io/byte_source.ts';
export {
  assertWritableFolder,
  FileError,
  fileErrorOf,
  makeFolder,
  onPath,
  readTextFile,
} from './io/files.ts';
export { f32ToBf16, f32ToF16 } from './io/half.ts';
export {
  decodeF32,
  encodeSafetensors,
  openSafetensors,
  type SafetensorsData,
  type SafetensorsDType,
  SafetensorsError,
  type SafetensorsFile,
  type TensorEntry,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from './io/safetensors.ts';
export { AdamW, type AdamWOptions, type AdamWSettings } from './nn/adamw.ts';
export { layerNormLayer, linearLayer, type WeightSource, Weights } from './nn/layers.ts';
export { type Arena, type ParameterSpec, ParameterStore } from './nn/parameters.ts';
export { type Schedule, warmupCosine } from './nn/schedule.ts';
export { adaptiveMaxPool } from './ops/adaptive_max_pool.ts';
export { type ArgMaxOptions, argMax } from './ops/arg_max.ts';
export { attention } from './ops/attention/attention.ts';
export { attentionWithScores, type ScoreStage } from './ops/attention/composed.ts';
export {
  type AttentionOperand,
  type AttentionOptions,
  type PackedHeads,
  unpackHeads,
} from './ops/attention/operands.ts';
export type { AttentionVariant } from './ops/attention/plan.ts';
export { backward, checkpoint } from './ops/backward.ts';
export { binaryCrossEntropy } from './ops/binary_cross_entropy.ts';
export { cast } from './ops/cast.ts';
export { type ColumnSumOptions, columnSum } from './ops/column_sum.ts';
export { type ContrastiveOptions, sigmoidContrastive } from './ops/contrastive.ts';
export { type ConvOptions, conv2d, unfold } from './ops/conv.ts';
export { concat, permute, type SliceOptions, slice } from './ops/copy.ts';
export { cosineMap } from './ops/cosine.ts';
export { type CrossEntropyOptions, crossEntropy, linearCrossEntropy } from './ops/cross_entropy.ts';
export { cumulativeSum } from './ops/cumulative_sum.ts';
export { depthwiseConv } from './ops/depthwise_conv.ts';
export { diceLoss } from './ops/dice.ts';
export { type DropoutOptions, dropout } from './ops/dropout.ts';
export { gather, type ScatterOptions, type ScatterReduction, scatter, take } from './ops/elements.ts';
export { arange, fullLike, onesLike, zerosLike } from './ops/fill.ts';
export { embedding, scatterRows } from './ops/gather.ts';
export { gelu } from './ops/gelu.ts';
export { KeyValueCache, type KeyValueCacheSizes } from './ops/kv_cache.ts';
export { type L2NormalizeOptions, l2Normalize } from './ops/l2_normalize.ts';
export { layerNorm } from './ops/layer_norm.ts';
export { type InferenceLinearOptions, inferenceLinear } from './ops/matmul/inference.ts';
export { type LinearOptions, linear } from './ops/matmul/linear.ts';
export { type MatmulOptions, matmul } from './ops/matmul/matmul.ts';
export type { MatmulShape } from './ops/matmul/plan.ts';
export { withProducts } from './ops/matmul/product.ts';
export { type PadOptions, pad } from './ops/pad.ts';
export { type PatchGatherOptions, patchGather, patchify } from './ops/patch_gather.ts';
export { pillowResize } from './ops/pillow_resize.ts';
export {
  add,
  div,
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  pow,
  remainder,
  sub,
  where,
} from './ops/pointwise.ts';
export { QuantizedMatrix, type QuantizeOptions, quantize } from './ops/quantize.ts';
export { type RandomKey, randomBits, randomNormal, randomUniform } from './ops/random.ts';
export {
  broadcastTo,
  max,
  mean,
  min,
  prod,
  type ReduceOptions,
  squaredNorm,
  sum,
  sumTo,
} from './ops/reduce.ts';
export { type ResizeMode, type ResizeOptions, resize, resizeRows } from './ops/resize.ts';
export { type AxisTaps, axisTaps } from './ops/resize_taps.ts';
export { addRmsNorm, rmsNorm } from './ops/rms_norm.ts';
export { type RopeOptions, rope } from './ops/rope.ts';
export {
  expectSampling,
  type SamplingOptions,
  type SamplingState,
  sampleTokens,
} from './ops/sample_tokens.ts';
export { type ActivationDType, withSavedActivations } from './ops/saved_activations.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { sortKeys } from './ops/sort.ts';
export { swiglu } from './ops/swiglu.ts';
export { compactMap, type Selection, selectTopK, topK } from './ops/top_k.ts';
export {
  abs,
  ceil,
  clamp,
  cos,
  erf,
  exp,
  floor,
  log,
  neg,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from './ops/unary/unary.ts';
export type { Proof } from './self_test.ts';
export type { EngineStats } from './stats.ts';
export {
  type Gradients,
  noGrad,
  type OpRecord,
  type ProductDType,
  record,
  type Saved,
} from './tensor/autograd.ts';
export type { Capture, Step, StepPlan, StepResult } from './tensor/capture.ts';
export { CustomKernel, type KernelRun } from './tensor/custom_kernel.ts';
export { type Like, output, tidy } from './tensor/dispatch.ts';
export type { DTypeOfArray, NumberArray } from './tensor/numbers.ts';
export { Random, type RandomState } from './tensor/random.ts';
export { type AxisOptions, type Shape, size } from './tensor/shape.ts';
export { type DType, Scope, Tensor, type TensorArrays, type TensorData } from './tensor/tensor.ts';
export type { Trial } from './tune.ts';
