// An error begins with the exported name that was called.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as api from '../../engine/index.ts';
import { engine } from '../harness.ts';

/** Calls with a tensor whose dtype or shape the op does not take. */
const BAD: Readonly<Record<string, (odd: api.Tensor, x: api.Tensor) => unknown>> = {
  addRmsNorm: (odd, x) => api.addRmsNorm(x, x, odd),
  adaptiveMaxPool: (odd) => api.adaptiveMaxPool(odd, [2, 2], [1, 1]),
  add: (odd) => api.add(odd, odd),
  argMax: (odd) => api.argMax(odd, { axis: 0 }),
  binaryCrossEntropy: (odd) => api.binaryCrossEntropy(odd, odd),
  broadcastTo: (_odd, x) => api.broadcastTo(x, [3]),
  clamp: (odd) => api.clamp(odd, 0, 1),
  columnSum: (_odd, x) => api.columnSum(x, { shape: [3] }),
  compactMap: (odd) => api.compactMap(odd, 1),
  concat: (odd) => api.concat([odd], { axis: 0 }),
  conv2d: (odd) => api.conv2d(odd, odd),
  cosineMap: (odd) => api.cosineMap(odd, odd),
  crossEntropy: (odd) => api.crossEntropy(odd, odd),
  depthwiseConv: (odd) => api.depthwiseConv(odd, odd, [2, 2]),
  diceLoss: (odd) => api.diceLoss(odd, odd),
  exp: (odd) => api.exp(odd),
  embedding: (odd) => api.embedding(odd, odd),
  gather: (odd, x) => api.gather(x, odd),
  gelu: (odd) => api.gelu(odd),
  inferenceLinear: (odd) => api.inferenceLinear(odd, odd),
  l2Normalize: (odd) => api.l2Normalize(odd),
  layerNorm: (odd, x) => api.layerNorm(x, odd.reshape([2, 2]), x),
  linear: (odd) => api.linear(odd, odd),
  linearCrossEntropy: (odd, x) => api.linearCrossEntropy(x, odd, odd),
  logSoftmax: (odd) => api.logSoftmax(odd),
  matmul: (odd) => api.matmul(odd, odd),
  mean: (odd) => api.mean(odd),
  patchGather: (odd) => api.patchGather(odd, undefined, { imagePx: [2, 2], patchPx: 1 }),
  patchify: (odd) => api.patchify(odd, 1),
  permute: (odd) => api.permute(odd, [1]),
  pillowResize: (odd) => api.pillowResize(odd, [2, 2]),
  quantize: (odd) => api.quantize(odd),
  resize: (odd) => api.resize(odd, [2, 2], 'area'),
  resizeRows: (odd) => api.resizeRows(odd, [2, 2], [1, 1], 'area'),
  rmsNorm: (odd, x) => api.rmsNorm(x, odd),
  rope: (odd, x) => api.rope(x, odd),
  scatter: (odd, x) => api.scatter(x, odd, x),
  scatterRows: (odd) => api.scatterRows(odd, odd, 2),
  selectTopK: (odd) => api.selectTopK(odd, 1),
  sigmoidContrastive: (odd) => api.sigmoidContrastive(odd, odd, odd, odd),
  slice: (odd) => api.slice(odd, { axis: 0, start: 9, length: 1 }),
  softmax: (odd) => api.softmax(odd),
  sortKeys: (odd) => api.sortKeys(odd),
  squaredNorm: (odd) => api.squaredNorm([odd]),
  sumTo: (_odd, x) => api.sumTo(x, [3]),
  swiglu: (odd) => api.swiglu(odd),
  take: (odd, x) => api.take(x, odd),
  topK: (odd) => api.topK(odd, 1),
  unfold: (odd) => api.unfold(odd, [3, 3]),
  where: (odd) => api.where(odd, odd, odd),
};

for (const [name, call] of Object.entries(BAD))
  test(`errors: ${name} calls itself by its name`, () => {
    using scope = engine.scope();
    const odd = engine.tensor(Uint8Array.of(1, 2, 3, 4), [4], { scope });
    const x = engine.zeros([4], { scope });
    assert.throws(
      () => call(odd, x),
      (error: Error) => error instanceof api.EngineError && error.message.startsWith(`${name}: `),
    );
  });

test.run();
