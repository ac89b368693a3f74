// The protocols' numbers in a report.
import type { Estimate } from '../train/evaluation/intervals.ts';
import { FEATURES, type Feature, type Protocols, type TwoWays } from '../train/evaluation/protocols.ts';
import type { ZeroShotEvaluation } from '../train/run/evaluations.ts';
import { type Html, html } from './html.ts';
import { percent, wideTable } from './report_page.ts';

/** What stands for a box, in words. */
export const FEATURE_NAMES: Readonly<Record<Feature, string>> = {
  predicted: 'PS3, its own selection',
  topDown: 'PS3, its caption selects',
  teacherForced: 'PS3, the box selected',
  lowRes: 'low-res only',
};

/** `12.3 % (9.1–15.7)`. */
export function withInterval({ mean, low, high }: Estimate): string {
  return `${percent(mean)} (${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)})`;
}

/** What `ps3 eval --zero-shot` has found of the run, a row for each time; undefined for none. */
export function zeroShotSection(evaluations: readonly ZeroShotEvaluation[]): Html | undefined {
  if (evaluations.length === 0) return undefined;
  const rows = evaluations.map(({ stage, step, zeroShot }) => {
    const { folder, images, classes, templates, top1, top5, meanPerClass } = zeroShot;
    const after = stage === 'ps3' ? `${step}` : `${step} of stage 1`;
    const counts = [after, images, classes, templates].map(String);
    return [folder, ...counts, withInterval(top1), withInterval(top5), percent(meanPerClass)];
  });
  const head = [
    'images of',
    'after step',
    'images',
    'classes',
    'templates',
    'first',
    'among five',
    'first, mean over classes',
  ];
  return html`<h2>Zero-shot classification</h2>
${wideTable(html`By the low-res feature; chance is 1 / classes`, head, rows)}
`;
}

const RETRIEVAL_HEAD = ['', 'recall at 1', 'at 5', 'at 10', 'median rank'] as const;

function wayRows(name: string, { imageToText, textToImage }: TwoWays): string[][] {
  const row = (way: string, result: TwoWays['imageToText']): string[] => [
    `${name}, ${way}`,
    withInterval(result.recall1),
    withInterval(result.recall5),
    withInterval(result.recall10),
    String(result.medianRank),
  ];
  return [row('to text', imageToText), row('from text', textToImage)];
}

/** Tables of every protocol, folded. */
export function protocolSection({
  local,
  global,
  regions,
  selection,
  pointing,
  budgets,
  images,
  boxes,
}: Protocols): Html {
  const tables: Html[] = [];
  if (local)
    for (const [title, candidates] of [
      ['against all', 'all'],
      ['against those of other images', 'otherImages'],
      ['against the image’s own others (hard negatives)', 'sameImage'],
    ] as const) {
      const rows = FEATURES.flatMap((feature) => {
        const both = local[feature]?.[candidates]; // earlier runs lack some
        return both ? wayRows(FEATURE_NAMES[feature], both) : [];
      });
      if (rows.length > 0)
        tables.push(wideTable(html`<b>Boxes and captions</b> ${title}`, RETRIEVAL_HEAD, rows));
    }
  if (global)
    tables.push(
      wideTable(html`<b>Whole images and their captions</b>`, RETRIEVAL_HEAD, wayRows('low-res', global)),
    );
  if (regions)
    tables.push(
      wideTable(
        html`<b>Boxes by ${regions.predicted.classes} captions as classes</b>`,
        ['', 'first', 'among five', 'first, mean over classes'],
        FEATURES.flatMap((feature) => {
          if (!regions[feature]) return [];
          const { top1, top5, meanPerClass } = regions[feature];
          return [[FEATURE_NAMES[feature], withInterval(top1), withInterval(top5), percent(meanPerClass)]];
        }),
      ),
    );
  const sizes = {
    all: 'all',
    small: 'small (below 1 low-res patch)',
    medium: 'medium (1 to 4)',
    large: 'large (above 4)',
  };
  const rows = (['bottomUp', 'topDown'] as const).flatMap((map) =>
    (['all', 'small', 'medium', 'large'] as const).flatMap((size) => {
      const result = selection[map][size];
      const name = map === 'bottomUp' ? 'bottom-up' : 'top-down';
      return result
        ? [
            [
              `${name}, ${sizes[size]}`,
              String(result.area.count),
              ...result.recall.map(withInterval),
              withInterval(result.area),
            ],
          ]
        : [];
    }),
  );
  if (rows.length > 0)
    tables.push(
      wideTable(
        html`<b>Share of a box’s patches selected</b>, by size of the box and share of all patches taken; random gives that share, and 50 % of the area`,
        [
          '',
          'boxes',
          ...budgets.map((budget) => `at ${(100 * budget).toFixed(0)} %`),
          'area under the curve',
        ],
        rows,
      ),
    );
  if (pointing)
    tables.push(
      wideTable(
        html`<b>Highest point of the map in the box</b>`,
        ['', 'share'],
        [
          ['chance', percent(pointing.chance)],
          ['bottom-up', withInterval(pointing.bottomUp)],
          ['top-down', withInterval(pointing.topDown)],
        ],
      ),
    );
  if (tables.length === 0) return html``;
  return html`<h2>By protocols</h2>
<details><summary>Retrieval, classification, selection and pointing on ${images} images with ${boxes} boxes</summary>
<p>In brackets: 95 % of what other images would give. “Its own selection” is bottom-up, without a text; where “its caption selects”, the right caption has chosen the patches, top-down, of which those in the box count; “the box selected” is teacher-forced.</p>
${tables}</details>
`;
}
