/** map[b, n] = <f, q> / (max(|f|, eps) max(|q|, eps)); a query shorter than B rows is shared by the batch; float64. */
export function cosineMap(
  features: Float64Array,
  query: Float64Array,
  { B, N, C, eps = 1e-12 }: { B: number; N: number; C: number; eps?: number },
): Float64Array {
  const map = new Float64Array(B * N);
  for (let token = 0; token < B * N; token++) {
    const b = query.length === C ? 0 : Math.floor(token / N);
    let inner = 0;
    let ff = 0;
    let qq = 0;
    for (let c = 0; c < C; c++) {
      const f = features[token * C + c];
      const q = query[b * C + c];
      inner += f * q;
      ff += f * f;
      qq += q * q;
    }
    map[token] = inner / (Math.max(Math.sqrt(ff), eps) * Math.max(Math.sqrt(qq), eps));
  }
  return map;
}
