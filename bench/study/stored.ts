// The study as a file: everything that was computed, from which the page can be made again and others can test anew.
import * as v from 'valibot';
import type { ArmResult, StudyCells } from './compute.ts';

/** What a study ran on, and which cells it is made of. */
export interface Environment {
  readonly 'ps3-webgpu': string;
  readonly adapter: string;
  readonly date: string;
  /** Names, hashes and seconds of the cells. */
  readonly cells: readonly { readonly name: string; readonly hash: string; readonly seconds: number }[];
}

/** A file of the study. */
export interface StoredStudy {
  readonly environment: Environment;
  readonly cells: StudyCells;
}

/** Answers as digits, recall to four places: a file that can be committed. */
const compact = (result: ArmResult): object => ({
  ...result,
  trained: { ...result.trained, checkpoint: undefined },
  answers: {
    rows: Object.fromEntries(
      Object.entries(result.answers.rows).map(([name, { right, tokens }]) => [
        name,
        { tokens, right: right.join('') },
      ]),
    ),
    recall: result.answers.recall && {
      topDown: result.answers.recall.topDown.map((shares) => shares.map((share) => Number(share.toFixed(4)))),
      bottomUp: result.answers.recall.bottomUp.map((shares) =>
        shares.map((share) => Number(share.toFixed(4))),
      ),
    },
  },
});

/** JSON, an arm on a line. */
export function writeStudy({ environment, cells }: StoredStudy): string {
  const { size, questions, costs, towers, arms, easy } = cells;
  const lines = (values: readonly object[]): string =>
    `[\n${values.map((value) => JSON.stringify(value)).join(',\n')}\n]`;
  return [
    `{"environment": ${JSON.stringify(environment)},`,
    `"size": ${JSON.stringify(size)},`,
    `"questions": ${lines(questions)},`,
    `"costs": ${lines(costs)},`,
    `"towers": ${lines(towers.map(compact))},`,
    ...(easy
      ? [`"easy": {"questions": ${lines(easy.questions)},`, `"arms": ${lines(easy.arms.map(compact))}},`]
      : []),
    `"arms": ${lines(arms.map(compact))}}\n`,
  ].join('\n');
}

const digits = v.pipe(
  v.string(),
  v.regex(/^[01]+$/),
  v.transform((text) => [...text].map(Number)),
);
const shares = v.array(v.array(v.number()));
const arm = v.object({
  arm: v.string(),
  seed: v.number(),
  trained: v.object({
    checkpoint: v.optional(v.string(), ''),
    steps: v.number(),
    stepFlops: v.optional(v.number()),
    stepMs: v.optional(v.number()),
  }),
  answers: v.object({
    rows: v.record(v.string(), v.object({ tokens: v.number(), right: digits })),
    recall: v.optional(v.object({ topDown: shares, bottomUp: shares })),
  }),
});
const question = v.object({
  image: v.number(),
  box: v.tuple([v.number(), v.number(), v.number(), v.number()]),
  options: v.array(v.string()),
  answer: v.number(),
  shortPx: v.number(),
  needs: v.number(),
});
const schema = v.object({
  environment: v.object({
    'ps3-webgpu': v.string(),
    adapter: v.string(),
    date: v.string(),
    cells: v.array(v.object({ name: v.string(), hash: v.string(), seconds: v.number() })),
  }),
  size: v.object({
    name: v.picklist(['full', 'quick', 'tiny']),
    seeds: v.number(),
    ablationSeeds: v.number(),
    questions: v.number(),
    scenes: v.number(),
    towersSteps: v.number(),
    steps: v.number(),
    ablationSteps: v.number(),
    repetitions: v.number(),
    naivePx: v.number(),
    leastClaim: v.number(),
    draws: v.number(),
  }),
  questions: v.array(question),
  costs: v.array(
    v.object({
      name: v.string(),
      sidePx: v.number(),
      tokens: v.number(),
      flops: v.number(),
      peakBytes: v.number(),
      ms: v.array(v.number()),
    }),
  ),
  towers: v.array(arm),
  arms: v.array(arm),
  easy: v.optional(v.object({ questions: v.array(question), arms: v.array(arm) })),
});

/** @throws Error that names the first key that is not what it should be */
export function readStudy(text: string): StoredStudy {
  const result = v.safeParse(schema, JSON.parse(text));
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(
      `readStudy: ${v.getDotPath(issue)} must be what the study writes, got ${issue.received}. Run the study again.`,
    );
  }
  const { environment, ...cells } = result.output;
  return { environment, cells };
}
