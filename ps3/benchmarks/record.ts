// One question of a benchmark, whatever file it comes from.
import sharp from 'sharp';
import type { Box } from '../data/boxes.ts';
import { DataError } from '../data/errors.ts';

/** How a reply is scored. */
export const METRICS = ['choice', 'vqa', 'anls', 'relaxed', 'contains', 'exact', 'point'] as const;
/** A name of `METRICS`. */
export type Metric = (typeof METRICS)[number];

/** An image file: its path, or its bytes. */
export type ImageFile = string | Uint8Array;

/** A question about an image. */
export interface BenchmarkRecord {
  /** Unique in its benchmark. */
  readonly id: string;
  readonly image: ImageFile;
  /** Of the stored image, pixels. */
  readonly width: number;
  readonly height: number;
  /** What results are told apart by. */
  readonly category?: string;
  readonly subcategory?: string;
  /** Without its options. */
  readonly question: string;
  /** The question as the file has it, where that says more, options or how to answer. */
  readonly asked?: string;
  /** To choose among; absent where the answer is free. */
  readonly options?: readonly string[];
  /** Index into the options, or every accepted answer; for `point` nothing but the boxes counts. */
  readonly answer: number | readonly string[];
  readonly metric: Metric;
  /** Where the answer is, in pixels of the stored image. */
  readonly boxes?: readonly Box[];
  /** What to look for in each box: the prompt of a top-down selection. */
  readonly referents?: readonly string[];
  /** Records of one group are not independent: its image or scene. */
  readonly group: string;
  /** Which rotation of the options this is, from 0. */
  readonly cycle?: number;
  readonly split?: string;
  /** Height of the answer's capital letters, or of what must be told apart, pixels of the stored image. */
  readonly capPx?: number;
  /** Least long side of the image at which the answer can be read, pixels: by the size of its letters, and by a reader. */
  readonly leastPx?: { readonly constructed: number; readonly reader: number };
}

/** A record whose image is not measured yet. */
export type UnmeasuredRecord = Omit<BenchmarkRecord, 'width' | 'height'> & {
  readonly width?: number;
  readonly height?: number;
};

/**
 * Reads the size of the image from its header, unless the record has it.
 *
 * @param where  file and row, for the message
 * @throws DataError when it is missing or no image
 */
export async function measured(record: UnmeasuredRecord, where: string): Promise<BenchmarkRecord> {
  const { image, width, height } = record;
  if (width !== undefined && height !== undefined) return { ...record, width, height };
  try {
    const header = await sharp(image).metadata();
    return { ...record, width: header.width, height: header.height };
  } catch (cause) {
    const name = typeof image === 'string' ? image : `${image.length} bytes`;
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new DataError(
      `benchmark: ${where}: \`image\` must be an image, got ${name}: ${reason.replace(/\.$/, '')}. Replace or remove it.`,
      { cause },
    );
  }
}
