// How a VILA-HD answers questions about held-out images, by what it looks at.
import {
  argMax,
  type Engine,
  expectKeys,
  noGrad,
  Random,
  slice,
  type Tensor,
} from '../../../engine/index.ts';
import { boxCells, exactGridSide } from '../../data/boxes.ts';
import { total } from '../../model/config/config.ts';
import { questionIds } from '../../vila/answer.ts';
import { answerIds, likelihoods } from '../../vila/likelihood.ts';
import type { VilaModel } from '../../vila/vila.ts';
import type { Seen, VilaLook, VilaLookOptions } from '../../vila/vila_types.ts';
import type { AskedImage } from '../vila_source.ts';
import { type Budget, budgetsOf } from './choices/budgets.ts';
import type { VilaAmount } from './choices/vila_answerer.ts';
import { type Answer, type Estimate, ImageBootstrap } from './intervals.ts';
import { takenShare } from './selection.ts';

/** What is looked at: what the question selects, what stands out, places by chance, the box that answers, nothing; or all at once. */
export const LOOKS = ['topDown', 'bottomUp', 'random', 'box', 'none', 'all'] as const;
/** A name of `LOOKS`. */
export type LookedAt = (typeof LOOKS)[number];

/** How questions were answered with one way of looking. */
export interface LookResult {
  /** Share of questions whose answer is more likely than all others; undefined where no answer is told. */
  readonly right: Estimate | undefined;
  /** Share of the patches of the box that answers that are looked at, over all scales; undefined where there is no look, or no box. */
  readonly recall: Estimate | undefined;
  /** Tokens that stand for an image, on average. */
  readonly tokens: number;
}

/** How questions were answered. */
export interface QuestionsEvaluation {
  readonly questions: number;
  /** To choose among: chance is 1 of them; 0 where no answer is told. */
  readonly candidates: number;
  /** Share of all high-res patches that is looked at; 0 for encoders that see all at once. */
  readonly budgetShare: number;
  readonly looks: Partial<Readonly<Record<LookedAt, LookResult>>>;
  /** What the question selects, at other budgets; none for encoders that see all at once. */
  readonly budgets: readonly BudgetResult[];
}

/** How questions were answered with a part of all patches. */
export interface BudgetResult extends LookResult {
  /** Of all high-res patches. */
  readonly share: number;
  /** Milliseconds from a question about an image that was glanced at to its first token, the median. */
  readonly firstTokenMs: number;
}

/** Questions of which the time is taken. */
const TIMED = 12;

/** How much is asked. */
export interface QuestionsOptions {
  /** Each about an image of its own; default 200. */
  readonly count?: number;
  /** Of the questions; default 1. */
  readonly seed?: number;
  /** Ways of looking; default: all that the encoder has. */
  readonly looks?: readonly LookedAt[];
  /** Parts of all patches at which what the question selects is looked at besides; default: `budgetsOf` the model. */
  readonly budgets?: readonly Budget[];
  readonly onProgress?: (done: number, all: number) => void;
}

const OPTIONS = { count: true, seed: true, looks: true, budgets: true, onProgress: true } as const;

/**
 * Asks a model about held-out images, each answer scored by its likelihood among its options.
 *
 * @param askedAt  the questions, each about an image of its own
 * @throws ShapeError for unknown options
 */
