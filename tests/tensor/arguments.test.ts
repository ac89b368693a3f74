// Arguments that TypeScript would refuse, as they come from JavaScript: refused by name, or taken by the rule.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as door from '../../engine/index.ts';
import { engine, throws } from '../harness.ts';

/** engine.tensor as JavaScript calls it. */
const tensor = (...args: unknown[]) => Reflect.apply(engine.tensor, engine, args);
const empty = (...args: unknown[]) => Reflect.apply(engine.empty, engine, args);
const zeros = (...args: unknown[]) => Reflect.apply(engine.zeros, engine, args);

test('tensor: data that are no numbers are refused, nested ones with what to do', () => {
  const live = engine.stats().liveTensors;
  for (const data of [undefined, null, 3, '12', {}, new DataView(new ArrayBuffer(4)), new BigInt64Array(2)])
    throws(() => tensor(data), /^tensor: data must be a typed array or a list of numbers, got /);
  const row = [1, 2];
  const nested = [row, row];
  for (const data of [nested, [Float32Array.of(1, 2)], [1, [2]]])
    throws(() => tensor(data), /^tensor: every item of data must be a number, got an? .+ at [01]\. .+\.$/);
  throws(() => tensor(nested), /a list at 0\. Flatten it, and pass its shape\.$/);
  for (const data of [['1'], [undefined], [null], [1n], [true], new Array(2)])
    throws(() => tensor(data), /^tensor: every item of data must be a number, got /);
  assert.is(engine.stats().liveTensors, live);
});

test('tensor: the array tells the dtype, or it must be named', async () => {
  using scope = engine.scope();
  const rule = { f32: [[1.5], Float32Array.of(1.5), Float64Array.of(1.5)], i32: [Int32Array.of(-7)] };
  for (const [dtype, arrays] of Object.entries({ ...rule, u32: [Uint32Array.of(2 ** 32 - 1)] }))
    for (const data of arrays) {
      const x = engine.tensor(data, [1], { scope });
      assert.equal([x.dtype, ...(await x.data())], [dtype, data[0]]);
    }
  for (const data of [Uint8Array.of(255), Uint8ClampedArray.of(255)])
    assert.equal([...(await engine.tensor(data, [1], { scope }).data())], [255]);
  const untold = [Int8Array.of(-1), Int16Array.of(-2), Uint16Array.of(3)];
  for (const data of untold) {
    throws(
      () => tensor(data),
      /^tensor: the dtype of an? (Int8|Int16|Uint16)Array must be named, got none\. /,
    );
    assert.equal([...(await engine.tensor(data, [1], { scope, dtype: 'f32' }).data())], [data[0]]);
    assert.equal([...(await engine.tensor(data, [1], { scope, dtype: 'i32' }).data())], [data[0]]);
  }
});

test('tensor: an integer dtype takes only numbers that it has', async () => {
  using scope = engine.scope();
  const wrong = [
    ['i32', [1, 0.5]],
    ['i32', [0, 2 ** 31]],
    ['i32', [0, Number.NaN]],
    ['u32', [0, -1]],
    ['u32', Float32Array.of(0, Infinity)],
    ['u8', [0, 256]],
    ['u8', Int8Array.of(0, -1)],
  ] as const;
  for (const [dtype, data] of wrong)
    throws(
      () => tensor(data, [2], { dtype }),
      new RegExp(`^tensor: data must be whole numbers that ${dtype} has, got ${data[1]} at 1\\.$`),
    );
  const edges = engine.tensor([-(2 ** 31), 2 ** 31 - 1, -0], [3], { scope, dtype: 'i32' });
  assert.equal([...(await edges.data())], [-(2 ** 31), 2 ** 31 - 1, 0]);
  for (const dtype of ['f16', 'bf16'])
    throws(() => tensor([1], [1], { dtype }), /must come as 16-bit patterns in a Uint16Array, got a list\./);
});

test('tensor, empty, zeros, wrapBuffer: shapes and dtypes that do not exist are refused', () => {
  for (const shape of [[1.5], [Number.NaN], [-1], [Infinity], ['2'], [undefined], [[2]], [2 ** 53]])
    for (const make of [empty, zeros])
      throws(() => make(shape), /^tensor: every extent must be a whole number from 0, got \[.*\]\.$/);
  for (const shape of [2, '2', {}, null])
    throws(
      () => empty(shape),
      /^tensor: the shape must be a list of whole numbers from 0, got .+\. Use \[n\]\.$/,
    );
  const names = /^tensor: the dtype must be f32, i32, u32, u8, f16, bf16, got (float32|F32|constructor)\./;
  for (const dtype of ['float32', 'F32', 'constructor']) {
    throws(() => tensor([1], [1], { dtype }), names);
    throws(() => empty([1], { dtype }), names);
  }
});

