// Where a run's images come from besides memory: shards and folders in Node (streams.ts), or what a program brings.
import type { PS3 } from '../model/ps3.ts';
import type { BatchLoaderOptions } from './batch_loader.ts';
import type { Batches, Cursor } from './batches.ts';
import type { Batch } from './loss.ts';
import type { CropBatch } from './towers.ts';

/** What of a model decides its batches. */
export type BatchModel = Pick<PS3, 'config' | 'tokenizer'>;

/** Images that are read as they are needed; of several ranks each reads its own part of every batch. */
export interface ImageSource {
  /** The second stage's batches that follow a place, drawn as by `BatchLoader`. */
  batches(model: BatchModel, options: BatchLoaderOptions, from: Cursor): Batches<Batch>;
  /** The first stage's batches that follow a place. */
  crops(
    model: BatchModel,
    options: Pick<BatchLoaderOptions, 'batchSize' | 'seed'>,
    from: Cursor,
  ): Batches<CropBatch>;
}
