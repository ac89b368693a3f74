// Training of a VILA-HD on questions about images, stage by stage, on a PS3 that is there already.
//
//   align    projector and language model answer; the box is looked at, and nothing that selects is trained
//   answers  what selects is trained with them; in turn with questions without answers, whose maps should show where these are
//   select   the same, but what the question selects is looked at
import { AdamW, type Engine, expectKeys, noGrad, resizeRows, type Tensor } from '../../engine/index.ts';
import { exactGridSide } from '../data/boxes.ts';
import { allCardQuestions } from '../data/card_questions.ts';
import { seedFor } from '../data/seeds.ts';
import { LanguageModel } from '../language/language_model.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { trainTokenizer } from '../language/train_tokenizer.ts';
import { expectConfig, total, type VisionConfig } from '../model/config/config.ts';
import { partOf } from '../model/parts.ts';
import type { PS3 } from '../model/ps3.ts';
import { windowConfig } from '../model/vision/windows.ts';
import { SINGLE } from '../ranks/transport.ts';
import { withImages } from '../vila/checkpoint.ts';
import type { VilaConfig } from '../vila/config.ts';
import { VilaModel } from '../vila/vila.ts';
import { stageConfig, type TrainConfig } from './config.ts';
import { optimise, STAGE_OPTIONS, type StageOptions } from './optimise.ts';
import { conversation, messagesOf, type Told } from './vila_batches.ts';
import type { VilaSection } from './vila_config.ts';
import type { QuestionBatchOptions, QuestionSource } from './vila_source.ts';
import { VilaStep } from './vila_step.ts';

/** Stages of a VILA-HD in their order. */
export const VILA_STAGES = ['align', 'answers', 'select'] as const;
/** A name of `VILA_STAGES`. */
export type VilaStage = (typeof VILA_STAGES)[number];

/** Texts whose tokens are counted, for how many a sample has. */
const COUNTED_TEXTS = 100;

/** Tokens of images, which come on top of a trained vocabulary. */
const MEDIA_TOKENS = 3;

/** A vocabulary of questions and answers as they are rendered, with the tokens of images. */
function questionTokenizer(asked: readonly Told[], vocabSize: number): LanguageTokenizer {
  const bytes = trainTokenizer(['']);
  const texts = asked.map((one) => bytes.renderChat(messagesOf(one)));
  return withImages(trainTokenizer(texts, { vocabSize: vocabSize - MEDIA_TOKENS })).tokenizer;
}

/**
 * A new VILA-HD on the vision tower of a PS3, whose weights are copied.
 *
 * @param texts  what its vocabulary is made of
 * @param begun  a VILA-HD whose language model, vocabulary and projector are copied, and what selects for its prompts
 * @throws ConfigError for a window or sizes that do not go with the PS3, or a `begun` with another projector
 */
export async function startVila(
  engine: Engine,
  ps3: PS3,
  { vila, seed }: { readonly vila: VilaSection; readonly seed: number },
  texts: readonly Told[] = allCardQuestions(),
  begun?: VilaModel,
): Promise<VilaModel> {
  const language = begun ? copyOf(begun, vila.contextLength) : newLanguage(engine, vila, texts, seed);
  const config: VilaConfig = {
    encoder: vila.encoder,
    lookMode: 'after_prompt',
    looks: 1,
    tokens: null,
    promptHead: vila.encoder.kind === 'ps3' ? 'mlp' : null,
    hasPositions: vila.encoder.kind === 'ps3',
    ratio: 2,
  };
  const whole = ps3.config.vision;
  const vision = towerOf(whole, vila);
  const imagePx = vision.scalesPx[vision.scalesPx.length - 1];
  const image = { ...ps3.config.image, imagePx };
  const model = VilaModel.create(engine, { config, vision, image }, language, seed);
  if (begun) copyProjector(begun, model);
  for (const name of model.parameters.names) {
    if (!name.startsWith('vision_model.')) continue;
    const to = model.parameters.get(name);
    const from = trainedSelection(begun, name, to.shape) ?? ps3.parameters.get(name);
    if (from.shape.join() === to.shape.join()) to.write(from);
    else
      to.write(
        middle((await from.data()) as Float32Array<ArrayBuffer>, whole.posGridSide, vision.posGridSide),
      );
  }
  return model;
}

function newLanguage(
  engine: Engine,
  { language: { vocabSize, initialStd, ...sizes }, contextLength }: VilaSection,
  texts: readonly Told[],
  seed: number,
): LanguageModel {
  const tokenizer = questionTokenizer(texts, vocabSize);
  return LanguageModel.create(engine, { ...sizes, contextLength }, seed, { tokenizer, initialStd });
}

/** The language model of a VILA-HD, with the tokens of images. */
function copyOf({ language, tokenizer }: VilaModel, contextLength: number): LanguageModel {
  const copy = LanguageModel.allocate(language.engine, { ...language.config, contextLength }, { tokenizer });
  for (const name of copy.parameters.names) copy.parameters.get(name).write(language.parameters.get(name));
  return copy;
}

/** A parameter of what selects in a VILA-HD, which was trained for its prompts, where it has the shape. */
function trainedSelection(
  begun: VilaModel | undefined,
  name: string,
  shape: readonly number[],
): Tensor | undefined {
  if (!begun?.parameters.names.includes(name) || !isSelecting(name)) return undefined;
  const stored = begun.parameters.get(name);
  return stored.shape.join() === shape.join() ? stored : undefined;
}

