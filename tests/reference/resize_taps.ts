// The weights of ONNX's Resize along one axis, as a dense matrix, from the formulas of the operator's definition.

/** Position of output pixel o in the input; `length` is n times the scale, which need not be whole. */
export const POSITION: Readonly<
  Record<string, (o: number, n: number, m: number, scale: number, roi: readonly [number, number]) => number>
> = {
  half_pixel: (o, _n, _m, scale) => (o + 0.5) / scale - 0.5,
  half_pixel_symmetric: (o, n, m, scale) => {
    const adjustment = m / (scale * n);
    const center = n / 2;
    return center * (1 - adjustment) + (o + 0.5) / scale - 0.5;
  },
  pytorch_half_pixel: (o, n, _m, scale) => (n * scale > 1 ? (o + 0.5) / scale - 0.5 : 0),
  align_corners: (o, n, _m, scale) => (n * scale === 1 ? 0 : (o * (n - 1)) / (n * scale - 1)),
  asymmetric: (o, _n, _m, scale) => o / scale,
  tf_crop_and_resize: (o, n, _m, scale, [start, end]) =>
    n * scale === 1
      ? 0.5 * (start + end) * (n - 1)
      : start * (n - 1) + (o * (end - start) * (n - 1)) / (n * scale - 1),
};

export interface Conventions {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest?: string;
  readonly cubicA?: number;
  readonly antialias?: boolean;
  readonly excludeOutside?: boolean;
  readonly roi?: readonly [number, number];
}

function kernel(mode: string, x: number, a: number): number {
  const t = Math.abs(x);
  if (mode === 'linear') return t < 1 ? 1 - t : 0;
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
}

/** weights[o][j]: share of input j of n in output o of m. */
export function weights(n: number, m: number, scale: number, conventions: Conventions): Float64Array[] {
  const { mode, coordinates, nearest, cubicA = -0.75, antialias, excludeOutside, roi = [0, 1] } = conventions;
  return Array.from({ length: m }, (_, o) => {
    const row = new Float64Array(n);
    const x = POSITION[coordinates](o, n, m, scale, roi);
    if (coordinates === 'tf_crop_and_resize' && (x < 0 || x > n - 1)) return row;
    const edge = (j: number) => (j < 0 ? 0 : j >= n ? n - 1 : j);
    if (mode === 'nearest') {
      const [below, part] = [Math.floor(x), x - Math.floor(x)];
      const up =
        nearest === 'ceil'
          ? part > 0
          : nearest === 'floor'
            ? false
            : nearest === 'round_prefer_ceil'
              ? part >= 0.5
              : part > 0.5;
      row[edge(below + Number(up))] = 1;
      return row;
    }
    const stretch = antialias && scale < 1 ? scale : 1;
    let sum = 0;
    for (let j = -5 * n - 20; j < 6 * n + 20; j++) {
      if (excludeOutside && (j < 0 || j >= n)) continue;
      const weight = kernel(mode, stretch * (j - x), cubicA);
      row[edge(j)] += weight;
      sum += weight;
    }
    return row.map((weight) => weight / sum);
  });
}

/** Planes [outer, n, n'] to [outer, m, m'] by two matrices. */
export function apply(
  x: Float64Array,
  [rows, columns]: readonly [Float64Array[], Float64Array[]],
): Float64Array {
  const [nY, nX] = [rows[0].length, columns[0].length];
  const y: number[] = [];
  for (let plane = 0; plane < x.length; plane += nY * nX)
    for (const row of rows)
      for (const column of columns) {
        let sum = 0;
        for (let i = 0; i < nY; i++)
          for (let j = 0; j < nX; j++) sum += row[i] * column[j] * x[plane + i * nX + j];
        y.push(sum);
      }
  return Float64Array.from(y);
}