export async function evaluateQuestions(
  engine: Engine,
  model: VilaModel,
  askedAt: (index: number) => AskedImage,
  options: QuestionsOptions = {},
): Promise<QuestionsEvaluation> {
  expectKeys('evaluateQuestions', options, OPTIONS);
  const { count = 200, seed = 1, onProgress } = options;
  const { gridSides } = model.vision.config;
  const patches = total(gridSides.slice(1).map((grid) => grid * grid));
  const own: readonly LookedAt[] = model.encoder.looks ? LOOKS.slice(0, -1) : ['all'];
  const tallies = (options.looks ?? own).map((way) => new Tally(way));
  const parts = model.encoder.looks ? (options.budgets ?? budgetsOf(model)) : [];
  const budgets = parts.map(({ share, amount }) => new Tally(share === 0 ? 'none' : 'topDown', amount));
  let budgetShare = 0;
  let candidates = 0;
  for (let i = 0; i < count; i++) {
    const asked = askedAt(i);
    const { side } = asked;
    const answers = asked.options.map((option) => answerIds(model.tokenizer, option));
    candidates = Math.max(candidates, answers.length);
    using scope = engine.scope();
    using seen = noGrad(() => model.glance(engine.tensor(asked.rgba, [1, side, side, 4], { scope })));
    const ids = questionIds(model.tokenizer, asked.question, 1);
    const cells = gridSides.slice(1).map((grid) => boxCells(asked.boxes, side, grid));
    for (const tally of [...tallies, ...budgets]) {
      const { way, amount } = tally;
      const started = performance.now();
      const { block, look } = await lookAt(engine, model, {
        way,
        seen,
        asked,
        ids,
        amount,
        seed,
        index: i,
      });
      const embedded = noGrad(() => model.embed(ids, [block]));
      if (amount !== undefined && tally.times.length < TIMED) {
        const first = noGrad(() =>
          argMax(slice(model.logits(embedded), { axis: 1, start: embedded.shape[1] - 1 })),
        );
        await first.data();
        tally.times.push(performance.now() - started);
      }
      if (answers.length > 0) {
        const scores = await likelihoods(model.language, embedded, answers);
        const best = scores.indexOf(Math.max(...scores));
        tally.right.push({ image: i, value: Number(asked.options[best] === asked.answer) });
      }
      tally.tokens += block.shape[1];
      if (!look?.vision) continue;
      if (amount === undefined) budgetShare = total(look.vision.selectionCounts) / patches;
      if (asked.boxes.length === 0) continue;
      const maps = await Promise.all(look.vision.selectionMaps.map((map) => map.data()));
      tally.recall.push({ image: i, value: takenShare(maps, cells) });
    }
    onProgress?.(i + 1, count);
  }
  const bootstrap = new ImageBootstrap(count, seed);
  const resultOf = ({ right, recall, tokens }: Tally): LookResult => ({
    right: bootstrap.estimate(right),
    recall: bootstrap.estimate(recall),
    tokens: tokens / count,
  });
  return {
    questions: count,
    candidates,
    budgetShare,
    looks: Object.fromEntries(tallies.map((tally) => [tally.way, resultOf(tally)])),
    budgets: budgets.map((tally, k) => {
      const firstTokenMs = tally.times.sort((a, b) => a - b)[tally.times.length >> 1];
      return { share: parts[k].share, ...resultOf(tally), firstTokenMs };
    }),
  };
}

/** What is counted of one way of looking. */
class Tally {
  readonly way: LookedAt;
  /** undefined: one look, whose time is not taken. */
  readonly amount: VilaAmount | undefined;
  readonly right: Answer[] = [];
  readonly recall: Answer[] = [];
  /** Of all questions. */
  tokens = 0;
  /** Milliseconds to the first token. */
  readonly times: number[] = [];

  constructor(way: LookedAt, amount?: VilaAmount) {
    this.way = way;
    this.amount = amount;
  }
}

interface LookRequest {
  readonly way: LookedAt;
  readonly seen: Seen;
  readonly asked: AskedImage;
  readonly ids: readonly number[];
  readonly amount: VilaAmount | undefined;
  readonly seed: number;
  readonly index: number;
}

/** What stands for the image. */
async function lookAt(
  engine: Engine,
  model: VilaModel,
  { way, seen, asked, ids, amount, seed, index }: LookRequest,
): Promise<{ block: Tensor<'f32'>; look?: VilaLook }> {
  const { low } = seen;
  if (way === 'none') return { block: (await model.look(seen, { looks: 0 })).blocks[0] };
  const lookWith = async (how: VilaLookOptions): Promise<{ block: Tensor<'f32'>; look: VilaLook }> => {
    const look = await model.look(seen, how);
    return { block: look.blocks[0], look };
  };
  if (way === 'all') return lookWith({});
  if (way === 'bottomUp') return lookWith({ ...amount });
  const prompt = noGrad(() => model.projector.prompt(model.ask(ids, low).state));
  if (way === 'topDown') return lookWith({ ...amount, prompt });
  const grid = exactGridSide(model.vision.config.gridSides, asked.side);
  const cells = way === 'box' ? boxCells(asked.boxes, asked.side, grid) : randomCells(model, seed, index);
  const side = Math.sqrt(cells.length);
  const groundTruth = engine.tensor(Float32Array.from(cells), [1, side, side], { scope: seen.low.scope });
  return lookWith({ ...amount, prompt, groundTruth });
}

/** A map of values by chance, the most promising cells of the first high-res scale first, as many as a look takes. */
function randomCells(model: VilaModel, seed: number, index: number): Float32Array {
  const { gridSides, budgets } = model.vision.config;
  const random = new Random(seed, index);
  const [low, first] = gridSides;
  // Whole low-res patches, as maps are.
  const per = first / low;
  const order = random.shuffle(Array.from({ length: low * low }, (_, cell) => cell));
  const cells = new Float32Array(first * first);
  for (const cell of order.slice(0, Math.max(1, Math.floor(budgets[0] / (per * per)))))
    for (let y = 0; y < per; y++)
      for (let x = 0; x < per; x++)
        cells[(Math.floor(cell / low) * per + y) * first + (cell % low) * per + x] = 1;
  return cells;
}
