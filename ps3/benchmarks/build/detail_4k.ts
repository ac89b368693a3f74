// A benchmark of small details on images of 3840 x 2160: streets, rooms, games, desktops and documents. Of four options two differ from the
// answer in one glyph. What each question needs is known twice: from the size of its letters, and from what a reader reads.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { assertWritableFolder, expectKeys, makeFolder, Random } from '../../../engine/index.ts';
import { PdfFile } from '../../data/caption/pdf.ts';
import { LazyReader, type PageFact } from '../../data/caption/web_page.ts';
import { DataError } from '../../data/errors.ts';
import {
  GENERATORS,
  type Generator,
  generatedLicence,
  writePages,
} from '../../data/generators/generators.ts';
import { GENERATED_SCREEN } from '../../data/generators/material.ts';
import type { Notice } from '../../data/packages.ts';
import { seedFor } from '../../data/seeds.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { total } from '../../model/config/config.ts';
import { type Asked, ask, type Subject } from './ask.ts';
import { unsolvedBlind } from './blind.ts';
import { drawExposure, photograph } from './camera.ts';
import { chosenQuestions, rotations } from './choose.ts';
import { documentSheet } from './documents.ts';
import { imageTemplates, openObjects } from './objects.ts';
import { questionsPage } from './page.ts';
import { LADDER, Reader } from './reader.ts';
import { personSheet } from './sheet.ts';
import { blindOf, type Detail4kSummary, summaryOf } from './summary.ts';

/** What is asked about: what is made up by name, or documents. */
export type Category = Generator | 'objects' | 'documents';
/** Their names. */
export const CATEGORIES: readonly Category[] = [...GENERATORS, 'objects', 'documents'];

/** What is built. */
export interface Detail4kOptions {
  readonly out: string;
  /** Default: all that is made up, and documents where they are named. */
  readonly categories?: readonly Category[];
  /** Folder of PDF files. */
  readonly documents?: string;
  /** Terms of the documents, for the manifest. */
  readonly licence?: string;
  /** Images of each category; default 60. */
  readonly images?: number;
  /** Default 1. */
  readonly seed?: number;
  /** test, or dev with other images; default test. */
  readonly split?: 'test' | 'dev';
  /** With road signs, furniture and maps of Debian's packages. */
  readonly sources?: boolean;
  /** Puts together what earlier calls drew, and draws no more. */
  readonly drawnOnly?: true;
  /** Images done, of how many. */
  readonly onProgress?: (done: number, all: number) => void;
  readonly notice?: Notice;
}

const DETAIL_4K_OPTIONS = {
  out: true,
  categories: true,
  documents: true,
  licence: true,
  images: true,
  seed: true,
  split: true,
  sources: true,
  drawnOnly: true,
  onProgress: true,
  notice: true,
} as const;

/** Terms of what scenes of objects are made of. */
const OBJECT_LICENCE =
  'Noto Emoji under Apache-2.0 on photographs of Debian: per file CC0, CC-BY, CC-BY-SA or GPL-2+';
/** Of what is built: another number for other questions from the same seed. */
const VERSION = 5;

/** An image before the camera takes it. */
interface Drawn {
  readonly image: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly facts: readonly PageFact[];
  readonly templates?: Subject['templates'];
}

/** What an image is made of: what decides it, and how it is drawn. */
interface Source {
  readonly category: Category;
  readonly decides: string;
  draw(): Promise<Drawn>;
}

/**
 * Writes images, questions.jsonl with every question in four rotations of its options, benchmark.json and index.html; a call that was
 * stopped goes on. Fonts and themes, and the words of scenes, are those that training never shows.
 *
 * @throws DataError where Chromium, Tesseract or the sources are missing
 */
