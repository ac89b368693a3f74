// Pieces of work: some pages of a document, or a web page. Each becomes images and lines of annotations.jsonl by itself.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { total } from '../../model/config/config.ts';
import { encodeJpeg } from '../annotations.ts';
import { isImageName } from '../image_files.ts';
import { IMAGES } from '../pieces.ts';
import { seedFor } from '../seeds.ts';
import { captionerOf } from './captioner.ts';
import { describe } from './describe.ts';
import { PdfFile } from './pdf.ts';
import { PageReader, type Screen, type ScreenOptions } from './web_page.ts';
import { type Caption, type CaptionRule, captionsOf, type Line } from './words.ts';

/** How sources become images with captions. Everything here decides what is written. */
export interface CaptionOptions {
  /** Pixels an inch of documents; each page takes one of them. */
  readonly dpi: readonly number[];
  readonly rule: CaptionRule;
  /** Captions are what things are, `text`, `button` and so on, not what they say. */
  readonly kinds: boolean;
  readonly screen: ScreenOptions;
  /** What describes images, as `captionerOf` takes it; null: images are left out. */
  readonly captioner: string | null;
  /** Boxes of an image that are described, at most. */
  readonly boxes: number;
  readonly seed: number;
}

/** What a source is, by its suffix. */
export type SourceKind = 'document' | 'ui' | 'natural';

/** A part of a source file. */
export interface Piece {
  /** Its images are named by it, its state is kept by it: of the file's content, the part and the options. */
  readonly hash: string;
  readonly path: string;
  /** Path in the folder of sources. */
  readonly file: string;
  readonly kind: SourceKind;
  /** [first, one past the last] page, from 0. */
  readonly pages: readonly [number, number];
}

/** The box of a link and that of its words may differ by the height that a font gives lines. */
const SAME_PX = 2;

/** Pages of a piece of a document. */
const PAGES_PER_PIECE = 16;

const KINDS: Readonly<Record<string, SourceKind>> = { '.pdf': 'document', '.html': 'ui', '.htm': 'ui' };

/** @returns  undefined for a file that is no source */
export const kindOf = (file: string): SourceKind | undefined =>
  isImageName(basename(file)) ? 'natural' : KINDS[extname(file).toLowerCase()];

/**
 * Cuts a source into pieces.
 *
 * @throws DataError for a document that does not open
 */
export async function piecesOf(path: string, file: string, options: CaptionOptions): Promise<Piece[]> {
  const bytes = await readFile(path);
  const kind = kindOf(file)!;
  const content = createHash('sha256').update(bytes).digest('hex');
  const count = kind === 'document' ? await pageCount(bytes, path) : 1;
  return Array.from({ length: Math.ceil(count / PAGES_PER_PIECE) }, (_, i) => {
    const pages = [i * PAGES_PER_PIECE, Math.min(count, (i + 1) * PAGES_PER_PIECE)] as const;
    const decides = JSON.stringify([content, file, pages, options]);
    const hash = createHash('sha256').update(decides).digest('hex').slice(0, 16);
    return { hash, path, file, kind, pages };
  });
}

async function pageCount(bytes: Uint8Array, path: string): Promise<number> {
  using pdf = await PdfFile.open(bytes, path);
  return pdf.pageCount;
}

/** Makes pieces; holds a browser from the first web page on. */
export class PieceMaker implements AsyncDisposable {
  readonly #out: string;
  readonly #options: CaptionOptions;
  #reader: PageReader | undefined;

  constructor(out: string, options: CaptionOptions) {
    this.#out = out;
    this.#options = options;
  }

