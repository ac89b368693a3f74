// Documents, web pages and photographs as a collection of images with captions: what `ps3 data caption` does.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assertWritableFolder, expectKeys } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { DataError } from '../errors.ts';
import { GENERATORS, generatedLicence, writePages } from '../generators/generators.ts';
import { GENERATED_SCREEN } from '../generators/material.ts';
import { isHeldOut, Pieces, type SourceSplit } from '../pieces.ts';
import { type CaptionOptions, captionCount, kindOf, type Piece, piecesOf } from './piece.ts';
import type { ScreenOptions } from './web_page.ts';
import type { Answer, WorkerData } from './worker.ts';

/** What is read, how, and where it goes. */
export interface CaptionRun extends Partial<Omit<CaptionOptions, 'screen'>> {
  /** A file or a folder of PDF and HTML files and images, at any depth; or a name of `GENERATORS`: images that are made up. */
  readonly source: string;
  /** Folder to write, or to go on with. */
  readonly out: string;
  /** What web pages are shown on; default 3840 x 2160 pixels, four screens of a page. */
  readonly screen?: Partial<ScreenOptions>;
  /** Which of the source files: each is of one part, by its name and the seed; default all, of what is made up train. */
  readonly split?: SourceSplit;
  /** Pages that are made up; default 100. */
  readonly count?: number;
  /** With road signs, furniture and maps of Debian's packages, of what is made up. */
  readonly sources?: boolean;
  /** Share of the source files that is held out; default 0.2. */
  readonly heldOutShare?: number;
  /** Terms of the sources, for the manifest; default: as far as a file beside them says. */
  readonly licence?: string;
  /** Threads; default: one for each core. */
  readonly threads?: number;
  /** Pieces done, of how many. */
  readonly onProgress?: (done: number, all: number) => void;
  /** Told of a source that is left out. */
  readonly notice?: (text: string) => void;
}

const CAPTION_RUN = {
  source: true,
  out: true,
  dpi: true,
  rule: true,
  kinds: true,
  screen: true,
  captioner: true,
  boxes: true,
  seed: true,
  split: true,
  count: true,
  sources: true,
  heldOutShare: true,
  licence: true,
  threads: true,
  onProgress: true,
  notice: true,
} as const;

/** What was written. */
export interface CaptionResult {
  readonly images: number;
  readonly captions: number;
  readonly sources: number;
  /** Pieces that an earlier run had made. */
  readonly kept: number;
}

const DEFAULTS = {
  dpi: [150],
  rule: { words: 15, minWords: 3 },
  screen: { ...GENERATED_SCREEN, screens: 4 },
} as const;
const LINES = { words: 'line', minWords: 1 } as const;

/** Names of files that state terms. */
const LICENCE_FILE = /^(copyright|licen[cs]e|copying)(\.\w+)?$/i;

/**
 * Writes images, `annotations.jsonl` and `licences.json`.
 *
 * @throws DataError without sources, or for options out of range
 */
export async function captionSources(run: CaptionRun): Promise<CaptionResult> {
  expectKeys('captionSources', run, CAPTION_RUN);
  const generator = GENERATORS.find((name) => name === run.source && !existsSync(name));
  if (generator === undefined) return captionFiles(run);
  const { out, count, seed, sources, notice, split = 'train' } = run;
  if (split === 'all')
    throw new DataError(`captionSources: ${generator} must be of the split train or heldOut, got all.`);
  await assertWritableFolder(out);
  const source = join(out, '.pages');
  await rm(source, { recursive: true, force: true });
  await writePages(generator, source, { count, seed, split, sources, notice });
  return captionFiles({
    ...run,
    source,
    split: 'all',
    screen: { ...GENERATED_SCREEN, screens: 1 },
    licence: generatedLicence(sources),
  });
}

