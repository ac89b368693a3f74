// What a model says about boxes and images that it has not seen: features and maps, on the host.
import { type Engine, l2Normalize, matmul, noGrad, type Scope, type Tensor } from '../../../engine/index.ts';
import type { Sample } from '../../data/annotations.ts';
import { type Box, boxCells, exactGridSide } from '../../data/boxes.ts';
import type { PS3 } from '../../model/ps3.ts';
import type { PatchSelection } from '../../model/vision/selection.ts';
import { captionIds } from '../batch_loader.ts';

/** A box of an image, and its caption. */
export interface AskedBox {
  readonly sample: Sample;
  readonly box: Box;
  readonly caption: string;
}

/** What the model says about a batch of boxes. */
export interface BoxAnswers {
  /** Cosines [B, captions] of four features of the box. */
  readonly scores: {
    /** Pooled from the low-res tokens that the box touches. */
    readonly lowRes: Float32Array;
    /** From high-res patches in the box, of a look that takes the box's first and fills up bottom-up: teacher-forced. */
    readonly teacherForced: Float32Array;
    /** From high-res patches in the box, of a look that the model selects bottom-up: no text has a say in it. */
    readonly predicted: Float32Array;
    /** The same of a look that the model selects for the box's caption, which it is thus told; the box it is not told. */
    readonly topDown: Float32Array;
  };
  /** What one look takes, 0 and 1 per high-res scale, [B, Y * X]. */
  readonly selected: { readonly bottomUp: Float32Array[]; readonly topDown: Float32Array[] };
  /** Maps per high-res scale, [B, Y * X]; the top-down ones are for the box's caption. */
  readonly maps: { readonly bottomUp: Float32Array[]; readonly topDown: Float32Array[] };
  /** Patches that one look takes per high-res scale. */
  readonly counts: number[];
}

/**
 * Runs the model on boxes.
 *
 * @param texts  features of all captions, normalised, [captions, E]
 */
export async function askBoxes(
  engine: Engine,
  model: PS3,
  batch: readonly AskedBox[],
  texts: Tensor<'f32'>,
  scope: Scope,
): Promise<BoxAnswers> {
  const { vision } = model;
  const { gridSides } = model.config.vision;
  const outputs = noGrad(() => {
    const image = imageBatch(
      engine,
      batch.map(({ sample }) => sample),
      scope,
    );
    const maskAt = (side: number): Tensor<'f32'> => {
      const mask = new Float32Array(batch.length * side * side);
      for (const [b, { box, sample }] of batch.entries())
        mask.set(boxCells([box], sample.side, side), b * side * side);
      return engine.tensor(mask, [batch.length, side, side], { scope });
    };
    const grids = vision.grids(image);
    const lowRes = vision.lowRes(image);
    const features = vision.selectionFeatures(image, lowRes);
    const ids = captionIds(
      engine,
      model.tokenizer,
      batch.map(({ caption }) => caption),
      scope,
    );
    const maps = vision.maps(features, grids, { prompt: model.encodeText(ids).prompt });
    const [counts] = vision.plan(grids, { looks: 1 });
    const selectedOf = (choices: readonly PatchSelection[]): Tensor<'f32'>[] => choices.map(({ map }) => map);
    const groundTruth = maskAt(exactGridSide(gridSides, batch[0].sample.side));
    // Without the prompt: what fills a look up beside the box must not come from the right caption.
    const forced = vision.maps(features, grids, { groundTruth });
    const bottomUp = { ...maps, probs: maps.bottomUp };
    const topDown = { ...maps, probs: maps.topDown! };
    const looks = [forced, bottomUp, topDown].map((chosen) =>
      vision.look(image, lowRes, chosen, grids, counts),
    );
    const pooled = looks.map(({ choices, tokens }) =>
      vision.pool(tokens, vision.inBox(choices, groundTruth, grids)),
    );
    const lowMask = maskAt(gridSides[0]).reshape([batch.length, gridSides[0] ** 2]);
    const low = vision.pool(lowRes.hidden[lowRes.hidden.length - 1], lowMask);
    const scores = (feature: Tensor<'f32'>): Tensor<'f32'> =>
      matmul(l2Normalize(feature), texts, { transposeB: true });
    return {
      scores: [low, ...pooled].map(scores),
      selected: {
        bottomUp: selectedOf(looks[1].choices),
        topDown: selectedOf(looks[2].choices),
      },
      maps: { bottomUp: maps.bottomUp, topDown: maps.topDown! },
      counts,
    };
  });
  const read = (tensors: readonly Tensor<'f32'>[]): Promise<Float32Array[]> =>
    Promise.all(tensors.map((tensor) => tensor.data()));
  const [lowRes, teacherForced, predicted, topDown] = await read(outputs.scores);
  const both = async ({ bottomUp, topDown }: Record<'bottomUp' | 'topDown', Tensor<'f32'>[]>) => ({
    bottomUp: await read(bottomUp),
    topDown: await read(topDown),
  });
  return {
    scores: { lowRes, teacherForced, predicted, topDown },
    selected: await both(outputs.selected),
    maps: await both(outputs.maps),
    counts: outputs.counts,
  };
}

/**
 * Pooled low-res features of whole images against texts: what zero-shot classification and global retrieval compare.
 *
 * @param image  [B, S, S, 4] u8 or [B, 3, S, S]
 * @param texts  normalised, [captions, E]
 * @returns      cosines [B, captions]
 */
export function globalScores(model: PS3, image: Tensor, texts: Tensor<'f32'>): Promise<Float32Array> {
  const scores = noGrad(() => {
    const { hidden } = model.vision.lowRes(image);
    return matmul(l2Normalize(model.vision.pool(hidden[hidden.length - 1])), texts, { transposeB: true });
  });
  return scores.data();
}

/** Images of one side as a batch, [B, S, S, 4] u8. */
export function imageBatch(engine: Engine, samples: readonly Sample[], scope: Scope): Tensor<'u8'> {
  const { side } = samples[0];
  const rgba = new Uint8Array(samples.length * side * side * 4);
  for (const [i, { rgba: pixels }] of samples.entries()) rgba.set(pixels, i * side * side * 4);
  return engine.tensor(rgba, [samples.length, side, side, 4], { scope });
}