test('write: an array of another type is refused, not read as bits', () => {
  using x = engine.zeros([2], { dtype: 'i32' });
  const write = (data: unknown) => Reflect.apply(x.write, x, [data]);
  throws(
    () => write(Float32Array.of(1, 2)),
    /^tensor \[2\]: write needs Int32Array or a tensor of i32, got a Float32Array\.$/,
  );
  throws(() => write(new BigInt64Array(1)), /got a BigInt64Array\.$/);
  using y = engine.zeros([2]);
  throws(() => write(y), /got f32\.$/);
  for (const data of [undefined, 3, [1, 2]]) throws(() => write(data), /got (undefined|a number|a list)\.$/);
});

/** The first tensors of every exported op, and what follows them. */
const OPERANDS: Readonly<Record<string, readonly [tensors: number, ...others: unknown[]]>> = {
  ...Object.fromEntries(
    (
      'abs argMax binaryCrossEntropy:2 ceil columnSum conv2d:2 cos cosineMap:2 crossEntropy:2 cumulativeSum diceLoss:2 erf exp floor ' +
      'embedding:2 gather:2 gelu inferenceLinear:2 l2Normalize layerNorm:3 linear:2 linearCrossEntropy:3 log logSoftmax matmul:2 max mean ' +
      'addRmsNorm:3 min neg onesLike patchGather prod quantize reciprocal relu rmsNorm:2 rope:2 round rsqrt scatter:3 sigmoid sigmoidContrastive:4 ' +
      'sign sin softmax softplus sortKeys sqrt square sum swiglu take:2 tanh patchify zerosLike backward'
    )
      .split(' ')
      .map((name) => [name.split(':')[0], [Number(name.split(':')[1] ?? 1)]]),
  ),
  adaptiveMaxPool: [1, [1, 1], [1, 1]],
  attention: [3],
  attentionWithScores: [3],
  broadcastTo: [1, [2, 2]],
  cast: [1, 'i32'],
  clamp: [1, 0, 1],
  compactMap: [1, 1],
  depthwiseConv: [2, [1, 1]],
  dropout: [1, { p: 0.5, seed: 1 }],
  fullLike: [1, 0],
  pad: [1, [[0, 0]]],
  patchGather: [1, undefined, { imagePx: [2, 2], patchPx: 2 }],
  permute: [1, [0]],
  pillowResize: [1, [1, 1]],
  resize: [1, [1, 1], 'nearest'],
  resizeRows: [1, [1, 1], [1, 1], 'nearest'],
  sampleTokens: [1, {}],
  scatterRows: [2, 1],
  selectTopK: [1, 1],
  slice: [1],
  sumTo: [1, []],
  topK: [1, 1],
  patchify: [1, 2],
  unfold: [1, [1, 1]],
};

/** Ops whose operand may be a number, and what is refused otherwise. */
const PAIRS =
  'add div equal greater greaterEqual less lessEqual maximum minimum mul pow remainder sub where'.split(' ');

/** Functions of the door that take no tensor, or a list of them, or one among their options. */
const OTHERS =
  'arange assertWritableFolder capture certify checkpoint chromeTrace concat decodeF32 encodeSafetensors expect expectDType expectKeys expectSampling ' +
  'axisTaps expectTensor f32ToBf16 f32ToF16 fileErrorOf fileSystem formatCertificate formatKernelTimes freeMemoryBytes hashFunctions kernelTimes layerNormLayer linearLayer makeFolder ' +
  'noGrad onPath openSafetensors output proveKernels randomBits randomNormal randomUniform readTextFile record size ' +
  'squaredNorm tidy unpackHeads useDeviceRecord warmupCosine withProducts withSavedActivations writeSafetensors';

/** An exported function, called as JavaScript calls it. */
const call = (name: string, args: readonly unknown[]) =>
  Reflect.apply(Reflect.get(door, name), undefined, args);

test('ops: every exported function is in a table of this file', () => {
  const known = new Set([...Object.keys(OPERANDS), ...PAIRS, ...OTHERS.split(' ')]);
  const functions = Object.entries(door).filter(
    ([name, it]) => typeof it === 'function' && /^[a-z]/.test(name),
  );
  assert.equal(
    functions.map(([name]) => name).filter((name) => !known.has(name)),
    [],
  );
});

