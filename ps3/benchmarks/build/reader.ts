// The smallest resolution at which a text can be read at all, by a reader that is no model of ours: Tesseract on the text's box.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import type { Worker } from 'tesseract.js';
import type { Box } from '../../data/boxes.ts';
import { DataError } from '../../data/errors.ts';
import { editDistance } from '../scores/anls.ts';
import { observedObject, type Template } from './objects.ts';
import type { View } from './view.ts';

/** Long sides of an image at which it is read, pixels. */
export const LADDER = [378, 756, 1512, 2268, 3024, 3780] as const;

/**
 * Height of a capital letter from which on an ideal observer tells a number from three others that differ in one or two figures three times
 * of four, through the camera: by bench/observer.ts, of 480 trials a size. Whether a text is read is the reader's to say.
 */
export const LEGIBLE_PX = 4.4;
/**
 * Shorter side of a drawn object from which on it tells it from three others: of 200 trials a size. Reduced 2.5 times, when the camera's
 * noise is averaged, 1.4 px of an object and 2.1 px of figures do.
 */
export const RECOGNISED_PX = 2.8;
/** Height to which letters are enlarged for the reader. */
const SHOWN_PX = 24;

/** An image that is read. */
export interface Photograph {
  /** Encoded. */
  readonly image: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A question whose answer is a text in a box. */
export interface Legend {
  readonly box: Box;
  /** Height of a capital letter, pixels of the image. */
  readonly capPx: number;
  readonly options: readonly string[];
  readonly answer: number;
  /** Degrees clockwise by which the text is turned. */
  readonly turned?: 90;
  /** What is looked for: a text, which light of a traffic light is lit, or which object is drawn; default text. */
  readonly looks?: 'text' | 'light' | 'object';
  /** Of an object, what it could be. */
  readonly templates?: readonly Template[];
}

/**
 * The rung of the ladder at which a text, or what else must be told apart, is large enough: the last where it never is.
 *
 * @param capPx     height of a capital letter, pixels of the image
 * @param longSide  of the image, pixels
 * @param leastPx   what is large enough
 */
export function constructedRung(capPx: number, longSide: number, leastPx: number = LEGIBLE_PX): number {
  const needed = (longSide * leastPx) / capPx;
  return LADDER.find((rung) => rung >= needed) ?? LADDER[LADDER.length - 1];
}

/** The option that is closest to what was read; undefined where two are as close, or nothing was read. */
export function closestOption(read: string, options: readonly string[]): number | undefined {
  const text = read.replace(/\s+/g, ' ').trim();
  if (text === '') return undefined;
  const distances = options.map((option) => editDistance(text, option));
  const least = Math.min(...distances);
  return distances.filter((distance) => distance === least).length === 1
    ? distances.indexOf(least)
    : undefined;
}

/** Letters and figures alone: what is told apart. */
const essence = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');

/** Whether a text was read but for one letter in eight; blanks, points and capitals do not count. */
function isTranscribed(read: string, { options, answer }: Pick<Legend, 'options' | 'answer'>): boolean {
  const text = essence(options[answer]);
  return editDistance(essence(read), text) <= Math.floor(text.length / 8);
}

/** Tesseract in a thread of its own. */
export class Reader implements AsyncDisposable {
  readonly #worker: Worker;

