/** y[m] = table[m / perTable][indices[m]] for tables of N rows and C columns; a row of zeros for an index outside. */
export function embedding(
  table: ArrayLike<number>,
  indices: ArrayLike<number>,
  { N, C, perTable = indices.length }: { N: number; C: number; perTable?: number },
): Float64Array {
  const y = new Float64Array(indices.length * C);
  for (let m = 0; m < indices.length; m++)
    for (let c = 0; c < C; c++)
      if (indices[m] >= 0 && indices[m] < N)
        y[m * C + c] = table[(Math.floor(m / perTable) * N + indices[m]) * C + c];
  return y;
}

/** y[m / perTable][indices[m]] += x[m] on zeros: scatter where indices are unique, the gradient of the table where not. */
export function scatterRows(
  x: ArrayLike<number>,
  indices: ArrayLike<number>,
  {
    N,
    C,
    perTable = indices.length,
    tables = 1,
  }: { N: number; C: number; perTable?: number; tables?: number },
): Float64Array {
  const y = new Float64Array(tables * N * C);
  for (let m = 0; m < indices.length; m++)
    for (let c = 0; c < C; c++)
      if (indices[m] >= 0 && indices[m] < N)
        y[(Math.floor(m / perTable) * N + indices[m]) * C + c] += x[m * C + c];
  return y;
}