test('ops: undefined, a number, a list and a string in place of a tensor are refused by name', () => {
  using scope = engine.scope();
  const faults: string[] = [];
  for (const [name, [tensors, ...others]] of Object.entries(OPERANDS))
    for (const wrong of [undefined, null, 3, [1, 2], 'x', {}, Float32Array.of(1)]) {
      try {
        call(name, [...new Array(tensors).fill(wrong), ...others]);
        faults.push(`${name} takes ${JSON.stringify(wrong)}`);
      } catch (error) {
        const rule = /^\w+: [a-zA-Z]+ must be a tensor, got .+\. Make one by engine\.tensor\(\)\.$/;
        if (!(error instanceof Error && rule.test(error.message))) faults.push(`${name}: ${error}`);
      }
    }
  const x = engine.tensor([1, 2], [2], { scope });
  for (const name of PAIRS)
    for (const wrong of [undefined, null, [1, 2], 'x', {}])
      for (const args of [
        [wrong, x, x],
        [x, wrong, wrong],
        [wrong, wrong, wrong],
      ]) {
        const rule = /^\w+: (\w+ must be a tensor|an operand must be a tensor), got /;
        throws(() => call(name, args), rule);
      }
  throws(() => call('concat', [undefined, 0]), /^concat: there must be a tensor to join, got undefined\.$/);
  throws(() => call('concat', [[3], 0]), /^concat: every x must be a tensor, got a number\./);
  throws(() => call('squaredNorm', [[3]]), /^squaredNorm: x must be a tensor, got a number\./);
  assert.equal(faults, []);
});

test('options: an unknown key, and what is no object, are refused by the name of the function', async () => {
  using scope = engine.scope();
  const square = engine.ones([2, 2], { scope });
  const image = engine.ones([1, 3, 2, 2], { scope });
  const heads = engine.ones([1, 2, 1, 4], { scope });
  const rows = engine.ones([1, 4, 2], { scope });
  const row = engine.ones([2], { scope });
  const scalar = engine.ones([1], { scope });
  const indices = engine.zeros([2, 2], { dtype: 'u32', scope });
  const labels = engine.zeros([2], { dtype: 'u32', scope });
  const required: Readonly<Record<string, readonly unknown[]>> = {
    arange: [engine, 2],
    addRmsNorm: [square, square, row],
    argMax: [square],
    attention: [heads, heads, heads],
    attentionWithScores: [heads, heads, heads],
    backward: [square],
    binaryCrossEntropy: [square, square],
    columnSum: [square],
    concat: [[square]],
    conv2d: [image, image],
    cosineMap: [rows, row.reshape([1, 2])],
    crossEntropy: [square, labels],
    cumulativeSum: [square],
    depthwiseConv: [rows, row.reshape([2, 1, 1, 1]), [2, 2]],
    diceLoss: [square, square],
    dropout: [square],
    embedding: [square, indices],
    gather: [square, indices],
    gelu: [square],
    inferenceLinear: [square, square],
    l2Normalize: [square],
    layerNorm: [square, row, row],
    linear: [square, square],
    linearCrossEntropy: [square, square, labels],
    logSoftmax: [square],
    matmul: [square, square],
    max: [square],
    mean: [square],
    min: [square],
    pad: [row, [[0, 0]]],
    patchify: [image, 2],
    prod: [square],
    quantize: [square],
    resize: [image, [2, 2]],
    rmsNorm: [square, row],
    rope: [rows, scalar],
    sampleTokens: [square],
    scatter: [square, indices, square],
    sigmoidContrastive: [square, square, scalar, scalar],
    slice: [square],
    softmax: [square],
    sortKeys: [indices],
    sum: [square],
    take: [square, indices],
    unfold: [image, [1, 1]],
  };
  const given: Readonly<Record<string, object>> = { resize: { mode: 'linear' } };
  for (const [name, args] of Object.entries(required)) {
    throws(
      () => call(name, [...args, { ...given[name], axes: 1 }]),
      RegExp(`^${name}: an option must be one of .+, got axes\\.$`),
    );
    // As an earlier or another library would take it.
    const rule =
      name === 'resize'
        ? /^resize: mode must be one of /
        : RegExp(`^${name}: options must be an object of .+, got a number\\.$`);
    throws(() => call(name, [...args, 1]), rule);
  }
  const withKey: Readonly<Record<string, readonly unknown[]>> = {
    randomBits: [engine, [1], { seed: 1, low: 0 }],
    randomNormal: [engine, [1], { seed: 1, low: 0 }],
    randomUniform: [engine, [1], { seed: 1, std: 1 }],
    patchGather: [image, undefined, { imagePx: [2, 2], patchPx: 2, size: 1 }],
    unpackHeads: [rows, { parts: 1, heads: 1, head: 1 }],
  };
  for (const [name, args] of Object.entries(withKey))
    throws(
      () => call(name, args),
      RegExp(`^${name}: an option must be one of .+, got (low|std|size|head)\\.$`),
    );
  for (const make of ['tensor', 'full'] as const)
    throws(
      () => Reflect.apply(engine[make], engine, [[1], [1], { scopes: scope }]),
      /^tensor: an option must be one of dtype, scope, requiresGrad, got scopes\.$/,
    );
  for (const make of ['empty', 'zeros', 'ones'] as const)
    throws(() => Reflect.apply(engine[make], engine, [[1], 'i32']), /^tensor: options must be an object of /);
  const refused = await Reflect.apply(door.Engine.create, door.Engine, [{ teir: 0 }]).catch(String);
  assert.match(String(refused), /^ShapeError: Engine\.create: an option must be one of .+, got teir\.$/);
});

test.run();
