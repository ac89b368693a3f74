// Images to tokens, for use: without gradients, and with nothing left over but the result.
import { expect, expectKeys, noGrad, output, Scope, slice, type Tensor } from '../../engine/index.ts';
import type { ModelCore } from './core.ts';
import { Encoding } from './encoding.ts';
import { ENCODE_OPTIONS, type EncodeOptions, optionsOf, visionOptions } from './query.ts';
import type { VisionOutput } from './vision/vision_types.ts';

/** Encodes a batch. */
export async function encode(
  op: string,
  model: ModelCore,
  image: Tensor,
  options: EncodeOptions,
): Promise<Encoding> {
  expectKeys(op, options, ENCODE_OPTIONS);
  using inner = new Scope();
  const inside = image.in(inner);
  const query = await visionOptions(op, model, inside, options);
  return noGrad(
    () => new Encoding(model.vision.forward(inside, query), model.vision.grids(image), image.scope),
  );
}

/** Encodes images of any sizes, those of equal size together. */
export async function encodeList(
  op: string,
  model: ModelCore,
  images: readonly Tensor[],
  options: EncodeOptions,
): Promise<Encoding[]> {
  expectKeys(op, options, ENCODE_OPTIONS);
  const bySize = new Map<string, number[]>();
  for (const [i, { shape, dtype }] of images.entries()) {
    const isImage = shape.length === 4 && shape[0] === 1;
    expect(isImage, op, `images[${i}] must be [1, H, W, 4] or [1, 3, H, W]`, `[${shape.join(', ')}]`);
    const size = `${dtype} ${shape.join(' ')}`;
    bySize.set(size, [...(bySize.get(size) ?? []), i]);
  }
  const encodings = new Map<number, Encoding>();
  try {
    for (const group of bySize.values()) {
      using inner = new Scope();
      const batch = stack(
        group.map((i) => images[i]),
        inner,
      );
      const query = await visionOptions(op, model, batch, optionsOf(options, group, images.length, inner));
      noGrad(() => {
        const together = model.vision.forward(batch, query);
        for (const [b, i] of group.entries())
          encodings.set(i, new Encoding(sample(together, b), model.vision.grids(batch), images[i].scope));
      });
    }
  } catch (error) {
    for (const encoding of encodings.values()) encoding.dispose();
    throw error;
  }
  return images.map((_, i) => encodings.get(i)!);
}

/** Images of one size and dtype as a batch. */
function stack(images: readonly Tensor[], scope: Scope): Tensor {
  const [first] = images;
  const batch = output(images, [images.length, ...first.shape.slice(1)], first.dtype).moveTo(scope);
  for (const [b, image] of images.entries()) {
    using place = batch.view(b * first.size, first.shape);
    place.write(image);
  }
  return batch;
}

/** One image's part of a batch's output. */
function sample(batch: VisionOutput, b: number): VisionOutput {
  const one = (tensor: Tensor<'f32'>): Tensor<'f32'> => slice(tensor, { axis: 0, start: b, length: 1 });
  const { maps } = batch;
  const hiddenStates = batch.hiddenStates.map(one);
  return {
    ...batch,
    lastHiddenState: hiddenStates[hiddenStates.length - 1] ?? one(batch.lastHiddenState),
    hiddenStates,
    selectionMaps: batch.selectionMaps.map(one),
    maps: {
      probs: maps.probs.map(one),
      bottomUp: maps.bottomUp.map(one),
      topDown: maps.topDown?.map(one),
    },
  };
}
