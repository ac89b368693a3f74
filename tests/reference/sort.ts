/** Positions of one row's keys in ascending order; equal keys keep their order. */
export function sortedOrder(keys: ArrayLike<number>): number[] {
  return Array.from(keys, (_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b);
}