  /** @throws DataError where tesseract.js or its English data is missing */
  static async open(): Promise<Reader> {
    const tesseract = await import('tesseract.js').catch(() => undefined);
    const { resolve } = createRequire(import.meta.url);
    let data: string | undefined;
    try {
      data = resolve('@tesseract.js-data/eng/package.json');
    } catch {
      data = undefined; // said below
    }
    if (!tesseract || !data)
      throw new DataError(
        `Reader.open: the npm packages tesseract.js and @tesseract.js-data/eng must be there, got none. npm install tesseract.js @tesseract.js-data/eng.`,
      );
    const options = { langPath: join(dirname(data), '4.0.0_best_int'), gzip: true, cacheMethod: 'none' };
    const worker = await tesseract.createWorker('eng', tesseract.OEM.LSTM_ONLY, options);
    await worker.setParameters({ tessedit_pageseg_mode: tesseract.PSM.SINGLE_LINE });
    return new Reader(worker);
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /**
   * Reads one line.
   *
   * @param view   raw RGB image in which the text is
   * @param scale  pixels of the view for one of the image
   */
  async read(
    view: View,
    { box, capPx, turned }: Pick<Legend, 'box' | 'capPx' | 'turned'>,
    scale: number,
  ): Promise<string> {
    const margin = 0.4 * capPx;
    const [x1, y1, x2, y2] = box.map((edge, i) => (edge + (i < 2 ? -margin : margin)) * scale);
    const left = Math.min(Math.max(0, Math.floor(x1)), view.width - 1);
    const top = Math.min(Math.max(0, Math.floor(y1)), view.height - 1);
    const width = Math.max(1, Math.min(view.width, Math.ceil(x2)) - left);
    const height = Math.max(1, Math.min(view.height, Math.ceil(y2)) - top);
    const raw = { width: view.width, height: view.height, channels: 3 } as const;
    const enlarge = SHOWN_PX / (capPx * scale);
    const part = sharp(view.data, { raw }).extract({ left, top, width, height }).grayscale();
    const { data, info } = await (turned ? part.rotate(-turned) : part)
      .raw()
      .toBuffer({ resolveWithObject: true });
    // Dark on light: most of a line is its ground.
    const isDark = data.reduce((sum, level) => sum + level, 0) / data.length < 128;
    const shown = sharp(data, { raw: info })
      .resize(Math.max(1, Math.round(info.width * enlarge)), Math.max(1, Math.round(info.height * enlarge)), {
        fit: 'fill',
        kernel: 'cubic',
      })
      .negate(isDark)
      .normalise();
    const { data: found } = await this.#worker.recognize(
      await shown.withMetadata({ density: 300 }).png().toBuffer(),
    );
    return found.text;
  }

  /**
   * The lowest rung at which the reader chooses the right option of each question, there and at every higher one. Who chooses one of
   * four is right by luck now and then: the text of the image itself must be transcribed, but for one letter in eight.
   *
   * @returns  a rung for each; undefined where the reader fails at the highest, or to transcribe
   */
  async rungs(photograph: Photograph, legends: readonly Legend[]): Promise<(number | undefined)[]> {
    const { image, width, height } = photograph;
    const { data } = await sharp(image).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const whole: View = { data, width, height };
    const lowest: (number | undefined)[] = legends.map(() => undefined);
    const open = new Set(legends.keys());
    for (const [i, legend] of legends.entries())
      if ((legend.looks ?? 'text') === 'text' && !isTranscribed(await this.read(whole, legend, 1), legend))
        open.delete(i);
    for (const rung of LADDER.toReversed()) {
      if (open.size === 0) break;
      const scale = Math.min(1, rung / Math.max(width, height));
      const view = await viewOf(whole, Math.round(width * scale), Math.round(height * scale));
      for (const i of open) {
        const legend = legends[i];
        const found = {
          text: () => this.read(view, legend, scale),
          light: () => litLight(view, legend.box, scale),
          object: () => observedObject(whole, legend.box, legend.templates ?? [], scale),
        };
        if (closestOption(await found[legend.looks ?? 'text'](), legend.options) === legend.answer)
          lowest[i] = rung;
        else open.delete(i);
      }
    }
    return lowest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Level of 255 from which on a light is lit. */
const LIT = 150;

/** The colour of the brightest saturated spot of a box: which light of a traffic light is lit. */
export function litLight(view: View, box: Box, scale: number): string {
  const [x1, y1, x2, y2] = box.map((edge) => edge * scale);
  let brightest: readonly number[] = [0, 0, 0];
  const strength = (colour: readonly number[]): number =>
    Math.max(...colour) + Math.max(...colour) - Math.min(...colour);
  for (let y = Math.max(0, Math.floor(y1)); y < Math.min(view.height, Math.ceil(y2)); y++)
    for (let x = Math.max(0, Math.floor(x1)); x < Math.min(view.width, Math.ceil(x2)); x++) {
      const at = 3 * (y * view.width + x);
      const colour = [...view.data.subarray(at, at + 3)];
      if (strength(colour) > strength(brightest)) brightest = colour;
    }
  const [red, green] = brightest;
  if (Math.max(red, green) < LIT) return 'none';
  if (green > 1.15 * red) return 'green';
  return red > 1.6 * green ? 'red' : 'yellow';
}

async function viewOf(whole: View, width: number, height: number): Promise<View> {
  if (width === whole.width && height === whole.height) return whole;
  const raw = { width: whole.width, height: whole.height, channels: 3 } as const;
  const data = await sharp(whole.data, { raw })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  return { data, width, height };
}
