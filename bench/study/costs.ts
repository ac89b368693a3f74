// What ways to see cost: operations counted as their kernels declare them, memory and time, of random weights, on one image.
import { type Engine, noGrad, type Scope, type Tensor } from '../../engine/index.ts';
import { median } from '../../engine/internal.ts';
import { type TiledOptions, tiledFeatures, tiledTokens } from '../../ps3/model/baselines/tiled.ts';
import { type TowerSizes, towerFlops } from '../../ps3/model/cost.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { changedConfig, presetConfig } from '../../ps3/train/presets.ts';

/** Cost of one image. */
export interface Cost {
  readonly name: string;
  /** Side of the largest view. */
  readonly sidePx: number;
  readonly tokens: number;
  readonly flops: number;
  /** Bytes on the device at the worst moment, weights and image left out. */
  readonly peakBytes: number;
  /** One per repetition; the ways take turns. */
  readonly ms: readonly number[];
}

/** A way to see: work on an image, given that it is on the device. */
interface Way extends Omit<Cost, 'flops' | 'peakBytes' | 'ms'> {
  readonly model: PS3;
  readonly image: Tensor<'u8'>;
  readonly see: (image: Tensor<'u8'>) => Tensor;
}

/** The published geometry: SigLIP SO400M. */
export const SO400M: TowerSizes = { width: 1152, depth: 27, mlpHidden: 4304, patchPx: 14 };

/**
 * How much more a tower over all patches of a 3780 px image does than PS3 with some looks of 2560 patches, by the formula; without the
 * auxiliary encoder and the selection.
 */
export function naiveOverPS3(looks: number): number {
  const low = (378 / 14) ** 2;
  const look = towerFlops(SO400M, 2560, 2560 + low);
  return towerFlops(SO400M, (3780 / 14) ** 2) / (towerFlops(SO400M, low) + looks * look);
}

/** Scales of the figure of constant cost: each has one more. */
export const GROWING = [
  [56, 112],
  [56, 112, 224],
  [56, 112, 224, 448],
  [56, 112, 224, 448, 896],
] as const;

/** A pooled look of PS3 at an image. */
function lookAt({ vision }: PS3, tokens: number): Way['see'] {
  return (image) =>
    noGrad(() => {
      const encoded = vision.forward(image, { tokens });
      return vision.pool(encoded.lastHiddenState);
    });
}

/** Images of the sides that are seen, made once. */
function imagesIn(engine: Engine, scope: Scope): (side: number) => Tensor<'u8'> {
  const images = new Map<number, Tensor<'u8'>>();
  return (side) => {
    const known = images.get(side);
    if (known) return known;
    const rgba = Uint8Array.from({ length: 4 * side * side }, (_, i) => (i * 2_654_435_761) >>> 24);
    const image = engine.tensor(rgba, [1, side, side, 4], { scope });
    images.set(side, image);
    return image;
  };
}

/** Ways that are measured together, each with the model that it is of. */
function waysOf(
  engine: Engine,
  config: TrainConfig,
  naivePx: number,
  scope: Scope,
): { ways: Way[]; models: PS3[] } {
  const imageOf = imagesIn(engine, scope);
  const models: PS3[] = [];
  const made = (...set: string[]): PS3 => {
    const changed = changedConfig(config, set);
    const model = PS3.create(engine, presetConfig(changed, 64), 1);
    models.push(model);
    return model;
  };
  const { scalesPx, patchPx, maxSelect } = config.model;
  const side = scalesPx[scalesPx.length - 1];
  const low = (scalesPx[0] / patchPx) ** 2;
  const main = made();
  const image = imageOf(side);
  const box = engine.ones([1, 16, 16], { scope });
  const tiled = (encoder: TiledOptions['encoder'], sidePx: number): Way => ({
    ...{ name: encoder, sidePx, model: main, image },
    tokens: tiledTokens(main.vision, { encoder, sidePx }),
    see: (image) => noGrad(() => tiledFeatures(main.vision, image, box.in(image.scope), { encoder, sidePx })),
  });
  const looks = [maxSelect, 141, 320].map(
    (patches): Way => ({
      ...{ name: 'ps3', sidePx: side, tokens: low + patches, model: main, image },
      see: lookAt(main, patches),
    }),
  );
  const growing = GROWING.map((scales): Way => {
    const model = made(`model.scalesPx=${JSON.stringify(scales)}`, 'model.auxImagePx=112');
    const sidePx = scales[scales.length - 1];
    const seen = imageOf(sidePx);
    const tokens = low + maxSelect;
    return { name: 'constant', sidePx, tokens, model, image: seen, see: lookAt(model, maxSelect) };
  });
  const naive = [112, 224, 448, 896]
    .filter((sidePx) => sidePx <= naivePx)
    .map((sidePx): Way => {
      const model = made(`model.scalesPx=[${sidePx},${2 * sidePx}]`, 'model.maxSelect=16');
      const seen = imageOf(sidePx);
      const see = (image: Tensor): Tensor =>
        noGrad(() => model.vision.pool(model.vision.lowRes(image).hidden[0]));
      return { name: 'naive', sidePx, tokens: (sidePx / patchPx) ** 2, model, image: seen, see };
    });
  const baselines = [
    tiled('low-res', scalesPx[0]),
    ...scalesPx.slice(1).flatMap((sidePx) => [tiled('anyres', sidePx), tiled('s2', sidePx)]),
  ];
  return { ways: [...baselines, ...looks, ...growing, ...naive], models };
}

/** Counts and times every way, `repetitions` times in turns. */
export async function measureCosts(
  engine: Engine,
  config: TrainConfig,
  repetitions: number,
  naivePx: number,
): Promise<Cost[]> {
  using scope = engine.scope();
  const { ways, models } = waysOf(engine, config, naivePx, scope);
  try {
    const held = engine.stats().liveBytes;
    const costs = ways.map(({ name, sidePx, tokens, image, see }) => {
      const { flops, peakBytes } = engine.plan(() => {
        using seen = engine.scope();
        see(image.in(seen));
        return undefined;
      });
      return { name, sidePx, tokens, flops, peakBytes: Math.max(0, peakBytes - held), ms: [] as number[] };
    });
    for (let repetition = -2; repetition < repetitions; repetition++)
      for (const [i, { image, see }] of ways.entries()) {
        using seen = engine.scope();
        const started = performance.now();
        await see(image.in(seen)).data();
        if (repetition >= 0) costs[i].ms.push(performance.now() - started);
      }
    return costs;
  } finally {
    for (const model of models) model.dispose();
  }
}

/** The time of a cost. */
export function medianMs({ ms }: Pick<Cost, 'ms'>): number {
  return median(ms);
}
