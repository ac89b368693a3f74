// Regions of an image without a model: pixels joined where colour changes less between regions than within them.
import type { DecodedImage } from '../../model/image.ts';

/** Regions that cover an image. */
export interface Segments {
  readonly width: number;
  readonly height: number;
  /** Number of its region, from 0, for each pixel, row by row. */
  readonly labels: Int32Array;
  /** Pixels of each region. */
  readonly areas: readonly number[];
}

/** How coarse regions are. */
export interface SegmentOptions {
  /** Two regions of n pixels are joined over a difference of colour up to scale / n above their own; default 300. */
  readonly scale?: number;
  /** Smaller regions are joined with a neighbour, pixels; default 50. */
  readonly minArea?: number;
}

/** Differences of colour in steps of a quarter: sqrt(3) * 255 at most. */
const LEVELS = 4 * 442 + 1;

/**
 * Segments an image, best blurred a little before.
 *
 * Source: Felzenszwalb and Huttenlocher 2004, Efficient Graph-Based Image Segmentation, with four neighbours.
 */
export function segment(
  { rgba, width, height }: DecodedImage,
  { scale = 300, minArea = 50 }: SegmentOptions = {},
): Segments {
  const count = width * height;
  const edges = sortedEdges(rgba, width, height);
  const parent = Int32Array.from({ length: count }, (_, i) => i);
  const area = new Int32Array(count).fill(1);
  // The largest difference within a region that joining had to bridge.
  const inner = new Float32Array(count);
  const rootOf = (pixel: number): number => {
    let root = pixel;
    while (parent[root] !== root) {
      parent[root] = parent[parent[root]];
      root = parent[root];
    }
    return root;
  };
  const join = (a: number, b: number, weight: number): void => {
    const [root, child] = area[a] >= area[b] ? [a, b] : [b, a];
    parent[child] = root;
    area[root] += area[child];
    inner[root] = weight;
  };
  for (const { from, to, weight } of edges()) {
    const [a, b] = [rootOf(from), rootOf(to)];
    if (a !== b && weight <= Math.min(inner[a] + scale / area[a], inner[b] + scale / area[b]))
      join(a, b, weight);
  }
  for (const { from, to, weight } of edges()) {
    const [a, b] = [rootOf(from), rootOf(to)];
    if (a !== b && Math.min(area[a], area[b]) < minArea) join(a, b, weight);
  }
  const labelOf = new Map<number, number>();
  const areas: number[] = [];
  const labels = Int32Array.from({ length: count }, (_, pixel) => {
    const root = rootOf(pixel);
    const label = labelOf.get(root);
    if (label !== undefined) return label;
    labelOf.set(root, areas.length);
    return areas.push(area[root]) - 1;
  });
  return { width, height, labels, areas };
}

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** Neighbours to the right and below, by the difference of their colours; equal ones in the order of the pixels. */
function sortedEdges(rgba: Uint8Array, width: number, height: number): () => Generator<Edge> {
  const levelOf = (a: number, b: number): number => {
    const [r, g, blue] = [0, 1, 2].map((c) => rgba[4 * a + c] - rgba[4 * b + c]);
    return Math.round(4 * Math.sqrt(r * r + g * g + blue * blue));
  };
  // An edge is twice its pixel, and one more where it goes down.
  const levels = new Int16Array(2 * width * height).fill(-1);
  const starts = new Int32Array(LEVELS + 1);
  for (let pixel = 0; pixel < width * height; pixel++) {
    if ((pixel + 1) % width !== 0) levels[2 * pixel] = levelOf(pixel, pixel + 1);
    if (pixel + width < width * height) levels[2 * pixel + 1] = levelOf(pixel, pixel + width);
    for (const edge of [2 * pixel, 2 * pixel + 1]) if (levels[edge] >= 0) starts[levels[edge] + 1]++;
  }
  for (let level = 0; level < LEVELS; level++) starts[level + 1] += starts[level];
  const order = new Int32Array(starts[LEVELS]);
  const next = starts.slice();
  for (let edge = 0; edge < levels.length; edge++) if (levels[edge] >= 0) order[next[levels[edge]]++] = edge;
  return function* () {
    for (const edge of order) {
      const from = edge >> 1;
      yield { from, to: edge % 2 === 0 ? from + 1 : from + width, weight: levels[edge] / 4 };
    }
  };
}
