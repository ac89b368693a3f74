// How the maps of boxes lead to them: selection recall by budget, and the pointing game. Shi et al. 2025, arXiv:2503.19903,
// section 7.2.
import { type Box, boxCells } from '../../data/boxes.ts';
import type { VisionConfig } from '../../model/config/config.ts';
import type { Answer, Estimate, ImageBootstrap } from './intervals.ts';
import {
  type Coverage,
  coverageOf,
  isInside,
  type ObjectSize,
  pointOf,
  selectionRanks,
  sizeOf,
} from './selection.ts';

/** Shares of all high-res patches at which selection is judged. */
export const BUDGETS = [0.05, 0.1, 0.2, 0.44] as const;

/** Which maps: by what stands out, or for a text. */
export type MapName = 'bottomUp' | 'topDown';

/** How a kind of map covers boxes. */
export interface SelectionResult {
  /** Of the box's patches, for each of `BUDGETS`. */
  readonly recall: readonly Estimate[];
  /** Of the selected patches. */
  readonly precision: readonly Estimate[];
  /** At least one finest patch of the box. */
  readonly hit: readonly Estimate[];
  /** Under recall over the budget. */
  readonly area: Estimate;
}

/** By the box's area in low-res patches: below 1, 1 to 4, above 4. */
export type BySize = Readonly<Record<ObjectSize | 'all', SelectionResult | undefined>>;

/** What the maps say about some boxes. */
export interface SelectionProtocols {
  /** How selection covers boxes, by their size. */
  readonly selection: Readonly<Record<MapName, BySize>>;
  /** Share of boxes that the highest point of the map is in; chance is the mean share of the image that boxes cover. */
  readonly pointing:
    | { readonly bottomUp: Estimate; readonly topDown: Estimate; readonly chance: number }
    | undefined;
}

/** One box, or all that show the same, and how the maps of their image lead there. */
export interface LocatedBox {
  /** Index of its image. */
  readonly image: number;
  readonly size: ObjectSize;
  readonly coverage: Readonly<Record<MapName, Coverage>>;
  /** 1 where the highest point of the map is in one. */
  readonly points: Readonly<Record<MapName, number>>;
  /** Share of the image that they cover. */
  readonly area: number;
}

const areaOf = ([x1, y1, x2, y2]: Box): number => (x2 - x1) * (y2 - y1);

/**
 * How maps lead to a box, or to several that show the same; these count as one, of the size of the largest.
 *
 * @param maps   per high-res scale, [Y * X] of a square image
 * @param boxes  one at least; they do not overlap
 * @param side   of the image, pixels
 */
export function locate(
  { gridSides, budgets }: Pick<VisionConfig, 'gridSides' | 'budgets'>,
  maps: Readonly<Record<MapName, readonly Float32Array[]>>,
  boxes: readonly Box[],
  side: number,
): Omit<LocatedBox, 'image'> {
  // Scales that no patch is taken from are not judged.
  const used = budgets.flatMap((budget, scale) => (budget > 0 ? [scale] : []));
  const cells = used.map((scale) => boxCells([...boxes], side, gridSides[scale + 1]));
  const finest = gridSides[gridSides.length - 1];
  const coverage = (all: readonly Float32Array[]): Coverage =>
    coverageOf(
      used.map((scale) => selectionRanks(all[scale])),
      cells,
      BUDGETS,
    );
  const point = (all: readonly Float32Array[]): number =>
    Number(boxes.some((box) => isInside(pointOf(all[all.length - 1], finest, finest), box, side)));
  const largest = boxes.reduce((most, box) => (areaOf(box) > areaOf(most) ? box : most));
  return {
    size: sizeOf(largest, side, gridSides[0]),
    coverage: { bottomUp: coverage(maps.bottomUp), topDown: coverage(maps.topDown) },
    points: { bottomUp: point(maps.bottomUp), topDown: point(maps.topDown) },
    area: boxes.reduce((sum, box) => sum + areaOf(box), 0) / side ** 2,
  };
}

function selectionResult(
  bootstrap: ImageBootstrap,
  boxes: readonly LocatedBox[],
  map: MapName,
): SelectionResult | undefined {
  if (boxes.length === 0) return undefined;
  const estimate = (value: (coverage: Coverage) => number): Estimate =>
    bootstrap.estimate(boxes.map(({ image, coverage }): Answer => ({ image, value: value(coverage[map]) })))!;
  const each = (key: 'recall' | 'precision' | 'hit'): Estimate[] =>
    BUDGETS.map((_, i) => estimate((coverage) => coverage[key][i]));
  return {
    recall: each('recall'),
    precision: each('precision'),
    hit: each('hit'),
    area: estimate(({ area }) => area),
  };
}

/** Puts boxes together, by their size and all. */
export function selectionProtocols(
  bootstrap: ImageBootstrap,
  boxes: readonly LocatedBox[],
): SelectionProtocols {
  const bySize = (map: MapName): BySize => {
    const of = (size: ObjectSize): SelectionResult | undefined =>
      selectionResult(
        bootstrap,
        boxes.filter((box) => box.size === size),
        map,
      );
    return {
      all: selectionResult(bootstrap, boxes, map),
      small: of('small'),
      medium: of('medium'),
      large: of('large'),
    };
  };
  const pointing = (map: MapName): Estimate =>
    bootstrap.estimate(boxes.map(({ image, points }) => ({ image, value: points[map] })))!;
  return {
    selection: { bottomUp: bySize('bottomUp'), topDown: bySize('topDown') },
    pointing:
      boxes.length === 0
        ? undefined
        : {
            bottomUp: pointing('bottomUp'),
            topDown: pointing('topDown'),
            chance: boxes.reduce((sum, { area }) => sum + area, 0) / boxes.length,
          },
  };
}