  /**
   * Writes the images of a piece.
   *
   * @returns  the lines of annotations.jsonl; an image without a caption is left out
   */
  async make(piece: Piece): Promise<string[]> {
    const lines: string[] = [];
    const images = { document: this.#pages, ui: this.#screens, natural: this.#image }[piece.kind].call(
      this,
      piece,
    );
    for await (const { name, encoded, captions, title, page, type = piece.kind } of images) {
      if (captions.length === 0 && title === '') continue;
      const image = `${IMAGES}/${name}`;
      await writeFile(join(this.#out, image), encoded);
      lines.push(
        JSON.stringify({
          image,
          text: captions.map(({ text }) => text),
          box: captions.map(({ box }) => box.map((edge) => Math.round(100 * edge) / 100)),
          ...(title !== '' && { global_text: title }),
          type,
          source: { file: piece.file, page },
        }),
      );
    }
    return lines;
  }

  async *#pages({ path, file, hash, pages: [from, to] }: Piece): AsyncGenerator<Annotated> {
    const { dpi, seed } = this.#options;
    using pdf = await PdfFile.open(await readFile(path), path);
    for (let i = from; i < to; i++) {
      const drawn = pdf.page(i, dpi[seedFor(seed, `${file} ${i}`) % dpi.length]);
      const encoded = await encodeJpeg(drawn);
      const name = `${nameOf(file)}-${hash.slice(0, 8)}-p${String(i + 1).padStart(4, '0')}.jpg`;
      // The paper's documents have no captions of the whole image.
      yield { name, encoded, captions: readCaptions(drawn.lines, this.#options), title: '', page: i + 1 };
    }
  }

  async *#screens({ path, file, hash }: Piece): AsyncGenerator<Annotated> {
    const { screen } = this.#options;
    this.#reader ??= await PageReader.open();
    let page = 0;
    for await (const shown of this.#reader.screens(path, screen)) {
      page++;
      const name = `${nameOf(file)}-${hash.slice(0, 8)}-s${String(page).padStart(2, '0')}.png`;
      const captions = screenCaptions(shown, this.#options);
      const { image: encoded, title } = shown;
      yield { name, encoded, captions, title, page, ...(shown.shown && { type: 'scene' }) };
    }
  }

  async *#image({ path, file, hash }: Piece): AsyncGenerator<Annotated> {
    const { captioner, boxes } = this.#options;
    if (captioner === null) return;
    const encoded = await readFile(path);
    const described = await describe(encoded, file, captionerOf(captioner), boxes);
    const name = `${nameOf(file)}-${hash.slice(0, 8)}${extname(file).toLowerCase()}`;
    yield { name, encoded, ...described, page: 1 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.[Symbol.asyncDispose]();
  }
}

/** An image to be written. */
interface Annotated {
  readonly name: string;
  readonly encoded: Uint8Array;
  readonly captions: readonly Caption[];
  /** Of the whole image; empty where there is none. */
  readonly title: string;
  /** Page of a document or screen of a web page, from 1. */
  readonly page: number;
  /** Default: the kind of its source. */
  readonly type?: string;
}

/** Captions of texts. */
function readCaptions(lines: readonly Line[], { rule, kinds }: ReadOptions): Caption[] {
  const captions = captionsOf(lines, rule);
  return kinds ? captions.map(({ box }) => ({ text: 'text', box })) : captions;
}

type ReadOptions = Pick<CaptionOptions, 'rule' | 'kinds'>;

/** Captions of a screen of a web page: what it says of itself, or its elements and texts. */
export function screenCaptions(
  { blocks, elements, kinds, shown }: Pick<Screen, 'blocks' | 'elements' | 'kinds' | 'shown'>,
  options: ReadOptions,
): Caption[] {
  const read = (): Caption[] => [
    ...(options.kinds ? kinds : elements),
    ...blocks.flatMap((lines) => readCaptions(lines, options)),
  ];
  return distinct(shown?.captions ?? read());
}

/** The stem of a file, in letters that every file system and shard takes. */
export const nameOf = (file: string): string =>
  basename(file, extname(file))
    .replace(/[^A-Za-z0-9_-]+/g, '_')
    .slice(0, 60);

/** Each box once: of captions of the same one, or of one whose edges are less than 2 pixels away, the first. */
function distinct(captions: readonly Caption[]): Caption[] {
  const kept: Caption[] = [];
  for (const caption of captions) {
    const isSame = ({ box }: Caption): boolean =>
      box.every((edge, i) => Math.abs(edge - caption.box[i]) < SAME_PX);
    if (!kept.some(isSame)) kept.push(caption);
  }
  return kept;
}

/** Captions in lines of annotations.jsonl. */
export const captionCount = (lines: readonly string[]): number =>
  total(lines.map((line) => (JSON.parse(line) as { text: string[] }).text.length));
