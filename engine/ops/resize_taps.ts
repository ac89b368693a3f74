// Which inputs an output pixel of a resize reads, and their weights, for one axis: the coordinate conventions of ONNX, in float64.
import { expectKeys } from '../gpu/errors.ts';

type Coordinates =
  | 'half_pixel'
  | 'half_pixel_symmetric'
  | 'pytorch_half_pixel'
  | 'align_corners'
  | 'asymmetric'
  | 'tf_crop_and_resize';
type Rounding = 'round_prefer_floor' | 'round_prefer_ceil' | 'floor' | 'ceil';

/** The position of the centre of output pixel o of m among n input pixels, at a scale of about m / n. */
const COORDINATES: Readonly<Record<Coordinates, (place: Place) => number>> = {
  half_pixel: ({ o, scale }) => (o + 0.5) / scale - 0.5,
  /** As half_pixel, around the middle of the image when m is not n scale. */
  half_pixel_symmetric: ({ o, n, m, scale }) => (n / 2) * (1 - m / (n * scale)) + (o + 0.5) / scale - 0.5,
  /** As half_pixel, but 0 for an axis that becomes one pixel. */
  pytorch_half_pixel: ({ o, n, scale }) => (n * scale > 1 ? (o + 0.5) / scale - 0.5 : 0),
  /** First pixel onto first, last onto last. */
  align_corners: ({ o, n, scale }) => (n * scale === 1 ? 0 : (o * (n - 1)) / (n * scale - 1)),
  asymmetric: ({ o, scale }) => o / scale,
  /** align_corners onto the part of the image between the fractions `roi`. */
  tf_crop_and_resize: ({ o, n, scale, roi: [from, to] }) =>
    (n * scale === 1 ? 0.5 * (from + to) : from + (o * (to - from)) / (n * scale - 1)) * (n - 1),
};

/** Which of two neighbours is nearest. */
const NEAREST: Readonly<Record<Rounding, (at: number) => number>> = {
  round_prefer_floor: (at: number) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at: number) => Math.floor(at + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

interface Place {
  readonly o: number;
  readonly n: number;
  readonly m: number;
  readonly scale: number;
  readonly roi: readonly [number, number];
}

/** Which inputs an output reads and with what weights, as in ONNX's Resize. */
export interface ResizeOptions {
  /** Per axis: the nearest input, two weighted linearly, or four by Keys' cubic. */
  readonly mode: 'nearest' | 'linear' | 'cubic';
  /** Default half_pixel. */
  readonly coordinates?: Coordinates;
  /** Outputs per input along rows and columns, where that is not the quotient of the sizes. */
  readonly scales?: readonly [number, number];
  /** Fractions where rows and columns begin and end, for tf_crop_and_resize. Default [0, 1]. */
  readonly roi?: readonly [readonly [number, number], readonly [number, number]];
  /** Of tf_crop_and_resize, for pixels outside of the image. Default 0. */
  readonly extrapolation?: number;
  /** Of nearest. Default round_prefer_floor. */
  readonly nearest?: Rounding;
  /** Of cubic: the slope that Keys calls a. Default -0.75. */
  readonly cubicA?: number;
  /** Stretches linear and cubic where the image shrinks. Default false. */
  readonly antialias?: boolean;
  /** Taps outside of the image have weight 0 instead of repeating the edge. Default false. */
  readonly excludeOutside?: boolean;
}

/** @throws ShapeError for an option that does not exist */
export function checkResizeOptions(op: string, options: ResizeOptions): void {
  expectKeys(op, options, {
    mode: true,
    coordinates: true,
    scales: true,
    roi: true,
    extrapolation: true,
    nearest: true,
    cubicA: true,
    antialias: true,
    excludeOutside: true,
  });
}

/** Taps of one axis: output o reads inputs first[o], ..., first[o] + taps - 1. */
export interface AxisTaps {
  /** Per output, the first input it reads. */
  readonly first: readonly number[];
  /** Rows of `taps` weights. */
  readonly weights: readonly number[];
  /** Inputs that an output reads. */
  readonly taps: number;
  /** Whether output o is in the image: always, except with tf_crop_and_resize. */
  readonly inside: readonly boolean[];
}

/** Keys' kernel, or a tent. */
function weightOf(mode: 'linear' | 'cubic', distance: number, a: number): number {
  const t = Math.abs(distance);
  if (mode === 'linear') return Math.max(0, 1 - t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/**
 * The taps of one axis.
 *
 * @param n  input pixels
 * @param m  output pixels
 */
export function axisTaps(n: number, m: number, axis: 0 | 1, options: ResizeOptions): AxisTaps {
  const { mode, coordinates = 'half_pixel', cubicA = -0.75, excludeOutside = false } = options;
  const scale = options.scales?.[axis] ?? m / n;
  const roi = options.roi?.[axis] ?? [0, 1];
  const stretch = options.antialias ? Math.min(scale, 1) : 1;
  const rows = Array.from({ length: m }, (_, o) => {
    const at = COORDINATES[coordinates]({ o, n, m, scale, roi });
    const inside = coordinates !== 'tf_crop_and_resize' || (at >= 0 && at <= n - 1);
    return { inside, weights: inside ? rowWeights(at) : new Map([[clamp(Math.floor(at)), 0]]) };
  });

  function clamp(j: number): number {
    return Math.min(Math.max(j, 0), n - 1);
  }

  /** Weight by input pixel. */
  function rowWeights(at: number): Map<number, number> {
    if (mode === 'nearest')
      return new Map([[clamp(NEAREST[options.nearest ?? 'round_prefer_floor'](at)), 1]]);
    const reach = (mode === 'linear' ? 1 : 2) / stretch;
    const weights = new Map<number, number>();
    let total = 0;
    for (let j = Math.floor(at - reach) + 1; j < at + reach; j++) {
      if (excludeOutside && j !== clamp(j)) continue;
      const weight = weightOf(mode, stretch * (j - at), cubicA);
      weights.set(clamp(j), (weights.get(clamp(j)) ?? 0) + weight);
      total += weight;
    }
    for (const [j, weight] of weights) weights.set(j, weight / total);
    return weights;
  }

  const first = rows.map(({ weights }) => Math.min(...weights.keys()));
  const taps = Math.max(...rows.map(({ weights }, o) => Math.max(...weights.keys()) - first[o] + 1));
  return {
    first,
    taps,
    weights: rows.flatMap(({ weights }, o) =>
      Array.from({ length: taps }, (_, t) => weights.get(first[o] + t) ?? 0),
    ),
    inside: rows.map(({ inside }) => inside),
  };
}
