// A VILA-HD's folder in the layout of the published ones: config.json, and a folder each for language model, tower and projector.
import { expectKeys, makeFolder, type ParameterStore, type SafetensorsFile } from '../../engine/index.ts';
import { LanguageReader, type LanguageStorage } from '../language/checkpoint.ts';
import type { LanguageLoadOptions, LanguageModel } from '../language/language_model.ts';
import { planLanguageParameters } from '../language/parameters.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import {
  type FillOptions,
  fillParameters,
  matchTensors,
  openWeights,
  readJson,
  readJsonIfThere,
  STORED,
  WEIGHTS,
  type WeightDType,
} from '../model/checkpoint/checkpoint.ts';
import {
  type CheckpointFiles,
  type CheckpointSource,
  checkpointFiles,
  type DownloadOptions,
  within,
} from '../model/checkpoint/files.ts';
import { type ParameterPlan, Plan, planVision } from '../model/checkpoint/init.ts';
import type { MemoryNeed } from '../model/checkpoint/memory.ts';
import { type SaveOptions, toWrite, writeJson, writeWeights } from '../model/checkpoint/writer.ts';
import { type ImageConfig, total, type VisionConfig } from '../model/config/config.ts';
import { parseVisionConfig } from '../model/config/hub_config.ts';
import { toHubVision } from '../model/config/hub_config_writer.ts';
import { parsePreprocessor, toPreprocessor } from '../model/config/preprocessor.ts';
import { parseVilaConfig, planProjector, toProjectorHub, toVilaHub, type VilaConfig } from './config.ts';
import { type PlannedWeight, vilaNeed } from './memory.ts';
import type { VilaTokens } from './sequence.ts';

/** How a model is loaded. */
export interface VilaLoadOptions extends DownloadOptions, Omit<FillOptions, 'prefix'> {
  /** How matrices and tables of tower and projector are kept; default f32, which can also be trained. 'stored': as the file has them. */
  readonly storage?: WeightDType | 'stored';
  /** The same of the language model; default as `storage`. */
  readonly languageStorage?: LanguageLoadOptions['storage'];
  /** Whether training leaves a parameter as it is, by its name; none by default. */
  readonly isLocked?: (name: string) => boolean;
  /** What the model may take; default: what is free on adapters that are software, elsewhere no limit, since GPUs do not tell. */
  readonly memoryLimitBytes?: number;
}

export const LOAD_OPTIONS = {
  hubUrl: true,
  accessToken: true,
  fetch: true,
  onProgress: true,
  signal: true,
  storage: true,
  languageStorage: true,
  isLocked: true,
  memoryLimitBytes: true,
} as const;

/** Tokens that the reference adds to a vocabulary, in its order. */
const MEDIA_TOKENS = ['<vila/sentinel>', '<image>', '<vila/video>'];

/** The parameters of tower and projector, by the names in their folders, which differ. */
export function planVila(
  config: VilaConfig,
  vision: VisionConfig,
  width: number,
): { tower: Map<string, ParameterPlan>; projector: Map<string, ParameterPlan> } {
  const plan = new Plan();
  planVision(plan, vision);
  return { tower: plan.parameters, projector: planProjector(config, vision, width) };
}

/** A vocabulary that knows images, and the ids of what stands around them. */
export function withImages(tokenizer: LanguageTokenizer): {
  tokenizer: LanguageTokenizer;
  tokens: VilaTokens;
} {
  const known = tokenizer.withTokens(MEDIA_TOKENS);
  const question = 'question';
  const chat = known.renderChat([{ role: 'user', content: question }], { generationPrompt: true });
  const behind = chat.slice(chat.indexOf(question) + question.length).trim();
  return {
    tokenizer: known,
    tokens: { image: known.idOf('<image>')!, newline: known.encode('\n'), turnEnd: known.encode(behind) },
  };
}

/** An open checkpoint whose names and shapes are checked, but for the language model's; nothing of its weights is read. */
export class VilaReader implements AsyncDisposable {
  readonly config: VilaConfig;
  readonly vision: VisionConfig;
  readonly image: ImageConfig;
  /** Of the language model, for `LanguageModel.load`. */
  readonly language: CheckpointFiles;
  readonly #tower: CheckpointFiles;
  readonly #projector: CheckpointFiles;
  #files: SafetensorsFile[] = [];
  /** Of all weights as they are stored; 0 before `need` was called. */
  storedBytes = 0;
  #plan: Map<string, { shape: readonly number[]; stored: WeightDType }> | undefined;

