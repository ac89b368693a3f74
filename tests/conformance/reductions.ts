// ONNX operators along axes: reductions, softmax, normalisations, top-k.
import {
  add,
  argMax,
  broadcastTo,
  cast,
  clamp,
  exp,
  layerNorm,
  log,
  logSoftmax,
  max,
  mean,
  min,
  mul,
  permute,
  prod,
  type ReduceOptions,
  rsqrt,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  topK,
} from '../../engine/index.ts';
import type { Call, Operator } from './call.ts';
import { magnitude, negative } from './elementwise.ts';

type Reduction = (x: Tensor, options: ReduceOptions) => Tensor;

/** Axes are an operand in later opsets, an attribute in earlier ones; none means all unless `noop_with_empty_axes`. */
const reduction =
  (f: Reduction): Operator =>
  (call) => {
    const x = call.x(0);
    const given = call.numbers(1) ?? call.list('axes') ?? [];
    const all = given.length === 0 && call.number('noop_with_empty_axes', 0) === 0;
    const y = f(x, {
      axis: all ? undefined : given,
      keepDims: call.number('keepdims', 1) === 1,
    });
    // The extremum of no truth value is one, too.
    return call.values[0]?.dtype === 'BOOL' ? clamp(y, 0, 1) : y;
  };

const logSumExp: Reduction = (x, options) => {
  const highest = clamp(max(x, { ...options, keepDims: true }), -3e38, 3e38);
  const total = log(sum(exp(sub(x, highest)), options));
  return add(total, highest.reshape(total.shape));
};

const extremumIndex =
  (sign: 1 | -1): Operator =>
  (call) => {
    const x = call.x(0);
    return argMax(sign === 1 ? x : negative(x), {
      axis: call.number('axis', 0),
      keepDims: call.number('keepdims', 1) === 1,
      last: call.number('select_last_index', 0) === 1,
    });
  };

/** Calls f with the axis moved to the end, and moves it back. */
function atTheEnd(x: Tensor, axis: number, f: (x: Tensor) => Tensor): Tensor {
  const d = axis < 0 ? axis + x.shape.length : axis;
  const order = [...x.shape.keys()].filter((at) => at !== d).concat(d);
  const back = order.map((_at, place) => order.indexOf(place));
  return permute(f(permute(x, order)), back);
}

/** Before opset 13 all axes from `axis` on are one. */
const softmaxAlong =
  (f: (x: Tensor) => Tensor): Operator =>
  (call) => {
    const x = call.x(0);
    if (call.opset >= 13) return atTheEnd(x, call.number('axis', -1), f);
    const axis = call.number('axis', 1);
    return f(x.reshape(asMatrix(x, axis))).reshape(x.shape);
  };

/** The extents before `axis` and from it on, as rows and columns. */
function asMatrix(x: Tensor, axis: number): [number, number] {
  const d = axis < 0 ? axis + x.shape.length : axis;
  const count = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);
  return [count(x.shape.slice(0, d)), count(x.shape.slice(d))];
}

/** The axes that are normalised together: `axis` and those behind it. */
function normalisedAxes(call: Call, x: Tensor): number[] {
  const axis = call.number('axis', -1);
  const first = axis < 0 ? axis + x.shape.length : axis;
  return x.shape.map((_extent, d) => d).slice(first);
}

const layerNormalization: Operator = (call) => {
  const x = call.x(0);
  const axes = normalisedAxes(call, x);
  const eps = call.number('epsilon', 1e-5);
  const inner = x.shape.slice(axes[0]);
  const rows = x.reshape(asMatrix(x, axes[0]));
  const [scale, bias] = [call.x(1), call.has(2) ? call.x(2) : call.constant(0, x)];
  const perRow = scale.shape.length > inner.length || bias.shape.length > inner.length;
  const flat = (t: Tensor) => broadcastTo(t, inner).reshape([rows.shape[1]]);
  const [gamma, beta] = (perRow ? [call.constant(1, x), call.constant(0, x)] : [scale, bias]).map(flat);
  const normal = layerNorm(rows, gamma, beta, { eps }).reshape(x.shape);
  const y = perRow ? add(mul(normal, scale), bias) : normal;
  const middle = mean(x, { axis: axes, keepDims: true });
  const variance = mean(square(sub(x, middle)), { axis: axes, keepDims: true });
  return [y, middle, rsqrt(add(variance, eps))];
};

const rmsNormalization: Operator = (call) => {
  const x = call.x(0);
  const power = mean(square(x), { axis: normalisedAxes(call, x), keepDims: true });
  return mul(mul(x, rsqrt(add(power, call.number('epsilon', 1e-5)))), call.x(1));
};

/** Ties go to the lower index; sorted whether asked for or not. Integers are compared as f32. */
const topKAlong: Operator = (call) => {
  const x = call.x(0);
  const axis = call.number('axis', -1);
  const d = axis < 0 ? axis + x.shape.length : axis;
  const k = call.numbers(1)?.[0] ?? call.number('k', 1);
  const sign = call.number('largest', 1) === 1 ? 1 : -1;
  const order = [...x.shape.keys()].filter((at) => at !== d).concat(d);
  const back = order.map((_at, place) => order.indexOf(place));
  const rows = permute(mul(cast(x, 'f32'), sign), order);
  const { values, indices } = topK(rows.reshape(asMatrix(rows, -1)), k);
  const shape = rows.shape.with(-1, k);
  return [
    permute(cast(mul(values, sign), x.dtype).reshape(shape), back),
    permute(indices.reshape(shape), back),
  ];
};

export const REDUCTIONS: Readonly<Record<string, Operator>> = {
  ReduceSum: reduction(sum),
  ReduceMean: reduction(mean),
  ReduceMax: reduction(max),
  ReduceMin: reduction(min),
  ReduceProd: reduction(prod),
  ReduceL1: reduction((x, options) => sum(magnitude(x), options)),
  ReduceL2: reduction((x, options) => sqrt(sum(mul(x, x), options))),
  ReduceSumSquare: reduction((x, options) => sum(mul(x, x), options)),
  ReduceLogSum: reduction((x, options) => log(sum(x, options))),
  ReduceLogSumExp: reduction(logSumExp),
  ArgMax: extremumIndex(1),
  ArgMin: extremumIndex(-1),
  Softmax: softmaxAlong(softmax),
  LogSoftmax: softmaxAlong(logSoftmax),
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  TopK: topKAlong,
};
