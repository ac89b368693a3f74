/** Indices of the k largest numbers of one row in descending order; equal ones (-0 and +0 too) by ascending index. */
export function topK(values: ArrayLike<number>, k: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, k);
}

/** The same indices in ascending order. */
export function selectTopK(values: ArrayLike<number>, k: number): number[] {
  return topK(values, k).sort((a, b) => a - b);
}

/** Positions of the nonzero entries of one row. */
export function compactMap(map: ArrayLike<number>): number[] {
  return Array.from(map, (_, i) => i).filter((i) => map[i] !== 0);
}
