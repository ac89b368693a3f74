// One tiny call per op and variant: together they run every entry point of shaders/. A new kernel gets a line here.
import {
  AdamW,
  adaptiveMaxPool,
  add,
  addRmsNorm,
  argMax,
  attention,
  backward,
  binaryCrossEntropy,
  broadcastTo,
  cast,
  columnSum,
  compactMap,
  concat,
  cosineMap,
  crossEntropy,
  cumulativeSum,
  depthwiseConv,
  diceLoss,
  dropout,
  embedding,
  erf,
  exp,
  fullLike,
  gather,
  gelu,
  inferenceLinear,
  KeyValueCache,
  l2Normalize,
  layerNorm,
  linear,
  linearCrossEntropy,
  matmul,
  max,
  ParameterStore,
  patchGather,
  permute,
  pillowResize,
  prod,
  quantize,
  randomUniform,
  resize,
  rmsNorm,
  rope,
  sampleTokens,
  scatter,
  scatterRows,
  selectTopK,
  sigmoidContrastive,
  sin,
  slice,
  softmax,
  sortKeys,
  sum,
  swiglu,
  type Tensor,
  topK,
  unpackHeads,
  where,
  withProducts,
} from '../../engine/index.ts';
import type { AttentionVariant } from '../../engine/ops/attention/plan.ts';
import { accumulate } from '../../engine/ops/broadcasting.ts';
import { markNonFinite } from '../../engine/ops/finite.ts';
import { engine, random, tensor, withGpuPlans } from '../harness.ts';
import { withMatrixUnit } from './subgroup_matrix.ts';

const count = (shape: readonly number[]): number => shape.reduce((n, extent) => n * extent, 1);

/** Numbers in [-1, 1] that want a gradient. */
const leaf = (...shape: number[]): Tensor =>
  tensor(random(count(shape), shape.length), shape, { requiresGrad: true });

/** Numbers in [0.1, 0.9] that want a gradient. */
const chances = (...shape: number[]): Tensor =>
  tensor(
    random(count(shape), 3).map((x) => 0.5 + 0.4 * x),
    shape,
    { requiresGrad: true },
  );

const ones = (...shape: number[]): Tensor => tensor(new Float64Array(count(shape)).fill(1), shape);
const integers = (data: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Uint32Array.from(data), shape);

/** Small tiles on emulated matrix units: the interpreter would take minutes for the real ones. */
const onUnits = (fn: () => unknown, columns = 8): unknown =>
  withMatrixUnit(engine, { M: 8, N: 8, K: 8 }, fn, {
    ...{ SUBGROUPS_M: 1, SUBGROUPS_N: 1, SUBGROUP_TILE_N: columns, PASS_N: 8, SQUARES_M: 1, TILE_K: 16 },
  });

/** Nine queries over themselves and five cached keys. */
const attendWithCache = (force: AttentionVariant): Tensor => {
  const [q, k, v] = unpackHeads(leaf(1, 9, 12), { parts: 3, heads: 1 });
  return attention(q, k, v, { cached: { k: leaf(1, 5, 1, 4), v: leaf(1, 5, 1, 4) }, force });
};

/** Runs the backward kernels too. */
const train = (y: Tensor): void => backward(y, { seed: tensor(random(y.size, 9), y.shape) });

