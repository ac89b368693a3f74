// The protocols of evaluation without a language model, from what a model said about every box and image.
import { meanPerClass, placeOf } from './classification.ts';
import type { Estimate, ImageBootstrap } from './intervals.ts';
import { BUDGETS, type LocatedBox, type SelectionProtocols, selectionProtocols } from './located.ts';
import { median, type RetrievalTask, ranksOf } from './retrieval.ts';

/** By which feature of a box. */
export const FEATURES = ['predicted', 'topDown', 'teacherForced', 'lowRes'] as const;
/** A name of `FEATURES`. */
export type Feature = (typeof FEATURES)[number];

/** How often the right one is among the first. */
export interface RetrievalResult {
  /** Share of queries whose right one is first. */
  readonly recall1: Estimate;
  /** Among the first five. */
  readonly recall5: Estimate;
  /** Among the first ten. */
  readonly recall10: Estimate;
  /** Mean of 1 / rank. */
  readonly reciprocalRank: Estimate;
  /** From 1. */
  readonly medianRank: number;
}

/** Both ways. */
export interface TwoWays {
  /** The text of an image. */
  readonly imageToText: RetrievalResult;
  /** The image of a text. */
  readonly textToImage: RetrievalResult;
}

/** Boxes against captions; which wrong candidates there are. */
export interface LocalRetrieval {
  /** All: those of other images and the image's own others, hard negatives. */
  readonly all: TwoWays;
  /** Those of other images. */
  readonly otherImages: TwoWays;
  /** The image's own others alone. */
  readonly sameImage: TwoWays | undefined;
}

/** Boxes by the texts of all classes. */
export interface Classification {
  /** How many there are. */
  readonly classes: number;
  /** Share whose class scores highest. */
  readonly top1: Estimate;
  /** Share whose class is among the five that score highest. */
  readonly top5: Estimate;
  /** Top-1 of each class, averaged over classes. */
  readonly meanPerClass: number;
}

/** What the protocols give; undefined where nothing was asked. */
export interface Protocols {
  /** How many there were. */
  readonly images: number;
  /** How many there were in all of them. */
  readonly boxes: number;
  /** Shares of all high-res patches that were selected, in the order of the results. */
  readonly budgets: readonly number[];
  /** Boxes against captions, both ways. */
  readonly local: Readonly<Record<Feature, LocalRetrieval>> | undefined;
  /** Whole images by their low-res feature against global captions. */
  readonly global: TwoWays | undefined;
  /** Boxes by their captions as classes. */
  readonly regions: Readonly<Record<Feature, Classification>> | undefined;
  /** How selection covers boxes, by their size. */
  readonly selection: SelectionProtocols['selection'];
  /** Whether the highest point of a map is in a box. */
  readonly pointing: SelectionProtocols['pointing'];
}

/** One box: what it is, and what the model said. */
export interface BoxRecord extends LocatedBox {
  /** Index of its caption among the different ones. */
  readonly caption: number;
  /** Cosines with all different captions. */
  readonly scores: Readonly<Record<Feature, Float32Array>>;
}

/** One image with a global caption. */
export interface ImageRecord {
  readonly image: number;
  /** Index among the different global captions. */
  readonly caption: number;
  /** Cosines with all different global captions. */
  readonly scores: Float32Array;
}

function retrievalResult(
  bootstrap: ImageBootstrap,
  images: readonly number[],
  task: RetrievalTask,
): RetrievalResult | undefined {
  const ranks = ranksOf(task);
  const asked = [...ranks].flatMap((rank, row) => (Number.isNaN(rank) ? [] : [{ rank, image: images[row] }]));
  const estimate = (value: (rank: number) => number): Estimate =>
    bootstrap.estimate(asked.map(({ rank, image }) => ({ image, value: value(rank) })))!;
  if (asked.length === 0) return undefined;
  const recall = (k: number): Estimate => estimate((rank) => Number(rank <= k));
  return {
    recall1: recall(1),
    recall5: recall(5),
    recall10: recall(10),
    reciprocalRank: estimate((rank) => 1 / rank),
    medianRank: median(asked.map(({ rank }) => rank)),
  };
}

