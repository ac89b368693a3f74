// Windows: squares of whole low-res patches of larger images, seen at the resolution of the image. Short runs train on them,
// since a window costs a small part of its image and everything in it is small.
import { expectConfig, selectionBudgets, type VisionConfig } from '../config/config.ts';

/**
 * The configuration of windows of `cells` x `cells` low-res patches.
 *
 * @param maxSelect  patches of a look
 * @throws ConfigError for windows that are not whole patches at every scale, or are not smaller than the image
 */
export function windowConfig(config: VisionConfig, cells: number, maxSelect: number): VisionConfig {
  const { gridSides, patchPx, auxEncoder } = config;
  const [whole] = gridSides;
  const part = (count: number): number => (count * cells) / whole;
  const isWhole = gridSides.every((side) => Number.isInteger(part(side)));
  expectConfig(
    Number.isInteger(cells) && cells > 0 && cells < whole && isWhole,
    `a window must be 1 to ${whole - 1} low-res patches wide, and whole patches at every scale`,
    cells,
  );
  const sides = gridSides.map(part);
  const scalesPx = sides.map((side) => side * patchPx);
  const patches = sides.slice(1).reduce((sum, side) => sum + side * side, 0);
  expectConfig(
    Number.isInteger(maxSelect) && maxSelect > 0 && maxSelect <= patches,
    `a look at a window of ${cells} x ${cells} low-res patches must take 1 to ${patches} patches`,
    maxSelect,
  );
  if (auxEncoder)
    expectConfig(
      Number.isInteger(part(auxEncoder.gridSide)),
      'a window must be whole patches of the auxiliary encoder wide',
      cells,
    );
  return {
    ...config,
    scalesPx,
    gridSides: sides,
    maxSelect,
    budgets: selectionBudgets(maxSelect, scalesPx),
    auxEncoder: auxEncoder && {
      ...auxEncoder,
      imagePx: part(auxEncoder.imagePx),
      gridSide: part(auxEncoder.gridSide),
    },
  };
}
