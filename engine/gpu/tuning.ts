// What `engine.tune()` measures and `Engine.create` takes: plain data that survives JSON.

/** A choice of `planMatmul` that tests and tuning impose; what is left out is planned. */
export interface MatmulForce {
  readonly variant?: 'registers' | 'tiled' | 'subgroup_matrix';
  /** Parts of K that are summed apart and added in a second pass. */
  readonly slices?: number;
  /** Turn a transposed b into [K, N] first (`registers`). */
  readonly transposeFirst?: boolean;
  /** Rows of c that a workgroup computes. */
  readonly tile?: 128 | 96 | 64 | 32;
}

/** Measured choices for one adapter, as `engine.tune()` returns them. Survives JSON. */
export interface Tuning {
  /** Name of the adapter that was measured; another one refuses it. */
  readonly adapter: string;
  /** By the name that `matmulKey` gives a product. */
  readonly matmul: Readonly<Record<string, MatmulForce>>;
}
