// The tables that end a run and that `ps3 eval` prints.
import type { Evaluation, Interval } from '../train/evaluate.ts';
import type { Contrast } from '../train/evaluation/contrast.ts';
import type { Grounding } from '../train/evaluation/grounding.ts';
import type { Estimate } from '../train/evaluation/intervals.ts';
import type { SelectionProtocols } from '../train/evaluation/located.ts';
import type { Classification, Protocols, TwoWays } from '../train/evaluation/protocols.ts';
import { LOOKS, type LookedAt, type QuestionsEvaluation } from '../train/evaluation/questions.ts';
import type { ZeroShotResult } from '../train/evaluation/zero_shot.ts';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`.padStart(8);

/** `    12.3 %  (9.1 to 15.7)`. */
function withInterval(share: number, [low, high]: Interval): string {
  return `${percent(share)}  (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
}

const estimated = ({ mean, low, high }: Estimate): string => withInterval(mean, [low, high]);

/** The table that ends a run. */
export function formatEvaluation(evaluation: Evaluation): string {
  const { boxes, candidates, retrieval, recall, budgetShare, intervals, protocols } = evaluation;
  return [
    `Held-out images, ${boxes} boxes of ${protocols.images} images; in brackets 95 % of what other images would give`,
    '',
    `Right caption among ${candidates} for a box (chance ${percent(1 / candidates).trim()})`,
    `  low-res only             ${withInterval(retrieval.lowRes, intervals.retrieval.lowRes)}`,
    `  PS3, its own selection   ${withInterval(retrieval.predicted, intervals.retrieval.predicted)}`,
    `  PS3, the box selected    ${withInterval(retrieval.ps3, intervals.retrieval.ps3)}`,
    '',
    `Share of a box's patches selected (one look, ${percent(budgetShare).trim()} of all patches)`,
    `  random                   ${withInterval(recall.random, intervals.recall.random)}`,
    `  bottom-up                ${withInterval(recall.bottomUp, intervals.recall.bottomUp)}`,
    `  top-down                 ${withInterval(recall.topDown, intervals.recall.topDown)}`,
  ].join('\n');
}

/** What a VILA-HD looked at, in words. */
export const LOOK_NAMES: Readonly<Record<LookedAt, string>> = {
  topDown: 'what the question selects',
  bottomUp: 'what stands out',
  random: 'places by chance',
  box: 'the box that answers',
  none: 'nothing but low resolution',
  all: 'all of it at once',
};

/** How a VILA-HD answered. */
export function formatQuestions({
  questions,
  candidates,
  budgetShare,
  looks,
  budgets,
}: QuestionsEvaluation): string {
  const rows = LOOKS.flatMap((way) => {
    const result = looks[way];
    if (!result) return [];
    const { right, recall, tokens } = result;
    const seen = recall ? percent(recall.mean) : ''.padStart(8);
    return [
      `  ${LOOK_NAMES[way].padEnd(28)}${rightShare(right).padEnd(26)}${seen}${tokens.toFixed(0).padStart(9)}`,
    ];
  });
  return [
    `${questions} questions about as many held-out images, ${candidates > 0 ? `${candidates} answers to choose among (chance ${percent(1 / candidates).trim()})` : 'whose answers are not told'}`,
    `${'  looked at'.padEnd(30)}${'right answers'.padEnd(26)}its place  tokens${budgetShare > 0 ? `, one look of ${percent(budgetShare).trim()} of all patches` : ''}`,
    ...rows,
    ...budgetLines(budgets),
  ].join('\n');
}

const rightShare = (right: Estimate | undefined): string => (right ? estimated(right) : '');

function budgetLines(budgets: QuestionsEvaluation['budgets']): string[] {
  if (budgets.length === 0) return [];
  return [
    '',
    `${'  of all patches, as asked'.padEnd(30)}${'right answers'.padEnd(26)}its place  tokens  to the first token`,
    ...budgets.map(({ share, right, recall, tokens, firstTokenMs }) => {
      const seen = recall ? percent(recall.mean) : ''.padStart(8);
      const name = `  ${percent(share).trim()}`.padEnd(30);
      return `${name}${rightShare(right).padEnd(26)}${seen}${tokens.toFixed(0).padStart(9)}${`${firstTokenMs.toFixed(0)} ms`.padStart(20)}`;
    }),
  ];
}

/** Names of the features that stand for a box. */
const FEATURE_NAMES = {
  predicted: 'PS3, its own selection',
  topDown: 'PS3, its caption selects',
  teacherForced: 'PS3, the box selected',
  lowRes: 'low-res only',
} as const;

/** Rows of two ways of retrieval. */
function ways(name: string, { imageToText, textToImage }: TwoWays): string[] {
  const row = (way: string, { recall1, recall5, recall10, medianRank }: TwoWays['imageToText']): string =>
    `  ${`${name}, ${way}`.padEnd(42)}${estimated(recall1)}${percent(recall5.mean)}${percent(recall10.mean)}  ${medianRank}`;
  return [row('to text', imageToText), row('from text', textToImage)];
}