async function captionFiles(run: CaptionRun): Promise<CaptionResult> {
  const { source, out, split = 'all', heldOutShare = 0.2, licence, notice, onProgress, kinds = false } = run;
  const options: CaptionOptions = {
    dpi: run.dpi ?? DEFAULTS.dpi,
    rule: run.rule ?? (kinds ? LINES : DEFAULTS.rule),
    kinds,
    screen: { ...DEFAULTS.screen, ...run.screen },
    captioner: run.captioner ?? null,
    boxes: run.boxes ?? 4,
    seed: run.seed ?? 1,
  };
  expectOptions(options, heldOutShare);
  const isOut = (file: string): boolean => isHeldOut(file, options.seed, heldOutShare);
  const all = await filesOf(source);
  const isDescribed = ({ file }: { file: string }): boolean =>
    options.captioner !== null || kindOf(file) !== 'natural';
  const files = all
    .filter(isDescribed)
    .filter(({ file }) => split === 'all' || isOut(file) === (split === 'heldOut'));
  const left = all.filter((source) => !isDescribed(source)).length;
  if (left > 0)
    notice?.(
      `captionSources: ${left} images are left out: they need a captioner, since no caption is invented.`,
    );
  if (files.length === 0)
    throw new DataError(
      `captionSources: there must be PDF or HTML files, or images and a captioner, got none ${split === 'all' ? '' : `for the split ${split} `}in ${source}. Name a folder that has some.`,
    );
  const found: Piece[] = [];
  for (const { path, file } of files)
    try {
      found.push(...(await piecesOf(path, file, options)));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      notice?.(error.message);
    }
  const pieces = await Pieces.open(out, found);
  const { missing, kept } = pieces;
  const threads = Math.min(run.threads ?? availableParallelism(), missing.length);
  let done = kept;
  await inThreads({ out, options }, threads, missing, async (piece, lines) => {
    await pieces.keep(piece, lines);
    onProgress?.(++done, found.length);
  });
  const lines = await pieces.finish();
  const manifest = await Promise.all(
    files.map(async ({ path, file }) => ({
      file,
      licence: licence ?? (await licenceBeside(path)) ?? 'not stated',
      split: isOut(file) ? 'heldOut' : 'train',
      changes: kindOf(file) === 'natural' ? 'none' : 'drawn as an image',
    })),
  );
  await writeWhole(
    join(out, 'licences.json'),
    `${JSON.stringify({ options, sources: manifest }, null, 2)}\n`,
  );
  return { images: lines.length, captions: captionCount(lines), sources: files.length, kept };
}

function expectOptions({ dpi, rule, screen, boxes }: CaptionOptions, heldOutShare: number): void {
  const isWhole = (value: number, high: number): boolean =>
    Number.isInteger(value) && value >= 1 && value <= high;
  const rules: [boolean, string, unknown][] = [
    [isWhole(boxes, 1000), 'the boxes of an image must be 1 to 1000', boxes],
    [
      dpi.length > 0 && dpi.every((value) => value >= 20 && value <= 1200),
      'dpi must be within 20 to 1200',
      dpi,
    ],
    [
      rule.words === 'line' || isWhole(rule.words, 1000),
      'the words of a caption must be 1 to 1000',
      rule.words,
    ],
    [
      isWhole(screen.width, 16384) && isWhole(screen.height, 16384),
      'a side of a screen must be 1 to 16384 pixels',
      [screen.width, screen.height],
    ],
    [heldOutShare >= 0 && heldOutShare <= 1, 'heldOutShare must be within 0 and 1', heldOutShare],
  ];
  for (const [holds, sentence, got] of rules)
    if (!holds) throw new DataError(`captionSources: ${sentence}, got ${JSON.stringify(got)}.`);
}

/** The sources in order of their paths. */
async function filesOf(source: string): Promise<{ path: string; file: string }[]> {
  if (!existsSync(source))
    throw new DataError(`captionSources: the source must exist, got ${source}. Name a file or a folder.`);
  if (!(await stat(source)).isDirectory())
    return kindOf(source) ? [{ path: source, file: basename(source) }] : [];
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.') && kindOf(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, file: relative(source, path).replaceAll('\\', '/') }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** The first lines of a file beside a source that states terms. */
export async function licenceBeside(path: string): Promise<string | undefined> {
  const folder = dirname(path);
  const name = (await readdir(folder)).find((name) => LICENCE_FILE.test(name));
  return name === undefined ? undefined : `see ${name}`;
}

/** Makes pieces in threads; each is done with its lines before the next of its thread begins. */
async function inThreads(
  workerData: WorkerData,
  threads: number,
  pieces: readonly Piece[],
  done: (piece: Piece, lines: readonly string[]) => Promise<void>,
): Promise<void> {
  const waiting = pieces.values();
  const thread = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData });
    try {
      for (const piece of waiting) {
        const answered = once(worker, 'message'); // rejects when the thread breaks down
        worker.postMessage(piece);
        const [answer] = (await answered) as [Answer];
        if ('error' in answer) throw answer.error;
        await done(piece, answer.lines);
      }
      const ended = once(worker, 'exit');
      worker.postMessage('end');
      await ended;
    } finally {
      await worker.terminate();
    }
  };
  const all = await Promise.allSettled(Array.from({ length: threads }, thread));
  const failed = all.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
