// ONNX operators that move elements: shapes, slices, padding, indices.
import {
  type AxisOptions,
  broadcastTo,
  concat,
  gather,
  pad,
  permute,
  type ScatterReduction,
  scatter,
  slice,
  type Tensor,
  take,
} from '../../engine/index.ts';
import type { Call, Operator } from './call.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** An axis counted from the front. */
const front = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const bounded = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** 0 keeps an extent unless `allowzero`; one -1 takes what is left. */
const reshape: Operator = (call) => {
  const x = call.x(0);
  const asked = call.numbers(1) ?? call.list('shape') ?? [];
  const keeps = call.number('allowzero', 0) === 0;
  return x.reshape(asked.map((extent, d) => (extent === 0 && keeps ? x.shape[d] : extent)));
};

const flatten: Operator = (call) => {
  const x = call.x(0);
  const d = front(call.number('axis', 1), x.shape.length);
  return x.reshape([sizeOf(x.shape.slice(0, d)), sizeOf(x.shape.slice(d))]);
};

const squeeze: Operator = (call) => {
  const x = call.x(0);
  const rank = x.shape.length;
  const given = (call.numbers(1) ?? call.list('axes'))?.map((axis) => front(axis, rank));
  return x.reshape(x.shape.filter((extent, d) => (given ? !given.includes(d) : extent !== 1)));
};

const unsqueeze: Operator = (call) => {
  const x = call.x(0);
  const given = call.numbers(1) ?? call.list('axes') ?? [];
  const rank = x.shape.length + given.length;
  const axes = given.map((axis) => front(axis, rank));
  const rest = [...x.shape];
  return x.reshape(Array.from({ length: rank }, (_, d) => (axes.includes(d) ? 1 : rest.shift()!)));
};

/** Both shapes may repeat: the result is what they broadcast to. */
const expand: Operator = (call) => {
  const x = call.x(0);
  const asked = call.numbers(1)!;
  const rank = Math.max(asked.length, x.shape.length);
  const at = (shape: readonly number[], d: number) => shape[d - rank + shape.length] ?? 1;
  const shape = Array.from({ length: rank }, (_, d) => (at(asked, d) === 1 ? at(x.shape, d) : at(asked, d)));
  return broadcastTo(x, shape);
};

/** Given lengths, or equal ones, of which the last may be shorter. */
const split: Operator = (call) => {
  const x = call.x(0);
  const d = front(call.number('axis', 0), x.shape.length);
  const count = call.number('num_outputs', call.outputs.length);
  const each = Math.ceil(x.shape[d] / count);
  const lengths =
    call.numbers(1) ??
    call.list('split') ??
    Array.from({ length: count }, (_, i) => bounded(x.shape[d] - i * each, 0, each));
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return slice(x, { axis: d, start: at - length, length });
  });
};

/** Starts and ends may lie outside: they are moved onto the axis, as in Python. */
const sliceAxes: Operator = (call) => {
  const x = call.x(0);
  const starts = call.numbers(1) ?? call.list('starts') ?? [];
  const ends = call.numbers(2) ?? call.list('ends') ?? [];
  const axes = call.numbers(3) ?? call.list('axes') ?? starts.map((_start, d) => d);
  const steps = call.numbers(4) ?? starts.map(() => 1);
  return axes.reduce((y, axis, i) => {
    const d = front(axis, x.shape.length);
    const n = x.shape[d];
    const step = steps[i];
    const [low, high] = step > 0 ? [0, n] : [-1, n - 1];
    const start = bounded(front(starts[i], n), step > 0 ? 0 : Math.min(0, high), high);
    const end = bounded(front(ends[i], n), low, high);
    return slice(y, { axis: d, start, length: Math.max(0, Math.ceil((end - start) / step)), step });
  }, x);
};

const padAxes: Operator = (call) => {
  const x = call.x(0);
  const rank = x.shape.length;
  const counts = call.numbers(1) ?? call.list('pads') ?? call.list('paddings') ?? [];
  const axes = (call.numbers(3) ?? [...x.shape.keys()]).map((axis) => front(axis, rank));
  const pads = x.shape.map((_extent, d): [number, number] => {
    const i = axes.indexOf(d);
    return i < 0 ? [0, 0] : [counts[i], counts[i + axes.length]];
  });
  const mode = call.text('mode', 'constant') as 'constant' | 'edge' | 'reflect' | 'wrap';
  return pad(x, pads, { mode, value: call.numbers(2)?.[0] ?? call.number('value', 0) });
};

const transpose: Operator = (call) => {
  const x = call.x(0);
  return permute(x, call.list('perm') ?? [...x.shape.keys()].reverse());
};

const byIndex =
  (f: (x: Tensor, indices: Tensor, options: AxisOptions) => Tensor): Operator =>
  (call) =>
    f(call.x(0), call.x(1), { axis: call.number('axis', 0) });

const scatterNode: Operator = (call: Call) => {
  const reduction = call.text('reduction', 'none') as ScatterReduction;
  return scatter(call.x(0), call.x(1), call.x(2), { axis: call.number('axis', 0), reduction });
};

export const SHAPES: Readonly<Record<string, Operator>> = {
  Transpose: transpose,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Concat: (call) =>
    concat(
      call.values.map((_value, i) => call.x(i)),
      { axis: call.number('axis', 1) },
    ),
  Split: split,
  Slice: sliceAxes,
  Pad: padAxes,
  Gather: byIndex(take),
  GatherElements: byIndex(gather),
  ScatterElements: scatterNode,
};