/** Retrieval both ways between boxes (or images) and captions; every one of them asks once each way. */
function twoWays(
  bootstrap: ImageBootstrap,
  records: readonly { readonly image: number; readonly caption: number; readonly scores: Float32Array }[],
  /** Whether the caption of one may be a wrong answer for another; and, where captions are equal, a right one. */
  competes: (a: number, b: number) => boolean = () => true,
  shares: (a: number, b: number) => boolean = () => true,
): TwoWays | undefined {
  const images = records.map(({ image }) => image);
  const captions = records[0]?.scores.length ?? 0;
  // A caption competes with a box where it is that of a box that does.
  const owners: number[][] = Array.from({ length: captions }, () => []);
  records.forEach(({ caption }, i) => {
    owners[caption].push(i);
  });
  const imageToText = retrievalResult(bootstrap, images, {
    rows: records.length,
    columns: captions,
    score: (row, column) => records[row].scores[column],
    isRight: (row, column) => records[row].caption === column,
    isCandidate: (row, column) => owners[column].some((owner) => competes(row, owner)),
  });
  const textToImage = retrievalResult(bootstrap, images, {
    rows: records.length,
    columns: records.length,
    score: (row, column) => records[column].scores[records[row].caption],
    isRight: (row, column) => records[column].caption === records[row].caption && shares(row, column),
    isCandidate: competes,
  });
  return imageToText && textToImage && { imageToText, textToImage };
}

function localRetrieval(
  bootstrap: ImageBootstrap,
  boxes: readonly BoxRecord[],
  feature: Feature,
): LocalRetrieval {
  const records = boxes.map(({ image, caption, scores }) => ({ image, caption, scores: scores[feature] }));
  const isSame = (list: readonly { image: number }[]) => (a: number, b: number) =>
    list[a].image === list[b].image;
  // Among the image's own: of images with two different captions.
  const captionsOf = new Map<number, Set<number>>();
  for (const { image, caption } of records)
    captionsOf.set(image, (captionsOf.get(image) ?? new Set()).add(caption));
  const several = records.filter(({ image }) => captionsOf.get(image)!.size > 1);
  return {
    all: twoWays(bootstrap, records)!,
    otherImages: twoWays(bootstrap, records, (a, b) => !isSame(records)(a, b))!,
    sameImage: twoWays(bootstrap, several, isSame(several), isSame(several)),
  };
}

function classification(
  bootstrap: ImageBootstrap,
  boxes: readonly BoxRecord[],
  feature: Feature,
): Classification {
  const places = boxes.map(({ scores, caption }) => placeOf(scores[feature], caption));
  const top = (k: number): Estimate =>
    bootstrap.estimate(boxes.map(({ image }, i) => ({ image, value: Number(places[i] <= k) })))!;
  const labels = boxes.map(({ caption }) => caption);
  const isRight = places.map((place) => place === 1);
  return {
    classes: boxes[0].scores[feature].length,
    top1: top(1),
    top5: top(5),
    meanPerClass: meanPerClass(labels, isRight),
  };
}

/** Puts the records of so many images together. */
export function protocolsOf(
  bootstrap: ImageBootstrap,
  images: number,
  boxes: readonly BoxRecord[],
  globals: readonly ImageRecord[],
): Protocols {
  const byFeature = <T>(of: (feature: Feature) => T): Record<Feature, T> => ({
    predicted: of('predicted'),
    topDown: of('topDown'),
    teacherForced: of('teacherForced'),
    lowRes: of('lowRes'),
  });
  const has = boxes.length > 0;
  return {
    images,
    boxes: boxes.length,
    budgets: BUDGETS,
    local: has ? byFeature((feature) => localRetrieval(bootstrap, boxes, feature)) : undefined,
    global: twoWays(bootstrap, globals),
    regions: has ? byFeature((feature) => classification(bootstrap, boxes, feature)) : undefined,
    ...selectionProtocols(bootstrap, boxes),
  };
}
