// Zero-shot classification of a folder of labelled images: what the low-res tower knows.
import { type Engine, expectKeys, fileSystem, noGrad, onPath } from '../../../engine/index.ts';
import { DataError } from '../../data/errors.ts';
import { isImageName } from '../../data/image_files.ts';
import { decodeImage, ImageError, resizeToSquare } from '../../model/image.ts';
import type { PS3 } from '../../model/ps3.ts';
import { captionIds } from '../batch_loader.ts';
import { globalScores } from './answers.ts';
import { classFeatures, fillTemplates, meanPerClass, placeOf } from './classification.ts';
import { type Estimate, ImageBootstrap } from './intervals.ts';

/** What `zeroShot` asks. */
export interface ZeroShotOptions {
  /** Texts with `{}` in the place of a class's name; default `{}` alone. */
  readonly templates?: readonly string[];
  /** Of the intervals; default 1. */
  readonly seed?: number;
  /** After every image: how many are done, and how many there are. */
  readonly onProgress?: (done: number, all: number) => void;
  /** Told, in a sentence, of images that are left out. */
  readonly notice?: (sentence: string) => void;
}

const ZERO_SHOT_OPTIONS = { templates: true, seed: true, onProgress: true, notice: true } as const;

/** How often the right class is the first, and among the first five. */
export interface ZeroShotResult {
  readonly images: number;
  /** Images that could not be read. */
  readonly skipped: number;
  readonly classes: number;
  readonly templates: number;
  readonly top1: Estimate;
  readonly top5: Estimate;
  /** Top-1 of each class, averaged over classes. */
  readonly meanPerClass: number;
}

/** The images of a folder whose subfolders are classes: paths and labels, in the order of their names. */
async function labelledImages(
  folder: string,
): Promise<{ names: string[]; images: { path: string; label: number }[] }> {
  const { readdir } = await fileSystem();
  const entries = await onPath(folder, () => readdir(folder, { withFileTypes: true }));
  const names: string[] = [];
  const images: { path: string; label: number }[] = [];
  for (const name of entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()) {
    const files = (await readdir(`${folder}/${name}`)).filter(isImageName).sort();
    if (files.length === 0) continue;
    for (const file of files) images.push({ path: `${folder}/${name}/${file}`, label: names.length });
    names.push(name);
  }
  if (names.length < 2)
    throw new DataError(
      `zeroShot: ${folder} must hold a subfolder of images for each of two classes or more, got ${names.length}. Name each after its class.`,
    );
  return { names, images };
}

/**
 * Classifies every image by the texts of the classes, by the cosine with its pooled low-res feature.
 *
 * @param folder  a subfolder of images for each class, named after it; `_` stands for a blank
 * @throws DataError for fewer than two classes and where no image can be read, FileError where the folder is not there
 * Source: open_clip, zero_shot_classifier.py; CLIP_benchmark, zeroshot_classification.py.
 */
export async function zeroShot(
  engine: Engine,
  model: PS3,
  folder: string,
  options: ZeroShotOptions = {},
): Promise<ZeroShotResult> {
  expectKeys('zeroShot', options, ZERO_SHOT_OPTIONS);
  const { templates = ['{}'], seed = 1, onProgress, notice } = options;
  const { names, images } = await labelledImages(folder);
  using kept = engine.scope();
  const features: Float32Array[] = [];
  for (const name of names) {
    using scope = engine.scope();
    const texts = fillTemplates(templates, name.replaceAll('_', ' '));
    const encoded = noGrad(() => model.encodeText(captionIds(engine, model.tokenizer, texts, scope)));
    features.push(await encoded.features.data());
  }
  const E = features[0].length / templates.length;
  const all = new Float32Array(names.length * templates.length * E);
  features.forEach((rows, c) => {
    all.set(rows, c * rows.length);
  });
  const texts = engine.tensor(classFeatures(all, names.length, E), [names.length, E], { scope: kept });
  const places: number[] = [];
  const labels: number[] = [];
  for (const [i, { path, label }] of images.entries()) {
    using scope = engine.scope();
    try {
      const image = resizeToSquare(engine, await decodeImage(path), model.config.image.imagePx, { scope });
      places.push(placeOf(await globalScores(model, image, texts), label));
      labels.push(label);
    } catch (cause) {
      if (!(cause instanceof ImageError)) throw cause;
      notice?.(`${path} is left out: ${cause.message}`);
    }
    onProgress?.(i + 1, images.length);
  }
  if (places.length === 0)
    throw new DataError(
      `zeroShot: ${folder} must hold an image that can be read, got none of ${images.length}.`,
    );
  const bootstrap = new ImageBootstrap(places.length, seed);
  const top = (k: number): Estimate =>
    bootstrap.estimate(places.map((place, image) => ({ image, value: Number(place <= k) })))!;
  return {
    images: places.length,
    skipped: images.length - places.length,
    classes: names.length,
    templates: templates.length,
    top1: top(1),
    top5: top(5),
    meanPerClass: meanPerClass(
      labels,
      places.map((place) => place === 1),
    ),
  };
}
