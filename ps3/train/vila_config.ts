// How a VILA-HD is trained: its language model, and its stages.
import { expectConfig } from '../model/config/config.ts';
import type { EncoderConfig } from '../vila/config.ts';
import type { DataSection } from './data_config.ts';
import type { StageConfig } from './stage_config.ts';

/** What is trained on questions about scenes, and how long. A stage of no steps is left out. */
export interface VilaSection {
  /**
   * A VILA-HD whose language model, vocabulary, projector and selection it begins with, on the tower of `init.from`: a folder, also
   * of a run, or `vila-s` or `vila-4k`, those of this package. null: new ones. Places are resampled to the tower's grid.
   */
  readonly from: string | null;
  /** Sizes of the language model that is made, where none is begun with. */
  readonly language: {
    /** D */
    readonly width: number;
    /** Blocks. */
    readonly layers: number;
    /** Heads of queries. */
    readonly heads: number;
    /** Heads of keys and values. */
    readonly kvHeads: number;
    /** Hidden numbers of the gated MLP. */
    readonly mlpHidden: number;
    /** Tokens that the vocabulary is trained to; fewer where questions and answers have no more. */
    readonly vocabSize: number;
    /** Standard deviation of new matrices and tables: Qwen2's 0.02 lets narrow models begin as if they attended to nothing. */
    readonly initialStd: number;
  };
  /** Tokens of text and images that the language model takes, one that it begins with too: positions are rotary, no weight depends on it. */
  readonly contextLength: number;
  /** How images are seen. */
  readonly encoder: EncoderConfig;
  /**
   * Images are windows of those of the PS3, of so many of its low-res patches along a side, with looks of so many patches: its
   * tower at a size that is trained in minutes. null: whole images.
   */
  readonly window: { readonly cells: number; readonly maxSelect: number } | null;
  /** Projector and language model learn to answer; the box that answers is looked at, and nothing that selects is trained. */
  readonly align: StageConfig;
  /** The same, and what selects is trained with them; every other batch has questions without answers alone, for where to look. */
  readonly answers: StageConfig;
  /** The same, but what a question selects is looked at. */
  readonly select: StageConfig;
  /** Questions with answers about each image of the other batches: what glances at it is paid for once. Of cards. */
  readonly questions: number;
  /** Questions about each image of a batch without answers, which has half as many images; 0: there are no such batches. Of cards. */
  readonly groundQuestions: number;
  /**
   * Cards of each image of such a batch, as far as there is room; null: as many as data.objects says. Where cards are needles, many of them
   * make the maps' loss about telling them from each other, and not from the background, which is nearly all of it otherwise.
   */
  readonly groundCards: number | null;
  /**
   * Looks at the images of a step of `answers` and `select`, the least and the most, between which each step draws. With `answers` the box
   * is looked at first.
   */
  readonly looks: readonly [least: number, most: number];
  /** Learning rate of the language model relative to that of everything else. */
  readonly languageRate: number;
  /** Learning rate of the image tower, but for what selects, relative to that of everything else; 0: it stays as it is. */
  readonly towerRate: number;
  /** Weight of the supervision of the maps beside the answers'. */
  readonly selection: number;
  /** Whether that supervision trains the language model too, which the reference does not do. */
  readonly reachesLanguage: boolean;
}

/** @throws ConfigError for keys that do not go with a VILA-HD */
export function expectVila({
  vila,
  towers,
  ps3,
  data,
  baseline,
}: {
  readonly vila: VilaSection | null;
  readonly towers: StageConfig;
  readonly ps3: StageConfig;
  readonly data: DataSection;
  readonly baseline: unknown;
}): void {
  if (vila === null) return;
  expectConfig(
    towers.steps === 0 && ps3.steps === 0,
    'towers.steps and ps3.steps must be 0 where vila is: its PS3 is trained before, in a run of its own',
    [towers.steps, ps3.steps],
  );
  for (const name of ['answers', 'select'] as const) {
    const { batch, accumulate } = vila[name];
    expectConfig(
      vila.groundQuestions === 0 || batch % (2 * accumulate) === 0,
      `vila.${name}.batch must be a multiple of 2 vila.${name}.accumulate where vila.groundQuestions is not 0: batches without answers have half as many images`,
      batch,
    );
  }
  expectConfig(
    vila.looks[0] >= 1 && vila.looks[0] <= vila.looks[1],
    'vila.looks must be the least and the most, from 1',
    vila.looks,
  );
  expectConfig(baseline === null, 'baseline must be null where vila is not', baseline);
  const isScenes = data.folder === null && data.sources === null;
  expectConfig(
    !isScenes || (data.styles?.length === 1 && data.styles[0] === 'cards'),
    'data.styles must be ["cards"] where vila is and the data are scenes: questions are asked about cards',
    data.styles,
  );
  expectConfig(
    isScenes || vila.groundQuestions === 0,
    'vila.groundQuestions must be 0 beside data.folder and data.sources: their batches have questions without answers among the others',
    vila.groundQuestions,
  );
  expectConfig(
    vila.groundCards === null || vila.groundQuestions > 0,
    'vila.groundCards must be null where vila.groundQuestions is 0: there are no such batches',
    vila.groundCards,
  );
  expectConfig(
    isScenes || vila.questions === 1,
    'vila.questions must be 1 beside data.folder and data.sources: a sample is one question',
    vila.questions,
  );
}
