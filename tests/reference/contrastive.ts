/** 1/B sum_ij log(1 + e^(-z_ij (e^logScale <u_i, v_j> + bias))), z = +1 on the diagonal and for equal classes; float64. */
export function sigmoidContrastive(
  images: Float64Array,
  texts: Float64Array,
  logScale: number,
  bias: number,
  B: number,
  classes?: ArrayLike<number>,
): number {
  const D = images.length / B;
  let loss = 0;
  for (let i = 0; i < B; i++)
    for (let j = 0; j < B; j++) {
      let inner = 0;
      for (let d = 0; d < D; d++) inner += images[i * D + d] * texts[j * D + d];
      const z = i === j || (classes && classes[i] === classes[j]) ? 1 : -1;
      const t = -z * (Math.exp(logScale) * inner + bias);
      loss += (Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)))) / B;
    }
  return loss;
}
