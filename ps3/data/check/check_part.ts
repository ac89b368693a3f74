// A collection in parts, and what is found in one: every image is decoded, every box held against its image.

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeImage, ImageError } from '../../model/image.ts';
import { canonicalize } from '../../model/text/canonicalize.ts';
import type { Tokenizer } from '../../model/text/tokenizer.ts';
import type { Box } from '../boxes.ts';
import type { CollectionPlaces } from '../collection.ts';
import { ANNOTATION_FILE } from '../folder.ts';
import { archivesOf, type Reference, type ShardIndex, SkippedError, shardsOf } from '../stream/shard.ts';
import { isAddress, type ShardCache } from '../stream/shard_cache.ts';
import type { Skip } from '../stream/skips.ts';
import { binOf, type Fault, type Findings, type Hashed, MEASURES, type MeasureName } from './findings.ts';

/** A piece of work: a shard, or a thousand images of a folder. */
export interface CheckPart {
  /** The shard that it is of. */
  readonly shard: string;
  /** Of everything that decides what is found, as far as it shows without reading images. */
  state(): Promise<string>;
  /** Does some work on its samples. */
  open<T>(work: (index: ShardIndex) => Promise<T>): Promise<T>;
}

/** Images of a folder in one part. */
const PER_PART = 1000;

/** Images that are decoded at once. */
const IN_FLIGHT = 4;

/**
 * The work of a check, in order.
 *
 * @throws DataError when there is no collection at the places
 */
export async function partsOf(places: CollectionPlaces, cache: ShardCache): Promise<CheckPart[]> {
  const archives = archivesOf(places);
  const shards = shardsOf(places, cache);
  if (archives)
    return shards.map((shard, i) => ({
      shard: shard.name,
      state: () => statesOf([archives[i].images, archives[i].annotations]),
      async open(work) {
        const index = await shard.index();
        try {
          return await work(index);
        } finally {
          shard.release();
        }
      },
    }));
  const [folder] = shards;
  const { references, skips } = await folder.index();
  const count = Math.max(1, Math.ceil(references.length / PER_PART));
  return Array.from({ length: count }, (_, i) => {
    const part = references.slice(i * PER_PART, (i + 1) * PER_PART);
    const files = [join(folder.name, ANNOTATION_FILE), ...part.flatMap(({ path }) => path ?? [])];
    return {
      shard: folder.name,
      state: () => statesOf(files),
      open: (work) => work({ references: part, skips: i === 0 ? skips : [] }),
    };
  });
}

async function statesOf(places: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const place of places) {
    const found = isAddress(place) ? undefined : await stat(place).catch(() => undefined);
    hash.update(`${place} ${found?.size} ${found?.mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** Checks a part. Captions are counted in tokens too where there is a tokenizer. */
export function checkPart(part: CheckPart, tokenizer?: Tokenizer): Promise<Findings> {
  return part.open(async ({ references, skips }) => {
    const found = new Found(tokenizer);
    found.faults.push(...skips.map((skip) => ({ ...skip, kind: kindOf(skip) })));
    const images: (Hashed | undefined)[] = [];
    const waiting = references.entries();
    // Faults come in the order of the samples, whichever image is decoded first.
    const faults: Fault[][] = references.map(() => []);
    const worker = async (): Promise<void> => {
      for (const [i, reference] of waiting) images[i] = await found.image(reference, faults[i]);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
    found.faults.push(...faults.flat());
    return {
      samples: references.length,
      ...found.counts,
      faults: found.faults,
      images: images.filter((image) => image !== undefined),
      histograms: found.histograms,
    };
  });
}

/** Faults of annotations are told apart by the rule that is broken: what stands before ", got" in the sentence. */
function kindOf({ kind, reason }: Skip): string {
  const rule = kind === 'bad annotation' ? /: ([^:]+), got[: ]/.exec(reason)?.[1] : undefined;
  return rule === undefined ? kind : `${kind}: ${rule}`;
}

/** What was found so far. */
class Found {
  readonly faults: Fault[] = [];
  readonly counts = { boxes: 0, captions: 0, globalCaptions: 0, cutCaptions: 0, questions: 0, answers: 0 };
  readonly histograms = Object.fromEntries(Object.keys(MEASURES).map((name) => [name, {}])) as Record<
    MeasureName,
    Record<string, number>
  >;
  readonly #tokenizer: Tokenizer | undefined;

  constructor(tokenizer: Tokenizer | undefined) {
    this.#tokenizer = tokenizer;
  }

  /** @returns the image's content; undefined when it cannot be read or decoded */
  async image(reference: Reference, faults: Fault[]): Promise<Hashed | undefined> {
    const { shard, key, captions, globalCaption, boxes, questions = [] } = reference;
    const fault = (kind: string, reason: string): void => {
      faults.push({ shard: shard.name, key, kind, reason });
    };
    this.counts.captions += captions.length;
    this.counts.boxes += boxes.length;
    this.counts.questions += questions.length;
    this.counts.answers += questions.filter(({ answer }) => answer !== undefined).length;
    this.#count('boxesPerImage', boxes.length);
    for (const caption of captions) this.#caption('words', caption);
    if (globalCaption !== undefined) {
      this.counts.globalCaptions++;
      this.#caption('globalWords', globalCaption);
    }
    try {
      const encoded = await shard.read(reference);
      const { width, height } = await decodeImage(encoded, { name: `${shard.name}: ${key}` });
      this.#count('longSidePx', Math.max(width, height));
      this.#count('aspect', width / height);
      for (const [x1, y1, x2, y2] of boxes.filter((box) => isSound(box, width, height, fault))) {
        this.#count('boxSide', Math.sqrt(((x2 - x1) * (y2 - y1)) / (width * height)));
        this.#count('boxAspect', (x2 - x1) / (y2 - y1));
      }
      for (const box of questions.flatMap(({ boxes }) => boxes)) isSound(box, width, height, fault);
      const hash = createHash('sha256').update(encoded).digest().subarray(0, 16).toString('base64');
      return { key, hash };
    } catch (cause) {
      if (cause instanceof SkippedError) fault(cause.kind, cause.message);
      else if (cause instanceof ImageError) fault('undecodable image', cause.message);
      else throw cause;
      return undefined;
    }
  }

  #caption(measure: 'words' | 'globalWords', caption: string): void {
    this.#count(measure, canonicalize(caption).split(' ').length);
    if (!this.#tokenizer) return;
    const [tokens] = this.#tokenizer.encodeCounted([caption]).counts;
    this.#count('tokens', tokens);
    if (tokens > this.#tokenizer.contextLength) this.counts.cutCaptions++;
  }

  #count(name: MeasureName, value: number): void {
    const bin = binOf(name, value);
    const counts = this.histograms[name];
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
}

/** Whether a box has an area and is inside its image; tells of it otherwise. */
function isSound(
  box: Box,
  width: number,
  height: number,
  fault: (kind: string, reason: string) => void,
): boolean {
  const [x1, y1, x2, y2] = box;
  const said = `[${box.join(', ')}] of an image of ${width} x ${height} pixels`;
  if (x1 >= x2 || y1 >= y2) {
    fault('degenerate box', `${said} has no area.`);
    return false;
  }
  // Edges outside by less than a pixel are left by rounding, and clipped where boxes are used.
  const isFar = x1 <= -1 || y1 <= -1 || x2 >= width + 1 || y2 >= height + 1;
  if (isFar || x1 >= width || y1 >= height || x2 <= 0 || y2 <= 0) {
    fault('box outside the image', `${said} reaches over its border.`);
    return false;
  }
  return true;
}
