// What goes into a VILA-HD and what comes out of it.
import type { Tensor } from '../../engine/index.ts';
import type { ImageConfig, VisionConfig } from '../model/config/config.ts';
import type { LookAmount } from '../model/vision/look_plan.ts';
import type { Glance, VisionOutput } from '../model/vision/vision_types.ts';
import type { VilaConfig } from './config.ts';
import type { Groups } from './projector.ts';

/** Tokens that questions begin with. */
export interface Prefix {
  /** Of the text before the image. */
  readonly ids: readonly number[];
  /** Of the text and the image, P. */
  readonly length: number;
  /** Keys and values of each layer, [1, P, 2 G K]. */
  readonly layers: readonly Tensor<'f32'>[];
}

/** Images of one size, glanced at: all that is the same for every question. Dispose it when done. */
export interface Seen extends Disposable {
  /** [n, 3, H, W] f32 normalised or [n, H, W, 4] u8 */
  readonly image: Tensor;
  /** Of the tower, where it can look closer. */
  readonly glance: Glance | undefined;
  /** [n, tokens, d], what the language model reads of them: before it looks closer, where the tower can. */
  readonly low: Tensor<'f32'>;
  /** High-res scales that are looked at unless a look says otherwise, from the lowest; undefined: all. */
  readonly onlyFirstScales?: number;
  /** What questions about them begin with, once one was asked. */
  prefix?: Prefix;
}

/** Where to look and how much. */
export interface VilaLookOptions extends LookAmount {
  /** [1, C], or [n, C] of each image; without one, what stands out is looked at. */
  readonly prompt?: Tensor<'f32'>;
  /** Blurs the maps before selection; default false. */
  readonly smooth?: boolean;
  /** [n, h, w], nonzero = select these cells first. */
  readonly groundTruth?: Tensor;
}

/** What a look gives; tensors live where the glance's do. `groups` is empty where the tower cannot look closer. */
export interface VilaLook {
  /** [N, d], tokens of all images: the low-res ones, then those of complete groups, scale after scale. */
  readonly table: Tensor<'f32'>;
  /** Of each image, its rows in the table in the order in which they are read. */
  readonly rows: readonly Uint32Array<ArrayBuffer>[];
  /** Of each image, [1, tokens, d]: its rows. Made when they are asked for. */
  readonly blocks: Tensor<'f32'>[];
  /** Of each image and high-res scale, what was joined. */
  readonly groups: Groups[][];
  /** Of the tower; `hiddenStates[0]` is what was projected. */
  readonly vision: VisionOutput | undefined;
  /** Of a look for a question: what the language model read before it, and need not read again to answer. */
  readonly prefix?: Prefix;
}

/** Runs what is recorded for gradients, or not. */
export type Recorder = <T>(fn: () => T) => T;

/** What makes an image to what a language model reads. */
export interface VilaEncoder {
  /** Whether it looks where it is asked to; else `glance` gives all that there is. */
  readonly looks: boolean;
  /** Side of the squares that images are squashed to for it; undefined: they keep their shape. */
  readonly sidePx: number | undefined;
  /** What is the same for every question. Differentiable. @param image  as of `VilaModel.glance` */
  glance(image: Tensor): Omit<Seen, typeof Symbol.dispose>;
  /** What the language model reads, of what was glanced at. Differentiable. */
  look(seen: Omit<Seen, typeof Symbol.dispose>, options: VilaLookOptions, run: Recorder): Promise<VilaLook>;
}

/** What a model is made of. */
export interface VilaSizes {
  /** What joins the two. */
  readonly config: VilaConfig;
  /** The tower. */
  readonly vision: VisionConfig;
  /** How images become numbers. */
  readonly image: ImageConfig;
}
