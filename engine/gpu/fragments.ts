// The fragments that shaders import, all files of shaders/lib: tests/layout.test.ts compares the two.
import attention_product from '../../shaders/lib/attention_product.wgsl' with { type: 'text' };
import broadcast from '../../shaders/lib/broadcast.wgsl' with { type: 'text' };
import broadcast_subgroup from '../../shaders/lib/broadcast_subgroup.wgsl' with { type: 'text' };
import causal from '../../shaders/lib/causal.wgsl' with { type: 'text' };
import cubic from '../../shaders/lib/cubic.wgsl' with { type: 'text' };
import dense from '../../shaders/lib/dense.wgsl' with { type: 'text' };
import dot_add from '../../shaders/lib/dot_add.wgsl' with { type: 'text' };
import elements from '../../shaders/lib/elements.wgsl' with { type: 'text' };
import epilogue from '../../shaders/lib/epilogue.wgsl' with { type: 'text' };
import erf from '../../shaders/lib/erf.wgsl' with { type: 'text' };
import fold from '../../shaders/lib/fold.wgsl' with { type: 'text' };
import fold_subgroup from '../../shaders/lib/fold_subgroup.wgsl' with { type: 'text' };
import gelu from '../../shaders/lib/gelu.wgsl' with { type: 'text' };
import held from '../../shaders/lib/held.wgsl' with { type: 'text' };
import index from '../../shaders/lib/index.wgsl' with { type: 'text' };
import key from '../../shaders/lib/key.wgsl' with { type: 'text' };
import matrix_tile from '../../shaders/lib/matrix_tile.wgsl' with { type: 'text' };
import numerics from '../../shaders/lib/numerics.wgsl' with { type: 'text' };
import offset from '../../shaders/lib/offset.wgsl' with { type: 'text' };
import packed from '../../shaders/lib/packed.wgsl' with { type: 'text' };
import reduce from '../../shaders/lib/reduce.wgsl' with { type: 'text' };
import register_tile from '../../shaders/lib/register_tile.wgsl' with { type: 'text' };
import scan from '../../shaders/lib/scan.wgsl' with { type: 'text' };
import sequence from '../../shaders/lib/sequence.wgsl' with { type: 'text' };
import shared_tile from '../../shaders/lib/shared_tile.wgsl' with { type: 'text' };
import sigmoid from '../../shaders/lib/sigmoid.wgsl' with { type: 'text' };
import sine from '../../shaders/lib/sine.wgsl' with { type: 'text' };
import threefry from '../../shaders/lib/threefry.wgsl' with { type: 'text' };
import tile_squares from '../../shaders/lib/tile_squares.wgsl' with { type: 'text' };
import vector from '../../shaders/lib/vector.wgsl' with { type: 'text' };

/** WGSL by the names of `#import` lines. */
export const FRAGMENTS: Readonly<Record<string, string>> = {
  attention_product,
  broadcast,
  broadcast_subgroup,
  causal,
  cubic,
  dense,
  dot_add,
  elements,
  epilogue,
  erf,
  fold,
  fold_subgroup,
  gelu,
  held,
  index,
  key,
  matrix_tile,
  numerics,
  offset,
  packed,
  reduce,
  register_tile,
  scan,
  sequence,
  shared_tile,
  sigmoid,
  sine,
  threefry,
  tile_squares,
  vector,
};
