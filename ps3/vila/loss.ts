// What a VILA-HD is trained with: the answers, and where their questions should have made it look.
// NVlabs/VILA, llava/train/llava_trainer.py.
import {
  add,
  binaryCrossEntropy,
  concat,
  diceLoss,
  embedding,
  expect,
  expectKeys,
  linearCrossEntropy,
  mul,
  noGrad,
  output,
  type Tensor,
  UseError,
} from '../../engine/index.ts';
import { IGNORED } from '../language/labels.ts';
import { touchedCells } from '../model/vision/selection.ts';
import type { Maps } from '../model/vision/vision_types.ts';
import { questionPlace } from './sequence.ts';
import type { VilaModel } from './vila.ts';
import type { Seen, VilaLook } from './vila_types.ts';

/** A conversation about one image. */
export interface VilaSample {
  /** With one image token. */
  readonly ids: readonly number[];
  /** The id of an answer's token at its own place, `IGNORED` elsewhere; all of them, where only looking is trained. */
  readonly labels: readonly number[];
}

/** How the loss is put together. */
export interface VilaLossOptions {
  /** [B, h, w], nonzero in the box that answers; without one, looking is not trained. */
  readonly box?: Tensor;
  /** Samples whose box is known; default all. The maps of the others are not supervised. */
  readonly located?: readonly number[];
  /** Weight of the supervision of looking beside the answers'; default 1. */
  readonly selection?: number;
  /** Looks of a full budget; default 1. */
  readonly looks?: number;
  /** Looks at the box first, whatever the question asks for; default false. */
  readonly teacherForcing?: boolean;
  /**
   * Whether what the maps should have shown trains the language model too, whose state asked for them; default false, as the
   * reference does it. A small model, whose state at the end of a question carries little of it, learns to ask only so.
   */
  readonly reachesLanguage?: boolean;
}

const OPTIONS = {
  box: true,
  located: true,
  selection: true,
  looks: true,
  teacherForcing: true,
  reachesLanguage: true,
} as const;

/** Losses of a batch, [1] each. */
export interface VilaLoss {
  /** answers + weight (entropy + dice) */
  readonly total: Tensor<'f32'>;
  /** Cross-entropy of the answers' tokens, the mean over all of the batch; 0 where no token is labelled. */
  readonly answers: Tensor<'f32'>;
  /** Binary cross-entropy of the maps, the mean over scales, images and patches. */
  readonly entropy: Tensor<'f32'> | undefined;
  /** DICE of the maps, the mean over scales and images. */
  readonly dice: Tensor<'f32'> | undefined;
  /** [B, C], what selected the patches; undefined where the encoder sees all at once. */
  readonly prompt: Tensor<'f32'> | undefined;
  /** What was looked at. */
  readonly look: VilaLook;
}

/**
 * The training forward; `backward(loss.total)` gives the gradients. What is asked is the language model's state at the end of
 * the question, and no gradient goes from the maps into the language model
 * unless it is asked for.
 *
 * The maps that are supervised are the model's own, where the box drives the selection too: the reference supervises the
 * overridden ones, of which the box trains nothing. An encoder that sees all at once is trained by the answers alone.
 *
 * @param seen     `model.glance` of the images, one for each sample
 * @throws ShapeError where samples and images are not as many
 */
