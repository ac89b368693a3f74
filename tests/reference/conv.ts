/** Extents and steps of a two-dimensional convolution. */
export interface Convolution {
  readonly B: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly O: number;
  readonly kH: number;
  readonly kW: number;
  readonly groups: number;
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** Before rows, before columns, after rows, after columns. */
  readonly pads: readonly [number, number, number, number];
}

/** y[b, o, v, u] = bias[o] + sum x weight, in plain loops. */
export function conv2d(
  x: Float64Array,
  weight: Float64Array,
  bias: Float64Array,
  shape: Convolution,
): Float64Array {
  const { B, C, H, W, O, kH, kW, groups, strides, dilations, pads } = shape;
  const outH = Math.floor((H + pads[0] + pads[2] - (kH - 1) * dilations[0] - 1) / strides[0]) + 1;
  const outW = Math.floor((W + pads[1] + pads[3] - (kW - 1) * dilations[1] - 1) / strides[1]) + 1;
  const perGroup = C / groups;
  const y: number[] = [];
  for (let b = 0; b < B; b++)
    for (let o = 0; o < O; o++)
      for (let v = 0; v < outH; v++)
        for (let u = 0; u < outW; u++) {
          let sum = bias[o];
          for (let c = 0; c < perGroup; c++)
            for (let i = 0; i < kH; i++)
              for (let j = 0; j < kW; j++) {
                const row = v * strides[0] + i * dilations[0] - pads[0];
                const column = u * strides[1] + j * dilations[1] - pads[1];
                if (row < 0 || row >= H || column < 0 || column >= W) continue;
                const channel = Math.floor(o / (O / groups)) * perGroup + c;
                sum +=
                  x[((b * C + channel) * H + row) * W + column] *
                  weight[((o * perGroup + c) * kH + i) * kW + j];
              }
          y.push(sum);
        }
  return Float64Array.from(y);
}
