// Zero-shot comparison of images, or parts of them, with texts. Zhai et al. 2023, arXiv:2303.15343.
import {
  add,
  compactMap,
  concat,
  embedding,
  equal,
  exp,
  expect,
  expectKeys,
  l2Normalize,
  matmul,
  mul,
  noGrad,
  sigmoid,
  slice,
  Tensor,
  tidy,
} from '../../engine/index.ts';
import { total } from './config/config.ts';
import { expectTexts, type ModelCore } from './core.ts';
import { encode } from './encode.ts';
import type { Encoding } from './encoding.ts';
import { regionMap } from './query.ts';
import type { Region } from './region.ts';

/** What of an image is compared. */
export interface PoolOptions {
  /**
   * 'low' pools the low-res tokens, as for captions of whole images; 'high' the selected patches, as for captions of
   * boxes. Default 'low'.
   */
  readonly tokens?: 'low' | 'high';
  /**
   * Pools only tokens of cells that the region covers, one region for all images or one per image; where there is
   * no such token, pools all. A point stands for the cell that it lies in.
   */
  readonly region?: Region | readonly Region[];
}

const POOL_OPTIONS = { tokens: true, region: true } as const;

/** What `PS3.similarity` returns. Lives where the images live; `dispose()` or `using` frees it earlier. */
export interface Similarity extends Disposable {
  /** [B, T], any number. */
  readonly logits: Tensor<'f32'>;
  /** [B, T], of each pair by itself: rows need not sum to 1. */
  readonly probabilities: Tensor<'f32'>;
  /** Frees the tensors. */
  dispose(): void;
}

/** Pooled and normalised, [B, E]. */
export function imageFeatures(
  op: string,
  model: ModelCore,
  encoding: Encoding,
  options: PoolOptions,
): Tensor<'f32'> {
  expectKeys(op, options, POOL_OPTIONS);
  const { tokens: kind = 'low', region } = options;
  const { grids, counts } = encoding;
  const [Y, X] = grids[0];
  const K = total(counts);
  expect(
    kind === 'low' || K > 0,
    op,
    'high-res tokens need an encoding that looked',
    `${K} patches`,
    "Encode with looks, or pass tokens: 'low'.",
  );
  return noGrad(() =>
    tidy([encoding.lastHiddenState], (all) => {
      const tokens =
        kind === 'low'
          ? slice(all, { axis: 1, length: Y * X })
          : slice(all, { axis: 1, start: Y * X, length: K });
      if (!region) return l2Normalize(model.vision.pool(tokens));
      const covered = grids.map((grid) => {
        const near = regionMap(op, all, region, grid);
        return equal(near, 1);
      });
      const keyMask = kind === 'low' ? covered[0] : ofSelected(covered.slice(1), encoding);
      return l2Normalize(model.vision.pool(tokens, keyMask));
    }),
  );
}

/** Values of maps [B, Y * X] per high-res scale at the selected patches, [B, K]. */
function ofSelected(maps: readonly Tensor<'f32'>[], { selectionMaps, counts }: Encoding): Tensor<'f32'> {
  const parts = maps.flatMap((map, i) => {
    if (counts[i] === 0) return [];
    const [B, cells] = map.shape;
    const indices = compactMap(selectionMaps[i].in(map.scope).reshape([B, cells]), counts[i]);
    return [embedding(map.reshape([B, cells, 1]), indices, { unique: true }).reshape([B, counts[i]])];
  });
  return concat(parts, { axis: 1 });
}

/** Compares images with texts. */
export async function similarity(
  model: ModelCore,
  image: Tensor | Encoding,
  texts: string | readonly string[] | Tensor,
  options: PoolOptions,
): Promise<Similarity> {
  const op = 'PS3.similarity';
  expectKeys(op, options, POOL_OPTIONS);
  if (!(texts instanceof Tensor)) expectTexts(op, model, typeof texts === 'string' ? [texts] : texts);
  const { tokens: kind = 'low', region } = options;
  if (image instanceof Tensor) {
    using encoding = await encode(op, model, image, kind === 'low' ? { looks: 0 } : { looks: 1, region });
    return await similarity(model, encoding, texts, options);
  }
  using pooled = imageFeatures(op, model, image, options);
  const { scope } = pooled;
  const text = noGrad(() => model.encodeText(texts, { scope }));
  const [logits, probabilities] = noGrad(() =>
    tidy([pooled, text.features], (pooled, features) => {
      const cosines = matmul(pooled, features, { transposeB: true });
      const logits = add(mul(cosines, exp(model.logitScale.in(pooled.scope))), model.logitBias);
      return [logits, sigmoid(logits)];
    }),
  );
  for (const tensor of [text.pooled, text.features, text.prompt]) tensor.dispose();
  const dispose = (): void => {
    logits.dispose();
    probabilities.dispose();
  };
  return { logits, probabilities, dispose, [Symbol.dispose]: dispose };
}
