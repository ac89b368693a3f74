// What `ps3 encode` writes for an image: its numbers, and maps over it.
import { dirname } from 'node:path';
import { dump } from 'npyjs';
import { makeFolder, writeSafetensors } from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import type { DecodedImage } from '../model/image.ts';
import { encodePng, heatMap, resized, type SelectedPatches } from './heat_map.ts';

/** A tensor that was read back. */
export interface Numbers {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Of an image's files, the one that is written last: where it exists, all do. The features are the first tensor. */
export function lastFileOf(target: string, format: 'safetensors' | 'npy' = 'safetensors'): string {
  return format === 'safetensors' ? `${target}.safetensors` : `${target}.last_hidden_state.npy`;
}

/**
 * Writes tensors as `TARGET.safetensors`, or each as `TARGET.NAME.npy`.
 *
 * @param metadata  for the safetensors file; npy has no place for it
 * @returns         the last path written
 */
export async function writeNumbers(
  target: string,
  tensors: readonly Numbers[],
  metadata: Readonly<Record<string, string>>,
  format: 'safetensors' | 'npy' = 'safetensors',
): Promise<string> {
  await makeFolder(dirname(target));
  if (format === 'safetensors') {
    const path = lastFileOf(target);
    await writeSafetensors(
      path,
      tensors.map((tensor) => ({ ...tensor, dtype: 'F32' })),
      metadata,
    );
    return path;
  }
  let path = target;
  // The features last: where they exist, all files do.
  for (const { name, shape, data } of tensors.toReversed()) {
    path = `${target}.${name}.npy`;
    await writeWhole(path, new Uint8Array(dump(data, [...shape])));
  }
  return path;
}

/** What is drawn over an image, per high-res scale. */
export interface Overlays {
  /** What decided the selection. */
  readonly kind: 'bottom_up' | 'top_down';
  readonly probs: readonly Numbers[];
  readonly bottomUp: readonly Numbers[];
  readonly selected: readonly Numbers[];
  /** Of all scales, the low-res one first. */
  readonly scalesPx: readonly number[];
}

/** Long side of a heat map, pixels. */
const [SMALLEST_VIEW_PX, LARGEST_VIEW_PX] = [448, 1024];

/**
 * Draws heat maps, combined and per scale, over the image.
 */
export async function drawOverlays(
  target: string,
  image: DecodedImage,
  { kind, probs, bottomUp, selected, scalesPx }: Overlays,
): Promise<void> {
  const view = await resized(image, viewSize(image));
  await makeFolder(dirname(target));
  const patches: SelectedPatches[] = selected.map(({ data, shape: [Y, X] }) => ({ map: data, grid: [Y, X] }));
  const finest = probs.length - 1;
  const { grid } = patches[finest];
  const png = async (name: string, image: DecodedImage): Promise<void> =>
    writeWhole(`${target}.${name}.png`, await encodePng(image));
  if (kind === 'top_down') await png('bottom_up', heatMap(view, bottomUp[finest].data, grid));
  await png(kind, heatMap(view, probs[finest].data, grid, { selected: patches }));
  for (const [i, own] of patches.entries()) {
    // Without the lines of the other scales; those of this one keep their colour and width.
    const alone = patches.map((other, j) =>
      j === i ? own : { ...other, map: new Uint8Array(other.map.length) },
    );
    const drawn = heatMap(view, probs[i].data, own.grid, { selected: alone });
    await png(`scale_${scalesPx[i + 1]}px`, drawn);
  }
}

/** The size at which maps of an image are drawn: its own shape, within bounds. */
function viewSize({ width, height }: { width: number; height: number }): { width: number; height: number } {
  const longer = Math.max(width, height);
  const zoom = Math.min(LARGEST_VIEW_PX, Math.max(SMALLEST_VIEW_PX, longer)) / longer;
  return { width: Math.max(1, Math.round(width * zoom)), height: Math.max(1, Math.round(height * zoom)) };
}
