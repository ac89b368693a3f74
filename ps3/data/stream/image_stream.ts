// Batches of images from collections: read and decoded ahead, some images at once, in an order that nothing of this changes.

import { createHash } from 'node:crypto';
import { ImageError } from '../../model/image.ts';
import type { StreamCursor } from '../collection.ts';
import { DataError } from '../errors.ts';
import { Order, type OrderOptions, type Slot } from './order.ts';
import { type Reference, SkippedError } from './shard.ts';
import type { SkipKind } from './skips.ts';

/** Makes one batch, an image at a time. */
export interface BatchBuilder<B> {
  /**
   * Decodes an image into its place; again, where the first was not to be shown.
   *
   * @param place  in the batch, of this rank
   * @param slot   in the stream, of all ranks together: what the image's random numbers come from
   * @throws ImageError, DataError when it cannot be used
   */
  put(place: number, reference: Reference, encoded: Uint8Array, slot: number): Promise<void>;
  /** The batch, once every place is filled. */
  finish(): B;
}

/** How a stream is read. */
export interface ImageStreamOptions extends OrderOptions {
  /** Images that are read and decoded at once, at most. */
  readonly imagesInFlight: number;
  /** This process among those that share each batch: it has the same part of every one. Default: the only one. */
  readonly rank?: number;
  /** How many there are. Default 1. */
  readonly ranks?: number;
  /** The hashes of every rank's images, in the order of ranks; called by all ranks as often and in the same order. */
  readonly exchangeHashes?: (own: readonly string[]) => Promise<readonly string[]>;
}

/** A batch, and where the stream stands after it. */
export interface StreamedBatch<B> {
  /** As its builder made it. */
  readonly batch: B;
  /** From where the batches after it come. */
  readonly next: StreamCursor;
}

/** The images of collections in batches, each image at most once in a batch by the hash of its bytes. */
export class ImageStream<B> {
  readonly #options: ImageStreamOptions;
  readonly #perBatch: number;
  readonly #builder: (count: number) => BatchBuilder<B>;
  readonly #order: Order;
  readonly #flight: Limit;
  /** Slots of batches are taken one batch after another, and so are repeated images found. */
  #taken: Promise<unknown> = Promise.resolve();
  #settled: Promise<unknown> = Promise.resolve();

  /**
   * @param perBatch  images of a batch, of all ranks together
   * @param builder   begins a batch of so many images
   * @param from      where it goes on; undefined: at the start
   */
  constructor(
    options: ImageStreamOptions,
    perBatch: number,
    builder: (count: number) => BatchBuilder<B>,
    from?: StreamCursor,
  ) {
    const { ranks = 1, imagesInFlight } = options;
    if (perBatch % ranks !== 0)
      throw new DataError(
        `ImageStream: the images of a batch must be a multiple of the ranks, got ${perBatch} images and ${ranks} ranks.`,
      );
    this.#options = options;
    this.#perBatch = perBatch;
    this.#builder = builder;
    this.#order = new Order(options, from);
    this.#flight = new Limit(imagesInFlight);
  }

  /**
   * Begins with the next batch; it may be called again before that is there.
   *
   * @throws DataError when too much was skipped, or there are not as many different images as a batch has
   */
  next(): Promise<StreamedBatch<B>> {
    const taken = this.#taken.then(async () => {
      const slots = await this.#order.take(this.#perBatch);
      return { slots, next: this.#order.cursor };
    });
    this.#taken = taken;
    const filled = taken.then(async ({ slots, next }) => {
      const { rank = 0, ranks = 1 } = this.#options;
      const own = this.#perBatch / ranks;
      const builder = this.#builder(own);
      const places = slots
        .slice(rank * own, (rank + 1) * own)
        .map(
          (slot, i) => new Place(slot, (image) => builder.put(i, image.reference, image.encoded, slot.slot)),
        );
      await Promise.all(places.map((place) => this.#fill(place)));
      return { builder, places, next };
    });
    const settled = Promise.all([filled, this.#settled]).then(async ([{ builder, places, next }]) => {
      await this.#separate(places);
      return { batch: builder.finish(), next };
    });
    this.#settled = settled;
    return settled;
  }

  /** Lets go of the shards in use. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#taken, this.#settled]);
    this.#order.close();
    await this.#options.skips.flush();
  }

  #fill(place: Place): Promise<void> {
    return this.#flight.run(() => place.fill(this.#options, this.#perBatch));
  }

  /** Shows others in place of images that the batch has already, until all are different. */
  async #separate(places: readonly Place[]): Promise<void> {
    const { rank = 0, exchangeHashes = async (own) => own } = this.#options;
    const start = rank * places.length;
    for (;;) {
      const hashes = await exchangeHashes(places.map(({ hash }) => hash));
      const seen = new Set<string>();
      const repeated = hashes.flatMap((hash, i) => (seen.size === seen.add(hash).size ? [i] : []));
      if (repeated.length === 0) return;
      const own = repeated.flatMap((i) => places[i - start] ?? []);
      await Promise.all(own.map((place) => this.#fill(place)));
    }
  }
}

/** A place of a batch: the image of its slot, or the first substitute that can be shown. */
class Place {
  readonly #slot: Slot;
  readonly #put: (image: { reference: Reference; encoded: Uint8Array }) => Promise<void>;
  #candidates: Iterator<Reference>;
  /** Of the encoded bytes that are shown. */
  hash = '';

  constructor(slot: Slot, put: (image: { reference: Reference; encoded: Uint8Array }) => Promise<void>) {
    this.#slot = slot;
    this.#put = put;
    this.#candidates = candidates(slot);
  }

  /** Shows the next candidate that can be used. */
  async fill({ skips }: ImageStreamOptions, perBatch: number): Promise<void> {
    for (;;) {
      const { value: reference, done } = this.#candidates.next();
      if (done)
        throw new DataError(
          `ImageStream: a batch must have ${perBatch} different images that can be decoded, got fewer around ${this.#slot.reference.key} of ${this.#slot.reference.shard.name}. Lower the batch, raise data.shuffle or add images.`,
        );
      const { shard, key } = reference;
      let encoded: Uint8Array | undefined;
      try {
        encoded = await shard.read(reference);
        this.hash = createHash('sha256').update(encoded).digest('base64');
        await this.#put({ reference, encoded });
      } catch (cause) {
        const kind = kindOf(cause, encoded !== undefined);
        if (kind === undefined) throw cause;
        skips.read({ shard: shard.name, key, kind, reason: (cause as Error).message });
        continue;
      }
      skips.read();
      return;
    }
  }
}

function* candidates({ reference, substitutes }: Slot): Generator<Reference, undefined> {
  yield reference;
  for (const other of substitutes()) if (other !== reference) yield other;
}

/** Why a sample is skipped; undefined for an error that is none of the sample's, such as a server that does not answer. */
function kindOf(cause: unknown, isRead: boolean): SkipKind | undefined {
  if (cause instanceof SkippedError) return cause.kind;
  if (cause instanceof ImageError) return 'undecodable image';
  return isRead && cause instanceof DataError ? 'bad annotation' : undefined;
}

/** Runs so many pieces of work at once, the others in the order in which they came. */
class Limit {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
