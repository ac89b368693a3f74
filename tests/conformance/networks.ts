// ONNX operators of networks and their training: products, convolution, resizing, attention, Adam.
import {
  type AttentionOptions,
  add,
  attentionWithScores,
  broadcastTo,
  concat,
  conv2d,
  div,
  less,
  matmul,
  mul,
  pad,
  permute,
  type ResizeOptions,
  resize,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  take,
  where,
} from '../../engine/index.ts';
import { type Call, type Operator, Skip } from './call.ts';

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Leading extents broadcast; a vector is a row on the left and a column on the right. Integers by the sum of products. */
function product(a: Tensor, b: Tensor): Tensor {
  const left = a.shape.length === 1 ? a.reshape([1, -1]) : a;
  const right = b.shape.length === 1 ? b.reshape([-1, 1]) : b;
  const [M, K] = left.shape.slice(-2);
  const N = right.shape[right.shape.length - 1];
  const [leadA, leadB] = [left.shape.slice(0, -2), right.shape.slice(0, -2)];
  const rank = Math.max(leadA.length, leadB.length);
  const at = (shape: readonly number[], d: number) => shape[d - rank + shape.length] ?? 1;
  const lead = Array.from({ length: rank }, (_, d) => (at(leadA, d) === 1 ? at(leadB, d) : at(leadA, d)));
  const c =
    a.dtype === 'f32'
      ? matmul(
          broadcastTo(left, [...lead, M, K]).reshape([sizeOf(lead), M, K]),
          broadcastTo(right, [...lead, K, N]).reshape([sizeOf(lead), K, N]),
        )
      : sum(mul(left.reshape([...leadA, M, K, 1]), right.reshape([...leadB, 1, K, N])), { axis: -2 });
  return c.reshape([...lead, ...(a.shape.length === 1 ? [] : [M]), ...(b.shape.length === 1 ? [] : [N])]);
}

const gemm: Operator = (call) => {
  const flag = (name: string) => call.number(name, 0) === 1;
  const scale = call.number('alpha', 1);
  const options = { transposeA: flag('transA'), transposeB: flag('transB'), scale };
  const y = matmul(call.x(0), call.x(1), options);
  return call.has(2) ? add(y, mul(call.x(2), call.number('beta', 1))) : y;
};

/** Images in two dimensions; rows in one are images of one row. */
const conv: Operator = (call) => {
  const line = call.x(0).shape.length === 3;
  if (call.x(0).shape.length > 4) throw new Skip('Conv in three dimensions');
  const image = (t: Tensor): Tensor => (line ? t.reshape([...t.shape.slice(0, 2), 1, t.shape[2]]) : t);
  const [x, weight] = [image(call.x(0)), image(call.x(1))];
  const pair = (name: string): [number, number] => {
    const given = call.list(name) ?? (line ? [1] : [1, 1]);
    return line ? [1, given[0]] : [given[0], given[1]];
  };
  const [strides, dilations] = [pair('strides'), pair('dilations')];
  const auto = call.text('auto_pad', 'NOTSET');
  const given = call.list('pads') ?? (line ? [0, 0] : [0, 0, 0, 0]);
  const explicit = line ? [0, given[0], 0, given[1]] : given;
  const same = [0, 1].map((d) => {
    const n = x.shape[2 + d];
    const reach = (weight.shape[2 + d] - 1) * dilations[d] + 1;
    const total = Math.max(0, (Math.ceil(n / strides[d]) - 1) * strides[d] + reach - n);
    const before = auto === 'SAME_LOWER' ? Math.ceil(total / 2) : Math.floor(total / 2);
    return [before, total - before];
  });
  const pads = auto.startsWith('SAME')
    ? [same[0][0], same[1][0], same[0][1], same[1][1]]
    : auto === 'VALID'
      ? [0, 0, 0, 0]
      : explicit;
  const y = conv2d(x, weight, {
    bias: call.has(2) ? call.x(2) : undefined,
    strides,
    dilations,
    pads: pads as [number, number, number, number],
    groups: call.number('group', 1),
  });
  return line ? y.reshape([y.shape[0], y.shape[1], y.shape[3]]) : y;
};

