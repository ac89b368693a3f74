// Whether a model finds in real images what it is told to look for, without a language model: the targets of V*Bench and of
// ScreenSpot-Pro as prompts, their boxes as the truth.
import { type Engine, expectKeys, noGrad } from '../../../engine/index.ts';
import type { BenchmarkRecord } from '../../benchmarks/record.ts';
import { type Box, squashBoxes } from '../../data/boxes.ts';
import { DataError } from '../../data/errors.ts';
import { expectTexts } from '../../model/core.ts';
import { decodeImage, ImageError, resizeToSquare } from '../../model/image.ts';
import type { PS3 } from '../../model/ps3.ts';
import { captionIds } from '../batch_loader.ts';
import { ImageBootstrap } from './intervals.ts';
import { BUDGETS, type LocatedBox, locate, type SelectionProtocols, selectionProtocols } from './located.ts';

/** What `grounding` is told. */
export interface GroundingOptions {
  /** Of the intervals; default 1. */
  readonly seed?: number;
  /** After every image: how many are done. */
  readonly onProgress?: (done: number) => void;
  /** Told, in a sentence, of images that are left out. */
  readonly notice?: (sentence: string) => void;
}

const GROUNDING_OPTIONS = { seed: true, onProgress: true, notice: true } as const;

/** How a model's maps lead to what it is told to look for. */
export interface Grounding extends SelectionProtocols {
  /** Groups of questions that are not independent: images, unless the benchmark says otherwise. */
  readonly images: number;
  /** Targets: boxes, those of the same referent in an image as one. */
  readonly boxes: number;
  /** Questions whose image could not be decoded. */
  readonly skipped: number;
  /** Shares of all high-res patches that were selected, in the order of the results; a random selection finds as much. */
  readonly budgets: readonly number[];
  /** The same of each category. */
  readonly categories: Readonly<Record<string, SelectionProtocols>>;
}

/**
 * Selection recall and pointing accuracy over the boxes of a benchmark.
 *
 * Every image is squashed to the model's square, as for encoding, its boxes with it. A box's map is that for its own
 * referent alone, and boxes of the same referent are one target; bottom-up maps are the same for all boxes of an image. Intervals are by image.
 *
 * @param records  with boxes and a referent for each
 * @throws DataError for records without, or where no image can be decoded; UseError for a model without a tokenizer
 * Source: Wu & Xie 2023, arXiv:2312.14135, V*; Li et al. 2025, arXiv:2504.07981, ScreenSpot-Pro.
 */
export async function grounding(
  engine: Engine,
  model: PS3,
  records: AsyncIterable<BenchmarkRecord>,
  options: GroundingOptions = {},
): Promise<Grounding> {
  expectKeys('grounding', options, GROUNDING_OPTIONS);
  const { seed = 1, onProgress, notice } = options;
  const side = model.config.image.imagePx;
  const groups = new Map<string, number>();
  const boxes: (LocatedBox & { readonly category: string })[] = [];
  let done = 0;
  let skipped = 0;
  for await (const { id, image, boxes: given, referents, width, height, group, category } of records) {
    if (!given || given.length === 0 || referents?.length !== given.length)
      throw new DataError(
        `grounding: a question must have boxes and what to look for in each, got ${given?.length ?? 0} boxes and ${referents?.length ?? 0} referents in ${id}. V*Bench has them in its authors' folders alone.`,
      );
    expectTexts('grounding', model, referents);
    try {
      const named = byReferent(given, referents);
      const found = await mapsOf(engine, model, image, [...named.keys()]);
      const at = groups.get(group) ?? groups.size;
      groups.set(group, at);
      for (const [k, own] of [...named.values()].entries()) {
        const maps = { bottomUp: found.bottomUp, topDown: found.topDown[k] };
        const located = locate(model.config.vision, maps, squashBoxes(own, width, height, side), side);
        boxes.push({ ...located, image: at, category: category ?? 'none' });
      }
    } catch (cause) {
      if (!(cause instanceof ImageError)) throw cause;
      skipped++;
      notice?.(`${id} is left out: ${cause.message}`);
    }
    onProgress?.(++done);
  }
  if (boxes.length === 0)
    throw new DataError(`grounding: there must be an image that can be decoded, got none of ${done}.`);
  const bootstrap = new ImageBootstrap(groups.size, seed);
  const names = [...new Set(boxes.map(({ category }) => category))];
  const of = (name: string): SelectionProtocols =>
    selectionProtocols(
      bootstrap,
      boxes.filter(({ category }) => category === name),
    );
  return {
    ...{ images: groups.size, boxes: boxes.length, skipped, budgets: BUDGETS },
    ...selectionProtocols(bootstrap, boxes),
    categories: Object.fromEntries(names.map((name) => [name, of(name)])),
  };
}

/** Boxes by what is looked for in them: what has the same name is found at any of its places. */
function byReferent(boxes: readonly Box[], referents: readonly string[]): Map<string, Box[]> {
  const named = new Map<string, Box[]>();
  for (const [i, box] of boxes.entries()) named.set(referents[i], [...(named.get(referents[i]) ?? []), box]);
  return named;
}

/** Maps of one image per high-res scale: bottom-up, and for each text. */
async function mapsOf(
  engine: Engine,
  model: PS3,
  image: BenchmarkRecord['image'],
  texts: readonly string[],
): Promise<{ bottomUp: Float32Array[]; topDown: Float32Array[][] }> {
  const { vision, config } = model;
  using scope = engine.scope();
  const pixels = resizeToSquare(engine, await decodeImage(image), config.image.imagePx, { scope });
  const all = noGrad(() => {
    const features = vision.selectionFeatures(pixels, vision.lowRes(pixels));
    return texts.map((text) => {
      const { prompt } = model.encodeText(captionIds(engine, model.tokenizer, [text], scope));
      return vision.maps(features, vision.grids(pixels), { prompt });
    });
  });
  const read = (maps: (typeof all)[number]['bottomUp']): Promise<Float32Array[]> =>
    Promise.all(maps.map((map) => map.data()));
  return {
    bottomUp: await read(all[0].bottomUp),
    topDown: await Promise.all(all.map(({ topDown }) => read(topDown!))),
  };
}
