// What `engine.tune()` measures and `Engine.create` takes: plain data that survives JSON.

/** A choice of kernel for a matmul that tests and tuning impose; what is left out is planned. */
export interface MatmulForce {
  /** The kernel: shaders/matmul/KIND.wgsl. */
  readonly kind?: 'register' | 'tiled' | 'subgroup_matrix';
  /**
   * Multiply tiles on matrix units (`tiled`, tier 3): of operands rounded to f16; or, where it says f32, of two f16 for each
   * operand, in three products. Every f32 has a place: an operand is off by 2^-22 of itself at most or, where that is more, by
   * 2^-39 of the largest in its row of op(a), or column of op(b). Beside the rounding of its sum, c is off by 3 2^-22 of
   * |op(a)| |op(b)|. An infinity makes NaN. Operands in f16 or bf16 are multiplied without units then.
   */
  readonly onUnits?: boolean | 'f32';
  /** Splits of K, summed separately and added in a second pass. */
  readonly splits?: number;
  /** Workgroups that sum equal runs of steps, tile after tile, instead of a tile and a split each (`tiled`): stream-K. */
  readonly streams?: number;
  /** Transpose a transposed b back into [K, N] first (`register`). */
  readonly transposeFirst?: boolean;
  /** Rows of c that a workgroup computes (`tiled`, `subgroup_matrix`); 256, with 128 columns, only `tiled` on units. */
  readonly tile?: 256 | 128 | 96 | 64 | 32;
}

/** Measured choices for one adapter, as `engine.tune()` returns them. */
export interface Tuning {
  /** Name of the adapter that was measured; another one refuses it. */
  readonly adapter: string;
  /** By the matmul: '729x1152x4304 NT' or, in a batch of 16, '729x72x729 NN 16'. */
  readonly matmul: Readonly<Record<string, MatmulForce>>;
}
