// Images with questions to train a VILA-HD on: what `ps3 data vqa` does. Three kinds, as the paper built them:
//
//   annotations.jsonl   questions made of local captions, with boxes and without answers, about the images as they are
//   questions.jsonl     questions with answers, about images that are laid on a larger background
//   a generator         questions with answers about small texts and things of made-up images, and questions of their captions
import { existsSync } from 'node:fs';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { expectKeys, Random, readTextFile } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { decodeImage } from '../../model/image.ts';
import { type AskedQuestion, annotationJson, encodeJpeg, parseAnnotation } from '../annotations.ts';
import { loadBackground } from '../backgrounds.ts';
import { nameOf, screenCaptions } from '../caption/piece.ts';
import { licenceBeside } from '../caption/run.ts';
import { askable, LazyReader } from '../caption/web_page.ts';
import { DataError } from '../errors.ts';
import { sha256 } from '../fingerprint.ts';
import { ANNOTATION_FILE, parseRawEntry } from '../folder.ts';
import { GENERATORS, type Generator, generatedLicence, writePages } from '../generators/generators.ts';
import { GENERATED_SCREEN } from '../generators/material.ts';
import { licenceManifest, type Manifest } from '../manifest.ts';
import { IMAGES, isHeldOut, type KeptPiece, Pieces, type SourceSplit } from '../pieces.ts';
import { seedFor } from '../seeds.ts';
import { openPhotos, type PhotoSource } from '../sources.ts';
import { paste } from './paste.ts';
import { questionsOf } from './templates.ts';

/** What is read, how, and where it goes. */
export interface VqaRun {
  /** A folder with `annotations.jsonl`, `questions.jsonl` or both; or a name of `GENERATORS`: images that are made up. */
  readonly source: string;
  /** Folder to write, or to go on with. */
  readonly out: string;
  /** Questions of each kind about an image, at most; default 8. */
  readonly questions?: number;
  /** Side of the images that others are laid on, pixels; default 3780. */
  readonly side?: number;
  /** As of `openSources`: what others are laid on. */
  readonly photos?: string;
  /** Default 1. */
  readonly seed?: number;
  /** Which of the sources: each is of one part, by its name and the seed; default all, of what is made up train. */
  readonly split?: SourceSplit;
  /** Share of the sources that is held out; default 0.2. */
  readonly heldOutShare?: number;
  /** Images that are made up; default 100. */
  readonly count?: number;
  /** With road signs, furniture and maps of Debian's packages, of what is made up. */
  readonly sources?: boolean;
  /** Terms of the sources, for the manifest; default: as far as a file beside them says. */
  readonly licence?: string;
  /** Images done, of how many. */
  readonly onProgress?: (done: number, all: number) => void;
  readonly notice?: (text: string) => void;
}

const VQA_RUN = {
  source: true,
  out: true,
  questions: true,
  side: true,
  photos: true,
  seed: true,
  split: true,
  heldOutShare: true,
  count: true,
  sources: true,
  licence: true,
  onProgress: true,
  notice: true,
} as const;

/** What was written. */
export interface VqaResult {
  readonly images: number;
  readonly questions: number;
  /** Of them, with an answer. */
  readonly answered: number;
  /** Images that an earlier run had made. */
  readonly kept: number;
}

/** Questions with answers about images of a folder, a line each: `{"image": "a.jpg", "question": "...", "answer": "..."}`. */
const QUESTION_FILE = 'questions.jsonl';
const LICENCES = 'licences.json';
const DEFAULTS = { questions: 8, side: 3780, seed: 1, heldOutShare: 0.2 } as const;
/** Of what is made: another number for other images and questions from the same seed. */
const VERSION = 1;
/** Captions of made-up desktops. */
const READ = { rule: { words: 15, minWords: 3 }, kinds: false } as const;

/** An image with its questions. */
interface VqaPiece extends KeptPiece {
  /** Path of the source, and its name in the manifest. */
  readonly path: string;
  readonly file: string;
  /** What is done to it, for the manifest. */
  readonly changes: string;
  /** Writes the image under a name in the folder. @returns  the rest of its line; undefined where nothing is asked about it */
  make(stem: string): Promise<{ readonly image: string } | undefined>;
}

type Settings = VqaRun & Required<Pick<VqaRun, keyof typeof DEFAULTS>>;

/**
 * Writes images, `annotations.jsonl` with their questions, and `licences.json`.
 *
 * @throws DataError without sources, or for options out of range
 */