/** Resizes two axes at a time; those that stay as they are are left alone. */
const resizeAxes: Operator = (call) => {
  const x = call.x(0);
  const rank = x.shape.length;
  // Opset 10 has no roi, and other defaults.
  const old = call.opset < 11;
  const axes = (call.list('axes') ?? [...x.shape.keys()]).map((axis) => (axis < 0 ? axis + rank : axis));
  const given = (i: number) => (call.values[i]?.numbers.length ? call.numbers(i) : undefined);
  const [scales, roi] = [given(old ? 1 : 2), given(1)];
  const asked = given(3);
  const policy = call.text('keep_aspect_ratio_policy', 'stretch');
  const ratios = asked?.map((size, i) => size / x.shape[axes[i]]) ?? [];
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  const plans = axes.map((axis, i) => {
    const n = x.shape[axis];
    const scale = scales?.[i] ?? (policy === 'stretch' ? ratios[i] : common);
    const stretched = scales ? Math.floor(scale * n) : Math.floor(scale * n + 0.5);
    const m = policy === 'stretch' && asked ? asked[i] : stretched;
    const range: [number, number] = roi && !old ? [roi[i], roi[i + axes.length]] : [0, 1];
    return { axis, n, m, scale, range };
  });
  const coordinates = call.text('coordinate_transformation_mode', old ? 'asymmetric' : 'half_pixel');
  const options = {
    mode: call.text('mode', 'nearest'),
    coordinates,
    nearest: call.text('nearest_mode', old ? 'floor' : 'round_prefer_floor'),
    cubicA: call.number('cubic_coeff_a', -0.75),
    antialias: call.number('antialias', 0) === 1,
    excludeOutside: call.number('exclude_outside', 0) === 1,
    extrapolation: call.number('extrapolation_value', 0),
  } as ResizeOptions;
  const changing = plans.filter(
    ({ n, m, scale, range: [from, to] }) =>
      n !== m || scale !== 1 || (coordinates === 'tf_crop_and_resize' && (from !== 0 || to !== 1)),
  );
  const unchanged = { axis: -1, n: 1, m: 1, scale: 1, range: [0, 1] as [number, number] };
  let y = x;
  for (let i = 0; i < changing.length; i += 2) {
    const [rows, columns] = i + 1 < changing.length ? changing.slice(i, i + 2) : [unchanged, changing[i]];
    const moved = [rows.axis, columns.axis].filter((axis) => axis >= 0);
    const order = [...x.shape.keys()].filter((axis) => !moved.includes(axis)).concat(moved);
    const turned = permute(y, order);
    const images = turned.reshape([1, sizeOf(turned.shape.slice(0, -moved.length)), rows.n, columns.n]);
    const pair = { scales: [rows.scale, columns.scale], roi: [rows.range, columns.range] } as const;
    const resized = resize(images, [rows.m, columns.m], { ...options, ...pair });
    const shape = order.map((axis) =>
      axis === columns.axis ? columns.m : axis === rows.axis ? rows.m : y.shape[axis],
    );
    y = permute(
      resized.reshape(shape),
      order.map((_axis, d) => order.indexOf(d)),
    );
  }
  return y;
};

