// What PS3 adds to a plain image tower, and the `vision_config` that both make together.

/** How a tower becomes a PS3: the scales at which it sees an image, and what finds the patches to look at. */
export interface LookSizes {
  /** Image side per scale, ascending; the first is the low-res one. */
  readonly scalesPx: readonly number[];
  /** Side of a patch. */
  readonly patchPx: number;
  /** Blocks whose outputs feed the selection; null: the first, the middle and the last. */
  readonly selectionLayers: readonly number[] | null;
  /** Patches of one look. */
  readonly maxSelect: number;
  /** Channels of the auxiliary encoder. */
  readonly auxWidth: number;
  /** Kernel and stride of the auxiliary encoder's stem. */
  readonly auxKernelPx: number;
  /** Side to which the image is resized for the auxiliary encoder; null: the largest scale. */
  readonly auxImagePx: number | null;
  /** Selected patches attend to the keys and values of the low-res pass. */
  readonly lowResCache: boolean;
  /** Each high-res scale has position embeddings besides the shared ones. */
  readonly scalePositions: boolean;
  /** These depend on the place within a low-res patch alone; default false. */
  readonly tiedPositions?: boolean;
  /** There is an auxiliary encoder. */
  readonly auxEncoder: boolean;
}

/** The keys of `vision_config` that `sizes` decide, for a tower of `depth` blocks. */
export function hubLook(sizes: LookSizes, depth: number): Record<string, unknown> {
  const { scalesPx, selectionLayers } = sizes;
  return {
    pool: 'map',
    ps3_scales: [...scalesPx],
    select_based_on_layer: selectionLayers ?? [...new Set([0, Math.floor(depth / 2) - 1, depth - 1])],
    max_select_num: sizes.maxSelect,
    separate_pos_emb: sizes.scalePositions,
    highres_selection_feature: sizes.auxEncoder,
    highres_selection_module_hidden_dim: sizes.auxWidth,
    highres_selection_module_out_dim: sizes.auxWidth,
    highres_selection_module_depth: 3,
    highres_selection_module_kernel_size: sizes.auxKernelPx,
    aux_image_px: sizes.auxImagePx ?? scalesPx[scalesPx.length - 1],
    low_res_cache: sizes.lowResCache,
    tied_pos_emb_residual: sizes.tiedPositions ?? false,
    ps3_webgpu: true,
  };
}

/** Hidden numbers of an MLP per number of its width, such that rounding the product down gives `hidden` again. */
export function mlpRatioOf(hidden: number, width: number): number {
  const ratio = hidden / width;
  return Math.floor(width * ratio) === hidden ? ratio : (hidden + 0.5) / width;
}
