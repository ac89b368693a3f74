// What the tape keeps of one tensor. Under a packing, an f32 tensor is kept in less memory from the moment on when nobody but
// the tape refers to its storage: parameters, inputs and what the caller holds stay as they are, and cost nothing.
import type { Keeper } from './storage.ts';
import type { Scope, Tensor } from './tensor.ts';

/** How tensors are kept in less memory, and how they are got back. */
export interface Packing {
  /** Of any shape; the caller owns the result. */
  pack(tensor: Tensor): Tensor;
  /** Back to f32; the caller owns the result. */
  unpack(packed: Tensor): Tensor<'f32'>;
}

/** A tensor on the tape, until backward takes it. */
export class SavedTensor implements Keeper {
  /** The saved tensor, or its packed form; undefined once it is taken or disposed. */
  #tensor: Tensor | undefined;
  #isPacked = false;
  readonly #packing: Packing | undefined;

  /** Takes over a handle that is in no scope. */
  constructor(tensor: Tensor, packing: Packing | undefined) {
    this.#tensor = tensor;
    this.#packing = packing;
    if (packing) tensor.storage.addKeeper(this);
  }

  /** The tensor, as it was saved but for rounding, in `scope`. */
  take(scope: Scope): Tensor {
    const tensor = this.#release()!;
    if (!this.#isPacked) return tensor.moveTo(scope);
    using packed = tensor;
    return this.#packing!.unpack(packed).moveTo(scope);
  }

  /** Packs what several refer to once. */
  pack(keepers: readonly SavedTensor[]): void {
    const made = new Map<string, { packed: Tensor; packing: Packing }[]>();
    for (const keeper of keepers) {
      const tensor = keeper.#tensor!;
      const packing = keeper.#packing!;
      const place = `${tensor.range.offset}:${tensor.sizeBytes}`;
      const same = made.get(place) ?? [];
      let packed = same.find((other) => other.packing === packing)?.packed;
      if (!packed) {
        packed = packing.pack(tensor);
        made.set(place, [...same, { packed, packing }]);
      }
      keeper.#tensor = packed.alias(tensor.shape);
      keeper.#isPacked = true;
      tensor.dispose();
    }
    for (const { packed } of [...made.values()].flat()) packed.dispose();
  }

  /** Frees it, where backward did not take it. */
  dispose(): void {
    this.#release()?.dispose();
  }

  #release(): Tensor | undefined {
    const tensor = this.#tensor;
    this.#tensor = undefined;
    if (tensor && this.#packing && !this.#isPacked) tensor.storage.removeKeeper(this);
    return tensor;
  }
}
