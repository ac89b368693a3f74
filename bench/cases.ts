// Every case there is, in the order of the table. Imported one by one, so that bundlers and Deno can follow; a test
// compares them with the folder.

import { cases as decoder } from './decoder.bench.ts';
import { cases as dispatch } from './dispatch.bench.ts';
import type { BenchCase } from './harness.ts';
import { cases as looks } from './looks.bench.ts';
import { cases as model } from './model.bench.ts';
import { cases as adamw } from './ops/adamw.bench.ts';
import { cases as adaptiveMaxPool } from './ops/adaptive_max_pool.bench.ts';
import { cases as attention } from './ops/attention.bench.ts';
import { cases as binaryCrossEntropy } from './ops/binary_cross_entropy.bench.ts';
import { cases as cast } from './ops/cast.bench.ts';
import { cases as columnSum } from './ops/column_sum.bench.ts';
import { cases as contrastive } from './ops/contrastive.bench.ts';
import { cases as copy } from './ops/copy.bench.ts';
import { cases as cosine } from './ops/cosine.bench.ts';
import { cases as crossEntropy } from './ops/cross_entropy.bench.ts';
import { cases as cumulativeSum } from './ops/cumulative_sum.bench.ts';
import { cases as depthwiseConv } from './ops/depthwise_conv.bench.ts';
import { cases as dice } from './ops/dice.bench.ts';
import { cases as dropout } from './ops/dropout.bench.ts';
import { cases as elements } from './ops/elements.bench.ts';
import { cases as fill } from './ops/fill.bench.ts';
import { cases as finite } from './ops/finite.bench.ts';
import { cases as gather } from './ops/gather.bench.ts';
import { cases as gelu } from './ops/gelu.bench.ts';
import { cases as kvCache } from './ops/kv_cache.bench.ts';
import { cases as l2Normalize } from './ops/l2_normalize.bench.ts';
import { cases as layerNorm } from './ops/layer_norm.bench.ts';
import { cases as matmul } from './ops/matmul.bench.ts';
import { cases as patchGather } from './ops/patch_gather.bench.ts';
import { cases as pillowResize } from './ops/pillow_resize.bench.ts';
import { cases as pointwise } from './ops/pointwise.bench.ts';
import { cases as quantize } from './ops/quantize.bench.ts';
import { cases as random } from './ops/random.bench.ts';
import { cases as reduce } from './ops/reduce.bench.ts';
import { cases as resize } from './ops/resize.bench.ts';
import { cases as rmsNorm } from './ops/rms_norm.bench.ts';
import { cases as rope } from './ops/rope.bench.ts';
import { cases as sampleTokens } from './ops/sample_tokens.bench.ts';
import { cases as softmax } from './ops/softmax.bench.ts';
import { cases as sort } from './ops/sort.bench.ts';
import { cases as swiglu } from './ops/swiglu.bench.ts';
import { cases as topK } from './ops/top_k.bench.ts';
import { cases as unary } from './ops/unary.bench.ts';
import { cases as vit } from './vit.bench.ts';

export const ALL_CASES: readonly BenchCase[] = [
  adamw,
  adaptiveMaxPool,
  attention,
  binaryCrossEntropy,
  cast,
  columnSum,
  contrastive,
  copy,
  cosine,
  crossEntropy,
  cumulativeSum,
  depthwiseConv,
  dice,
  dropout,
  elements,
  fill,
  finite,
  gather,
  gelu,
  kvCache,
  l2Normalize,
  layerNorm,
  matmul,
  patchGather,
  pillowResize,
  pointwise,
  quantize,
  random,
  reduce,
  resize,
  rmsNorm,
  rope,
  sampleTokens,
  softmax,
  sort,
  swiglu,
  topK,
  unary,
  dispatch,
  model,
  looks,
  vit,
  decoder,
].flat();
