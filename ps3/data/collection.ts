// What a collection of images is named and known by, and where its stream stands: plain values.

/** Where the samples of a collection lie. */
export interface CollectionPlaces {
  /** Tar archives of images, as paths or http(s) addresses with {00..99}; or a folder that holds either layout. */
  readonly images: string;
  /** Tar archives of annotations in the same order; null where `images` is a folder. */
  readonly annotations: string | null;
}

/** A collection, and how often it is drawn from. */
export interface CollectionSource extends CollectionPlaces {
  /** Relative to the other sources. */
  readonly weight: number;
}

/** What data consists of, each part by its name in words that are equal for equal data, wherever it is kept. */
export type Fingerprint = Readonly<Record<string, string>>;

/** Where a source stands: at a sample of the block that begins with a shard of an epoch. */
export interface SourceCursor {
  /** From 0. */
  readonly epoch: number;
  /** Shards of the epoch before the block. */
  readonly shard: number;
  /** Samples of the block that are behind. */
  readonly sample: number;
}

/** Where a stream stands. */
export interface StreamCursor {
  /** Images that are behind. */
  readonly slot: number;
  /** By source. */
  readonly sources: readonly SourceCursor[];
}
