// How small a thing may be to be told from another at all: an observer who knows what could be there, and where, compares the image
// with each.
import { createCanvas, type SKRSContext2D } from '@napi-rs/canvas';
import sharp from 'sharp';
import { Random } from '../../../engine/index.ts';
import { drawExposure, photograph } from './camera.ts';

/** Options among which the observer chooses. */
export const ALTERNATIVES = 4;
/** Share of right answers at which a size is taken as told apart: half way from guessing to certainty, rounded up. */
export const TOLD_APART = 0.75;

/** What is to be told apart: one of four things, drawn into a cell. */
export interface Stimulus {
  /** Of the cell's content at a size, pixels of the view. */
  readonly cellPx: (sizePx: number) => readonly [width: number, height: number];
  /** Draws one of the four options of a trial, its top left corner at the origin. */
  draw(context: SKRSContext2D, trial: number, option: number, sizePx: number): void;
}

/** How the view comes about: pixels of the image for one of the view. */
export interface Viewing {
  readonly reduction: number;
  readonly trials: number;
  readonly seed: number;
}

/** Columns of trials on a sheet, and what is free around each, pixels of the view. */
const COLUMNS = 20;
const FREE_PX = 3;
/** Where the observer supposes the drawing to be, parts of a pixel of the view beside where it is. */
const SHIFTS = [-0.5, 0, 0.5];
const PAPER = 208;

interface Sheet {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Covariance of a cell of two sheets over their deviations: 1 for the same pattern, whatever its gain. */
function correlation(
  a: Sheet,
  b: Sheet,
  [left, top, right, bottom]: readonly [number, number, number, number],
): number {
  const sums = { a: 0, b: 0, aa: 0, bb: 0, ab: 0, n: 0 };
  for (let y = top; y < bottom; y++)
    for (let i = 3 * (y * a.width + left); i < 3 * (y * a.width + right); i++) {
      const [p, q] = [a.data[i], b.data[i]];
      sums.a += p;
      sums.b += q;
      sums.aa += p * p;
      sums.bb += q * q;
      sums.ab += p * q;
      sums.n++;
    }
  const { n } = sums;
  const deviation = (sum: number, squares: number): number =>
    Math.sqrt(Math.max(1e-9, squares / n - (sum / n) ** 2));
  return (
    (sums.ab / n - (sums.a / n) * (sums.b / n)) / (deviation(sums.a, sums.aa) * deviation(sums.b, sums.bb))
  );
}

/**
 * Share of trials in which the observer is right. The drawing is at most half a pixel of the view beside where it is supposed; a camera
 * blurs it, adds noise and stores a JPEG; it is then reduced to the view, in 8 bits. The observer has the drawings of all options in the
 * same view without noise, and chooses the one that correlates best, at whichever shift.
 *
 * @param sizePx  of the thing, pixels of the view
 */
export async function observed(
  { cellPx, draw }: Stimulus,
  sizePx: number,
  { reduction, trials, seed }: Viewing,
): Promise<number> {
  const random = new Random(seed, Math.round(1000 * sizePx));
  const [wide, high] = cellPx(sizePx).map((side) => Math.ceil(side) + 2 * FREE_PX);
  const rows = Math.ceil(trials / COLUMNS);
  const [width, height] = [COLUMNS * wide, rows * high];
  const facts = Array.from({ length: trials }, () => ({
    answer: random.integer(ALTERNATIVES),
    shift: [random.range(-0.5, 0.5), random.range(-0.5, 0.5)],
  }));
  const drawn = (
    optionOf: (trial: number) => number,
    shiftOf: (trial: number) => readonly number[],
  ): Buffer => {
    const canvas = createCanvas(Math.round(width * reduction), Math.round(height * reduction));
    const context = canvas.getContext('2d');
    context.fillStyle = `rgb(${PAPER}, ${PAPER}, ${PAPER})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (let trial = 0; trial < trials; trial++) {
      const [x, y] = shiftOf(trial);
      context.save();
      context.scale(reduction, reduction);
      context.translate(
        (trial % COLUMNS) * wide + FREE_PX + x,
        Math.floor(trial / COLUMNS) * high + FREE_PX + y,
      );
      draw(context, trial, optionOf(trial), sizePx);
      context.restore();
    }
    return canvas.toBuffer('image/png');
  };
  const view = async (image: Uint8Array): Promise<Sheet> => ({
    data: await sharp(image)
      .removeAlpha()
      .resize(width, height, { fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer(),
    width,
    height,
  });
  const exposure = { ...drawExposure(random), gain: random.range(0.9, 1.1) };
  const shown = await view(
    await photograph(
      drawn(
        (trial) => facts[trial].answer,
        (trial) => facts[trial].shift,
      ),
      exposure,
      random,
    ),
  );
  const best = facts.map(() => new Float64Array(ALTERNATIVES).fill(-Infinity));
  for (let option = 0; option < ALTERNATIVES; option++)
    for (const x of SHIFTS)
      for (const y of SHIFTS) {
        const template = await view(
          drawn(
            () => option,
            () => [x, y],
          ),
        );
        for (let trial = 0; trial < trials; trial++) {
          const [left, top] = [(trial % COLUMNS) * wide, Math.floor(trial / COLUMNS) * high];
          const found = correlation(shown, template, [left, top, left + wide, top + high]);
          best[trial][option] = Math.max(best[trial][option], found);
        }
      }
  const right = facts.filter(({ answer }, trial) => best[trial].indexOf(Math.max(...best[trial])) === answer);
  return right.length / trials;
}

/**
 * The size at which a curve of shares crosses `TOLD_APART` for the last time, by a line between the sizes beside it.
 *
 * @param curve  sizes, ascending, with their shares
 * @returns      undefined where it never does
 */
export function leastSize(curve: readonly (readonly [sizePx: number, share: number])[]): number | undefined {
  for (let i = curve.length - 1; i > 0; i--) {
    const [[smaller, low], [larger, high]] = [curve[i - 1], curve[i]];
    if (high >= TOLD_APART && low < TOLD_APART)
      return smaller + ((TOLD_APART - low) / (high - low)) * (larger - smaller);
  }
  return undefined;
}
