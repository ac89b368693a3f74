// What a look costs as images grow, and as looks follow each other: the patches looked at decide, not the image.
import { type Engine, noGrad, type Tensor, tidy } from '../engine/index.ts';
import type { ModelConfig } from '../ps3/model/config/config.ts';
import { parseHubConfig } from '../ps3/model/config/hub_config.ts';
import { PS3 } from '../ps3/model/ps3.ts';
import type { BenchCase, Result } from './harness.ts';
import { bytes } from './operands.ts';

/** Patches of a look, as in the published models. */
const PATCHES = 2560;
const SIZES = {
  tiny: { hidden_size: 96, depth: 2, num_heads: 2, mlp_ratio: 4, select_based_on_layer: [0, 1] },
  small: { hidden_size: 192, depth: 4, num_heads: 3, mlp_ratio: 4, select_based_on_layer: [0, 1, 3] },
  so400m: {
    hidden_size: 1152,
    depth: 27,
    num_heads: 16,
    mlp_ratio: 3.7362,
    select_based_on_layer: [0, 9, 18, 26],
  },
} as const;
type Size = keyof typeof SIZES;

/** A model of the published scales up to a side; its text tower is as small as can be. */
function configOf(size: Size, imagePx: number): ModelConfig {
  const { hidden_size } = SIZES[size];
  return parseHubConfig({
    vision_config: {
      ...SIZES[size],
      model_name: null,
      patch_size_px: 14,
      pos_grid_side: 27,
      pool: 'map',
      max_select_num: PATCHES,
      ps3_scales: [378, 756, 1512, 3780].filter((px) => px <= imagePx),
      highres_selection_module_hidden_dim: 64,
      highres_selection_module_out_dim: 64,
    },
    text_config: {
      output_dim: hidden_size,
      prompt_proj_dim: hidden_size,
      context_length: 4,
      vocab_size: 8,
      width: 32,
      heads: 1,
      layers: 1,
      no_causal_mask: true,
      pool_type: 'last',
      proj_bias: true,
    },
  });
}

/** Operations of the blocks over one look. */
function lookFlops({ vision: { width: D, mlpHidden: F, depth, gridSides } }: ModelConfig): number {
  return depth * PATCHES * (2 * D * (4 * D + 2 * F) + 4 * (gridSides[0] ** 2 + PATCHES) * D);
}

/** What one look reads, each byte once: source pixels of its patches, position rows, weights of the trunk, the cache. */
function lookBytes({ vision }: ModelConfig): number {
  const { width: D, mlpHidden: F, depth, gridSides, patchPx, budgets, scalesPx } = vision;
  const sourcePx = scalesPx[scalesPx.length - 1];
  const perPatch = budgets.reduce((sum, count, i) => {
    const pixels = patchPx ** 2 * Math.min(16, (sourcePx / scalesPx[i + 1]) ** 2);
    return sum + count * (4 * pixels + 4 * D);
  }, 0);
  const weights = depth * D * (4 * D + 2 * F) + 3 * patchPx ** 2 * D;
  const cache = depth * gridSides[0] ** 2 * 2 * D;
  return perPatch + 4 * (weights + cache);
}

/** A model and a random image, as bytes and as the floats that it stands for. */
function setUp(engine: Engine, config: ModelConfig): { model: PS3; image: Tensor; floats: () => Tensor } {
  const { imagePx } = config.image;
  const rgba = bytes(imagePx * imagePx * 4);
  return {
    model: PS3.create(engine, config, 1, { layerScale: 0.1, positionResidualStd: 0.02 }),
    image: engine.tensor(rgba, [1, imagePx, imagePx, 4]),
    floats: () => {
      const pixels = imagePx * imagePx;
      const planes = new Float32Array(3 * pixels);
      for (let i = 0; i < pixels; i++)
        for (let c = 0; c < 3; c++) planes[c * pixels + i] = rgba[4 * i + c] / 127.5 - 1;
      return engine.tensor(planes, [1, 3, imagePx, imagePx]);
    },
  };
}

/** Largest difference between tokens of the image as bytes and as floats, which are sampled by other code. */
async function largestDifference(out: Result, other: Tensor): Promise<number> {
  const [got, want] = [await out.data(), await other.data()];
  other.dispose();
  let worst = got.length === want.length ? 0 : Number.NaN;
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i] - want[i]));
  return worst;
}

/** One look at an image of this side. */
function lookCase(size: Size, imagePx: number): BenchCase {
  const config = configOf(size, imagePx);
  return {
    op: 'look',
    shape: `${size}, ${PATCHES} patches of ${imagePx}px`,
    flops: lookFlops(config),
    bytes: lookBytes(config),
    clock: 'wall',
    prepare: (engine) => {
      const { model, image, floats } = setUp(engine, config);
      const { vision } = model;
      const grids = vision.grids(image);
      const lowRes = noGrad(() => vision.lowRes(image));
      const maps = noGrad(() => vision.maps(vision.selectionFeatures(image, lowRes), grids));
      const [counts] = vision.plan(grids, { looks: 1 });
      const look = (image: Tensor): Tensor =>
        noGrad(() =>
          tidy(
            [image, ...maps.probs],
            (image, ...probs) => vision.look(image, lowRes, { ...maps, probs }, grids, counts).tokens,
          ),
        );
      return {
        run: () => look(image),
        maxError: (out) => largestDifference(out, look(floats())),
        dispose: () => model.dispose(),
      };
    },
  };
}

/** Low-res pass, maps and some looks at an image of 3780 px. */
function looksCase(size: Size, looks: number): BenchCase {
  const config = configOf(size, 3780);
  return {
    op: 'looks',
    shape: `${size}, ${looks} of 3780px`,
    flops: looks * lookFlops(config),
    bytes: looks * lookBytes(config),
    clock: 'wall',
    prepare: (engine) => {
      const { model, image, floats } = setUp(engine, config);
      const { vision } = model;
      // The same patches of both images, whatever the last bits of their saliency.
      const { probs } = noGrad(() =>
        vision.maps(vision.selectionFeatures(image, vision.lowRes(image)), vision.grids(image)),
      );
      const encode = (image: Tensor): Tensor =>
        noGrad(() =>
          tidy(
            [image, ...probs],
            (image, ...probs) => vision.forward(image, { looks, probs }).lastHiddenState,
          ),
        );
      return {
        run: () => encode(image),
        maxError: (out) => largestDifference(out, encode(floats())),
        dispose: () => model.dispose(),
      };
    },
  };
}

export const cases: BenchCase[] = [
  ...[756, 1512, 3780].map((imagePx) => lookCase('small', imagePx)),
  ...[756, 1512, 3780].map((imagePx) => lookCase('so400m', imagePx)),
  ...[1, 2, 5, 10, 20, 35].map((looks) => looksCase('tiny', looks)), // 35 take every patch
];
