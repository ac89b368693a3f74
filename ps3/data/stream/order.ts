// Which image comes next, over shards of unknown sizes: a pure function of the seed and of where the stream stands.
//
// Shards are shuffled; as many of them as hold a window of samples make a block; a block's samples are shuffled. So the place
// is three numbers, and to go on there only the indices of one block are read. The order is that of all ranks together.

import { Random } from '../../../engine/index.ts';
import type { SourceCursor, StreamCursor } from '../collection.ts';
import { DataError } from '../errors.ts';
import { seedFor } from '../seeds.ts';
import type { Reference, Shard } from './shard.ts';
import type { SkipLog } from './skips.ts';

/** A collection to draw from. */
export interface Source {
  readonly shards: readonly Shard[];
  /** How often it is drawn from, relative to the other sources. */
  readonly weight: number;
  /** Samples of it that are not to be drawn; none when left out. */
  readonly without?: (reference: Reference) => boolean;
}

/** How the order is drawn. */
export interface OrderOptions {
  readonly sources: readonly Source[];
  /** Decides the order. */
  readonly seed: number;
  /** Samples that are shuffled together, at least; 0: the order in which they are stored. */
  readonly shuffle: number;
  /** Shards are drawn with replacement; otherwise an epoch has each once. */
  readonly resampled: boolean;
  /** Told of what cannot be used. */
  readonly skips: SkipLog;
}

/** A place in the stream, and the image that it holds. */
export interface Slot {
  readonly slot: number;
  readonly reference: Reference;
  /** What is shown in its stead where the image cannot be: others of its block, in an order that the slot decides. */
  readonly substitutes: () => readonly Reference[];
}

/** Samples that are shuffled together. */
interface Block {
  readonly references: readonly Reference[];
  readonly shards: readonly Shard[];
  /** Shards of the epoch that are behind after it. */
  readonly end: number;
}

/** The images of all sources, one after another. */
export class Order {
  readonly #options: OrderOptions;
  readonly #readers: readonly SourceReader[];
  #slot: number;

  /** @param from  where it goes on; undefined: at the start */
  constructor(options: OrderOptions, from?: StreamCursor) {
    this.#options = options;
    this.#slot = from?.slot ?? 0;
    this.#readers = options.sources.map(
      (source, i) => new SourceReader(source, i, options, from?.sources[i] ?? START),
    );
  }

  /** Where it stands. */
  get cursor(): StreamCursor {
    return { slot: this.#slot, sources: this.#readers.map(({ cursor }) => cursor) };
  }

  /** The next images. One call at a time. @throws DataError when a source has no sample, or too many were skipped */
  async take(count: number): Promise<Slot[]> {
    const slots: Slot[] = [];
    for (; slots.length < count; this.#slot++) {
      const slot = this.#slot;
      const { reference, block } = await this.#readers[this.#sourceOf(slot)].next();
      const random = () => new Random(seedFor(this.#options.seed, 'substitutes'), slot);
      slots.push({ slot, reference, substitutes: () => random().shuffle([...block.references]) });
    }
    return slots;
  }

  /** Lets go of the shards in use. */
  close(): void {
    for (const reader of this.#readers) reader.close();
  }

  #sourceOf(slot: number): number {
    const { sources, seed } = this.#options;
    if (sources.length === 1) return 0;
    const total = sources.reduce((sum, { weight }) => sum + weight, 0);
    let left = total * new Random(seedFor(seed, 'source'), slot).uniform();
    const found = sources.findIndex(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    return found < 0 ? sources.length - 1 : found;
  }
}

const START: SourceCursor = { epoch: 0, shard: 0, sample: 0 };

/** The images of one source. */
class SourceReader {
  readonly #source: Source;
  readonly #number: number;
  readonly #options: OrderOptions;
  #cursor: SourceCursor;
  #block: Promise<Block> | undefined;
  /** The block after it, begun while the one at hand is read. */
  #coming: Promise<Block> | undefined;

  constructor(source: Source, number: number, options: OrderOptions, from: SourceCursor) {
    this.#source = source;
    this.#number = number;
    this.#options = options;
    this.#cursor = from;
  }

  get cursor(): SourceCursor {
    return this.#cursor;
  }

  async next(): Promise<{ reference: Reference; block: Block }> {
    for (let empty = 0; ; ) {
      const block = await this.#open();
      const { epoch, shard, sample } = this.#cursor;
      if (sample < block.references.length) {
        this.#cursor = { epoch, shard, sample: sample + 1 };
        return { reference: block.references[sample], block };
      }
      empty = block.references.length === 0 ? empty + 1 : 0;
      if (empty > this.#source.shards.length) {
        const [{ name }] = this.#source.shards;
        throw new DataError(
          `Order: a source must have samples that can be used, got none in ${this.#source.shards.length} shards from ${name}. See skipped.jsonl of the run.`,
        );
      }
      this.close(block);
      this.#cursor = this.#after(epoch, block.end);
      this.#block = this.#coming;
      this.#coming = undefined;
    }
  }

  /** Lets go of a block's shards, by default of all that are open. */
  close(block?: Block): void {
    const open = block ? [Promise.resolve(block)] : [this.#block, this.#coming];
    for (const opening of open)
      opening?.then(
        ({ shards }) => {
          for (const shard of shards) shard.release();
        },
        () => undefined, // its error is that of `next`
      );
  }

  #after(epoch: number, shard: number): SourceCursor {
    const isEnd = !this.#options.resampled && shard === this.#source.shards.length;
    return isEnd ? { epoch: epoch + 1, shard: 0, sample: 0 } : { epoch, shard, sample: 0 };
  }

  async #open(): Promise<Block> {
    this.#block ??= this.#read(this.#cursor);
    const block = await this.#block;
    if (this.#coming === undefined) {
      this.#coming = this.#read(this.#after(this.#cursor.epoch, block.end));
      this.#coming.catch(() => undefined); // awaited when its turn comes
    }
    return block;
  }

  /** The shards from a place on until a window is full or the epoch ends. */
  async #read({ epoch, shard: start }: SourceCursor): Promise<Block> {
    const { seed, shuffle, skips, resampled } = this.#options;
    const { without } = this.#source;
    const references: Reference[] = [];
    const shards: Shard[] = [];
    const last = resampled ? start + this.#source.shards.length : this.#source.shards.length;
    let end = start;
    do {
      const shard = this.#shardAt(epoch, end++);
      const index = await shard.index();
      skips.opened(index.references.length, index.skips);
      for (const reference of index.references) if (!without?.(reference)) references.push(reference);
      shards.push(shard);
    } while (end < last && references.length < shuffle);
    if (shuffle === 0) return { references, shards, end };
    const random = new Random(seedFor(seed, `block ${this.#number} ${epoch}`), start);
    return { references: random.shuffle(references), shards, end };
  }

  #shardAt(epoch: number, position: number): Shard {
    const { shards } = this.#source;
    const { seed, shuffle, resampled } = this.#options;
    if (resampled)
      return shards[new Random(seedFor(seed, `resample ${this.#number}`), position).integer(shards.length)];
    if (shuffle === 0) return shards[position];
    const order = Uint32Array.from(shards.keys());
    return shards[new Random(seedFor(seed, `shards ${this.#number}`), epoch).shuffle(order)[position]];
  }
}