export const CASES: Readonly<Record<string, () => void>> = {
  adamw: () => {
    const store = new ParameterStore(engine, [{ name: 'a', shape: [5] }]);
    const optimizer = new AdamW(store, { maxNorm: 1, averageDecay: 0.5, lossScale: 2 });
    optimizer.step();
    optimizer.updateAverages();
  },
  adaptive_max_pool: () => train(adaptiveMaxPool(leaf(2, 35), [5, 7], [2, 3])),
  'attention, split_kv': () => {
    const x = leaf(1, 9, 2, 2);
    train(attention(x, x, x, { force: 'split_kv' }));
    train(attendWithCache('split_kv'));
  },
  'attention, flash': () => {
    attendWithCache('flash');
    const x = leaf(1, 9, 1, 8); // two tiles of keys
    attention(x, x, x, { causal: true, force: 'flash' });
  },
  'attention, query_blocks': () => train(attendWithCache('query_blocks')),
  'attention, query_blocks in tiles': () =>
    withGpuPlans(() => {
      train(attendWithCache('query_blocks'));
      const [k, v] = [leaf(1, 513, 1, 4), leaf(1, 513, 1, 4)]; // two splits of the keys
      attention(leaf(1, 1, 1, 4), k, v, { force: 'query_blocks' });
    }),
  'attention on matrix units': () => {
    const x = leaf(1, 7, 1, 4);
    onUnits(() =>
      train(withProducts('f16', () => attention(x, x, x, { causal: true, force: 'query_blocks' }))),
    );
  },
  'attention, causal, heads that share keys': () => {
    const once = (force: 'split_kv' | 'query_blocks'): void => {
      const offset = tensor(Int32Array.of(4), [1]);
      const [k, v] = [leaf(1, 15, 1, 4), leaf(1, 15, 1, 4)];
      train(attention(leaf(1, 9, 2, 4), k, v, { causal: true, offset, force }));
    };
    once('split_kv');
    once('query_blocks');
    withGpuPlans(() => once('query_blocks'));
  },
  'attention, packed': () => {
    const sequences = tensor(Int32Array.of(0, 3, 8), [3]);
    const once = (causal: boolean, force: 'split_kv' | 'query_blocks'): void => {
      const x = leaf(1, 9, 2, 4);
      train(attention(x, x, x, { causal, sequences, force }));
    };
    once(true, 'split_kv');
    once(true, 'query_blocks');
    withGpuPlans(() => once(true, 'query_blocks'));
    once(false, 'query_blocks');
  },
  'attention with a mask': () => {
    const keyMask = tensor([1, 0, 1, 1, 0, 1, 1, 1, 0, 0], [2, 5]);
    train(attention(leaf(1, 1, 1, 4), leaf(2, 5, 1, 4), leaf(2, 5, 1, 4), { keyMask }));
    const x = leaf(2, 5, 1, 4);
    attention(x, x, x, { softcap: 2, causal: true, offset: tensor(Int32Array.of(1, 0), [2]) });
  },
  binary_cross_entropy: () => train(binaryCrossEntropy(chances(3, 11), ones(3, 11))),
  cast: () => {
    cast(cast(leaf(13), 'bf16'), 'f32');
    cast(cast(leaf(13), 'f16'), 'f32');
  },
  column_sum: () => {
    columnSum(leaf(5, 7));
    withGpuPlans(() => columnSum(leaf(19, 7)));
  },
  contrastive: () =>
    train(sigmoidContrastive(l2Normalize(leaf(5, 4)), l2Normalize(leaf(5, 4)), leaf(1), leaf(1))),
  copy: () => {
    train(permute(leaf(2, 3, 4), [2, 0, 1]));
    train(slice(leaf(4, 3), { axis: 0, start: 1, length: 2 }));
    train(concat([leaf(2, 3), leaf(1, 3)], { axis: 0 }));
  },
  cosine: () => {
    train(cosineMap(leaf(2, 5, 6), leaf(2, 6)));
    withGpuPlans(() => train(cosineMap(leaf(2, 5, 6), leaf(2, 6))));
  },
  cross_entropy: () => {
    const both = () => {
      train(crossEntropy(leaf(3, 11), integers([4, 0, 10], [3])));
      train(linearCrossEntropy(leaf(3, 5), leaf(8, 5), integers([4, 0, 7], [3])));
    };
    both();
    withGpuPlans(both);
  },
  cumulative_sum: () => {
    train(cumulativeSum(leaf(2, 7)));
    withGpuPlans(() => cumulativeSum(leaf(1, 5)));
  },
  depthwise_conv: () => {
    const once = () => train(depthwiseConv(leaf(1, 12, 4), leaf(4, 1, 7, 7), [3, 4], { bias: leaf(4) }));
    once();
    withGpuPlans(once);
  },
  dice: () => train(diceLoss(chances(3, 11), ones(3, 11))),
  dropout: () => train(dropout(leaf(5), { p: 0.5, seed: 1, step: integers([2], [1]) })),
  fill: () => {
    fullLike(leaf(5), 2);
    engine.arange(5);
  },
  elements: () => {
    train(gather(leaf(3, 4), integers([2, 0, 1, 1], [1, 4])));
    const scattered = () => scatter(leaf(3, 4), integers([2, 0, 1, 1], [1, 4]), leaf(1, 4));
    scattered();
    withGpuPlans(scattered);
  },
  finite: () => {
    markNonFinite(leaf(5), integers([7], [1]), 1);
    withGpuPlans(() => markNonFinite(leaf(8), integers([7], [1]), 1));
  },
  'gather, scatter': () => {
    train(embedding(leaf(1, 3, 4), integers([0, 2, 1, 0, 2, 1, 0], [1, 7])));
    train(scatterRows(leaf(1, 3, 4), integers([4, 0, 2], [1, 3]), 5));
  },
  gelu: () => {
    train(gelu(leaf(12)));
    train(gelu(leaf(13)));
  },
  kv_cache: () => {
    const cache = new KeyValueCache(engine, { layers: 1, batch: 2, length: 5, kvHeads: 1, headSize: 4 });
    cache.attend(0, leaf(2, 3, 16), leaf(2), { heads: 2, offset: 1 });
    cache.advance(3);
    const token = () => cache.attend(0, leaf(2, 1, 16), leaf(2), { heads: 2 });
    token();
    withGpuPlans(token);
  },
  l2_normalize: () => {
    train(l2Normalize(leaf(3, 11)));
    withGpuPlans(() => train(l2Normalize(leaf(3, 11))));
  },
  layer_norm: () => {
    train(layerNorm(leaf(3, 11), leaf(11), leaf(11)));
    withGpuPlans(() => train(layerNorm(leaf(3, 11), leaf(11), leaf(11))));
  },
  matmul: () => {
    train(matmul(leaf(3, 5), leaf(5, 4), { force: { kind: 'register' } }));
    matmul(leaf(3, 5), leaf(4, 5), {
      transposeB: true,
      force: { kind: 'register', transposeFirst: true },
    });
    matmul(leaf(3, 8), leaf(4, 8), {
      transposeB: true,
      force: { kind: 'register', transposeFirst: true },
    });
    train(linear(leaf(3, 5), leaf(4, 5), { bias: leaf(4), gelu: 'erf' }));
  },
  matmul_tiled: () => {
    matmul(leaf(3, 17), leaf(17, 4), { force: { kind: 'tiled' } });
    matmul(leaf(3, 17), leaf(17, 3), { force: { kind: 'tiled' } });
    // The second of four streams has the end of a tile and the beginning of the next.
    matmul(leaf(3, 33), leaf(33, 36), { force: { kind: 'tiled', streams: 4 } });
    onUnits(() => matmul(leaf(3, 17), leaf(17, 3), { force: { kind: 'tiled', onUnits: true } }));
    onUnits(() => matmul(leaf(3, 17), leaf(17, 3), { force: { kind: 'tiled', onUnits: 'f32' } }));
    // In two passes.
    onUnits(() => matmul(leaf(3, 9), leaf(9, 12), { force: { kind: 'tiled', onUnits: true } }), 16);
  },
  matmul_subgroup_matrix: () =>
    withMatrixUnit(
      engine,
      { M: 8, N: 8, K: 8 },
      () => matmul(leaf(3, 17), leaf(17, 3), { force: { kind: 'subgroup_matrix' } }),
      { SUBGROUP_TILE_M: 8, SUBGROUP_TILE_N: 8 }, // the interpreter would take minutes for the real ones
    ),
  patch_gather: () =>
    patchGather(leaf(1, 3, 5, 4), integers([3, 0], [1, 2]), { imagePx: [4, 4], patchPx: 2 }),
  pillow_resize: () => {
    const image = tensor(
      Uint8Array.from(random(60, 4), (x) => 127.5 + 127 * x),
      [1, 3, 5, 4],
    );
    pillowResize(image, [5, 4]);
  },
  pointwise: () => {
    train(add(leaf(3, 5), leaf(5)));
    train(where(tensor([1, 0, 1], [3]), leaf(3), leaf(3)));
    accumulate(leaf(5), leaf(5));
  },
  quantize: () => {
    const products = () => {
      for (const bits of [4, 8] as const) {
        const matrix = quantize(leaf(3, 64), { bits });
        for (const M of [1, 9]) inferenceLinear(leaf(M, 64), matrix);
        inferenceLinear(leaf(1, 64), quantize(leaf(6, 64), { bits }), { swiglu: true });
        embedding(matrix, integers([2, 0, 5], [3]));
      }
      inferenceLinear(leaf(2, 64), leaf(70, 64));
      inferenceLinear(leaf(2, 64), leaf(70, 64), { swiglu: true });
    };
    products();
    withGpuPlans(products);
  },
  random: () => randomUniform(engine, [5], { seed: 1 }),
  reduce: () => {
    train(sum(leaf(3, 11)));
    train(sum(leaf(3, 8), { axis: 1 }));
    train(sum(leaf(3, 5), { axis: 0 }));
    train(max(leaf(3, 5), { axis: 1 }));
    train(prod(chances(3, 5), { axis: 1 }));
    argMax(leaf(3, 5), { axis: 1 });
    train(broadcastTo(leaf(5), [3, 5]));
  },
  resize: () => {
    train(resize(leaf(1, 1, 3, 5), [5, 4], 'bicubic'));
    train(resize(leaf(1, 1, 3, 8), [5, 2], 'bicubic'));
    train(resize(leaf(1, 1, 7, 5), [3, 4], 'bicubic-antialias'));
  },
  rms_norm: () => {
    train(rmsNorm(leaf(3, 11), leaf(11)));
    train(addRmsNorm(leaf(3, 11), leaf(3, 11), leaf(11)).y);
    withGpuPlans(() => train(rmsNorm(leaf(3, 11), leaf(11))));
  },
  rope: () => {
    train(rope(leaf(1, 3, 11), leaf(2), { heads: 2 }));
    train(rope(leaf(2, 3, 11), leaf(2), { heads: 2, offset: tensor(Int32Array.of(4, -1), [2]) }));
    train(rope(leaf(1, 5, 4), leaf(2), { sequences: tensor(Int32Array.of(0, 2, 5), [3]) }));
  },
  sample_tokens: () => {
    const options = {
      steps: integers([3], [1]),
      seen: integers([5], [1, 1]),
      topP: 0.8,
      repetitionPenalty: 1.5,
    };
    sampleTokens(leaf(1, 5), options);
    sampleTokens(leaf(1, 5), { ...options, temperature: 1 });
  },
  softmax: () => {
    train(softmax(leaf(3, 11)));
    withGpuPlans(() => train(softmax(leaf(3, 11))));
  },
  sort: () => sortKeys(integers([3, 1, 2, 1, 0, 3, 1], [1, 7]), { bits: 8 }),
  swiglu: () => train(swiglu(leaf(3, 10))),
  top_k: () => {
    topK(leaf(1, 9), 6);
    withGpuPlans(() => topK(leaf(1, 9), 6));
    selectTopK(leaf(1, 7), 3);
    compactMap(tensor([1, 0, 1, 0, 1], [1, 5]), 3);
  },
  unary: () => {
    train(exp(leaf(5)));
    train(erf(leaf(5)));
    train(sin(leaf(5)));
  },
};