export async function buildDetail4k(options: Detail4kOptions): Promise<Detail4kSummary> {
  expectKeys('buildDetail4k', options, DETAIL_4K_OPTIONS);
  const { out, images = 60, seed = 1, split = 'test', documents, onProgress, notice } = options;
  const named = options.categories ?? (documents === undefined ? GENERATORS : CATEGORIES);
  if (named.includes('documents') && documents === undefined)
    throw new DataError(
      'buildDetail4k: the category documents must have a folder of PDF files, got none. Name it with --documents.',
    );
  await assertWritableFolder(out);
  const [pages, parts] = [join(out, '.pages'), join(out, '.build')];
  await using browser = new LazyReader();
  const own = { images, seed: seedFor(seed, split), sources: options.sources, notice };
  const sourcesOf = (category: Category): Promise<Source[]> => {
    if (category === 'documents') return documentSources(documents ?? '', images, own.seed, split);
    return category === 'objects' ? objectSources(own) : pageSources(category, pages, own, browser);
  };
  const sources: Source[] = [];
  for (const category of named) sources.push(...(await sourcesOf(category)));
  for (const folder of [parts, join(out, 'images')]) await makeFolder(folder);
  await using reader = await Reader.open();
  const asked: Asked[] = [];
  const all = sources.map((source, i) => {
    const { category, decides } = source;
    const nth = sources.slice(0, i).filter((other) => other.category === category).length;
    const id = `${category}-${split}-${String(nth).padStart(5, '0')}`;
    const hash = createHash('sha256').update(`${VERSION} ${seed} ${id} ${decides}`).digest('hex');
    return { ...source, id, nth, part: join(parts, `${hash.slice(0, 16)}.json`) };
  });
  const jobs = options.drawnOnly ? all.filter(({ part }) => existsSync(part)) : all;
  // The browser draws an image while the reader is at the one before.
  let next: { readonly part: string; readonly drawn: Promise<Drawn> } | undefined;
  for (const [i, { category, id, nth, part, draw }] of jobs.entries()) {
    if (!existsSync(part)) {
      const { image, templates, ...drawn } = await (next?.part === part ? next.drawn : draw());
      const following = jobs.slice(i + 1).find(({ part }) => !existsSync(part));
      next = following && { part: following.part, drawn: following.draw() };
      // A failure is told when its turn comes.
      next?.drawn.catch(() => undefined);
      const random = new Random(seedFor(seed, `${split} question ${category} ${nth}`));
      const name = `images/${id}.jpg`;
      const shown = await photograph(image, drawExposure(random), random);
      await writeWhole(join(out, name), shown);
      const subject = { ...drawn, image: shown, name, category, split, templates };
      await writeWhole(part, JSON.stringify(await ask(subject, reader, random)));
    }
    asked.push(JSON.parse(await readFile(part, 'utf8')) as Asked);
    onProgress?.(i + 1, jobs.length);
  }
  for (const category of named) await rm(join(pages, category), { recursive: true, force: true });
  const readable = asked.flatMap(({ questions }) => questions);
  // Before they are chosen, so that what is left has the mix.
  const unsolved = new Set(unsolvedBlind(readable));
  const questions = chosenQuestions(
    asked.map(({ questions }) => questions.filter((question) => unsolved.has(question))),
  );
  const lines = questions.flatMap((question) =>
    rotations(question).map((line) => `${JSON.stringify(line)}\n`),
  );
  await writeWhole(join(out, 'questions.jsonl'), lines.join(''));
  const summary: Detail4kSummary = {
    ...{ name: 'detail-4k', version: VERSION, seed, split, ladder: LADDER },
    licences: Object.fromEntries(
      named.map((name) => [
        name,
        { documents: options.licence ?? 'not stated', objects: OBJECT_LICENCE }[name as string] ??
          generatedLicence(options.sources),
      ]),
    ),
    images: jobs.length,
    questions: questions.length,
    dropped: {
      illegible: total(asked.map(({ dropped }) => dropped)),
      blind: readable.length - unsolved.size,
    },
    categories: Object.fromEntries(named.map((name) => [name, summaryOf(questions, name)])),
    blind: blindOf(questions),
  };
  await writeWhole(join(out, 'benchmark.json'), `${JSON.stringify(summary, null, 2)}\n`);
  await writeWhole(join(out, 'index.html'), await questionsPage(out, summary, questions));
  await writeWhole(join(out, 'sheet.html'), await personSheet(out, questions));
  return summary;
}

/** Pages that are made up, with fonts, themes and words that training never shows. */
async function pageSources(
  generator: Generator,
  pages: string,
  { images, seed, sources, notice }: { images: number; seed: number; sources?: boolean; notice?: Notice },
  browser: LazyReader,
): Promise<Source[]> {
  const folder = join(pages, generator);
  const own = { count: images, seed, split: 'heldOut', sources, notice } as const;
  const names = await writePages(generator, folder, own);
  const draw = async (file: string): Promise<Drawn> => {
    const pages = await browser.open();
    for await (const { image, facts } of pages.screens(file, { ...GENERATED_SCREEN, screens: 1 })) {
      const withImages = facts.filter(({ images }) => images);
      const templates = await Promise.all(withImages.map(imageTemplates));
      return {
        ...{ image, facts, ...GENERATED_SCREEN },
        templates: new Map(withImages.map((fact, i) => [fact, templates[i]])),
      };
    }
    throw new Error('internal: a page has a screen');
  };
  return Promise.all(
    names.map(async (name) => ({
      category: generator,
      decides: await readFile(join(folder, name), 'utf8'),
      draw: () => draw(join(folder, name)),
    })),
  );
}