export async function vilaLoss(
  model: VilaModel,
  seen: Seen,
  samples: readonly VilaSample[],
  options: VilaLossOptions = {},
): Promise<VilaLoss> {
  expectKeys('vilaLoss', options, OPTIONS);
  const { box, selection = 1, looks = 1, teacherForcing = false, reachesLanguage = false } = options;
  const { image, low } = seen;
  const n = low.shape[0];
  expect(
    samples.length === n,
    'vilaLoss',
    `there must be a sample for each of ${n} images`,
    `${samples.length}`,
  );
  if (!model.encoder.looks) {
    const look = await model.look(seen);
    const answers = answersLoss(model, look, samples);
    return { total: answers, answers, entropy: undefined, dice: undefined, prompt: undefined, look };
  }
  const asked = (): Tensor<'f32'> => states(model, low, samples);
  const prompt = model.projector.prompt(reachesLanguage ? asked() : noGrad(asked));
  const groundTruth = teacherForcing ? box : undefined;
  const look = await model.look(seen, { prompt, looks, groundTruth });
  const answers = answersLoss(model, look, samples);
  const losses = { answers, prompt, look };
  if (!box || selection === 0 || options.located?.length === 0)
    return { ...losses, total: answers, entropy: undefined, dice: undefined };
  const { entropy, dice } = mapsLoss(model, look.vision!.maps, image, box, options.located);
  return { ...losses, entropy, dice, total: add(answers, mul(add(entropy, dice), selection)) };
}

/** A question about one of several images, whose answer is not told. */
export interface VilaGrounding {
  /** Which of the images. */
  readonly image: number;
  /** With one image token. */
  readonly ids: readonly number[];
}

/**
 * How well questions show where their answers are, whatever these are: nothing is looked at. Cheaper than answers, since an
 * image is glanced at once for all of its questions.
 *
 * @param seen      `model.glance` of the images
 * @param box       [Q, h, w], nonzero in the box that answers each question
 * @param options.reachesLanguage  as of `VilaLossOptions`
 * @returns         [1] each, as of `VilaLoss`; total = entropy + dice
 * @throws UseError for an encoder that sees all at once
 * Source: NVlabs/VILA, llava/data/dataset.py, LazyQAGroundingDataset, whose loss is of the maps alone.
 */
export function groundingLoss(
  model: VilaModel,
  seen: Seen,
  questions: readonly VilaGrounding[],
  box: Tensor,
  options: Pick<VilaLossOptions, 'reachesLanguage'> = {},
): Record<'total' | 'entropy' | 'dice', Tensor<'f32'>> {
  expectKeys('groundingLoss', options, { reachesLanguage: true });
  const { image, low, glance } = seen;
  if (!glance)
    throw new UseError(
      'groundingLoss: the encoder must look where it is asked to, got one that sees all at once.',
    );
  const asked = (): Tensor<'f32'> => states(model, low, questions);
  const prompt = model.projector.prompt(options.reachesLanguage ? asked() : noGrad(asked));
  const which = output([low], [questions.length], 'u32');
  which.write(Uint32Array.from(questions, (question) => question.image));
  const repeated = (features: Tensor<'f32'>): Tensor<'f32'> => {
    const [n, cells, C] = features.shape;
    return embedding(features.reshape([n, cells * C]), which).reshape([
      questions.length,
      cells,
      C,
    ]) as Tensor<'f32'>;
  };
  const { features } = glance;
  const { vision } = model;
  const all = { low: repeated(features.low), aux: features.aux && repeated(features.aux) };
  const maps = vision.maps(all, vision.grids(image), { prompt });
  const { entropy, dice } = mapsLoss(model, maps, image, box);
  return { total: add(entropy, dice), entropy, dice };
}

/** The state of the language model at the end of each question, [Q, d]. */
function states(
  model: VilaModel,
  low: Tensor<'f32'>,
  questions: readonly { readonly ids: readonly number[]; readonly image?: number }[],
): Tensor<'f32'> {
  const asked = questions.map(({ ids }) => ids.slice(0, questionPlace(ids, model.tokens.turnEnd) + 1));
  const [n, count, width] = low.shape;
  const own = questions.map(({ image }, b) =>
    Uint32Array.from({ length: count }, (_, i) => (image ?? b) * count + i),
  );
  const { texts, lengths } = read(model, asked, { table: low.reshape([n * count, width]), rows: own });
  const [Q, T, d] = texts.shape;
  const last = output([texts], [Q], 'u32');
  last.write(Uint32Array.from(lengths, (length, b) => b * T + length - 1));
  return embedding(model.language.decode(texts).reshape([Q * T, d]), last, { unique: true });
}

