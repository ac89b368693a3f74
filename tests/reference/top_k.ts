/** Numbers as they are ordered; twice the largest f32 stands for infinity, more for NaN. */
const order = (value: number): number =>
  Number.isNaN(value) ? 1e40 : Math.max(-7e38, Math.min(7e38, value));

/** Indices of the k largest numbers of one row in descending order; equal ones (-0 and +0 too) by ascending index, NaN first. */
export function topK(values: ArrayLike<number>, k: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((a, b) => order(values[b]) - order(values[a]) || a - b)
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
