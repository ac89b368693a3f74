// The image side of PS3: a low-res pass, maps of where to look, and looks at selected high-res patches that attend to
// the low-res keys and values. Shi et al. 2025, arXiv:2503.19903.

import {
  add,
  compactMap,
  concat,
  embedding,
  expect,
  layerNormLayer,
  linear,
  type PatchGatherOptions,
  patchGather,
  patchify,
  type Tensor,
  tidy,
  type Weights,
  where,
  zerosLike,
} from '../../../engine/index.ts';
import { type ImageConfig, total, type VisionConfig } from '../config/config.ts';
import { auxEncoder } from './aux_encoder.ts';
import { expectLookAmount, planLooks } from './look_plan.ts';
import { lowResPositions, positionsAt, windowPositionsAt } from './positions.ts';
import { type Grid, imageSize, scaleGrids, scaleSizes } from './scales.ts';
import {
  choose,
  overrideByGroundTruth,
  type PatchSelection,
  type SelectionFeatures,
  saliency,
  smooth,
  touchedCells,
  upsample,
} from './selection.ts';
import { type Look, mergeLooks, takenAfter } from './token_maps.ts';
import type { Glance, LookOptions, LowRes, MapOptions, Maps, VisionOutput } from './vision_types.ts';
import {
  attentionPool,
  type BlockOptions,
  type CheckpointBlocks,
  normedMlp,
  radioAdapter,
  transformerBlock,
  visionBlock,
} from './vit.ts';
import { windowConfig } from './windows.ts';

/** The image side of a model: the low-res pass, the maps of where to look, and the looks. Owns no weights. */
export class VisionModel {
  /** What the image tower is made of. */
  readonly config: VisionConfig;
  /** The official names below `vision_model.`. */
  readonly weights: Weights;
  /** How u8 images are normalised. */
  readonly image: ImageConfig;
  /** Which blocks keep only their inputs for backward, and run again there. */
  checkpointBlocks: Omit<CheckpointBlocks, 'text'> = { lowRes: false, highRes: false };
  /** Of the images that its images are windows of; `config` where they are whole. */
  readonly #whole: VisionConfig;

  /** @param weights  the official names below `vision_model.` */
  constructor(config: VisionConfig, image: ImageConfig, weights: Weights, whole: VisionConfig = config) {
    this.config = config;
    this.#whole = whole;
    this.image = image;
    this.weights = weights;
  }

  /** Grid of each scale for an image; the low-res grid first, always square. Wide and tall images keep their shape. */
  grids(image: Tensor): Grid[] {
    return scaleGrids(this.config, ...imageSize(image));
  }

  /** The same weights for windows of images at their resolution, `cells` x `cells` low-res patches. @param maxSelect  patches of a look */
  window(cells: number, maxSelect: number): VisionModel {
    const config = windowConfig(this.config, cells, maxSelect);
    const window = new VisionModel(config, this.image, this.weights, this.config);
    window.checkpointBlocks = this.checkpointBlocks;
    return window;
  }