/** Texts with what stands for their images as rows of one batch, padded on the right, where no token before sees it. */
function read(
  model: VilaModel,
  conversations: readonly (readonly number[])[],
  { table, rows }: Pick<VilaLook, 'table' | 'rows'>,
): { texts: Tensor<'f32'>; lengths: number[] } {
  const { image, newline } = model.tokens;
  // Words stand first in the table of all, then the tokens of images.
  const words: number[] = [...newline];
  const wordCount = newline.length + conversations.flat().filter((id) => id !== image).length;
  const places = conversations.map((ids, b) =>
    ids.flatMap((id) =>
      id === image
        ? [...Array.from(rows[b], (row) => wordCount + row), ...newline.keys()]
        : [words.push(id) - 1],
    ),
  );
  const lengths = places.map(({ length }) => length);
  const T = Math.max(...lengths);
  const index = new Uint32Array(places.length * T);
  for (const [b, own] of places.entries()) index.set(own, b * T);
  const upload = (numbers: Uint32Array<ArrayBuffer>, shape: readonly number[]): Tensor => {
    const tensor = output([table], shape, 'u32');
    tensor.write(numbers);
    return tensor;
  };
  const embedded = model.language.embed(upload(Uint32Array.from(words), [words.length]));
  const all = concat([embedded, table], { axis: 0 });
  return { texts: embedding(all, upload(index, [places.length, T])) as Tensor<'f32'>, lengths };
}

/** Cross-entropy of the answers' tokens. */
function answersLoss(
  model: VilaModel,
  look: Pick<VilaLook, 'table' | 'rows'>,
  samples: readonly VilaSample[],
): Tensor<'f32'> {
  const { image, newline } = model.tokens;
  const conversations = samples.map(({ ids }) => ids);
  const { texts } = read(model, conversations, look);
  const [B, T] = texts.shape;
  const labels = new Int32Array(B * T).fill(IGNORED);
  for (const [b, { ids, labels: own }] of samples.entries()) {
    const behind = new Array<number>(look.rows[b].length + newline.length).fill(IGNORED);
    const shown = own.flatMap((label, i) => (ids[i] === image ? behind : [label]));
    // What stands at a place is foretold from the place before.
    labels.set(shown.slice(1), b * T);
  }
  const wanted = output([texts], [B, T], 'i32');
  wanted.write(labels);
  return linearCrossEntropy(model.language.decode(texts), model.language.head, wanted, {
    ignoreIndex: IGNORED,
  });
}

function mapsLoss(
  { vision }: VilaModel,
  maps: Maps,
  image: Tensor,
  box: Tensor,
  located: readonly number[] = [],
): { entropy: Tensor<'f32'>; dice: Tensor<'f32'> } {
  const grids = vision.grids(image).slice(1);
  const own = maps.topDown ?? maps.bottomUp;
  const cells = grids.map((grid) => touchedCells(box, grid));
  const isPart = located.length > 0 && located.length < box.shape[0];
  const [shown, wanted] = isPart
    ? [own, cells].map((all) => all.map((map) => ofSamples(map, located)))
    : [own, cells];
  const mean = (losses: Tensor<'f32'>[]): Tensor<'f32'> =>
    mul(
      losses.reduce((a, b) => add(a, b)),
      1 / losses.length,
    );
  return {
    entropy: mean(shown.map((map, i) => binaryCrossEntropy(map, wanted[i]))),
    dice: mean(shown.map((map, i) => diceLoss(map, wanted[i]))),
  };
}

/** Maps of some samples. @param map  [B, Y X] */
function ofSamples(map: Tensor<'f32'>, samples: readonly number[]): Tensor<'f32'> {
  const index = output([map], [samples.length], 'u32');
  index.write(Uint32Array.from(samples));
  return embedding(map, index, { unique: true });
}
