// Annotated images as backgrounds of scenes: what is on them is known.
import type { Random } from '../../engine/index.ts';
import { type Background, type Level, loadAnnotated, type Thing } from './backgrounds.ts';
import { type Box, overlap } from './boxes.ts';
import { DataError } from './errors.ts';
import type { FolderImage } from './folder.ts';

/** Where a background shows something. */
export interface Place extends Thing {
  readonly background: Background;
  readonly level: Level;
}

/** Backgrounds whose content is known. */
export interface AnnotatedBackgrounds {
  readonly backgrounds: readonly Background[];
  /** Of the scenes. */
  readonly share: number;
  /** Captions that scenes name; everything else on them is something to look at, without a caption. */
  readonly names: readonly string[];
  /** Where there is what a caption names. */
  readonly placesOf: ReadonlyMap<string, readonly Place[]>;
}

/**
 * Decodes annotated images for scenes of a given side.
 *
 * @throws DataError as `loadAnnotated`, and for a name that no caption has
 */
export async function loadAnnotatedBackgrounds(
  images: readonly FolderImage[],
  side: number,
  { share, names }: Pick<AnnotatedBackgrounds, 'share' | 'names'>,
): Promise<AnnotatedBackgrounds> {
  const backgrounds: Background[] = [];
  for (const image of images) backgrounds.push(await loadAnnotated(image, side));
  const places = backgrounds.flatMap((background) =>
    background.levels.flatMap((level) =>
      (level.things ?? []).map((thing): Place => ({ ...thing, background, level })),
    ),
  );
  const placesOf = new Map(names.map((name) => [name, places.filter(({ caption }) => caption === name)]));
  for (const [name, { length }] of placesOf)
    if (length === 0)
      throw new DataError(
        `loadAnnotatedBackgrounds: each name must be a caption of an image, got ${JSON.stringify(name)}, which none has. Leave it out.`,
      );
  return { backgrounds, share, names, placesOf };
}

/** Draws before a thing of any size is taken. */
const DRAWS = 50;

/** A named thing, all names alike often; its long side is at least so many pixels, where there are such things. */
export function drawPlace({ names, placesOf }: AnnotatedBackgrounds, leastPx: number, random: Random): Place {
  const places = placesOf.get(names[random.integer(names.length)])!;
  const isSmall = ([x1, y1, x2, y2]: Box): boolean => Math.max(x2 - x1, y2 - y1) < leastPx;
  let place = places[random.integer(places.length)];
  for (let draw = 0; draw < DRAWS && isSmall(place.box); draw++)
    place = places[random.integer(places.length)];
  return place;
}

/** What an object that is laid on a thing leaves of it, left and right. */
export function beside({ caption, box: [x1, y1, x2, y2] }: Thing, box: Box): Thing[] {
  if (!overlap([x1, y1, x2, y2], box, 0)) return [{ caption, box: [x1, y1, x2, y2] }];
  const parts: Box[] = [
    [x1, y1, Math.min(x2, box[0]), y2],
    [Math.max(x1, box[2]), y1, x2, y2],
  ];
  return parts.filter(([left, , right]) => right > left).map((box) => ({ caption, box }));
}