/** [B, T, H K] as [B, H, T, K]. */
function splitHeads(x: Tensor, heads: number): Tensor {
  const [B, T, width] = x.shape;
  return permute(x.reshape([B, T, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, H, T, K] as [B, T, H K]. */
function joinHeads(x: Tensor): Tensor {
  const [B, H, T, K] = x.shape;
  return permute(x, [0, 2, 1, 3]).reshape([B, T, H * K]);
}

/** Turns pairs of features by an angle: halves of a head, or neighbours where `interleaved`. The rest of the head stays. */
const rotaryEmbedding: Operator = (call) => {
  const flat = call.x(0).shape.length === 3;
  const x = flat ? splitHeads(call.x(0), call.number('num_heads', 0)) : call.x(0);
  const [B, , T, K] = x.shape;
  const turning = call.number('rotary_embedding_dim', 0) || K;
  const half = turning / 2;
  const [cos, sin] = [1, 2].map((i) => {
    const angles = call.has(3) ? take(call.x(i), call.x(3)) : call.x(i);
    return angles.reshape([B, 1, T, half]);
  });
  const interleaved = call.number('interleaved', 0) === 1;
  const turned = slice(x, { axis: 3, length: turning });
  const part = (i: number) =>
    slice(turned, { axis: 3, start: interleaved ? i : i * half, length: half, step: interleaved ? 2 : 1 });
  const [a, b] = [part(0), part(1)];
  const real = sub(mul(a, cos), mul(b, sin));
  const imaginary = add(mul(a, sin), mul(b, cos));
  const shape = [...real.shape, 1];
  const pairs = interleaved
    ? concat([real.reshape(shape), imaginary.reshape(shape)], { axis: 4 }).reshape(turned.shape)
    : concat([real, imaginary], { axis: 3 });
  const y = concat([pairs, slice(x, { axis: 3, start: turning, length: K - turning })], { axis: 3 });
  return flat ? joinHeads(y) : y;
};

/** What is added to the scores: the mask, and -infinity for keys behind it. */
function attentionMask(call: Call, Tk: number): Tensor | undefined {
  if (!call.has(3)) return undefined;
  const given = call.x(3);
  const zero = call.constant(0, given);
  const added =
    call.values[3]?.dtype === 'BOOL' ? where(given, zero, call.constant(-Infinity, given)) : given;
  const missing = Tk - given.shape[given.shape.length - 1];
  const last = given.shape.length - 1;
  return pad(
    added,
    given.shape.map((_extent, d): [number, number] => [0, d === last ? Math.max(0, missing) : 0]),
    { value: -Infinity },
  );
}

/** Hides the keys of a padded cache that are not in use. The queries of a causal attention are the last ones in use. */
function keysInUse(
  call: Call,
  causal: boolean,
  Tq: number,
  Tk: number,
): Pick<AttentionOptions, 'offset' | 'keyMask'> {
  const lengths = call.numbers(6);
  if (!lengths) return {};
  const { engine, scope } = call;
  const whole = (numbers: number[]) => engine.tensor(Int32Array.from(numbers), [numbers.length], { scope });
  if (causal) return { offset: whole(lengths.map((length) => length - Tq)) };
  return { keyMask: less(whole(Array.from({ length: Tk }, (_, j) => j)), call.x(6).reshape([-1, 1])) };
}

const STAGES = ['product', 'capped', 'masked', 'weights'] as const;

const attend: Operator = (call) => {
  const flat = call.x(0).shape.length === 3;
  const heads = (i: number, name: string) => (flat ? splitHeads(call.x(i), call.number(name, 1)) : call.x(i));
  const byToken = (x: Tensor) => permute(x, [0, 2, 1, 3]); // from [B, H, T, K] and back
  const q = heads(0, 'q_num_heads');
  const joined = (own: Tensor, past: number) =>
    call.has(past) ? concat([call.x(past), own], { axis: 2 }) : own;
  const [ownK, ownV] = [heads(1, 'kv_num_heads'), heads(2, 'kv_num_heads')];
  const [k, v] = [joined(ownK, 4), joined(ownV, 5)];
  const [, , Tq, K] = q.shape;
  const causal = call.number('is_causal', 0) === 1;
  const cached = call.has(4) ? { k: byToken(call.x(4)), v: byToken(call.x(5)) } : undefined;
  const { out, scores } = attentionWithScores(byToken(q), byToken(ownK), byToken(ownV), {
    cached,
    scale: call.number('scale', 1 / Math.sqrt(K)),
    softcap: call.number('softcap', 0) || undefined,
    mask: attentionMask(call, k.shape[2]),
    causal,
    ...keysInUse(call, causal, Tq, k.shape[2]),
    stage: STAGES[call.number('qk_matmul_output_mode', 0)],
  });
  const y = byToken(out);
  return [flat ? joinHeads(y) : y, k, v, scores];
};

/** Any number of parameters at once: rate, step, then all parameters, gradients, first and second moments. */
const adam: Operator = (call) => {
  const [alpha, beta] = [call.number('alpha', 0.9), call.number('beta', 0.999)];
  const [step, [rate]] = [call.numbers(1)![0], call.numbers(0)!];
  const adjusted = step > 0 ? (rate * Math.sqrt(1 - beta ** step)) / (1 - alpha ** step) : rate;
  const count = (call.values.length - 2) / 4;
  const updated = Array.from({ length: count }, (_, i) => {
    const [x, gradient, m, v] = [0, 1, 2, 3].map((k) => call.x(2 + k * count + i));
    const g = add(gradient, mul(x, call.number('norm_coefficient', 0)));
    const m1 = add(mul(m, alpha), mul(g, 1 - alpha));
    const v1 = add(mul(v, beta), mul(square(g), 1 - beta));
    const moved = sub(x, mul(div(m1, add(sqrt(v1), call.number('epsilon', 1e-6))), adjusted));
    return [mul(moved, 1 - call.number('norm_coefficient_post', 0)), m1, v1];
  });
  return [0, 1, 2].flatMap((k) => updated.map((results) => results[k]));
};

export const NETWORKS: Readonly<Record<string, Operator>> = {
  MatMul: (call) => product(call.x(0), call.x(1)),
  Gemm: gemm,
  Conv: conv,
  Resize: resizeAxes,
  RotaryEmbedding: rotaryEmbedding,
  Attention: attend,
  Adam: adam,
};
