// What a VILA-HD is trained with: the answers, and where their questions should have made it look.
// NVlabs/VILA, llava/train/llava_trainer.py.
import {
  add,
  binaryCrossEntropy,
  concat,
  diceLoss,
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
  /** [B, C], what selected the patches. */
  readonly prompt: Tensor<'f32'>;
  /** What was looked at. */
  readonly look: VilaLook;
}

/**
 * The training forward; `backward(loss.total)` gives the gradients. What is asked is the language model's state at the end of
 * the question, and no gradient goes from the maps into the language model.
 *
 * The maps that are supervised are the model's own, where the box drives the selection too: the reference supervises the
 * overridden ones, of which the box trains nothing.
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
  const n = image.shape[0];
  expect(
    samples.length === n,
    'vilaLoss',
    `there must be a sample for each of ${n} images`,
    `${samples.length}`,
  );
  const states = samples.map(({ ids }, b) =>
    noGrad(() => model.ask(ids, slice(low, { axis: 0, start: b, length: 1 })).state),
  );
  const prompt = model.projector.prompt(concat(states, { axis: 0 }));
  const groundTruth = teacherForcing ? box : undefined;
  const look = await model.look(seen, { prompt, looks, groundTruth });
  const answers = answersLoss(model, look.blocks, samples);
  const losses = { answers, prompt, look };
  if (!box || selection === 0) return { ...losses, total: answers, entropy: undefined, dice: undefined };
  const { entropy, dice } = mapsLoss(model, look, image, box);
  return { ...losses, entropy, dice, total: add(answers, mul(add(entropy, dice), selection)) };
}

/** Each conversation by itself: no padding, and none sees another. */
function answersLoss(
  model: VilaModel,
  blocks: readonly Tensor<'f32'>[],
  samples: readonly VilaSample[],
): Tensor<'f32'> {
  const { image, newline } = model.tokens;
  const hidden: Tensor<'f32'>[] = [];
  const labels: number[] = [];
  for (const [b, { ids, labels: own }] of samples.entries()) {
    const h = model.language.decode(model.embed(ids, [blocks[b]]));
    hidden.push(h.reshape([h.shape[1], h.shape[2]]));
    const behind = new Array<number>(blocks[b].shape[1] + newline.length).fill(IGNORED);
    // What stands at a place is foretold from the place before.
    const shown = own.flatMap((label, i) => (ids[i] === image ? behind : [label]));
    labels.push(...shown.slice(1), IGNORED);
  }
  const wanted = output(hidden, [labels.length], 'i32');
  wanted.write(Int32Array.from(labels));
  return linearCrossEntropy(concat(hidden, { axis: 0 }), model.language.head, wanted, {
    ignoreIndex: IGNORED,
  });
}

function mapsLoss(
  { vision }: VilaModel,
  { vision: { maps } }: VilaLook,
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
