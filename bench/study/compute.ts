// The study's cells in the order in which they are worth most: what every claim needs first.
import type { Engine } from '../../engine/index.ts';
import { loadTrainingData } from '../../ps3/app/training_data.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { type Answers, askPS3, askTiled, type LookRow } from './ask.ts';
import type { Cells } from './cells.ts';
import { type Cost, measureCosts } from './costs.ts';
import {
  ABLATION_ARMS,
  type Arm,
  armConfig,
  DATA_SEED,
  EASY,
  easyConfig,
  FULL_ARMS,
  LOOK,
  LOW_SHARE,
  MAIN_ARMS,
  SCALE_ARMS,
  type StudySize,
  studyConfig,
  TOWER_ROWS,
} from './design.ts';
import { expectNoLeak, type Question, questionsOf } from './questions.ts';
import { type StudyData, type Trained, trainArm, trainStart } from './trainings.ts';

/** Raised where what a cell computes changes and its description does not. */
const VERSION = 1;

/** Patches that are asked for of one PS3: 5, 10, 20, 44 and 100 % of the 320 high-res ones. */
export const BUDGET_PATCHES: readonly number[] = [16, 32, LOOK, 141, 320];

/** Shares of a look's patches at 112 px; the rest is at 224 px. */
export const MIXES = [0, 0.17, 0.33, 0.5, 0.67, 1] as const;

const mainRow: LookRow = { name: 'top-down', selection: 'top-down', patches: LOOK };

/** What the main PS3 is asked. */
const WHOLE_ROWS: readonly LookRow[] = [
  mainRow,
  { name: 'bottom-up', selection: 'bottom-up', patches: LOOK },
  { name: 'random', selection: 'random', patches: LOOK },
  { name: 'box', selection: 'box', patches: LOOK },
  ...BUDGET_PATCHES.map(
    (patches): LookRow => ({ name: `top-down of ${patches}`, selection: 'top-down', patches }),
  ),
  ...MIXES.map((share): LookRow => {
    const coarse = Math.round(share * LOOK);
    return { name: `mix ${coarse}`, selection: 'top-down', patches: [coarse, LOOK - coarse] };
  }),
];

/** One arm of one seed. */
export interface ArmResult {
  readonly arm: string;
  readonly seed: number;
  readonly trained: Trained;
  readonly answers: Answers;
}

/** All that was computed. */
export interface StudyCells {
  readonly size: StudySize;
  readonly questions: readonly Question[];
  /** Training-free rows of the towers, one per seed. */
  readonly towers: readonly ArmResult[];
  readonly arms: readonly ArmResult[];
  readonly costs: readonly Cost[];
  /** The negative control: answers of the main arms to questions that low resolution shows well enough. */
  readonly easy?: Pick<StudyCells, 'questions' | 'arms'>;
}

/** How a study is run. */
export interface ComputeOptions {
  readonly cells: Cells;
  readonly size: StudySize;
  /** Once aborted, what is finished is returned. */
  readonly signal?: { readonly aborted: boolean };
  readonly notice?: (sentence: string) => void;
}

interface Loaded extends StudyData {
  readonly heldOut: readonly Sample[];
}

/** Scenes, which every training shares. */
async function load(size: StudySize, notice: (sentence: string) => void): Promise<Loaded> {
  let shown = '';
  const data = await loadTrainingData(studyConfig(size), (what) => {
    if (what !== shown) notice(what);
    shown = what;
  });
  const { train, crops } = data;
  if (typeof crops !== 'function' || !Array.isArray(train))
    throw new Error('internal: the study is on scenes in memory');
  expectNoLeak(train, data.heldOut);
  return { train, crops, captions: await data.captions(), heldOut: data.heldOut };
}

/** Scenes of the negative control, and the questions about them that low resolution is enough for. */
async function easyScenes(size: StudySize): Promise<{ samples: readonly Sample[]; questions: Question[] }> {
  const { heldOut: samples } = await loadTrainingData(easyConfig(size));
  const questions = questionsOf(samples, size.questions, DATA_SEED);
  return { samples, questions: questions.filter(({ needs }) => needs <= LOW_SHARE) };
}

/** The same promise for every call. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Whether a way to look fits a model of these scales. */
const fits = ({ set }: Arm): boolean => !set.some((key) => key.startsWith('model.scalesPx'));

/**
 * Computes what is not there yet, seed by seed, ablations after all main arms.
 *
 * @returns  all cells, or those that were finished before the signal
 */
