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
export { Engine, type EngineStats, type TensorOptions } from './engine.ts';
export { noGrad } from './tensor/autograd.ts';
export { tidy } from './tensor/dispatch.ts';
export type { Shape } from './tensor/shape.ts';
export { type DType, Scope, Tensor, type TensorData } from './tensor/tensor.ts';
export { backward, checkpoint } from './ops/backward.ts';
export { fill } from './ops/fill.ts';
export { accumulate, add } from './ops/pointwise.ts';
export { layerNorm } from './ops/layer_norm.ts';
