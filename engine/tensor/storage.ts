// The memory behind tensors, counted by reference.
import type { PooledBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** A reference of the tape, for much later; another form of the elements would do. */
export interface Keeper {
  /** Called with all that are left once nobody else refers to the storage: each may give up its reference. */
  pack(keepers: readonly Keeper[]): void;
}

/** Reference-counted buffer. Arenas and wrapped buffers are held, never pooled. */
export class Storage {
  readonly gpu: Gpu;
  readonly buffer: PooledBuffer;
  #references = 1;
  /** Those among the references that are kept for much later. */
  readonly #keepers = new Set<Keeper>();

  constructor(gpu: Gpu, buffer: PooledBuffer) {
    this.gpu = gpu;
    this.buffer = buffer;
  }

  /** Whether somebody else may see it: another handle, or the owner of a wrapped buffer. */
  get isShared(): boolean {
    return this.#references > 1 || this.buffer.foreign;
  }

  retain(): this {
    this.#references++;
    return this;
  }

  release(): void {
    this.#references--;
    if (this.#references === 0) this.buffer.pool.release(this.buffer);
    else if (this.#references === this.#keepers.size) {
      const keepers = [...this.#keepers];
      this.#keepers.clear();
      keepers[0].pack(keepers);
    }
  }

  /** Counts one of the references as that of a keeper. */
  addKeeper(keeper: Keeper): void {
    this.#keepers.add(keeper);
  }

  /** Counts the keeper's reference as any other again. */
  removeKeeper(keeper: Keeper): void {
    this.#keepers.delete(keeper);
  }
}
