// One instance of tfjs-core with gradients and chained operations registered, which the package leaves out. Bundled,
// since Node cannot resolve the imports of these files.
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops';
import '@tensorflow/tfjs-backend-webgpu';

export {
  add,
  backend,
  div,
  erf,
  gather,
  logSoftmax,
  matMul,
  mean,
  moments,
  mul,
  ready,
  reshape,
  rsqrt,
  setBackend,
  softmax,
  split,
  sub,
  sum,
  tensor,
  tidy,
  topk,
  train,
  transpose,
  variable,
  variableGrads,
} from '@tensorflow/tfjs-core';
