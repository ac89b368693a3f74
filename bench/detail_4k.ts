// node --import ./engine/wgsl_loader.mjs --import tsx bench/detail_4k.ts
//
// Writes the tables of bench/results/detail-4k/README.md from the JSON beside it: what was built, what a person read, what models answered.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { formatResults } from '../ps3/app/benchmark_report.ts';
import { NEEDS } from '../ps3/benchmarks/build/choose.ts';
import type { CategorySummary, Detail4kSummary } from '../ps3/benchmarks/build/summary.ts';
import { rewriteBlock } from './report.ts';

/** Where the JSON and its README are. */
export const DETAIL_4K: string = join(dirname(fileURLToPath(import.meta.url)), 'results', 'detail-4k');

/** Share of a whole, in words. */
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Categories, and what rules answer without the image. */
export function builtText({ split, seed, version, categories, blind, dropped }: Detail4kSummary): string {
  const rows = Object.entries(categories).map(
    ([name, { questions, images, neededPx, capPx, needs }]: [string, CategorySummary]) => [
      ...[name, questions, images, neededPx, capPx?.toFixed(1) ?? '–'],
      ...NEEDS.map((need) => percent(needs[need])),
    ],
  );
  const all = Object.values(categories);
  const shares = Object.values(blind);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  return [
    `**${split}**, seed ${seed}, version ${version} of the questions: ${sum(all.map(({ questions }) => questions))} questions on ${sum(all.map(({ images }) => images))} images.`,
    table(
      [
        ...['category', 'questions', 'images', 'needed px', 'capitals px'],
        ...NEEDS.map((need) => `needs ${need}`),
      ],
      rows,
    ),
    `Without the image ${shares.length} rules are right on ${percent(least)} to ${percent(most)} (${Object.entries(
      blind,
    )
      .map(([name, share]) => `${name} ${percent(share)}`)
      .join(
        ', ',
      )}); chance is 25 %. Left out: ${dropped.illegible} that the reader does not read at full size, ${dropped.blind} that two of three rules answer.`,
  ].join('\n\n');
}

/** A question as a person read it. */
export interface ReadByEye {
  /** Long side at which it was shown. */
  readonly px: number;
  readonly id: string;
  readonly capPx: number;
  /** Least long side at which the reader is right. */
  readonly readerPx: number;
  readonly answer: string;
  /** Null where nothing was chosen. */
  readonly chosen: string | null;
}

/** Cohen's kappa of two who are right or not about the same questions. */
export function kappaOf(pairs: readonly (readonly [boolean, boolean])[]): number {
  const share = (is: (pair: readonly [boolean, boolean]) => boolean): number =>
    pairs.filter(is).length / pairs.length;
  const agreed = share(([a, b]) => a === b);
  const [a, b] = [share(([a]) => a), share(([, b]) => b)];
  const expected = a * b + (1 - a) * (1 - b);
  return expected === 1 ? 1 : (agreed - expected) / (1 - expected);
}

/** How a person read, beside the reader. */
export function readText(read: readonly ReadByEye[]): string {
  const all = read.map(({ px, answer, chosen, readerPx }) => ({
    px,
    pair: [chosen === answer, readerPx <= px] as const,
  }));
  const rows = [...new Set(read.map(({ px }) => px))].map((px) => {
    const own = all.filter((one) => one.px === px).map(({ pair }) => pair);
    const caps = read.filter((one) => one.px === px).map(({ capPx }) => (capPx * px) / 3840);
    const right = own.filter(([eye]) => eye).length;
    return [
      ...[`${px}`, own.length, (sum(caps) / caps.length).toFixed(1)],
      ...[`${right} (${percent(right / own.length)})`, own.filter(([, reader]) => reader).length],
      read.filter((one) => one.px === px && one.chosen === null).length,
    ];
  });
  return [
    table(['shown at px', 'questions', 'capitals there, px', 'read right', 'by Tesseract', 'not told'], rows),
    `Agreement with Tesseract over all of them (Cohen's kappa): ${kappaOf(all.map(({ pair }) => pair)).toFixed(2)}.`,
  ].join('\n\n');
}

/** The README with its tables anew. */
export function rewritten(page: string): string {
  const json = <T>(name: string): T => JSON.parse(readFileSync(join(DETAIL_4K, name), 'utf8')) as T;
  const models = ['nano-4k', 'vila-s'].flatMap((name) =>
    existsSync(join(DETAIL_4K, `${name}.json`))
      ? [
          formatResults(json(`${name}.json`), name)
            .replace('# ', '### ')
            .trim(),
        ]
      : [],
  );
  const blocks = {
    built: ['test.json', 'dev.json'].map((name) => builtText(json(name))).join('\n\n'),
    read: readText(json('read.json')),
    models: models.join('\n\n'),
  };
  return Object.entries(blocks).reduce((text, [name, block]) => rewriteBlock(text, name, block), page);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const path = join(DETAIL_4K, 'README.md');
  writeFileSync(path, rewritten(readFileSync(path, 'utf8')));
}
