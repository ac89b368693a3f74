// The collections of a run: what it trains on, as a stream, and the images held out of that.

import { Random } from '../../../engine/index.ts';
import { ImageError } from '../../model/image.ts';
import { type AskedQuestion, decodeAnnotated, type Sample } from '../annotations.ts';
import type { CollectionPlaces, CollectionSource, Fingerprint, StreamCursor } from '../collection.ts';
import { DataError } from '../errors.ts';
import { fingerprintShards } from '../fingerprint.ts';
import { seedFor } from '../seeds.ts';
import { type BatchBuilder, ImageStream, type ImageStreamOptions } from './image_stream.ts';
import type { Source } from './order.ts';
import { type Reference, type Shard, shardsOf } from './shard.ts';
import { type CacheOptions, ShardCache } from './shard_cache.ts';
import { SkipLog } from './skips.ts';

/** What a run trains on, and how. */
export interface CollectionsOptions
  extends Pick<
    ImageStreamOptions,
    'seed' | 'shuffle' | 'resampled' | 'imagesInFlight' | 'rank' | 'ranks' | 'exchangeHashes'
  > {
  /** What is mixed. */
  readonly sources: readonly CollectionSource[];
  /** Images to evaluate on; null: images of the last shard of each source, which are not trained on. */
  readonly validation: CollectionPlaces | null;
  /** Images to hold out, at most. */
  readonly heldOut: number;
  /** Whether images with questions are wanted, and no others; default: images with captions. */
  readonly asked?: boolean;
  /** Of samples that may be skipped. */
  readonly maxSkippedShare: number;
  /** Where archives behind addresses are kept. */
  readonly cache: CacheOptions;
}

/** Collections that are open. */
export class Collections {
  /** What was skipped so far. */
  readonly skips: SkipLog;
  readonly #options: CollectionsOptions;
  readonly #sources: readonly Source[];
  readonly #heldOut: readonly Reference[];

  private constructor(
    options: CollectionsOptions,
    skips: SkipLog,
    sources: readonly Source[],
    heldOut: readonly Reference[],
  ) {
    this.#options = options;
    this.skips = skips;
    this.#sources = sources;
    this.#heldOut = heldOut;
  }

  /**
   * Lists the shards, and chooses the held-out images.
   *
   * @throws DataError when there are no shards, or no image with a box or a question to hold out
   */
  static async open(options: CollectionsOptions): Promise<Collections> {
    const { sources, validation, heldOut, seed, asked = false } = options;
    const isWanted = ({ questions, captions, globalCaption }: Reference): boolean =>
      asked ? questions !== undefined : captions.length > 0 || globalCaption !== undefined;
    const isToHoldOut = ({ boxes, questions }: Reference): boolean =>
      asked ? questions !== undefined : boxes.length > 0;
    const skips = new SkipLog(options.maxSkippedShare);
    const cache = new ShardCache(options.cache);
    const lists = sources.map((source) => ({ ...source, shards: shardsOf(source, cache) }));
    const chosen: Reference[] = [];
    if (validation) {
      for (const shard of shardsOf(validation, cache))
        if (chosen.length < heldOut)
          chosen.push(...(await choose(shard, isToHoldOut, heldOut - chosen.length, seed, skips)));
    } else {
      const share = Math.ceil(heldOut / lists.length);
      // Of a source of one shard most is to be left for training.
      for (const { shards } of lists)
        chosen.push(
          ...(await choose(
            shards[shards.length - 1],
            isToHoldOut,
            share,
            seed,
            skips,
            shards.length === 1 ? 0.1 : 1,
          )),
        );
    }
    if (chosen.length === 0)
      throw new DataError(
        `Collections.open: there must be an image with a ${asked ? 'question' : 'box'} to evaluate on, got none in ${(validation ?? sources[0]).images}. Annotate ${asked ? 'questions' : 'boxes'}, or name a collection that has some as data.validation.`,
      );
    const kept = new Set(chosen.map(idOf));
    const without = (reference: Reference): boolean => !isWanted(reference) || kept.has(idOf(reference));
    return new Collections(
      options,
      skips,
      lists.map(({ shards, weight }) => ({ shards, weight, without })),
      chosen,
    );
  }

