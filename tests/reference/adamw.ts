export interface AdamwState {
  readonly p: Float64Array;
  readonly m: Float64Array;
  readonly v: Float64Array;
}

export interface AdamwOptions {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** 0: no clipping. */
  readonly maxNorm: number;
  /** Elements before `end` (and after the previous group's) take its factor of lr and its decay. */
  readonly groups: readonly { readonly end: number; readonly lrScale: number; readonly decay: number }[];
}

/** Step t (from 1) of AdamW in float64. */
export function adamw(
  { p, m, v }: AdamwState,
  gradient: Float64Array,
  t: number,
  options: AdamwOptions,
): AdamwState {
  const { beta1, beta2, eps, maxNorm, groups } = options;
  const norm = Math.sqrt(gradient.reduce((total, value) => total + value * value, 0));
  const scale = maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
  const g = gradient.map((value) => value * scale);
  const m1 = m.map((value, i) => beta1 * value + (1 - beta1) * g[i]);
  const v1 = v.map((value, i) => beta2 * value + (1 - beta2) * g[i] ** 2);
  const p1 = p.map((value, i) => {
    const { lrScale, decay } = groups.find(({ end }) => i < end)!;
    const lr = options.lr * lrScale;
    const mHat = m1[i] / (1 - beta1 ** t);
    const vHat = v1[i] / (1 - beta2 ** t);
    return value * (1 - lr * decay) - (lr * mHat) / (Math.sqrt(vHat) + eps);
  });
  return { p: p1, m: m1, v: v1 };
}