export async function vqaSources(run: VqaRun): Promise<VqaResult> {
  expectKeys('vqaSources', run, VQA_RUN);
  const { questions: count = DEFAULTS.questions, side = DEFAULTS.side } = run;
  const { seed = DEFAULTS.seed, heldOutShare = DEFAULTS.heldOutShare } = run;
  const { source, out, split, licence, onProgress } = run;
  const settings: Settings = { ...run, questions: count, side, seed, heldOutShare };
  expectSettings(settings);
  const generator = GENERATORS.find((name) => name === source && !existsSync(name));
  const photos = generator === undefined ? await photosOf(settings) : undefined;
  await using browser = new LazyReader();
  const all = generator
    ? await generated(generator, settings, browser)
    : [...(await selection(settings)), ...(await questioned(settings, photos?.photos ?? []))];
  const isOut = (file: string): boolean => isHeldOut(file, seed, heldOutShare);
  const isWanted = ({ file }: VqaPiece): boolean =>
    generator !== undefined || !split || split === 'all' || isOut(file) === (split === 'heldOut');
  const wanted = all.filter(isWanted);
  if (wanted.length === 0)
    throw new DataError(
      `vqaSources: there must be an image to ask about, got none ${split ? `for the split ${split} ` : ''}in ${source}. Name a folder with ${ANNOTATION_FILE} or ${QUESTION_FILE}.`,
    );
  const pieces = await Pieces.open(out, wanted);
  for (const [i, piece] of pieces.missing.entries()) {
    const line = await piece.make(`${nameOf(piece.file)}-${piece.hash.slice(0, 8)}`);
    await pieces.keep(piece, line ? [JSON.stringify({ ...line, source: { file: piece.file } })] : []);
    onProgress?.(pieces.kept + i + 1, wanted.length);
  }
  const lines = (await pieces.finish()).map((line) => parseAnnotation(JSON.parse(line), ANNOTATION_FILE));
  if (generator) await rm(join(out, PAGES), { recursive: true });
  const inSource = existsSync(join(source, LICENCES)) ? `see ${LICENCES} of the source` : undefined;
  const manifest = {
    options: decidingOf(settings),
    sources: await Promise.all(
      wanted.map(async ({ path, file, changes }) => ({
        file,
        licence: generator
          ? generatedLicence(run.sources)
          : (licence ?? (await licenceBeside(path)) ?? inSource ?? 'not stated'),
        split: generator ? split : isOut(file) ? 'heldOut' : 'train',
        changes,
      })),
    ),
    ...(photos && { backgrounds: photos.manifest }),
  };
  await writeWhole(join(out, LICENCES), `${JSON.stringify(manifest, null, 2)}\n`);
  const questions = lines.flatMap(({ questions = [] }) => questions);
  const answered = questions.filter(({ answer }) => answer !== undefined).length;
  return { images: lines.length, questions: questions.length, answered, kept: pieces.kept };
}

/** What decides what is written, beside the sources. */
function decidingOf({ questions, side, seed, split = 'all', heldOutShare }: Settings): object {
  return { version: VERSION, questions, side, seed, split, heldOutShare };
}

function expectSettings({ questions, side, heldOutShare }: Settings): void {
  const rules: [boolean, string, unknown][] = [
    [Number.isInteger(questions) && questions >= 1, 'there must be a question of a kind at least', questions],
    [
      Number.isInteger(side) && side >= 64 && side <= 16384,
      'the side of a background must be 64 to 16384 pixels',
      side,
    ],
    [heldOutShare >= 0 && heldOutShare <= 1, 'heldOutShare must be within 0 and 1', heldOutShare],
  ];
  for (const [holds, sentence, got] of rules)
    if (!holds) throw new DataError(`vqaSources: ${sentence}, got ${got}.`);
}

const hashOf = (...decides: unknown[]): string => sha256(JSON.stringify(decides)).slice(0, 16);

const contentOf = async (path: string): Promise<string> => sha256(await readFile(path));

/** Lines of a file of a folder; none where it is not there. */
async function entriesOf(
  folder: string,
  name: string,
): Promise<(ReturnType<typeof parseRawEntry> & { where: string })[]> {
  const file = join(folder, name);
  if (!existsSync(file)) return [];
  return (await readTextFile(file)).split('\n').flatMap((line, i) => {
    const where = `${file} line ${i + 1}`;
    return line.trim() === '' ? [] : [{ ...parseRawEntry(folder, line, where), where }];
  });
}

/** Questions of the captions of annotated images, which stay as they are. */
async function selection({ source, out, questions: count, seed }: Settings): Promise<VqaPiece[]> {
  const pieces: VqaPiece[] = [];
  for (const { key, path, annotation: raw, where } of await entriesOf(source, ANNOTATION_FILE)) {
    const annotation = parseAnnotation(raw, where);
    if (annotation.captions.length === 0 && !annotation.questions) continue;
    const { type, source: from } = raw as { type?: unknown; source?: { file?: unknown } };
    const kind = type === 'document' ? 'texts' : 'things';
    pieces.push({
      path,
      // All pages of a document are of one part.
      file: typeof from?.file === 'string' ? from.file : key,
      hash: hashOf(VERSION, 'selection', await contentOf(path), key, raw, count, seed),
      changes: 'none',
      async make(stem) {
        const random = new Random(seedFor(seed, `ask ${key}`));
        const asked = questionsOf(annotation, kind, count, random);
        const image = `${IMAGES}/${stem}${extname(path).toLowerCase()}`;
        await copyFile(path, join(out, image));
        const questions = [...(annotation.questions ?? []), ...asked];
        return {
          image,
          ...annotationJson({ ...annotation, questions }),
          ...(type !== undefined && { type }),
        };
      },
    });
  }
  return pieces;
}

