// PDF files: their pages as images, and where each word is seen on them. PDFium, the renderer of Chrome, draws and reads them.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { init, type WrappedPdfiumModule } from '@embedpdf/pdfium';
import type { Box } from '../boxes.ts';
import { DataError } from '../errors.ts';
import { type Line, unionOf, type Word } from './words.ts';

/** A page as an image. */
export interface PdfPage {
  readonly width: number;
  readonly height: number;
  /** [height, width, 4], opaque. */
  readonly rgba: Uint8Array;
  /** Its words by line, in the order of the file. */
  readonly lines: readonly Line[];
}

/** Of fpdfview.h: also what a reader has written onto the page; bytes in the order R, G, B. */
const RENDER_FLAGS = 0x01 | 0x10;
const WHITE = 0xffffffff;
/** Of fpdfview.h, FPDF_GetLastError. */
const PASSWORD_ERROR = 4;
/** Where words are is asked in these parts of a pixel. */
const SUBPIXELS = 64;
/** What PDFium gives for a hyphen at the end of a line. */
const HYPHEN = 2;
/** Points of PDF in an inch. */
const POINTS_PER_INCH = 72;

let library: Promise<WrappedPdfiumModule> | undefined;

async function openLibrary(): Promise<WrappedPdfiumModule> {
  const path = createRequire(import.meta.url).resolve('@embedpdf/pdfium/pdfium.wasm');
  const bytes = await readFile(path);
  const pdfium = await init({
    wasmBinary: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  });
  pdfium.PDFiumExt_Init();
  return pdfium;
}

/** An open PDF file. */
export class PdfFile implements Disposable {
  readonly #pdfium: WrappedPdfiumModule;
  readonly #name: string;
  readonly #bytes: number;
  readonly #document: number;

  /**
   * @param name  of the file, for messages
   * @throws DataError for what is no PDF, is damaged, or asks for a password
   */
  static async open(bytes: Uint8Array, name: string): Promise<PdfFile> {
    library ??= openLibrary();
    return new PdfFile(await library, bytes, name);
  }

  private constructor(pdfium: WrappedPdfiumModule, bytes: Uint8Array, name: string) {
    this.#pdfium = pdfium;
    this.#name = name;
    this.#bytes = this.#allocate(bytes.length);
    this.#memory.set(bytes, this.#bytes);
    this.#document = pdfium.FPDF_LoadMemDocument(this.#bytes, bytes.length, '');
    if (this.#document !== 0) return;
    const isLocked = pdfium.FPDF_GetLastError() === PASSWORD_ERROR;
    this.#free(this.#bytes);
    throw new DataError(
      isLocked
        ? `PdfFile.open: ${name} must open without a password, got one that asks for it. Save it without.`
        : `PdfFile.open: ${name} must be a whole PDF, got something else. Copy it again or remove it.`,
    );
  }

  get pageCount(): number {
    return this.#pdfium.FPDF_GetPageCount(this.#document);
  }

  /**
   * Draws a page on white.
   *
   * @param index  from 0
   * @param dpi    pixels an inch of paper
   * @throws DataError for a damaged page
   */
  page(index: number, dpi: number): PdfPage {
    const pdfium = this.#pdfium;
    const page = pdfium.FPDF_LoadPage(this.#document, index);
    if (page === 0)
      throw new DataError(
        `PdfFile.page: ${this.#name} must be whole, got a damaged page ${index + 1}. Copy it again or remove it.`,
      );
    try {
      const pixels = (points: number): number => Math.max(1, Math.round((points * dpi) / POINTS_PER_INCH));
      const width = pixels(pdfium.FPDF_GetPageWidthF(page));
      const height = pixels(pdfium.FPDF_GetPageHeightF(page));
      return { width, height, rgba: this.#draw(page, width, height), lines: this.#read(page, width, height) };
    } finally {
      pdfium.FPDF_ClosePage(page);
    }
  }

  #draw(page: number, width: number, height: number): Uint8Array {
    const pdfium = this.#pdfium;
    const bitmap = pdfium.FPDFBitmap_Create(width, height, 0);
    try {
      pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, WHITE);
      pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, RENDER_FLAGS);
      const start = pdfium.FPDFBitmap_GetBuffer(bitmap);
      return this.#memory.slice(start, start + 4 * width * height);
    } finally {
      pdfium.FPDFBitmap_Destroy(bitmap);
    }
  }

