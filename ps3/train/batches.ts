// Batches in host memory: made while the GPU works on the one before, then written into the tensors of a step.

import type { Engine, Scope, Tensor } from '../../engine/index.ts';
import type { StreamCursor } from '../data/collection.ts';

/** An array in host memory and its shape. */
export interface HostTensor {
  /** The elements, row-major. */
  readonly data: Uint8Array | Int32Array | Uint32Array | Float32Array;
  /** As of the tensor that it becomes. */
  readonly shape: readonly number[];
}

/** The tensors of a batch before they are on the GPU, by the same names. */
export type HostBatch<B> = { readonly [K in keyof B]: HostTensor };

/** Where a stage stands in its images; plain JSON, which a checkpoint keeps. */
export interface Cursor {
  /** Batches of the stage that are behind. */
  readonly step: number;
  /** Where their stream stands, if they come from one. */
  readonly stream?: StreamCursor;
}

/** A batch, and what its step's line of metrics says of it. */
export interface Made<B> {
  /** In host memory. */
  readonly host: HostBatch<B>;
  /** By name, such as the share of captions that are cut. */
  readonly facts?: Readonly<Record<string, number>>;
}

/** One batch, and from where the next ones come. */
export interface Loaded<B> extends Made<B> {
  /** What follows it begins there. */
  readonly next: Cursor;
}

/** The batches of a stage, one after another. */
export interface Batches<B> extends AsyncDisposable {
  /**
   * Begins to make the next batch; another call may follow before it is there. Shapes are the same every time. The third batch
   * after one may be in its memory.
   */
  next(): Promise<Loaded<B>>;
}

/** Batches that depend on the number of their step alone, such as those of images in memory. */
export function batchesByStep<B>(batch: (step: number) => Made<B>, from: Cursor): Batches<B> {
  let { step } = from;
  return {
    next: async () => ({ ...batch(step++), next: { step } }),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The first batch of a stage, in host memory. */
export async function firstBatch<B>(from: (cursor: Cursor) => Batches<B>): Promise<HostBatch<B>> {
  await using batches = from({ step: 0 });
  return (await batches.next()).host;
}

/** Puts a batch onto the GPU, in `scope`. */
export function upload<B extends { readonly [K in keyof B]?: Tensor }>(
  engine: Engine,
  host: HostBatch<B>,
  scope: Scope,
): B {
  const tensors = Object.entries<HostTensor>(host).flatMap(([name, given]) =>
    given ? [[name, engine.tensor(given.data, given.shape, { scope })] as const] : [],
  );
  return Object.fromEntries(tensors) as B;
}