/** Objects on photographs: opened when the first is drawn. */
async function objectSources({
  images,
  seed,
  notice,
}: {
  images: number;
  seed: number;
  notice?: Notice;
}): Promise<Source[]> {
  let opened: ReturnType<typeof openObjects> | undefined;
  return Array.from({ length: images }, (_, i): Source => {
    const own = seedFor(seed, `objects ${i}`);
    return {
      category: 'objects',
      decides: `objects ${own}`,
      draw: async () => {
        opened ??= openObjects(notice);
        const { rgba, side, ...rest } = (await opened)(own);
        const raw = { width: side, height: side, channels: 4 } as const;
        // Lossless, and quickly so: the camera's file is what is stored.
        const image = await sharp(rgba, { raw }).png({ compressionLevel: 1 }).toBuffer();
        return { ...rest, image, width: side, height: side };
      },
    };
  });
}

/** Pages side by side and above each other, of letters or A4: of ten the letters are large, of thirty-two as small as can be read. */
const SHEETS = [
  { columns: 8, rows: 4 },
  { columns: 7, rows: 3 },
  { columns: 8, rows: 4 },
  { columns: 5, rows: 2 },
  { columns: 7, rows: 3 },
] as const;

/** The files of a split: of several a quarter is dev, one alone is of either. */
function documentsOf(split: string, names: readonly string[]): string[] {
  if (names.length < 2) return [...names];
  const ranked = names.toSorted((a, b) => seedFor(0, a) - seedFor(0, b));
  const dev = Math.max(1, Math.round(names.length / 4));
  return (split === 'dev' ? ranked.slice(0, dev) : ranked.slice(dev)).sort();
}

/** A sheet of a file: its first page, from 0. */
interface SheetOf {
  readonly file: string;
  readonly first: number;
  readonly sheet: (typeof SHEETS)[number];
}

/** The sheets of a file from its first page on; none shows a page of another, and what is left at the end is on none. */
export function sheetsOf(file: string, pages: number): SheetOf[] {
  const sheets: SheetOf[] = [];
  for (let first = 0; ; ) {
    const sheet = SHEETS[seedFor(0, `sheet ${file} ${first}`) % SHEETS.length];
    const next = first + sheet.columns * sheet.rows;
    // A short file has one sheet all the same.
    if (next > pages && sheets.length > 0) return sheets;
    sheets.push({ file, first, sheet });
    first = next;
  }
}

/** Sheets of pages of PDF files, chosen by the seed: of each file about as many. */
async function documentSources(
  folder: string,
  images: number,
  seed: number,
  split: string,
): Promise<Source[]> {
  if (!existsSync(folder) || !(await stat(folder)).isDirectory())
    throw new DataError(
      `buildDetail4k: documents must be a folder of PDF files, got ${folder}. Name one with --documents.`,
    );
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.pdf$/i.test(name));
  const files = documentsOf(split, names);
  const all: (SheetOf & { readonly rank: number })[] = [];
  for (const file of files) {
    using pdf = await PdfFile.open(await readFile(join(folder, file)), file);
    const sheets = sheetsOf(file, pdf.pageCount).map((sheet) => ({
      ...sheet,
      rank: seedFor(seed, `${file} ${sheet.first}`),
    }));
    // The n-th sheet of a file comes after the first ones of the others.
    const ranked = sheets.toSorted((a, b) => a.rank - b.rank);
    all.push(...ranked.map((sheet, i) => ({ ...sheet, rank: i * 2 ** 32 + sheet.rank })));
  }
  if (all.length === 0)
    throw new DataError(
      `buildDetail4k: documents must hold PDF files, got none in ${folder}. Name another folder.`,
    );
  return all
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, images)
    .map(
      ({ file, first, sheet }): Source => ({
        category: 'documents',
        decides: `${file} ${first} ${sheet.columns} ${sheet.rows}`,
        draw: async () => {
          using pdf = await PdfFile.open(await readFile(join(folder, file)), file);
          const { width, height, rgba, facts } = documentSheet(pdf, first, sheet);
          const image = await sharp(rgba, { raw: { width, height, channels: 4 } })
            .png({ compressionLevel: 1 })
            .toBuffer();
          return { image, width, height, facts };
        },
      }),
    );
}