export async function compute(
  engine: Engine,
  { cells, size, signal, notice = () => undefined }: ComputeOptions,
): Promise<StudyCells> {
  const data = once(() => load(size, notice));
  const easyData = once(() => easyScenes(size));
  const asking = { version: VERSION, questions: size.questions, scenes: size.scenes };
  const { value: questions } = await cells.result('questions', { ...asking, size: size.name }, async () =>
    questionsOf((await data()).heldOut, size.questions, DATA_SEED),
  );
  const easyAsking = { ...asking, easy: EASY, lowShare: LOW_SHARE };
  const { value: easyQuestions } = await cells.result(
    'easy questions',
    easyAsking,
    async () => (await easyData()).questions,
  );
  const towers: ArmResult[] = [];
  const arms: ArmResult[] = [];
  const easy: ArmResult[] = [];
  const start = async (seed: number): Promise<ArmResult & { hash: string }> => {
    const config = armConfig(size, { name: 'towers', set: [], length: 'steps' }, seed);
    const { seed: own, model, data: scenes, init, optimizer, towers: stage } = config;
    const { value: trained, hash } = await cells.result(
      `towers seed ${seed}`,
      { version: VERSION, own, model, scenes, init, optimizer, stage },
      async (folder) => trainStart(engine, folder, config, await data()),
    );
    const { value: answers } = await cells.result(
      `ask towers seed ${seed}`,
      { ...asking, towers: hash, rows: TOWER_ROWS },
      async () => {
        using model = await PS3.load(engine, trained.checkpoint);
        return await askTiled(engine, model, (await data()).heldOut, questions, TOWER_ROWS, true);
      },
    );
    return { arm: 'towers', seed, trained, answers, hash };
  };
  const run = async (
    arm: Arm,
    seed: number,
    begun: { trained: Trained; hash: string },
  ): Promise<ArmResult> => {
    const config = armConfig(size, arm, seed);
    const { value: trained, hash } = await cells.result(
      `${arm.name} seed ${seed}`,
      { version: VERSION, towers: begun.hash, config },
      async (folder) => trainArm(engine, folder, config, await data(), begun.trained.checkpoint),
    );
    const answersOf = async (
      samples: readonly Sample[],
      asked: readonly Question[],
      looks: readonly LookRow[],
    ): Promise<Answers> => {
      using model = await PS3.load(engine, trained.checkpoint);
      return arm.asked
        ? await askTiled(engine, model, samples, asked, arm.asked, false)
        : await askPS3(engine, model, samples, asked, looks, seed);
    };
    const { maxSelect } = config.model;
    const looks = arm.isWhole && fits(arm) ? WHOLE_ROWS : [{ ...mainRow, patches: maxSelect }];
    const { value: answers } = await cells.result(
      `ask ${arm.name} seed ${seed}`,
      { ...asking, trained: hash, rows: arm.asked ?? looks },
      async () => answersOf((await data()).heldOut, questions, looks),
    );
    if (MAIN_ARMS.includes(arm)) {
      const { value: easyAnswers } = await cells.result(
        `ask easy ${arm.name} seed ${seed}`,
        { ...easyAsking, trained: hash, rows: arm.asked ?? [mainRow] },
        async () => answersOf((await easyData()).samples, easyQuestions, [mainRow]),
      );
      easy.push({ arm: arm.name, seed, trained, answers: easyAnswers });
    }
    return { arm: arm.name, seed, trained, answers };
  };
  const all = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
  const extra = size.name === 'full' ? FULL_ARMS : [];
  const of = (seeds: readonly number[], some: readonly Arm[]): [seed: number, arms: readonly Arm[]][] =>
    seeds.map((seed) => [seed, some]);
  const seeds = all(size.seeds);
  const ablated = all(size.ablationSeeds);
  const scaled = [...SCALE_ARMS, ...extra];
  // Two trainings of what matters most, one of the rest, then everything.
  const plan = [
    ...of(seeds.slice(0, 2), MAIN_ARMS),
    ...of(ablated.slice(0, 1), ABLATION_ARMS),
    ...of(seeds.slice(0, 2), scaled),
    ...of(seeds, MAIN_ARMS),
    ...of(ablated, ABLATION_ARMS),
    ...of(seeds, scaled),
  ];
  const { value: costs } = await cells.result(
    'costs',
    {
      version: VERSION,
      model: studyConfig(size).model,
      repetitions: size.repetitions,
      naivePx: size.naivePx,
    },
    () => measureCosts(engine, studyConfig(size), size.repetitions, size.naivePx),
  );
  for (const [seed, several] of plan) {
    if (signal?.aborted) break;
    const { hash, ...begun } = await start(seed);
    if (!towers.some((known) => known.seed === seed)) towers.push(begun);
    for (const arm of several) {
      if (signal?.aborted) break;
      if (arms.some((known) => known.arm === arm.name && known.seed === seed)) continue;
      arms.push(await run(arm, seed, { ...begun, hash }));
    }
  }
  return { size, questions, towers, arms, costs, easy: { questions: easyQuestions, arms: easy } };
}
