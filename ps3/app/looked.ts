// Where a VILA-HD looked: drawn over the image, as characters, and in a sentence.
import { total } from '../model/config/config.ts';
import type { DecodedImage } from '../model/decoder.ts';
import type { Grid } from '../model/vision/scales.ts';
import type { VilaModel } from '../vila/vila.ts';
import type { Seen, VilaLook } from '../vila/vila_types.ts';
import { drawOverlays, type Numbers } from './encode_files.ts';

/** Which share of a character's area was looked at at the finest of its scales, from none to all. */
const SHADES = ' ░▒▓█';

/** Characters are about twice as high as wide. */
const [MAP_ROWS, MAP_COLUMNS] = [9, 36];

/** `196 tokens, of 80 patches looked at`. */
export function lookedLine({ blocks: [block], vision }: VilaLook): string {
  const looked = vision ? `, of ${total(vision.selectionCounts)} patches looked at` : '';
  return `${block.shape[1]} tokens${looked}`;
}

/**
 * Selected patches as lines of characters: the more of a character's area was looked at, at any scale, the darker.
 *
 * @param maps  one per scale, [Y * X] of 0 and 1
 * @param size  of the map, characters
 */
export function characterMap(
  maps: readonly { readonly map: ArrayLike<number>; readonly grid: Grid }[],
  [rows, columns]: Grid = [MAP_ROWS, MAP_COLUMNS],
): string {
  /** Points along an axis of a character at which maps are read. */
  const POINTS = 4;
  const isTaken = (y: number, x: number): boolean =>
    maps.some(({ map, grid: [Y, X] }) => map[Math.floor(y * Y) * X + Math.floor(x * X)] > 0);
  const shade = (row: number, column: number): string => {
    let taken = 0;
    for (let i = 0; i < POINTS; i++)
      for (let k = 0; k < POINTS; k++)
        if (isTaken((row + (i + 0.5) / POINTS) / rows, (column + (k + 0.5) / POINTS) / columns)) taken++;
    return SHADES[Math.ceil((taken / POINTS ** 2) * (SHADES.length - 1))];
  };
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => shade(row, column)).join(''),
  ).join('\n');
}

/** The map of the first image of a look; undefined where the model sees all at once. */
export async function lookedMap(
  { vision: tower }: VilaModel,
  seen: Seen,
  { vision }: VilaLook,
): Promise<string | undefined> {
  if (!vision) return undefined;
  const grids = tower.grids(seen.image).slice(1);
  const maps = await Promise.all(vision.selectionMaps.map((map) => map.data()));
  return characterMap(maps.map((map, i) => ({ map, grid: grids[i] })));
}

/** Draws heat maps and what was selected, `TARGET.top_down.png` and the like. @returns whether there is something to draw */
export async function drawLook(
  target: string,
  image: DecodedImage,
  { vision: tower }: VilaModel,
  seen: Seen,
  { vision }: VilaLook,
): Promise<boolean> {
  if (!vision) return false;
  const { selectionMaps, maps } = vision;
  const grids = tower.grids(seen.image).slice(1);
  const read = (name: string, list: typeof selectionMaps): Promise<Numbers[]> =>
    Promise.all(
      list.map(async (map, i) => ({ name: `${name}.${i}`, shape: grids[i], data: await map.data() })),
    );
  await drawOverlays(target, image, {
    kind: maps.topDown ? 'top_down' : 'bottom_up',
    probs: await read('probs', maps.probs),
    bottomUp: await read('bottom_up', maps.bottomUp),
    selected: await read('selected', selectionMaps),
    scalesPx: tower.config.scalesPx,
  });
  return true;
}
