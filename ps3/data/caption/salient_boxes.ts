// Where in an image there is something to describe: boxes that hold many small regions.
import type { Box } from '../boxes.ts';
import type { Segments } from './segments.ts';

/** Boxes of a fixed grid, its cells a fifth of the short side, in three shapes of one area. */
const CELLS = 5;
const ASPECTS = [1, 1.5, 1 / 1.5];
/** Regions count as at least so large, pixels of the image. */
const LEAST_AREA = 40 * 40;

/** Whether two boxes share area. */
const overlap = ([x1, y1, x2, y2]: Box, [u1, v1, u2, v2]: Box): boolean =>
  x1 < u2 && u1 < x2 && y1 < v2 && v1 < y2;

/** The boxes that are considered, inside the image, pixels. */
export function candidateBoxes(width: number, height: number): Box[] {
  const side = Math.min(width, height) / CELLS;
  const [columns, rows] = [Math.floor(width / side + 1e-9), Math.floor(height / side + 1e-9)];
  const [left, top] = [(width - columns * side) / 2, (height - rows * side) / 2];
  return Array.from({ length: columns * rows }, (_, i) => {
    const x = left + ((i % columns) + 0.5) * side;
    const y = top + (Math.floor(i / columns) + 0.5) * side;
    return ASPECTS.map((aspect): Box => {
      const [w, h] = [side * Math.sqrt(aspect), side / Math.sqrt(aspect)];
      return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
    });
  })
    .flat()
    .filter(([x1, y1, x2, y2]) => x1 >= 0 && y1 >= 0 && x2 <= width && y2 <= height);
}

/**
 * How much a box shows of small regions: the sum over regions of image / max(region, 40 * 40) times the part of the region
 * in the box, areas in pixels of the image.
 *
 * @param box    in pixels of the image
 * @param scale  pixels of the image for one of the segments
 */
export function saliency(box: Box, { width, height, labels, areas }: Segments, scale: number): number {
  const [x1, y1, x2, y2] = box.map((edge) => Math.round(edge / scale));
  const inside = new Map<number, number>();
  for (let y = y1; y < Math.min(y2, height); y++)
    for (let x = x1; x < Math.min(x2, width); x++) {
      const label = labels[y * width + x];
      inside.set(label, (inside.get(label) ?? 0) + 1);
    }
  const imageArea = width * height * scale * scale;
  let sum = 0;
  for (const [label, count] of inside)
    sum += (imageArea / Math.max(areas[label] * scale * scale, LEAST_AREA)) * (count / areas[label]);
  return sum;
}

/**
 * The boxes of an image that show the most, none over another, the best first.
 *
 * @param width   of the image, pixels
 * @param height  of the image, pixels
 * @param count   at most
 * Source: Shi et al. 2025, arXiv:2503.19903, appendix A, with regions in place of the masks of a model.
 */
export function salientBoxes(segments: Segments, width: number, height: number, count: number): Box[] {
  const scale = width / segments.width;
  const ranked = candidateBoxes(width, height)
    .map((box) => ({ box, score: saliency(box, segments, scale) }))
    .sort((a, b) => b.score - a.score);
  const chosen: Box[] = [];
  for (const { box } of ranked) {
    if (chosen.length === count) break;
    if (!chosen.some((other) => overlap(other, box))) chosen.push(box);
  }
  return chosen;
}