/** What joins and asks, of one VILA-HD to another, whose grid of places may be another. */
function copyProjector(from: VilaModel, to: VilaModel): void {
  const names = (model: VilaModel): string[] =>
    model.parameters.names.filter((name) => !name.startsWith('vision_model.'));
  const [own, wanted] = [names(from), names(to)];
  expectConfig(own.join() === wanted.join(), `vila.from must have ${wanted.join(', ')}`, own.join(', '));
  for (const name of wanted) {
    const [stored, place] = [from.parameters.get(name), to.parameters.get(name)];
    if (stored.shape.join() === place.shape.join()) {
      place.write(stored);
      continue;
    }
    expectConfig(
      name === 'high_res_pos_embed',
      `${name} of vila.from must be of shape [${place.shape}]`,
      `[${stored.shape}]`,
    );
    const [side, wantedSide] = [stored, place].map(({ shape }) => Math.sqrt(shape[1]));
    using table = noGrad(() =>
      resizeRows(stored, [side, side], [wantedSide, wantedSide], 'bicubic-antialias'),
    );
    place.write(table);
  }
}

/** The tower of a VILA-HD on that of a PS3: the same, or windows as a tower of their own, with the middle of its table of positions. */
export function towerOf(whole: VisionConfig, { window }: Pick<VilaSection, 'window'>): VisionConfig {
  if (!window) return whole;
  return { ...windowConfig(whole, window.cells, window.maxSelect), posGridSide: window.cells };
}

/** The middle of a square table [side * side, C]. */
function middle(table: Float32Array<ArrayBuffer>, side: number, part: number): Float32Array<ArrayBuffer> {
  const C = table.length / side ** 2;
  const first = Math.floor((side - part) / 2);
  const cut = new Float32Array(part * part * C);
  for (let y = 0; y < part; y++) {
    const start = ((first + y) * side + first) * C;
    cut.set(table.subarray(start, start + part * C), y * part * C);
  }
  return cut;
}

/** Whether a parameter of a tower is of what selects. */
const isSelecting = (name: string): boolean => ['selection', 'auxiliary'].includes(partOf(name));

/** What a stage leaves as it is, by the names of a model's parameters. */
export function vilaLock(
  { vila }: { readonly vila: VilaSection },
  stage: VilaStage,
): (name: string) => boolean {
  const selects = vila.encoder.kind === 'ps3' && stage !== 'align';
  return (name) => {
    if (name.startsWith('top_down_prompt_head.')) return !selects;
    if (!name.startsWith('vision_model.')) return false;
    return isSelecting(name) ? !selects : vila.towerRate === 0;
  };
}

/**
 * Trains one stage, in place.
 *
 * @param model      with its tokenizer, loaded with the stage's `vilaLock`
 * @param questions  to train on
 * @throws ShapeError for unknown options, RunError for a loss that is not finite, InterruptedError after the signal
 * Source: NVlabs/VILA, scripts/NVILA, and llava/train/llava_trainer.py; the order is ours.
 */
export async function trainVila(
  engine: Engine,
  model: VilaModel,
  questions: QuestionSource,
  config: TrainConfig & { readonly vila: VilaSection },
  name: VilaStage,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainVila', options, STAGE_OPTIONS);
  const { vila, seed, ranks, optimizer: constants } = config;
  const stage = stageConfig(config, name);
  const { transport: ranked = SINGLE } = options;
  const { weightDecay, ...others } = constants;
  const { language, parameters, tokenizer } = model;
  using own = new AdamW(parameters, {
    ...others,
    weightDecay: [weightDecay, 0, weightDecay, 0],
    lrScale: [1, 1, vila.towerRate, vila.towerRate],
  });
  using ofLanguage = new AdamW(language.parameters, {
    ...others,
    weightDecay: [weightDecay, 0],
    lrScale: [vila.languageRate, vila.languageRate],
  });
  const side = model.vision.image.imagePx;
  const making: QuestionBatchOptions = {
    name,
    batch: stage.batch,
    side,
    gridSide: exactGridSide(model.vision.config.gridSides, side),
    seed,
    questions: vila.questions,
    searches: name !== 'align' && model.encoder.looks ? vila.groundQuestions : 0,
    searchedCards: vila.groundCards,
    share: ranked,
  };
  const texts = (await questions.texts()).slice(0, COUNTED_TEXTS);
  const tokens = texts.map((asked) => conversation(tokenizer, asked).ids.length);
  await optimise(
    engine,
    {
      name,
      stage,
      model,
      parts: [
        { parameters, optimizer: own },
        { prefix: 'language.', parameters: language.parameters, optimizer: ofLanguage },
      ],
      batches: (from) => questions.batches(tokenizer, making, from),
      tokensPerSample: total(tokens) / tokens.length,
      step: (_, transport) =>
        new VilaStep(engine, model, [own, ofLanguage], {
          selection: name === 'align' ? 0 : vila.selection,
          teacherForcing: name !== 'select',
          reachesLanguage: vila.reachesLanguage,
          looks: name === 'align' ? [1, 1] : vila.looks,
          seed: seedFor(seed, name),
          accumulate: stage.accumulate,
          transport,
          reduce: ranks.reduce,
        }),
    },
    config,
    options,
  );
}
