// Replays the AnyRes, S² and dynamic S² baselines of a reference file over the low-res pass of its tower.
import {
  type Engine,
  ParameterStore,
  type SafetensorsFile,
  type Scope,
  type Tensor,
  Weights,
} from '../../engine/index.ts';
import {
  dynamicS2Features,
  s2Features,
  type TileEncoder,
  towerEncoder,
} from '../model/baselines/features.ts';
import { tokensOf } from '../model/baselines/mosaic.ts';
import { project, projectTiles, withNewlines } from '../model/baselines/projector.ts';
import { dynamicGrid, type TileGrid } from '../model/baselines/tile_grids.ts';
import {
  dynamicS2Tiles,
  dynamicTiles,
  normalizedSquare,
  type TileOptions,
} from '../model/baselines/tiles.ts';
import { fillParameters } from '../model/checkpoint/checkpoint.ts';
import { visionConfigFromTensors } from '../model/config/tensor_config.ts';
import type { DecodedImage } from '../model/decoder.ts';
import { VisionModel } from '../model/vision/vision.ts';
import { Comparer, type Comparison, setting } from './comparison.ts';

/** What PIL's pixels become: (x / 255 - 0.5) / 0.5. */
const HALF = [0.5, 0.5, 0.5] as const;

/**
 * Replays a file of the kind `vila-baselines`: tile grids, tiles, features and projected tokens.
 *
 * @throws VerifyError for a file without what its kind has
 */
export async function verifyBaselines(
  engine: Engine,
  file: SafetensorsFile,
  relative: number,
): Promise<readonly Comparison[]> {
  const comparer = new Comparer(file, relative);
  const prefix = 'weights.';
  const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
  const vision = visionConfigFromTensors(file.metadata, shapes, `${prefix}vision_tower.`);
  const specs = [...shapes].flatMap(([name, shape]) =>
    name.startsWith(prefix) ? [{ name: name.slice(prefix.length), shape }] : [],
  );
  const parameters = new ParameterStore(engine, specs);
  try {
    await fillParameters(parameters, [file], { prefix });
    const image = { imagePx: Math.max(...vision.scalesPx), mean: HALF, std: HALF };
    const tower = new VisionModel(vision, image, new Weights(parameters, 'vision_tower.vision_model.'));
    const replay = {
      engine,
      file,
      comparer,
      encode: towerEncoder(tower, -2),
      weights: new Weights(parameters),
    };
    await checkRule(file, comparer);
    for (let k = 0; file.tensors.has(`in.image.${k}`); k++) await checkImage(replay, k);
    return comparer.comparisons;
  } finally {
    parameters.dispose();
  }
}

interface Replay {
  readonly engine: Engine;
  readonly file: SafetensorsFile;
  readonly comparer: Comparer;
  readonly encode: TileEncoder;
  readonly weights: Weights;
}

/** The grids that the rule chooses. */
async function checkRule(file: SafetensorsFile, comparer: Comparer): Promise<void> {
  const cases = await file.f32('rule.cases');
  const grids = Array.from({ length: cases.length / 5 }, (_, i): TileGrid => {
    const [width, height, minTiles, maxTiles, tilePx] = cases.subarray(5 * i, 5 * i + 5);
    return dynamicGrid(width, height, { minTiles, maxTiles, tilePx });
  });
  comparer.compare('rule.grids', Float32Array.from(grids.flat()), await file.f32('rule.grids'));
}

/** An image of the file, [H, W, 3], with an opaque alpha. */
async function imageOf(file: SafetensorsFile, name: string): Promise<DecodedImage> {
  const rgb = await file.bytes(name);
  const [height, width] = file.tensors.get(name)!.shape;
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  return { rgba, width, height };
}

async function checkImage({ engine, file, comparer, encode, weights }: Replay, k: number): Promise<void> {
  using scope = engine.scope();
  const image = await imageOf(file, `in.image.${k}`);
  const tilePx = setting<number>(file, 'tile');
  const maxTiles = setting<number>(file, 'max_tiles');
  const scalesPx = setting<number[]>(file, 's2_scales');
  const resizeTo = setting<number>(file, 's2_resize_output_to_scale_idx');
  const options: TileOptions = { image: { mean: HALF, std: HALF }, scope };
  const [plain, merged] = [weights.in('mm_projector_plain'), weights.in('mm_projector_s2')];
  const check = (name: string, tensor: Tensor<'f32'>): Promise<void> => comparer.check(name, tensor);

  const minTiles = setting<number>(file, 'min_tiles');
  const anyres = await dynamicTiles(engine, image, { tilePx, minTiles, maxTiles, ...options });
  await checkGrid(file, comparer, 'anyres_grids', k, anyres.grid);
  const features = encode(anyres.tiles);
  const tokens = project(features, plain);
  await check(`anyres.${k}.tiles`, anyres.tiles);
  await check(`anyres.${k}.features`, features);
  await check(`anyres.${k}.tokens`, tokens);
  await check(`anyres.${k}.embeds`, withNewlines(tokens, await uploaded(engine, file, 'in.newline', scope)));

  const square = await normalizedSquare(engine, image, scalesPx[scalesPx.length - 1], options);
  const s2 = tokensOf(s2Features(square, encode, { scalesPx, tilePx, resizeTo }));
  await check(`s2.${k}.pixels`, square);
  await check(`s2.${k}.features`, s2);
  await check(`s2.${k}.tokens`, project(s2, merged));

  const dynamic = await dynamicS2Tiles(engine, image, { scalesPx, maxTiles, ...options });
  const [columns, rows] = dynamic.grid;
  await checkGrid(file, comparer, 'dynamic_s2_blocks', k, [rows, columns]);
  const map = dynamicS2Features(dynamic.tiles, dynamic.grid, encode, { scalesPx, resizeTo });
  await check(`dynamic_s2.${k}.tiles`, dynamic.tiles);
  await check(`dynamic_s2.${k}.features`, map);
  await check(`dynamic_s2.${k}.tokens`, projectTiles(map, dynamic.grid, merged));
}

/** A grid that the metadata states. */
function checkGrid(file: SafetensorsFile, comparer: Comparer, key: string, k: number, got: TileGrid): void {
  const want = setting<number[][]>(file, key)[k];
  comparer.compare(`${key}.${k}`, Float32Array.from(got), Float32Array.from(want));
}

async function uploaded(
  engine: Engine,
  file: SafetensorsFile,
  name: string,
  scope: Scope,
): Promise<Tensor<'f32'>> {
  return engine.tensor(await file.f32(name), file.tensors.get(name)!.shape, { scope });
}