  /**
   * Stage 1: the whole image at the lowest scale.
   *
   * @param image   [B, 3, H, W] f32 normalised, or [B, H, W, 4] u8
   * @param layers  outputs of so many of the last blocks are kept
   * @param origin  u32 [B, 2], the low-res row and column at which windows begin; without it they have their own positions
   */
  lowRes(image: Tensor, layers = 1, origin?: Tensor): LowRes {
    const { scalesPx, patchPx, depth, selectionLayers } = this.config;
    let x = this.#embed(
      patchify(image, patchPx, { imagePx: [scalesPx[0], scalesPx[0]], ...this.#colours(image) }),
    );
    const [grid] = this.grids(image);
    x = add(
      x,
      origin
        ? windowPositionsAt(this.weights, this.#whole, 0, grid, undefined, origin)
        : lowResPositions(this.weights, this.config, grid, x),
    );
    const kept = new Map<number, Tensor<'f32'>>();
    const qkv: Tensor<'f32'>[] = [];
    for (let i = 0; i < depth; i++) {
      const checkpointed = this.checkpointBlocks.lowRes;
      const [next, packed] = transformerBlock(x, this.#block(i), { ...this.#blockOptions(), checkpointed });
      if (!kept.has(i - 1)) x.dispose();
      if (i >= depth - layers || selectionLayers.includes(i)) kept.set(i, next);
      qkv.push(packed);
      x = next;
    }
    const outputs = (blocks: readonly number[]): Tensor<'f32'>[] => blocks.map((i) => kept.get(i)!);
    const last = Array.from({ length: layers }, (_, i) => depth - layers + i);
    return { hidden: outputs(last), tapped: outputs(selectionLayers), qkv, origin };
  }

  /** The pooled low-res feature [B, E], not normalised: what global captions are compared with. */
  pool(tokens: Tensor, keyMask?: Tensor): Tensor<'f32'> {
    const trunk = this.weights.in('trunk');
    return tidy([tokens, keyMask], (tokens, keyMask) => {
      let x = trunk.has('norm.weight')
        ? layerNormLayer(tokens, trunk.in('norm'), { eps: this.config.lnEps })
        : tokens;
      if (this.config.adapter) x = radioAdapter(x, trunk.in('siglip_proj'));
      const { attnPool, lnEps: eps, gelu } = this.config;
      return attentionPool(x, trunk.in('attn_pool'), { heads: attnPool.heads, eps, gelu, keyMask });
    });
  }

  /** What queries are compared with: the selection head over tapped hidden states, and the auxiliary encoder. */
  selectionFeatures(image: Tensor, lowRes: LowRes): SelectionFeatures {
    const { width, auxEncoder: auxConfig } = this.config;
    const low = tidy(lowRes.tapped, (...hidden) =>
      normedMlp(concat(hidden, { axis: 2 }), this.weights.in('selection_feature_proj'), width),
    );
    const aux = auxConfig
      ? auxEncoder(
          image,
          this.weights.in('highres_selection_feature_module'),
          auxConfig,
          this.#colours(image),
        )
      : undefined;
    return { low, aux };
  }

  /** Stage 2: where to look. */
  maps(features: SelectionFeatures, grids: readonly Grid[], options: MapOptions = {}): Maps {
    const highRes = grids.slice(1);
    const spread = (query: Tensor): Tensor<'f32'>[] => {
      using cells = saliency(features, query, this.weights, this.config);
      return highRes.map((grid) => upsample(cells, grids[0], grid));
    };
    const prior = this.weights.get('prior_prompt').in(features.low.scope);
    const B = features.low.shape[0];
    const bottomUp = spread(prior.reshape([1, -1])).map((map) => map.reshape([B, -1]));
    const topDown = options.prompt ? spread(options.prompt) : undefined;
    let probs = options.probs ? [...options.probs] : (topDown ?? bottomUp);
    if (options.groundTruth) probs = overrideByGroundTruth(probs, options.groundTruth, highRes);
    if (options.smooth) probs = smooth(probs, highRes);
    return { probs, bottomUp, topDown };
  }

  /**
   * What is the same wherever one looks: the low-res pass, and what queries are compared with.
   *
   * @param image  as for `forward`
   * @param hiddenStates  as of `LookOptions`, for all looks
   */
  glance(image: Tensor, { hiddenStates = 0 }: Pick<LookOptions, 'hiddenStates'> = {}): Glance {
    const layers = Math.max(hiddenStates === true ? this.config.depth : Number(hiddenStates), 1);
    const lowRes = this.lowRes(image, layers);
    return { lowRes, features: this.selectionFeatures(image, lowRes) };
  }

  /**
   * Runs all stages.
   *
   * @param image   [B, 3, H, W] f32 normalised, or [B, H, W, 4] u8 of side max(scalesPx) (other sizes are resampled)
   * @param before  what `glance` gave for the image and `hiddenStates`, where it is at hand
   * @throws ShapeError for impossible looks or tokens
   */
  forward(
    image: Tensor,
    options: LookOptions = {},
    before: Glance = this.glance(image, options),
  ): VisionOutput {
    this.expectOptions('VisionModel.forward', options);
    const grids = this.grids(image);
    const { lowRes, features } = before;
    const maps = this.maps(features, grids, options);
    const looks: Look[] = [];
    let taken: Tensor<'f32'>[] | undefined;
    for (const counts of this.plan(grids, options)) {
      const look = this.look(image, lowRes, maps, grids, counts, taken, options);
      looks.push(look);
      taken = takenAfter(look, taken);
    }
    const selectionCounts = maps.probs.map((_, i) => total(looks.map(({ counts }) => counts[i])));
    const states = lowRes.hidden.map((low, layer) =>
      mergeLooks(
        low,
        looks.map((look) => ({ ...look, tokens: look.hidden[layer] })),
        grids.slice(1),
      ),
    );
    return {
      lastHiddenState: states[states.length - 1],
      hiddenStates: options.hiddenStates ? states : [],
      selectionMaps: taken ?? maps.probs.map((prob) => zerosLike(prob)),
      selectionCounts,
      maps,
      lowRes,
    };
  }

  /** Patches per high-res scale of every look. @throws ShapeError for impossible looks or tokens */
  plan(grids: readonly Grid[], options: LookOptions): number[][] {
    expectLookAmount('VisionModel.plan', this.config.budgets.length, options);
    if (options.selection) return [options.selection.map(({ count }) => count)];
    return planLooks(this.config.budgets, grids.slice(1), options);
  }

  /** Stage 3: one look at the best patches not taken yet, or at `selection`; keeps the layers that `lowRes` kept. */
  look(
    image: Tensor,
    lowRes: LowRes,
    maps: Maps,
    grids: readonly Grid[],
    counts: number[],
    taken?: readonly Tensor<'f32'>[],
    { selection }: Pick<LookOptions, 'selection'> = {},
  ): Look {
    const choices = selection
      ? selection.map(({ map, count }) => ({ map, indices: count > 0 ? compactMap(map, count) : undefined }))
      : this.choose(maps, counts, taken);
    const hidden = this.encodePatches(image, lowRes, choices, grids);
    return { choices, counts, hidden, tokens: hidden[hidden.length - 1] };
  }

  /** The best patches of every scale that were not taken before. */
  choose({ probs }: Maps, counts: readonly number[], taken?: readonly Tensor<'f32'>[]): PatchSelection[] {
    return counts.map((count, i) => choose(probs[i], taken?.[i], count));
  }

  /**
   * The same blocks over selected patches of all scales together, each attending to [low-res ; high-res].
   *
   * @returns  outputs of the last blocks, as many as `lowRes.hidden` has, [B, K, C]: scale after scale, raster order;
   *   not normalised
   */
  encodePatches(
    image: Tensor,
    lowRes: LowRes,
    choices: readonly PatchSelection[],
    grids: readonly Grid[],
  ): Tensor<'f32'>[] {
    const { patchPx, depth } = this.config;
    const sizes = scaleSizes(this.config, ...imageSize(image));
    const colours = this.#colours(image);
    const { origin } = lowRes;
    return tidy([image, lowRes.hidden[0]], (image) => {
      const patches: Tensor<'f32'>[] = [];
      const positions: Tensor<'f32'>[] = [];
      choices.forEach(({ indices }, i) => {
        if (!indices) return;
        patches.push(patchGather(image, indices, { imagePx: sizes[i + 1], patchPx, ...colours }));
        const [scale, grid, places] = [i + 1, grids[i + 1], indices.in(image.scope)];
        positions.push(
          origin
            ? windowPositionsAt(this.weights, this.#whole, scale, grid, places, origin.in(image.scope))
            : positionsAt(this.weights, this.config, scale, grid, places),
        );
      });
      let x = add(this.#embed(concat(patches, { axis: 1 })), concat(positions, { axis: 1 }));
      const hidden: Tensor<'f32'>[] = [];
      for (let i = 0; i < depth; i++) {
        const cached = this.config.lowResCache ? lowRes.qkv[i] : undefined;
        const checkpointed = this.checkpointBlocks.highRes;
        const [next, own] = transformerBlock(x, this.#block(i), {
          ...this.#blockOptions(),
          cached,
          checkpointed,
        });
        own.dispose();
        if (hidden.at(-1) !== x) x.dispose();
        if (i >= depth - lowRes.hidden.length) hidden.push(next);
        x = next;
      }
      return hidden;
    });
  }

  /**
   * Small crops at the resolution of one high-res scale, as looks that see nothing else: the towers alone.
   *
   * @param image   [B, s, s, 4] u8 or [B, 3, s, s] f32, resized to the side of the patches
   * @param places  u32 [B, k] into the grid of the scale: a square of k patches, in raster order
   * @returns       [B, k, C], not normalised
   */
  encodeCrops(image: Tensor, scale: number, places: Tensor): Tensor<'f32'> {
    const { patchPx, depth, gridSides } = this.#whole;
    const sidePx = Math.sqrt(places.shape[1]) * patchPx;
    const grid: Grid = [gridSides[scale], gridSides[scale]];
    return tidy([image, places], (image, places) => {
      const patches = patchify(image, patchPx, { imagePx: [sidePx, sidePx], ...this.#colours(image) });
      let x = add(this.#embed(patches), positionsAt(this.weights, this.#whole, scale, grid, places));
      for (let i = 0; i < depth; i++) [x] = transformerBlock(x, this.#block(i), this.#blockOptions());
      return x;
    });
  }

  /**
   * The pre-training forward: one look, pooled over in-box tokens.
   *
   * @param options  groundTruth [B, h, w]: pools only tokens whose cell it touches; a sample without any pools all.
   *   isGlobal [B, 1]: 1 = take the pooled low-res feature instead. origin: as for `lowRes`
   * @returns  pooled [B, E], not normalised; the grid of each scale, the low-res one first
   */
  pretrain(
    image: Tensor,
    options: MapOptions & {
      isGlobal?: Tensor;
      poolInBox?: boolean;
      selectByGroundTruth?: boolean;
      origin?: Tensor;
    },
  ): {
    pooled: Tensor<'f32'>;
    grids: Grid[];
    features: SelectionFeatures;
    maps: Maps;
    selectionMaps: Tensor<'f32'>[];
  } {
    const grids = this.grids(image);
    const lowRes = this.lowRes(image, 1, options.origin);
    const { groundTruth, isGlobal, poolInBox = true, selectByGroundTruth = true } = options;
    const forSelection = { ...options, groundTruth: selectByGroundTruth ? groundTruth : undefined };
    const features = this.selectionFeatures(image, lowRes);
    const maps = this.maps(features, grids, forSelection);
    const [counts] = this.plan(grids, { looks: 1 });
    const { choices, tokens } = this.look(image, lowRes, maps, grids, counts);
    for (const packed of lowRes.qkv) packed.dispose(); // the tape has what it needs of them
    const keyMask = groundTruth && poolInBox ? this.inBox(choices, groundTruth, grids) : undefined;
    const local = this.pool(tokens, keyMask);
    const last = lowRes.hidden[lowRes.hidden.length - 1];
    const pooled = isGlobal ? where(isGlobal, this.pool(last), local) : local;
    return { pooled, grids, features, maps, selectionMaps: choices.map(({ map }) => map) };
  }

  /**
   * Which tokens of a look are of patches that the ground truth touches: 0 and 1, [B, K], a mask for `pool`.
   *
   * @param groundTruth  [B, h, w], nonzero = wanted
   */
  inBox(choices: readonly PatchSelection[], groundTruth: Tensor, grids: readonly Grid[]): Tensor<'f32'> {
    const masks = choices.flatMap(({ indices }, i) => {
      if (!indices) return [];
      const touched = touchedCells(groundTruth, grids[i + 1]);
      return [embedding(touched.reshape([...touched.shape, 1]), indices, { unique: true })];
    });
    const mask = concat(masks, { axis: 1 });
    return mask.reshape([mask.shape[0], mask.shape[1]]);
  }

  /** Normalisation that u8 images need and f32 ones have had. */
  #colours({ dtype }: Tensor): Pick<PatchGatherOptions, 'mean' | 'std'> {
    const { mean, std } = this.image;
    return dtype === 'u8' ? { mean, std } : {};
  }

  /** Linear embedding of patch rows [B, T, 3 P P]. */
  #embed(patches: Tensor<'f32'>): Tensor<'f32'> {
    const embed = this.weights.in('trunk.patch_embed.proj');
    const kernel = embed.get('weight').in(patches.scope);
    return linear(patches, kernel.reshape([kernel.shape[0], -1]), { bias: embed.get('bias') });
  }

  /** Checks how much a caller asks for. @throws ShapeError for impossible looks, tokens, scales or hidden states */
  expectOptions(op: string, options: LookOptions): void {
    const { depth, budgets } = this.config;
    expectLookAmount(op, budgets.length, options);
    const { hiddenStates = false } = options;
    const isCount =
      Number.isInteger(hiddenStates) && Number(hiddenStates) >= 0 && Number(hiddenStates) <= depth;
    const rule = `hiddenStates must be true, false or an integer of 0 to ${depth}`;
    expect(typeof hiddenStates === 'boolean' || isCount, op, rule, `${hiddenStates}`);
  }

  #block(i: number): ReturnType<typeof visionBlock> {
    return visionBlock(this.weights.in(`trunk.blocks.${i}`));
  }

  #blockOptions(): Omit<BlockOptions, 'cached'> {
    const { heads, lnEps: eps, gelu } = this.config;
    return { heads, eps, gelu };
  }
}
