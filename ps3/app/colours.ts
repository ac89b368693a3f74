// Colours of maps, scales and boxes, the same in files, reports and on the page.

export type Colour = readonly [red: number, green: number, blue: number];

/** Inferno of matplotlib (CC0) at nine equal steps: lightness grows evenly from almost black to pale yellow. */
const SCALE: readonly Colour[] = [
  [0, 0, 4],
  [33, 12, 74],
  [87, 16, 110],
  [138, 34, 106],
  [188, 55, 84],
  [228, 90, 49],
  [249, 142, 9],
  [249, 203, 53],
  [252, 255, 164],
];

/** Told apart with the common colour deficiencies, and from the colours of the map. */
export const BOX_COLOURS: readonly Colour[] = [
  [0, 229, 255],
  [125, 255, 94],
  [255, 94, 203],
  [255, 255, 255],
];

/** Lines of the scales, coarse to fine; finer scales than there are entries take the last. */
export const SCALE_LINES: readonly {
  readonly name: string;
  readonly colour: Colour;
  readonly widthPx: number;
}[] = [
  { name: 'blue', colour: [120, 200, 255], widthPx: 3 },
  { name: 'green', colour: [140, 255, 160], widthPx: 2 },
  { name: 'white', colour: [255, 255, 255], widthPx: 1 },
];

/**
 * The colour of a value in [0, 1]; values outside take the nearest end.
 *
 * @returns  red, green, blue of 0 to 255
 */
export function colourOf(value: number): Colour {
  const at = Math.min(1, Math.max(0, value)) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(at));
  const mix = (c: number): number => SCALE[i][c] + (at - i) * (SCALE[i + 1][c] - SCALE[i][c]);
  return [mix(0), mix(1), mix(2)];
}
