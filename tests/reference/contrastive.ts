/** What of a block of pairs is positive, as `sigmoidContrastive` takes it. */
export interface Pairs {
  /** Classes of the images, and of the texts; default: none. */
  readonly classes?: ArrayLike<number>;
  readonly textClasses?: ArrayLike<number>;
  /** Image i and text i are a positive pair; default true. */
  readonly diagonal?: boolean;
  /** Default: the number of images. */
  readonly divisor?: number;
}

/** 1/divisor sum_ij log(1 + e^(-z_ij (e^logScale <u_i, v_j> + bias))), z = +1 for positive pairs; B images; float64. */
export function sigmoidContrastive(
  images: Float64Array,
  texts: Float64Array,
  logScale: number,
  bias: number,
  B: number,
  { classes, textClasses = classes, diagonal = true, divisor = B }: Pairs = {},
): number {
  const D = images.length / B;
  const T = texts.length / D;
  let loss = 0;
  for (let i = 0; i < B; i++)
    for (let j = 0; j < T; j++) {
      let inner = 0;
      for (let d = 0; d < D; d++) inner += images[i * D + d] * texts[j * D + d];
      const isPositive = (diagonal && i === j) || (classes && textClasses && classes[i] === textClasses[j]);
      const t = (isPositive ? -1 : 1) * (Math.exp(logScale) * inner + bias);
      loss += (Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)))) / divisor;
    }
  return loss;
}
