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
  slice,
  type Tensor,
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
  /** Weight of the supervision of looking beside the answers'; default 1. */
  readonly selection?: number;
  /** Looks of a full budget; default 1. */
  readonly looks?: number;
  /** Looks at the box first, whatever the question asks for; default false. */
  readonly teacherForcing?: boolean;
}

const OPTIONS = { box: true, selection: true, looks: true, teacherForcing: true } as const;

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
 * the question, and no gradient goes from the maps into the language model.
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
  const { box, selection = 1, looks = 1, teacherForcing = false } = options;
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
    const answers = answersLoss(model, look.blocks, samples);
    return { total: answers, answers, entropy: undefined, dice: undefined, prompt: undefined, look };
  }
  const prompt = model.projector.prompt(noGrad(() => states(model, low, samples)));
  const groundTruth = teacherForcing ? box : undefined;
  const look = await model.look(seen, { prompt, looks, groundTruth });
  const answers = answersLoss(model, look.blocks, samples);
  const losses = { answers, prompt, look };
  if (!box || selection === 0) return { ...losses, total: answers, entropy: undefined, dice: undefined };
  const { entropy, dice } = mapsLoss(model, look.vision!.maps, image, box);
  return { ...losses, entropy, dice, total: add(answers, mul(add(entropy, dice), selection)) };
}

/** The state of the language model at the end of each sample's question, [B, d]. */
function states(model: VilaModel, low: Tensor<'f32'>, samples: readonly VilaSample[]): Tensor<'f32'> {
  const asked = samples.map(({ ids }) => ids.slice(0, questionPlace(ids, model.tokens.turnEnd) + 1));
  const blocks = samples.map((_, b) => slice(low, { axis: 0, start: b, length: 1 }));
  const { rows, lengths } = read(model, asked, blocks);
  const [B, T, d] = rows.shape;
  const last = output([rows], [B], 'u32');
  last.write(Uint32Array.from(lengths, (length, b) => b * T + length - 1));
  return embedding(model.language.decode(rows).reshape([B * T, d]), last, { unique: true });
}

/** Texts with their blocks as rows of one batch, padded on the right, where no token before sees it. */
function read(
  model: VilaModel,
  texts: readonly (readonly number[])[],
  blocks: readonly Tensor<'f32'>[],
): { rows: Tensor<'f32'>; lengths: number[] } {
  const { image, newline } = model.tokens;
  const words: number[] = [...newline];
  // Words stand first in the table, then the tokens of each image.
  const wordCount = newline.length + texts.reduce((sum, ids) => sum + ids.length, 0) - texts.length;
  let next = wordCount;
  const places = texts.map((ids, b) =>
    ids.flatMap((id) => {
      if (id !== image) return [words.push(id) - 1];
      const tokens = blocks[b].shape[1];
      next += tokens;
      return [...Array.from({ length: tokens }, (_, k) => next - tokens + k), ...newline.keys()];
    }),
  );
  const lengths = places.map(({ length }) => length);
  const T = Math.max(...lengths);
  const index = new Uint32Array(texts.length * T);
  for (const [b, own] of places.entries()) index.set(own, b * T);
  const upload = (numbers: Uint32Array<ArrayBuffer>, shape: readonly number[]): Tensor => {
    const tensor = output([...blocks], shape, 'u32');
    tensor.write(numbers);
    return tensor;
  };
  const embedded = model.language.embed(upload(Uint32Array.from(words), [words.length]));
  const table = concat([embedded, ...blocks.map((block) => block.reshape([-1, block.shape[2]]))], {
    axis: 0,
  });
  return { rows: embedding(table, upload(index, [texts.length, T])) as Tensor<'f32'>, lengths };
}

/** Cross-entropy of the answers' tokens. */
function answersLoss(
  model: VilaModel,
  blocks: readonly Tensor<'f32'>[],
  samples: readonly VilaSample[],
): Tensor<'f32'> {
  const { image, newline } = model.tokens;
  const texts = samples.map(({ ids }) => ids);
  const { rows } = read(model, texts, blocks);
  const [B, T] = rows.shape;
  const labels = new Int32Array(B * T).fill(IGNORED);
  for (const [b, { ids, labels: own }] of samples.entries()) {
    const behind = new Array<number>(blocks[b].shape[1] + newline.length).fill(IGNORED);
    const shown = own.flatMap((label, i) => (ids[i] === image ? behind : [label]));
    // What stands at a place is foretold from the place before.
    labels.set(shown.slice(1), b * T);
  }
  const wanted = output([rows], [B, T], 'i32');
  wanted.write(labels);
  return linearCrossEntropy(model.language.decode(rows), model.language.head, wanted, {
    ignoreIndex: IGNORED,
  });
}

function mapsLoss(
  { vision }: VilaModel,
  maps: Maps,
  image: Tensor,
  box: Tensor,
): { entropy: Tensor<'f32'>; dice: Tensor<'f32'> } {
  const grids = vision.grids(image).slice(1);
  const own = maps.topDown ?? maps.bottomUp;
  const wanted = grids.map((grid) => touchedCells(box, grid));
  const mean = (losses: Tensor<'f32'>[]): Tensor<'f32'> =>
    mul(
      losses.reduce((a, b) => add(a, b)),
      1 / losses.length,
    );
  return {
    entropy: mean(own.map((map, i) => binaryCrossEntropy(map, wanted[i]))),
    dice: mean(own.map((map, i) => diceLoss(map, wanted[i]))),
  };
}