  #read(page: number, width: number, height: number): Line[] {
    const pdfium = this.#pdfium;
    const text = pdfium.FPDFText_LoadPage(page);
    const numbers = this.#allocate(4 * 8);
    const lines: Word[][] = [[]];
    let letters = '';
    let boxes: Box[] = [];
    const endWord = (): void => {
      const seen = boxes.filter(([x1, y1, x2, y2]) => x1 < x2 && y1 < y2);
      if (letters !== '' && seen.length > 0) {
        const [x1, y1, x2, y2] = unionOf(seen);
        const box: Box = [Math.max(x1, 0), Math.max(y1, 0), Math.min(x2, width), Math.min(y2, height)];
        if (box[0] < box[2] && box[1] < box[3]) lines.at(-1)!.push({ text: letters, box });
      }
      letters = '';
      boxes = [];
    };
    try {
      const count = pdfium.FPDFText_CountChars(text);
      for (let i = 0; i < count; i++) {
        const code = pdfium.FPDFText_GetUnicode(text, i);
        const letter = code === HYPHEN ? '-' : String.fromCharCode(code);
        if (/[\r\n]/.test(letter)) {
          endWord();
          if (lines.at(-1)!.length > 0) lines.push([]);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: a letter that is no sign ends a word as a blank does
        } else if (/[\s\u0000-\u001f\ufffe\uffff]/.test(letter)) endWord();
        else {
          letters += letter;
          boxes.push(this.#boxOf(text, i, page, width, height, numbers));
          // The rest of the word is on the next line: no box holds both.
          if (code === HYPHEN) {
            endWord();
            if (lines.at(-1)!.length > 0) lines.push([]);
          }
        }
      }
      endWord();
    } finally {
      this.#free(numbers);
      pdfium.FPDFText_ClosePage(text);
    }
    return lines.filter((line) => line.length > 0);
  }

  /** The ink of a letter in pixels. */
  #boxOf(text: number, i: number, page: number, width: number, height: number, numbers: number): Box {
    const pdfium = this.#pdfium;
    pdfium.FPDFText_GetCharBox(text, i, numbers, numbers + 8, numbers + 16, numbers + 24);
    const [left, right, bottom, top] = [0, 8, 16, 24].map((at) => this.#view.getFloat64(numbers + at, true));
    const pixel = (x: number, y: number): [number, number] => {
      const size = [SUBPIXELS * width, SUBPIXELS * height] as const;
      pdfium.FPDF_PageToDevice(page, 0, 0, ...size, 0, x, y, numbers, numbers + 4);
      const at = (offset: number): number => this.#view.getInt32(numbers + offset, true) / SUBPIXELS;
      return [at(0), at(4)];
    };
    // Of a page that is turned, a corner changes its place.
    const [[x1, y1], [x2, y2]] = [pixel(left, top), pixel(right, bottom)];
    return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
  }

  get #memory(): Uint8Array {
    return new Uint8Array(this.#view.buffer);
  }

  /** Of the library's memory, which moves when it grows. */
  get #view(): DataView {
    return new DataView(this.#pdfium.pdfium.HEAPU8.buffer);
  }

  #allocate(sizeBytes: number): number {
    return this.#pdfium.pdfium.wasmExports.malloc(sizeBytes);
  }

  #free(address: number): void {
    this.#pdfium.pdfium.wasmExports.free(address);
  }

  [Symbol.dispose](): void {
    this.#pdfium.FPDF_CloseDocument(this.#document);
    this.#free(this.#bytes);
  }
}
