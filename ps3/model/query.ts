// What users ask for, brought into the tensors that the image side takes.
import {
  cast,
  concat,
  expect,
  expectDType,
  noGrad,
  output,
  type Scope,
  slice,
  type Tensor,
  tidy,
  UseError,
} from '../../engine/index.ts';
import { expectTexts, type ModelCore } from './core.ts';
import { nearness, type Region, regionsOf } from './region.ts';
import type { LookAmount } from './vision/look_plan.ts';
import type { Grid } from './vision/scales.ts';
import type { SelectionMap } from './vision/selection.ts';
import type { LookOptions } from './vision/vision_types.ts';

/** Where to look, how much, and what to return. */
export interface EncodeOptions extends LookAmount {
  /** What to look for: a text, one per image, or a vector [B, C] such as a language model's head gives. */
  readonly prompt?: string | readonly string[] | Tensor;
  /** Where to look, instead of a prompt; one for all images, or one per image. */
  readonly region?: Region | readonly Region[];
  /** [B, h, w] of any dtype, nonzero = select what it touches first. */
  readonly groundTruth?: Tensor;
  /** Per high-res scale [B, Y, X], nonzero = select: exactly these patches, in one look. */
  readonly selectionMaps?: readonly Tensor[];
  /** Blurs the maps before selection; default false. */
  readonly smooth?: boolean;
  /** Outputs of which blocks to return: true = all, n = the last n; default none. */
  readonly hiddenStates?: boolean | number;
}

/** The options that say where to look and how much. */
export const QUERY_OPTIONS = {
  looks: true,
  tokens: true,
  onlyFirstScales: true,
  prompt: true,
  region: true,
  groundTruth: true,
  selectionMaps: true,
  smooth: true,
} as const;

/** All options of an encoding. */
export const ENCODE_OPTIONS: Readonly<Record<keyof EncodeOptions, true>> = {
  ...QUERY_OPTIONS,
  hiddenStates: true,
};

/** The options of a tensor-level encoding; what it makes lives in the scope of `image`. @throws UseError, ShapeError */
export async function visionOptions(
  op: string,
  model: ModelCore,
  image: Tensor,
  options: EncodeOptions,
): Promise<LookOptions> {
  const { region, selectionMaps, groundTruth, prompt, ...rest } = options;
  model.vision.expectOptions(op, rest);
  const asked = [region, selectionMaps, prompt].filter((query) => query !== undefined).length;
  if (asked > 1)
    throw new UseError(`${op}: one of prompt, region and selectionMaps can decide, got ${asked}. Pass one.`);
  const grids = model.vision.grids(image);
  return {
    ...rest,
    prompt: prompt === undefined ? undefined : promptOf(op, model, image, prompt),
    probs: region && regionMaps(op, image, region, grids),
    groundTruth: groundTruth?.in(image.scope),
    selection: selectionMaps && (await countedMaps(op, image, selectionMaps, grids)),
  };
}

/** [B or 1, C]. */
function promptOf(
  op: string,
  model: ModelCore,
  image: Tensor,
  prompt: string | readonly string[] | Tensor,
): Tensor {
  if (typeof prompt === 'string' || Array.isArray(prompt)) {
    const texts = typeof prompt === 'string' ? [prompt] : (prompt as readonly string[]);
    expectOnePerImage(op, 'prompt', texts.length, image);
    expectTexts(op, model, texts);
    return model.encodeText(texts, { scope: image.scope }).prompt;
  }
  const tensor = prompt as Tensor;
  expectOnePerImage(op, 'prompt', tensor.shape[0], image);
  return tensor.in(image.scope);
}

function expectOnePerImage(op: string, name: string, count: number, image: Tensor): void {
  const B = image.shape[0];
  expect(
    count === B || count === 1,
    op,
    `there must be one ${name}, or one for each of ${B} images`,
    `${count}`,
  );
}

function upload(like: Tensor, numbers: Float32Array, shape: readonly number[]): Tensor<'f32'> {
  const tensor = output([like], shape);
  tensor.write(numbers);
  return tensor;
}

function regionMaps(
  op: string,
  image: Tensor,
  region: Region | readonly Region[],
  grids: readonly Grid[],
): Tensor<'f32'>[] {
  return grids.slice(1).map((grid) => regionMap(op, image, region, grid));
}

/** Nearness to one region per image on a grid, [B, Y * X]. */
export function regionMap(
  op: string,
  image: Tensor,
  region: Region | readonly Region[],
  grid: Grid,
): Tensor<'f32'> {
  const B = image.shape[0];
  const cells = grid[0] * grid[1];
  const numbers = new Float32Array(B * cells);
  for (const [b, one] of regionsOf(op, region, B).entries()) numbers.set(nearness(one, grid, op), b * cells);
  return upload(image, numbers, [B, cells]);
}

/** Explicit maps as 0 and 1 with their counts, which size the tokens. */
async function countedMaps(
  op: string,
  image: Tensor,
  maps: readonly Tensor[],
  grids: readonly Grid[],
): Promise<SelectionMap[]> {
  const [B] = image.shape;
  const highRes = grids.slice(1);
  expect(
    maps.length === highRes.length,
    op,
    `selectionMaps must be one map for each of ${highRes.length} high-res scales`,
    `${maps.length}`,
  );
  return Promise.all(
    maps.map(async (map, i) => {
      const [Y, X] = highRes[i];
      expectDType(op, `selectionMaps[${i}]`, map, 'f32', 'i32', 'u32', 'u8');
      expect(
        map.size === B * Y * X && map.shape[0] === B,
        op,
        `selectionMaps[${i}] must be [${B}, ${Y}, ${X}]`,
        `[${map.shape.join(', ')}]`,
      );
      const ones = Float32Array.from(await map.data(), (value) => (value === 0 ? 0 : 1));
      const counts = Array.from({ length: B }, (_, b) =>
        ones.subarray(b * Y * X, (b + 1) * Y * X).reduce((sum, one) => sum + one, 0),
      );
      expect(
        counts.every((count) => count === counts[0]),
        op,
        `selectionMaps[${i}] must select equally many patches in every image of a batch`,
        counts.join(', '),
        'Encode images with different numbers one by one.',
      );
      return { map: upload(image, ones, [B, Y * X]), count: counts[0] };
    }),
  );
}

/** The options for some images out of B; tensors in `scope`. */
export function optionsOf(
  options: EncodeOptions,
  indices: readonly number[],
  B: number,
  scope: Scope,
): EncodeOptions {
  const { prompt, region, groundTruth, selectionMaps } = options;
  const some = <T>(values: readonly T[]): readonly T[] =>
    values.length === B ? indices.map((index) => values[index]) : values;
  const rows = (tensor: Tensor): Tensor =>
    tensor.shape[0] === B ? rowsOf(tensor.in(scope), indices) : tensor;
  const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
  return {
    ...options,
    prompt:
      prompt === undefined || typeof prompt === 'string'
        ? prompt
        : isList(prompt)
          ? some(prompt)
          : rows(prompt),
    region: region && (isList(region) ? some(region) : region),
    groundTruth: groundTruth && rows(groundTruth),
    selectionMaps: selectionMaps?.map(rows),
  };
}

/** Some rows of a tensor of any dtype, as f32. */
function rowsOf(tensor: Tensor, indices: readonly number[]): Tensor<'f32'> {
  return noGrad(() =>
    tidy([tensor], (tensor) => {
      const numbers = cast(tensor, 'f32');
      return concat(
        indices.map((index) => slice(numbers, { axis: 0, start: index, length: 1 })),
        { axis: 0 },
      );
    }),
  );
}
