/**
 * The first `heads` heads of each token rotated by its position, the columns after them as they are; float64 but for the
 * angles, which are products in f32 by definition.
 */
export function rope(
  x: Float64Array,
  frequencies: Float64Array,
  {
    T,
    width,
    heads,
    offsets,
  }: {
    readonly T: number;
    readonly width: number;
    readonly heads: number;
    readonly offsets: readonly number[];
  },
): Float64Array {
  const pairs = frequencies.length;
  const y = Float64Array.from(x);
  for (let row = 0; row < x.length / width; row++)
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < pairs; i++) {
        const offset = offsets[offsets.length === 1 ? 0 : Math.floor(row / T)];
        const angle = Math.fround((offset + (row % T)) * Math.fround(frequencies[i]));
        const at = row * width + head * 2 * pairs + i;
        y[at] = x[at] * Math.cos(angle) - x[at + pairs] * Math.sin(angle);
        y[at + pairs] = x[at + pairs] * Math.cos(angle) + x[at] * Math.sin(angle);
      }
  return y;
}
