// What the page and its worker say to each other.
import type { EncodingCost } from '../../model/cost.ts';
import type { Grid } from '../../model/vision/scales.ts';

/** How weights are kept on the GPU. */
export type Storage = 'stored' | 'f32' | 'bf16';

/** A part of the image to look at, in fractions of its width and height. */
export type Region =
  | { readonly box: readonly [left: number, top: number, right: number, bottom: number] }
  | { readonly point: readonly [x: number, y: number] };

/** What the page asks for. */
export type Request =
  | { readonly kind: 'load'; readonly source: string | readonly File[]; readonly storage: Storage }
  | { readonly kind: 'image'; readonly file: Blob }
  | { readonly kind: 'look'; readonly prompt?: string; readonly region?: Region; readonly tokens: number }
  | { readonly kind: 'ask'; readonly question: string; readonly tokens: number }
  | { readonly kind: 'compare'; readonly captions: readonly string[] }
  | { readonly kind: 'stop' };

/** What the page shows of a model. */
export interface ModelFacts {
  readonly adapter: string;
  readonly isSoftware: boolean;
  readonly parameterCount: number;
  readonly weightsBytes: number;
  /** Sides of the scales, low-res first. */
  readonly scalesPx: readonly number[];
  /** Patch grids of the scales, low-res first. */
  readonly grids: readonly Grid[];
  /** Patches of one full look per high-res scale. */
  readonly budgets: readonly number[];
  /** Whether it answers questions, as a VILA-HD does; else it looks for prompts. */
  readonly answers: boolean;
  /** Patches that are looked at unless the page asks for others. */
  readonly patches: number;
  readonly costs: ModelCosts | undefined;
  /** Words of the vocabulary, frequent ones first, where it consists of words. */
  readonly words: readonly string[] | undefined;
}

/** What encoding costs. */
export interface ModelCosts {
  /** Of the low-res pass and selection. */
  readonly lowRes: EncodingCost;
  /** Operations of one patch of a look. */
  readonly patchFlops: number;
  /** Of a plain ViT over the whole image at every scale, low-res first. */
  readonly plain: readonly EncodingCost[];
}

/** Saliency on one grid, row by row. */
export interface SaliencyMap {
  readonly grid: Grid;
  readonly values: Float32Array;
}

/** What decides where to look. */
export interface ShownMaps {
  readonly bottomUp: SaliencyMap;
  readonly topDown: SaliencyMap | undefined;
}

/** What the language model reads of an image and its question, and what it writes. */
export interface TokenCounts {
  readonly low: number;
  /** Of what was looked at. */
  readonly seen: number;
  readonly text: number;
  /** Of those before: what the language model keeps for further questions. */
  readonly kept: number;
  readonly answer: number;
}

/** What the worker answers. A request's last answer is `loaded`, `read`, `looked`, `answered`, `compared`, `stopped` or `error`. */
export type Answer =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly allBytes: number }
  | { readonly kind: 'loaded'; readonly facts: ModelFacts }
  | {
      readonly kind: 'read';
      /** The low-res pass, which all questions share, and the tokens that it gives the language model. */
      readonly glance?: { readonly tokens: number; readonly ms: number };
    }
  | {
      readonly kind: 'maps';
      readonly maps: ShownMaps;
      /** Looks that follow. */
      readonly looks: number;
      /** Words of the prompt that the checkpoint does not know. */
      readonly unknown: readonly string[];
      /** Of the low-res pass. */
      readonly ms: number;
    }
  | {
      readonly kind: 'look';
      /** From 1 on. */
      readonly index: number;
      /** What this look takes, per high-res scale: indices into Y * X. */
      readonly taken: readonly Uint32Array[];
      readonly ms: number;
    }
  | { readonly kind: 'looked'; readonly ms: number }
  | {
      readonly kind: 'seen';
      readonly maps?: ShownMaps;
      /** What all looks for the question took, per high-res scale: indices into Y * X. */
      readonly taken: readonly Uint32Array[];
      readonly ms: number;
    }
  | { readonly kind: 'token'; readonly text: string; readonly probability: number }
  | {
      readonly kind: 'answered';
      readonly tokens: TokenCounts;
      /** From the question on: until its looks were done, the first token was there, and all were. */
      readonly lookMs: number;
      readonly firstMs: number;
      readonly ms: number;
      /** Of tensors on the GPU, now and at most since the engine began. */
      readonly liveBytes: number;
      readonly peakBytes: number;
    }
  | { readonly kind: 'compared'; readonly probabilities: readonly number[] }
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'error';
      readonly during: Request['kind'];
      readonly code: string;
      readonly message: string;
    };
