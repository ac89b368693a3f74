// What a check finds in a part of a collection: plain JSON, so that it is kept beside the result and a check can go on.

/** One quantity, and how its values are counted: whole numbers, or bins of equal ratio, so many for a factor of two. */
export interface Measure {
  readonly title: string;
  readonly perOctave?: number;
}

/** A quantity of `MEASURES`. */
export type MeasureName =
  | 'longSidePx'
  | 'aspect'
  | 'boxesPerImage'
  | 'boxSide'
  | 'boxAspect'
  | 'words'
  | 'globalWords'
  | 'tokens';

/** Everything that is measured. */
export const MEASURES: Readonly<Record<MeasureName, Measure>> = {
  longSidePx: { title: 'Long side of images, pixels', perOctave: 4 },
  aspect: { title: 'Width / height of images', perOctave: 8 },
  boxesPerImage: { title: 'Boxes per image' },
  boxSide: { title: 'Size of boxes: root of their share of the image', perOctave: 2 },
  boxAspect: { title: 'Width / height of boxes', perOctave: 2 },
  words: { title: 'Words of local captions' },
  globalWords: { title: 'Words of global captions' },
  tokens: { title: 'Tokens of captions, with their end' },
};

/** Counts by the number of the bin: that of a whole number is itself, bin i of a ratio begins at 2^(i / perOctave). */
export type Histogram = Readonly<Record<string, number>>;

/** The bin of a value. */
export function binOf(name: MeasureName, value: number): number {
  const { perOctave } = MEASURES[name];
  return perOctave === undefined ? value : Math.floor(Math.log2(value) * perOctave);
}

/** [low, high) of a bin; a whole number has the half on both sides. */
export function edgesOf(name: MeasureName, bin: number): [number, number] {
  const { perOctave } = MEASURES[name];
  return perOctave === undefined
    ? [bin - 0.5, bin + 0.5]
    : [2 ** (bin / perOctave), 2 ** ((bin + 1) / perOctave)];
}

/** Something wrong with a sample or an archive. */
export interface Fault {
  /** The archive, or the folder. */
  readonly shard: string;
  /** The sample; empty for a whole archive. */
  readonly key: string;
  /** The same words for the same kind of fault. */
  readonly kind: string;
  /** One sentence. */
  readonly reason: string;
}

/** An image by its content. */
export interface Hashed {
  readonly key: string;
  /** Of the encoded bytes: SHA-256, cut to 128 bits, in base64. */
  readonly hash: string;
}

/** What was found in a part. */
export interface Findings {
  /** Samples with an image and an annotation. */
  readonly samples: number;
  readonly boxes: number;
  readonly captions: number;
  readonly globalCaptions: number;
  /** Captions that are longer than the text tower takes; 0 without a tokenizer. */
  readonly cutCaptions: number;
  readonly questions: number;
  /** Questions whose answer is told. */
  readonly answers: number;
  readonly faults: readonly Fault[];
  /** Images that decode. */
  readonly images: readonly Hashed[];
  readonly histograms: Readonly<Record<MeasureName, Histogram>>;
}

/** Where images lie that have the same content, or the same key. */
export interface Repeated {
  readonly first: string;
  readonly again: string;
}

/** What was found in a collection. */
export interface Summary extends Omit<Findings, 'images'> {
  readonly decoded: number;
  /** Images with the bytes of an earlier one; each is a fault too. */
  readonly sameContent: readonly Repeated[];
  /** Samples with the key of one in an earlier shard, which readers tell apart by the shard. */
  readonly sameKey: readonly Repeated[];
}

/**
 * Adds up the findings of all parts.
 *
 * @param parts  with the name of the shard that each is of
 */
export function summarise(
  parts: readonly { readonly shard: string; readonly findings: Findings }[],
): Summary {
  const sum = (count: (findings: Findings) => number): number =>
    parts.reduce((total, { findings }) => total + count(findings), 0);
  const byHash = new Map<string, string>();
  const byKey = new Map<string, string>();
  const [sameContent, sameKey]: [Repeated[], Repeated[]] = [[], []];
  const repeats: Fault[] = [];
  for (const { shard, findings } of parts)
    for (const { key, hash } of findings.images) {
      const again = `${shard}: ${key}`;
      const content = byHash.get(hash);
      if (content === undefined) byHash.set(hash, again);
      else {
        sameContent.push({ first: content, again });
        repeats.push({ shard, key, kind: 'same content', reason: `${again} has the bytes of ${content}.` });
      }
      const named = byKey.get(key);
      if (named === undefined) byKey.set(key, again);
      else sameKey.push({ first: named, again });
    }
  const names = Object.keys(MEASURES) as MeasureName[];
  const added = (name: MeasureName): Histogram => {
    const counts: Record<string, number> = {};
    for (const { findings } of parts)
      for (const [bin, count] of Object.entries(findings.histograms[name]))
        counts[bin] = (counts[bin] ?? 0) + count;
    return counts;
  };
  return {
    samples: sum(({ samples }) => samples),
    decoded: sum(({ images }) => images.length),
    boxes: sum(({ boxes }) => boxes),
    captions: sum(({ captions }) => captions),
    globalCaptions: sum(({ globalCaptions }) => globalCaptions),
    cutCaptions: sum(({ cutCaptions }) => cutCaptions),
    questions: sum(({ questions }) => questions),
    answers: sum(({ answers }) => answers),
    faults: [...parts.flatMap(({ findings }) => findings.faults), ...repeats],
    sameContent,
    sameKey,
    histograms: Object.fromEntries(names.map((name) => [name, added(name)])) as Summary['histograms'],
  };
}