/** Images with questions on backgrounds; those that are as large as these stay as they are, and their questions have no box. */
async function questioned(
  { source, out, questions: count, side, seed }: Settings,
  photos: readonly PhotoSource[],
): Promise<VqaPiece[]> {
  const byImage = new Map<string, { path: string; questions: AskedQuestion[] }>();
  for (const { key, path, annotation, where } of await entriesOf(source, QUESTION_FILE)) {
    const { question, answer: accepted } = annotation;
    const answer = Array.isArray(accepted) ? accepted[0] : accepted;
    const text = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
    if (!text(question) || !text(answer))
      throw new DataError(
        `vqaSources: ${where}: \`question\` and \`answer\` must be texts, got ${JSON.stringify([question, answer])}. Correct the line.`,
      );
    const known = byImage.get(key) ?? { path, questions: [] };
    byImage.set(key, known);
    known.questions.push({ question, answer, boxes: [] });
  }
  const pieces: VqaPiece[] = [];
  for (const [key, { path, questions }] of byImage) {
    const random = new Random(seedFor(seed, `paste ${key}`));
    const photo = photos[random.integer(photos.length)];
    const asked = random.shuffle(questions).slice(0, count);
    pieces.push({
      ...{ path, file: key, changes: 'laid on a background' },
      hash: hashOf(VERSION, 'paste', await contentOf(path), key, asked, photo.name, side, seed),
      async make(stem) {
        const encoded = await readFile(path);
        const decoded = await decodeImage(encoded, { name: path });
        if (decoded.width > side || decoded.height > side) {
          const image = `${IMAGES}/${stem}${extname(path).toLowerCase()}`;
          await writeFile(join(out, image), encoded);
          return lineOf(image, asked);
        }
        const laid = paste(decoded, await loadBackground(photo, side), side, random);
        const image = `${IMAGES}/${stem}.jpg`;
        await writeFile(join(out, image), await encodeJpeg(laid.image));
        return lineOf(
          image,
          asked.map((one) => ({ ...one, boxes: [laid.box] })),
        );
      },
    });
  }
  return pieces;
}

const lineOf = (image: string, questions: readonly AskedQuestion[]): { image: string } => ({
  image,
  ...annotationJson({ captions: [], boxes: [], globalCaption: undefined, questions }),
});

/** Folder of the pages, in that which is written. */
const PAGES = '.pages';

/** Pages that are made up. */
async function generated(
  generator: Generator,
  { out, questions: count, count: pageCount, seed, split = 'train', sources, notice }: Settings,
  browser: LazyReader,
): Promise<VqaPiece[]> {
  if (split === 'all')
    throw new DataError(`vqaSources: ${generator} must be of the split train or heldOut, got all.`);
  const folder = join(out, PAGES);
  await rm(folder, { recursive: true, force: true });
  const names = await writePages(generator, folder, { count: pageCount, seed, split, sources, notice });
  return Promise.all(
    names.map(async (name): Promise<VqaPiece> => {
      const path = join(folder, name);
      return {
        ...{ path, file: name, changes: 'drawn as an image' },
        hash: hashOf(VERSION, generator, await contentOf(path), count, seed),
        async make(stem) {
          const random = new Random(seedFor(seed, `ask ${name}`));
          for await (const screen of (await browser.open()).screens(path, {
            ...GENERATED_SCREEN,
            screens: 1,
          })) {
            const captions = screenCaptions(screen, READ);
            const local = {
              captions: captions.map(({ text }) => text),
              boxes: captions.map(({ box }) => box),
            };
            const facts = random.shuffle(askable(screen.facts)).slice(0, count);
            const questions: AskedQuestion[] = [
              ...facts.map(({ question, text: answer, box }) => ({ question, answer, boxes: [box] })),
              ...questionsOf(local, 'things', count, random),
            ];
            if (questions.length === 0) return undefined;
            const image = `${IMAGES}/${stem}.png`;
            await writeFile(join(out, image), screen.image);
            const globalCaption = screen.title === '' ? undefined : screen.title;
            return { image, ...annotationJson({ ...local, globalCaption, questions }) };
          }
          return undefined;
        },
      };
    }),
  );
}

/** Backgrounds of the split: a photograph is of one part, too. Nothing is fetched where nothing is laid on them. */
async function photosOf({
  source,
  photos: place,
  split,
  seed,
  heldOutShare,
  notice,
}: Settings): Promise<{ photos: readonly PhotoSource[]; manifest: Manifest } | undefined> {
  if (!existsSync(join(source, QUESTION_FILE))) return undefined;
  const { photos: all, credits } = await openPhotos({ photos: place, notice });
  const ranked = all.toSorted((a, b) => seedFor(seed, a.name) - seedFor(seed, b.name));
  const held = Math.min(all.length - 1, Math.max(1, Math.round(heldOutShare * all.length)));
  const photos =
    !split || split === 'all' ? all : split === 'heldOut' ? ranked.slice(0, held) : ranked.slice(held);
  const manifest = licenceManifest({ credits }, photos, new Set());
  return { photos, manifest };
}
