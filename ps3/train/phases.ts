// The phases of an optimizer step. What the contrastive loss compares is embedded first, for every part of the batch; then
// all embeddings are compared at once, which gives their gradients; from these, each part goes backward by itself. So a
// batch that is spread over parts has the loss of the whole. Gao et al. 2021 (GradCache), arXiv:2101.06983.
import {
  add,
  backward,
  type ContrastiveOptions,
  concat,
  fullLike,
  mul,
  noGrad,
  sigmoidContrastive,
  type Tensor,
} from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Batches, Cursor, HostBatch, HostTensor } from './batches.ts';

/** The tensors of a batch by name; undefined where there is none. */
export type Tensors<B> = { readonly [K in keyof B]?: Tensor } & {
  /** u32 [B]: samples of equal class are positives of each other; without, only of themselves. */
  readonly classes?: Tensor;
};

/** What is embedded of a part of a batch. */
export interface Embedded {
  /** [b, E], normalised. */
  readonly imageFeatures: Tensor<'f32'>;
  /** [b, E], normalised; the positives of the images at the same places. */
  readonly textFeatures: Tensor<'f32'>;
  /** Losses that compare nothing between samples, by name: [1] each, means over the samples that `counted` counts. */
  readonly own: Readonly<Record<string, Tensor<'f32'>>>;
}

/** What a stage descends: its batches, and their losses. */
export interface Objective<B extends Tensors<B>> {
  /** The batches that follow a place. Opening them and taking some changes nothing for others that are open. */
  batches(from: Cursor): Batches<B>;
  /** Embeds a batch or a part of one. */
  embed(batch: B): Embedded;
  /** Weights of the losses `own` beside the contrastive one, by name. */
  readonly weights: Readonly<Record<string, number>>;
  /** Samples of a part that its losses `own` are means over. */
  counted(part: HostBatch<B>): number;
  /** Patches and text tokens of a sample that go through the towers: what tokens per second count. */
  readonly tokensPerSample: number;
}

/**
 * Compares all embeddings with each other and adds the gradients of the logits' scale and bias.
 *
 * @param images  the parts of the batch, [b, E] each
 * @param seed    [1], what gradients are multiplied by; 1 by default
 * @returns       the loss, [1], then the gradients of the images and of the texts, part by part; the caller disposes those
 */
export function contrast(
  { logitScale, logitBias }: PS3,
  images: readonly Tensor[],
  texts: readonly Tensor[],
  options: ContrastiveOptions = {},
  seed?: Tensor<'f32'>,
): Tensor[] {
  const leaves = (parts: readonly Tensor[]) => parts.map((part) => part.detach().setRequiresGrad(true));
  const whole = (parts: readonly Tensor[]) =>
    parts.length === 1 ? parts[0] : concat([...parts], { axis: 0 });
  const [u, v] = [leaves(images), leaves(texts)];
  const loss = sigmoidContrastive(whole(u), whole(v), logitScale, logitBias, options);
  backward(loss, { seed: seed?.reshape(loss.shape) });
  return [loss, ...[...u, ...v].map(({ grad }) => grad!)];
}

/** What a part goes backward from. */
export interface PartSeeds {
  /** Gradients of its image and text features, [b, E]. */
  readonly images: Tensor<'f32'>;
  readonly texts: Tensor<'f32'>;
  /** [1], its share of the samples that the losses `own` of the whole batch are means over. */
  readonly share: Tensor<'f32'>;
}

/**
 * Adds the gradients of a part to those of the parameters.
 *
 * @param lossScale  [1], what those of the features are multiplied by already; 1 by default
 */
export function descend(
  { imageFeatures, textFeatures, own }: Embedded,
  weights: Objective<object>['weights'],
  { images, texts, share }: PartSeeds,
  lossScale?: Tensor<'f32'>,
): void {
  const of = (name: string): Tensor<'f32'> =>
    noGrad(() => {
      const { scope } = imageFeatures;
      const scaled = lossScale ? mul(share.in(scope), lossScale) : share;
      return weights[name] === 1 ? scaled : mul(scaled.in(scope), weights[name]);
    });
  const roots: [Tensor, Tensor<'f32'>][] = [
    [imageFeatures, images],
    [textFeatures, texts],
    ...Object.keys(own).map((name): [Tensor, Tensor<'f32'>] => [own[name], of(name)]),
  ];
  // Of a locked tower nothing is differentiated.
  const trained = roots.filter(([root]) => root.requiresGrad);
  if (trained.length === 0) return;
  backward(
    trained.map(([root]) => root),
    { seed: trained.map(([, seed]) => seed) },
  );
}

/** The loss of the whole batch, [1]: the contrastive one, and the others by their weights in their order. */
export function totalLoss(
  contrastive: Tensor,
  own: Readonly<Record<string, Tensor>>,
  weights: Objective<object>['weights'],
): Tensor {
  return Object.keys(own).reduce((sum, name) => add(sum, weighted(own[name], weights[name])), contrastive);
}

/** A loss times its weight. */
export function weighted(loss: Tensor, weight: number): Tensor {
  return weight === 1 ? loss : mul(loss, weight);
}

/**
 * All phases in one go for a batch by itself, kernel by kernel: to compile, to look for a fault. Adds its gradients.
 *
 * @returns  the losses by name, `loss` their weighted sum, [1] each; they live where the batch lives
 */
export function descendWhole<B extends Tensors<B>>(
  model: PS3,
  { embed, weights }: Pick<Objective<B>, 'embed' | 'weights'>,
  batch: B,
): Record<string, Tensor> {
  const embedded = embed(batch);
  const { imageFeatures, textFeatures, own } = embedded;
  const { scope } = imageFeatures;
  const [contrastive, images, texts] = contrast(model, [imageFeatures], [textFeatures], {
    positives: batch.classes,
  }).map((tensor) => tensor.moveTo(scope) as Tensor<'f32'>);
  descend(embedded, weights, { images, texts, share: fullLike(contrastive, 1) });
  return { loss: noGrad(() => totalLoss(contrastive, own, weights)), contrastive, ...own };
}

/** Splits a batch into parts of equally many samples, in their order; nothing is copied. */
export function partsOf<B>(host: HostBatch<B>, count: number): HostBatch<B>[] {
  if (count === 1) return [host];
  const rows = ({ data, shape: [B, ...rest] }: HostTensor, part: number): HostTensor => {
    const size = data.length / count;
    return { data: data.subarray(part * size, (part + 1) * size), shape: [B / count, ...rest] };
  };
  const entries = Object.entries<HostTensor>(host).filter(([, given]) => given);
  return Array.from(
    { length: count },
    (_, part) =>
      Object.fromEntries(entries.map(([name, given]) => [name, rows(given, part)])) as HostBatch<B>,
  );
}