  /** Shards that are trained on. */
  get shardCount(): number {
    return this.#sources.reduce((sum, { shards }) => sum + shards.length, 0);
  }

  /**
   * Batches of training images.
   *
   * @param purpose  what they are for: other purposes have other orders
   */
  stream<B>(
    perBatch: number,
    builder: (count: number) => BatchBuilder<B>,
    from: StreamCursor | undefined,
    purpose: string,
  ): ImageStream<B> {
    const { seed, shuffle, resampled, imagesInFlight, rank, ranks, exchangeHashes } = this.#options;
    const shared = { shuffle, resampled, imagesInFlight, rank, ranks, exchangeHashes };
    const options = { ...shared, seed: seedFor(seed, purpose), sources: this.#sources, skips: this.skips };
    return new ImageStream(options, perBatch, builder, from);
  }

  /** The held-out images, decoded and squashed to a square; broken ones are left out. */
  async heldOut(side: number, onImage?: (done: number, all: number) => void): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (const [i, reference] of this.#heldOut.entries()) {
      const { shard, key } = reference;
      try {
        samples.push(
          await decodeAnnotated(await shard.read(reference), reference, side, `${shard.name}: ${key}`),
        );
      } catch (cause) {
        if (!(cause instanceof ImageError || cause instanceof DataError)) throw cause;
        const kind = cause instanceof ImageError ? 'undecodable image' : 'bad annotation';
        this.skips.read({ shard: shard.name, key, kind, reason: cause.message });
      }
      onImage?.(i + 1, this.#heldOut.length);
    }
    if (samples.length === 0)
      throw new DataError(
        `Collections.heldOut: an image to evaluate on must decode, got none of ${this.#heldOut.length}. Replace them.`,
      );
    return samples;
  }

  /** What tells these collections from others. @throws FileError */
  async fingerprint(): Promise<Fingerprint> {
    const all = await Promise.all(this.#sources.map(({ shards }) => fingerprintShards(shards)));
    if (all.length === 1) return all[0];
    return Object.fromEntries(
      all.flatMap((parts, i) =>
        Object.entries(parts).map(([name, words]) => [`source ${i}: ${name}`, words]),
      ),
    );
  }

  /** Every caption of the first shards of each source. @param shards  of a source, at most */
  captions(shards: number): Promise<string[]> {
    return this.#gathered(shards, ({ captions, globalCaption }) =>
      globalCaption === undefined ? captions : [...captions, globalCaption],
    );
  }

  /** Every question of the first shards of each source. @param shards  of a source, at most */
  questions(shards: number): Promise<AskedQuestion[]> {
    return this.#gathered(shards, ({ questions = [] }) => questions);
  }

  async #gathered<T>(shards: number, of: (reference: Reference) => readonly T[]): Promise<T[]> {
    const all: T[] = [];
    for (const source of this.#sources)
      for (const shard of source.shards.slice(0, shards)) {
        const { references } = await shard.index();
        for (const reference of references) if (!source.without?.(reference)) all.push(...of(reference));
        shard.release();
      }
    return all;
  }
}

const idOf = ({ shard, key }: Reference): string => JSON.stringify([shard.name, key]);

/** Images of a shard, drawn at random. @param share  of those that could be, at most */
async function choose(
  shard: Shard,
  could: (reference: Reference) => boolean,
  count: number,
  seed: number,
  skips: SkipLog,
  share = 1,
): Promise<Reference[]> {
  const index = await shard.index();
  skips.opened(index.references.length, index.skips);
  shard.release();
  const all = index.references.filter(could);
  const most = share === 1 ? all.length : Math.max(1, Math.floor(share * all.length));
  return new Random(seed, 0x5117).shuffle(all).slice(0, Math.min(count, most));
}