  private constructor(files: CheckpointFiles, config: VilaConfig, vision: VisionConfig, image: ImageConfig) {
    this.config = config;
    this.vision = vision;
    this.image = image;
    this.language = within(files, 'llm');
    this.#tower = within(files, 'vision_tower');
    this.#projector = within(files, 'mm_projector');
  }

  /** Reads the configurations. @throws ConfigError for what is missing, wrong or not built */
  static async open(source: CheckpointSource, options: DownloadOptions = {}): Promise<VilaReader> {
    const files = checkpointFiles(source, options, 'VilaModel.load');
    const tower = within(files, 'vision_tower');
    const json = await readJson(files, 'config.json');
    const config = parseVilaConfig(json, await readJson(within(files, 'mm_projector'), 'config.json'));
    const vision = parseVisionConfig(await readJson(tower, 'config.json'), 'vision_tower/config.json');
    const image = parsePreprocessor(await readJsonIfThere(tower, 'preprocessor_config.json'), vision);
    return new VilaReader(files, config, vision, image);
  }

  /** What the model needs on the GPU; reads headers alone. @throws as `plan` and `LanguageReader.open` */
  async need(
    storage: WeightDType | 'stored',
    languageStorage: LanguageStorage,
    options: DownloadOptions,
  ): Promise<MemoryNeed> {
    await using language = await LanguageReader.open(this.language, options);
    const plan = await this.plan(language.config.width);
    const sizes = this.#files.flatMap(({ tensors }) =>
      [...tensors.values()].map(({ sizeBytes }) => sizeBytes),
    );
    this.storedBytes = language.storedBytes + total(sizes);
    const weights: PlannedWeight[] = [];
    for (const [name, { shape }] of planLanguageParameters(language.config))
      weights.push({ shape, dtype: language.storageOf(name, shape, languageStorage) });
    for (const { shape, stored } of plan.values())
      weights.push({ shape, dtype: storage === 'stored' ? stored : storage });
    return vilaNeed(weights, language.config, this.vision);
  }

  /**
   * Opens the weights of tower and projector.
   *
   * @param width  d, of the language model
   * @returns      how each is stored, in checkpoint order
   * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor of a folder
   */
  async plan(width: number): Promise<Map<string, { shape: readonly number[]; stored: WeightDType }>> {
    if (this.#plan) return this.#plan;
    const plans = planVila(this.config, this.vision, width);
    const stored = new Map<string, { shape: readonly number[]; stored: WeightDType }>();
    for (const [files, plan] of [
      [this.#tower, plans.tower],
      [this.#projector, plans.projector],
    ] as const) {
      const weights = await openWeights(files, WEIGHTS);
      this.#files.push(...weights);
      const fileOf = matchTensors(files, plan, weights);
      for (const [name, { shape }] of plan)
        stored.set(name, { shape, stored: STORED[fileOf.get(name)!.tensors.get(name)!.dtype]! });
    }
    this.#plan = stored;
    return stored;
  }

  /** Streams the weights of tower and projector into their places. */
  fill(parameters: ParameterStore, options: Omit<FillOptions, 'prefix'> = {}): Promise<void> {
    return fillParameters(parameters, this.#files, options);
  }

  /** Closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** Writes a folder that `VilaModel.load`, and the reference, read; the weights last. */
export async function saveVila(
  folder: string,
  model: {
    readonly config: VilaConfig;
    readonly language: LanguageModel;
    readonly vision: { readonly config: VisionConfig; readonly image: ImageConfig };
    readonly parameters: ParameterStore;
  },
  options: Omit<SaveOptions, 'untied'> = {},
): Promise<void> {
  expectKeys('VilaModel.save', options, { storage: true, shardBytes: true });
  const { storage, shardBytes = 5e9 } = options;
  const { config, language, vision, parameters } = model;
  const { width } = language.config;
  await makeFolder(folder);
  await language.save(`${folder}/llm`, options);
  const plans = planVila(config, vision.config, width);
  for (const [name, plan, files] of [
    [
      'vision_tower',
      plans.tower,
      {
        'config.json': toHubVision(vision.config),
        'preprocessor_config.json': toPreprocessor(vision.image),
      },
    ],
    ['mm_projector', plans.projector, { 'config.json': toProjectorHub(config) }],
  ] as const) {
    await makeFolder(`${folder}/${name}`);
    for (const [file, json] of Object.entries(files)) await writeJson(`${folder}/${name}`, file, json);
    const tensors = [...plan.keys()].map((key) => toWrite(key, parameters.get(key), storage));
    await writeWeights(`${folder}/${name}`, tensors, shardBytes);
  }
  await writeJson(folder, 'config.json', toVilaHub(config, vision.config, width));
}
