// A plain folder of images with `annotations.jsonl`, one line for each image:
//
//   {"image": "a.jpg", "text": ["fox"], "box": [[x1, y1, x2, y2]], "global_text": "fox"}
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, normalize, sep } from 'node:path';
import sharp from 'sharp';
import { readTextFile } from '../../engine/index.ts';
import {
  type Annotation,
  boxesInside,
  decodeAnnotated,
  parseAnnotation,
  questionsInside,
  type Sample,
} from './annotations.ts';
import { DataError } from './errors.ts';
import { FORMATS_READ } from './image_files.ts';

/** One image of a folder, annotation in pixels of the stored image. */
export interface FolderImage extends Annotation {
  /** `image` of the line. */
  key: string;
  path: string;
  width: number;
  height: number;
}

/** Name of the annotation file. */
export const ANNOTATION_FILE = 'annotations.jsonl';

function parseLine(line: string, where: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(
      `openFolder: ${where}: a line must be one JSON object, got: ${reason}. Mend or remove the line.`,
    );
  }
}

/** The path as the disk spells it: of the two ways to write `é`, a copy from another system may have the other one. */
function storedPath(path: string): string {
  const folder = dirname(path);
  if (existsSync(path) || !existsSync(folder)) return path;
  const isSame = (name: string): boolean => name.normalize('NFC') === basename(path).normalize('NFC');
  const stored = readdirSync(folder).find(isSame);
  return stored === undefined ? path : join(folder, stored);
}

/** The image that a line names. */
function imageOf(folder: string, image: unknown, where: string): { key: string; path: string } {
  if (typeof image !== 'string' || image === '' || normalize(image).split(sep)[0] === '..') {
    throw new DataError(
      `openFolder: ${where}: \`image\` must name a file in the folder, got ${JSON.stringify(image) ?? 'nothing'}.`,
    );
  }
  return { key: image, path: storedPath(join(folder, image)) };
}

/**
 * Reads a line of a folder's annotations; whether the image is there is not asked.
 *
 * @param where  file and line, for the message
 * @throws DataError with the rule, the value and the place
 */
export function parseEntry(
  folder: string,
  line: string,
  where: string,
): { key: string; path: string; annotation: Annotation } {
  const entry = parseLine(line, where);
  const annotation = parseAnnotation(entry, where);
  return { ...imageOf(folder, entry.image, where), annotation };
}

/**
 * Reads a line of a folder's annotations without a look at the annotation.
 *
 * @returns  the image, and the rest of the line
 * @throws DataError for a line that is no JSON object or names no image
 */
export function parseRawEntry(
  folder: string,
  line: string,
  where: string,
): { key: string; path: string; annotation: Readonly<Record<string, unknown>> } {
  const { image, ...annotation } = parseLine(line, where) ?? {};
  return { ...imageOf(folder, image, where), annotation };
}

async function readEntry(folder: string, line: string, where: string): Promise<FolderImage> {
  const { key, path, annotation } = parseEntry(folder, line, where);
  if (!existsSync(path)) {
    throw new DataError(
      `openFolder: ${where}: the image must exist, got ${path}. Add the file or remove the line.`,
    );
  }
  const size = await sharp(path)
    .metadata()
    .catch((error: Error) => {
      throw new DataError(
        `openFolder: ${where}: ${path} must be an image, got: ${error.message.split('\n')[0]}. ${FORMATS_READ}`,
      );
    });
  const { width, height } = size;
  const boxes = boxesInside(annotation.boxes, width, height, where);
  return {
    key,
    path,
    width,
    height,
    ...annotation,
    boxes,
    ...questionsInside(annotation, width, height, where),
  };
}

/**
 * Reads and checks every line of a folder's annotations; images are opened for their size and not decoded.
 *
 * @throws DataError naming the file and the line
 */
export async function openFolder(folder: string): Promise<FolderImage[]> {
  const file = join(folder, ANNOTATION_FILE);
  if (!existsSync(file)) {
    throw new DataError(
      `openFolder: a data folder must hold ${ANNOTATION_FILE}, got ${folder} without it. Write one with \`ps3 data scenes --out DIR\` or by hand.`,
    );
  }
  const images: FolderImage[] = [];
  const seen = new Map<string, number>();
  const text = await readTextFile(file);
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const where = `${file} line ${index + 1}`;
    const image = await readEntry(folder, line, where);
    const earlier = seen.get(image.path);
    if (earlier !== undefined) {
      throw new DataError(
        `openFolder: ${where}: an image must have one line, got ${image.key} again after line ${earlier}. Join the boxes.`,
      );
    }
    seen.set(image.path, index + 1);
    images.push(image);
  }
  if (images.length === 0) throw new DataError(`openFolder: ${file} must have at least one line, got none.`);
  return images;
}

/**
 * Decodes an image of the folder, squashed to a square, boxes scaled along.
 *
 * @throws ImageError naming the file when it is corrupt
 */
export function loadImage(image: FolderImage, side: number): Promise<Sample> {
  return decodeAnnotated(image.path, image, side, image.path);
}
