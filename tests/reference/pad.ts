import { indexOf, positionOf } from './copy.ts';

/** Which element of n stands at position i of the padded axis; undefined where the border is constant. */
function source(mode: string, i: number, n: number): number | undefined {
  let at = i;
  while (at < 0 || at >= n) {
    if (mode === 'constant') return undefined;
    if (mode === 'edge') at = at < 0 ? 0 : n - 1;
    else if (mode === 'wrap') at += at < 0 ? n : -n;
    else if (n === 1) at = 0;
    else at = at < 0 ? -at : 2 * (n - 1) - at;
  }
  return at;
}

/** x with elements added, or for negative counts removed, before and after each axis. */
export function pad(
  x: Float64Array,
  shape: readonly number[],
  pads: readonly (readonly [number, number])[],
  mode: string,
  value: number,
): Float64Array {
  const left = pads.map(([before, after], d) => shape[d] + Math.min(0, before) + Math.min(0, after));
  const to = left.map((n, d) => n + Math.max(0, pads[d][0]) + Math.max(0, pads[d][1]));
  const length = to.reduce((product, extent) => product * extent, 1);
  return Float64Array.from({ length }, (_, at) => {
    const index = indexOf(at, to).map((i, d) => source(mode, i - Math.max(0, pads[d][0]), left[d]));
    if (index.includes(undefined)) return value;
    return x[
      positionOf(
        index.map((i, d) => i! + Math.max(0, -pads[d][0])),
        shape,
      )
    ];
  });
}