/** How maps lead to boxes, by budget. */
function selectionLines(budgets: readonly number[], { selection, pointing }: SelectionProtocols): string[] {
  const lines = [
    `Share of a box's patches selected at ${budgets.map((budget) => percent(budget).trim()).join(', ')} of all; area under the curve`,
  ];
  for (const [map, name] of [
    ['bottomUp', 'bottom-up'],
    ['topDown', 'top-down'],
  ] as const)
    for (const size of ['all', 'small', 'medium', 'large'] as const) {
      const result = selection[map][size];
      if (!result) continue;
      const title = `${name}, ${size} boxes (${result.area.count})`;
      const recalls = result.recall.map(({ mean }) => percent(mean)).join('');
      lines.push(`  ${title.padEnd(42)}${recalls}  ${estimated(result.area)}`);
    }
  if (pointing)
    lines.push(
      '',
      `Highest point of the map in the box (chance ${percent(pointing.chance).trim()})`,
      `  ${'bottom-up'.padEnd(42)}${estimated(pointing.bottomUp)}`,
      `  ${'top-down'.padEnd(42)}${estimated(pointing.topDown)}`,
    );
  return lines;
}

/** What the protocols give, as tables. */
export function formatProtocols(protocols: Protocols): string {
  const { local, global, regions, selection, pointing, budgets } = protocols;
  const lines: string[] = [];
  const featureNames = Object.entries(FEATURE_NAMES) as [keyof typeof FEATURE_NAMES, string][];
  const retrievalHead = 'recall at 1, at 5, at 10, median rank';
  if (local)
    for (const [title, candidates] of [
      ['all boxes and captions', 'all'],
      ['the other images’', 'otherImages'],
      ['the image’s own others', 'sameImage'],
    ] as const) {
      lines.push('', `Boxes and captions against ${title}: ${retrievalHead}`);
      for (const [feature, name] of featureNames) {
        const both = local[feature]?.[candidates]; // earlier runs lack some
        if (both) lines.push(...ways(name, both));
      }
    }
  if (global) lines.push('', `Whole images and their captions: ${retrievalHead}`, ...ways('low-res', global));
  if (regions) {
    lines.push(
      '',
      `Boxes by ${regions.predicted.classes} captions as classes: first, among five, mean over classes`,
    );
    const row = (name: string, { top1, top5, meanPerClass }: Classification): string =>
      `  ${name.padEnd(42)}${estimated(top1)}${percent(top5.mean)}${percent(meanPerClass)}`;
    for (const [feature, name] of featureNames) lines.push(row(name, regions[feature]));
  }
  lines.push('', ...selectionLines(budgets, { selection, pointing }));
  return lines.slice(1).join('\n');
}

/** What zero-shot classification gives. */
export function formatZeroShot({
  images,
  classes,
  templates,
  top1,
  top5,
  meanPerClass,
}: ZeroShotResult): string {
  return [
    `Zero-shot, ${images} images of ${classes} classes, ${templates} template${templates === 1 ? '' : 's'}, low-res feature (chance ${percent(1 / classes).trim()})`,
    `  first                    ${estimated(top1)}`,
    `  among five               ${estimated(top5)}`,
    `  first, mean over classes ${percent(meanPerClass)}`,
  ].join('\n');
}

/** What looking for named targets gives; a random selection finds the share that it selects. */
export function formatGrounding(grounding: Grounding): string {
  const { images, boxes, skipped, budgets, categories, selection, pointing } = grounding;
  const lines = [
    `${boxes} targets in ${images} images${skipped > 0 ? `, ${skipped} more left out` : ''}; in brackets 95 % of what other images would give`,
    '',
    ...selectionLines(budgets, { selection, pointing }),
  ];
  for (const [map, name] of [
    ['bottomUp', 'bottom-up'],
    ['topDown', 'top-down'],
  ] as const)
    for (const [i, budget] of budgets.entries()) {
      const recall = selection[map].all?.recall[i];
      const title = `${name}, recall at ${percent(budget).trim()}`;
      if (recall) lines.push(...(i === 0 ? [''] : []), `  ${title.padEnd(42)}${estimated(recall)}`);
    }
  for (const [category, { selection, pointing }] of Object.entries(categories)) {
    lines.push('', `${category}, top-down (${selection.topDown.all?.area.count})`);
    for (const key of ['recall', 'precision'] as const) {
      const means = selection.topDown.all?.[key].map(({ mean }) => percent(mean)).join('') ?? '';
      lines.push(`  ${key.padEnd(42)}${means}`);
    }
    if (pointing) {
      const title = `pointing (chance ${percent(pointing.chance).trim()})`;
      lines.push(`  ${title.padEnd(42)}${estimated(pointing.topDown)}`);
    }
  }
  return lines.join('\n');
}

/** What encoders answer by contrast. */
export function formatContrast({ questions, images, skipped, chance, encoders }: Contrast): string {
  const lines = [
    `${questions} questions about ${images} images${skipped > 0 ? `, ${skipped} more left out` : ''}, by contrast, given the boxes (chance ${percent(chance).trim()})`,
    'accuracy; difference to low-res on the same questions; tokens through the tower',
  ];
  for (const [name, { accuracy, overLowRes, meanTokens }] of Object.entries(encoders)) {
    const over = overLowRes ? estimated(overLowRes) : '';
    const tokens = meanTokens === undefined ? '' : `${Math.round(meanTokens)}`;
    const cells = [estimated(accuracy).padEnd(28), over.padEnd(28), tokens];
    lines.push(`  ${name.padEnd(20)}${cells.join('')}`.trimEnd());
  }
  return lines.join('\n');
}
