// What a model sees in a few images: maps, selected patches, and how much of the boxes they cover.
import { type Engine, noGrad, type Tensor } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import type { DecodedImage } from '../model/image.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Grid } from '../model/vision/scales.ts';
import { captionIds } from '../train/batch_loader.ts';
import { recallOf } from '../train/evaluate.ts';
import { imageBatch } from '../train/evaluation/answers.ts';
import { BOX_COLOURS } from './colours.ts';
import { encodeJpeg, extent, heatMap, outlined, resized, type SelectedPatches } from './heat_map.ts';
import { type Html, html, markup } from './html.ts';

/** Where one look goes. */
export interface Attention {
  /** Saliency at the finest scale, [Y * X]. */
  readonly probs: Float32Array;
  readonly grid: Grid;
  /** The patches of one look, per high-res scale. */
  readonly selected: readonly SelectedPatches[];
  /** For each of the two boxes, the share of its patches that the look takes. */
  readonly recall: readonly [first: number, second: number];
}

/** An image with two captioned boxes, and where the model looks. */
export interface Example {
  readonly sample: Sample;
  /** Which two boxes of the sample. */
  readonly boxes: readonly [first: number, second: number];
  /** Without a caption. */
  readonly bottomUp: Attention;
  /** For the caption of each box. */
  readonly topDown: readonly [first: Attention, second: Attention];
}

/** The first two boxes of an image whose captions differ. */
function twoBoxes({ captions }: Sample): [number, number] | undefined {
  const second = captions.findIndex((caption) => caption !== captions[0]);
  return second > 0 ? [0, second] : undefined;
}

/**
 * Looks at the first `count` images that have two different captions: they are not chosen by outcome.
 *
 * @param samples  squares of the model's largest side
 */
export async function examplesOf(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  count: number,
): Promise<Example[]> {
  const examples: Example[] = [];
  for (const sample of samples) {
    const boxes = twoBoxes(sample);
    if (!boxes) continue;
    if (examples.length === count) break;
    examples.push(await exampleOf(engine, model, sample, boxes));
  }
  return examples;
}

async function exampleOf(
  engine: Engine,
  model: PS3,
  sample: Sample,
  boxes: readonly [number, number],
): Promise<Example> {
  using scope = engine.scope();
  const { vision } = model;
  // Two copies of the image, one for each caption.
  const image = imageBatch(engine, [sample, sample], scope);
  const grids = vision.grids(image);
  const { maps, chosen } = noGrad(() => {
    const ids = captionIds(
      engine,
      model.tokenizer,
      boxes.map((box) => sample.captions[box]),
      scope,
    );
    const { prompt } = model.encodeText(ids);
    const maps = vision.maps(vision.selectionFeatures(image, vision.lowRes(image)), grids, { prompt });
    const [counts] = vision.plan(grids, { looks: 1 });
    const choose = (probs: Tensor<'f32'>[]): Tensor<'f32'>[] =>
      vision.choose({ ...maps, probs }, counts).map(({ map }) => map);
    return { maps, chosen: { bottomUp: choose(maps.bottomUp), topDown: choose(maps.topDown!) } };
  });
  const grid = grids[grids.length - 1];
  const rowOf = (numbers: Float32Array, row: number): Float32Array => {
    const length = numbers.length / 2;
    return numbers.slice(row * length, (row + 1) * length);
  };
  const attention = async (
    probs: readonly Tensor<'f32'>[],
    selection: readonly Tensor<'f32'>[],
  ): Promise<[Attention, Attention]> => {
    const saliency = await probs[probs.length - 1].data();
    const taken = await Promise.all(selection.map((map) => map.data()));
    const ofRow = (row: number): Attention => ({
      probs: rowOf(saliency, row),
      grid,
      selected: taken.map((map, scale) => ({ map: rowOf(map, row), grid: grids[scale + 1] })),
      recall: [
        recallOf(taken, row, sample.boxes[boxes[0]], sample.side, model),
        recallOf(taken, row, sample.boxes[boxes[1]], sample.side, model),
      ],
    });
    return [ofRow(0), ofRow(1)];
  };
  const [bottomUp] = await attention(maps.bottomUp, chosen.bottomUp);
  return { sample, boxes, bottomUp, topDown: await attention(maps.topDown!, chosen.topDown) };
}

/** Side at which images are shown, pixels. */
const TILE_PX = 360;

async function dataUrl(image: DecodedImage): Promise<string> {
  return `data:image/jpeg;base64,${(await encodeJpeg(image)).toString('base64')}`;
}

const percent = (share: number): string => `${Math.round(100 * share)}\u00a0%`;

/** The row of the report: image, bottom-up map, and a top-down map for each caption. */
export async function exampleRow({ sample, boxes, bottomUp, topDown }: Example): Promise<Html> {
  const { side } = sample;
  const tile = { width: TILE_PX, height: TILE_PX };
  const image = await resized({ rgba: sample.rgba, width: side, height: side }, tile);
  const shown = boxes.map(
    (box) => sample.boxes[box].map((edge) => (edge * TILE_PX) / side) as [number, number, number, number],
  );
  const names = boxes.map((box) => sample.captions[box]);
  const panel = async (drawn: DecodedImage, alt: string, caption: Html): Promise<Html> =>
    html`<figure><img src="${await dataUrl(drawn)}" width="${TILE_PX}" height="${TILE_PX}" alt="${alt}"><figcaption>${caption}</figcaption></figure>`;
  const map = ({ probs, grid, selected }: Attention, marked: readonly number[]): DecodedImage =>
    heatMap(image, probs, grid, {
      selected,
      boxes: marked.map((i) => shown[i]),
      boxColours: marked.map((i) => BOX_COLOURS[i]),
    });
  const range = ({ probs }: Attention): Html => {
    const [low, high] = extent(probs);
    return html`<small>map ${low.toFixed(2)} to ${high.toFixed(2)}</small>`;
  };
  const swatch = (i: number): Html =>
    markup(`<i class="swatch" style="background:rgb(${BOX_COLOURS[i].join(',')})"></i>`);
  const asked = (i: 0 | 1): Promise<Html> =>
    panel(
      map(topDown[i], [i]),
      `top-down map for ${names[i]}`,
      html`<b>top-down: “${names[i]}”</b> ${percent(topDown[i].recall[i])} of its box, ${percent(topDown[i].recall[1 - i])} of the other’s. ${range(topDown[i])}`,
    );
  const panels = [
    await panel(
      outlined(image, { boxes: shown }),
      `image with ${names.join(' and ')}`,
      html`<b>image</b> ${swatch(0)}${names[0]} ${swatch(1)}${names[1]}`,
    ),
    await panel(
      map(bottomUp, [0, 1]),
      'bottom-up map',
      html`<b>bottom-up</b> ${percent(bottomUp.recall[0])} of “${names[0]}”, ${percent(bottomUp.recall[1])} of “${names[1]}”. ${range(bottomUp)}`,
    ),
    await asked(0),
    await asked(1),
  ];
  return html`<section class="row">${panels}</section>\n`;
}
