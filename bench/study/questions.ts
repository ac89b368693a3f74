// Questions about scenes that no training has seen: which of four captions is the one of a box?
import { Random } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import type { Scene } from '../../ps3/data/scenes.ts';
import { LADDER, LEAST_PX, OPTIONS } from './design.ts';

/** A box with four captions, of which one is its own. */
export interface Question {
  /** Index of the scene: the cluster. */
  readonly image: number;
  readonly box: Box;
  readonly options: readonly string[];
  /** Index into the options. */
  readonly answer: number;
  /** Short side of the box, pixels. */
  readonly shortPx: number;
  /** Least resolution, as a share of the scene's side: a rung of the ladder. */
  readonly needs: number;
}

/**
 * The smallest rung at which an object's short side has `LEAST_PX` pixels; the top one where none is enough.
 *
 *   needs = min { rung : rung · shortPx >= LEAST_PX }
 */
export function leastRung(shortPx: number): number {
  return LADDER.find((rung) => rung * shortPx >= LEAST_PX) ?? 1;
}

/**
 * One question for each of the first boxes of a scene, four at most. Wrong options are the captions of the same scene's other
 * objects, so that knowing what the scene shows does not help; where there are too few, other captions fill up.
 *
 * @param samples  scenes, square
 * @param count    how many questions, at most
 * @param seed     of the order of the options
 */
export function questionsOf(samples: readonly Sample[], count: number, seed: number): Question[] {
  const random = new Random(seed, 0x9e57);
  const all = [...new Set(samples.flatMap(({ captions }) => captions))].sort();
  const questions = samples.flatMap(({ boxes, captions }, image) =>
    boxes.slice(0, OPTIONS).map((box, i): Question => {
      const right = captions[i];
      const own = random.shuffle([...new Set(captions)].filter((caption) => caption !== right));
      const others = random.shuffle(all.filter((caption) => !captions.includes(caption)));
      const options = random.shuffle([right, ...[...own, ...others].slice(0, OPTIONS - 1)]);
      const shortPx = Math.min(box[2] - box[0], box[3] - box[1]);
      return { image, box, options, answer: options.indexOf(right), shortPx, needs: leastRung(shortPx) };
    }),
  );
  return questions.slice(0, count);
}

/** @throws Error when a photograph of the held-out scenes is one of training, or is not known */
export function expectNoLeak(train: readonly Sample[], heldOut: readonly Sample[]): void {
  const photoOf = (sample: Sample): string | undefined => (sample as Partial<Scene>).photo;
  const shown = new Set(train.map(photoOf));
  const leaked = heldOut.map(photoOf).filter((photo) => photo === undefined || shown.has(photo));
  if (leaked.length > 0)
    throw new Error(
      `expectNoLeak: photographs of held-out scenes must be none of training, got ${leaked[0] ?? 'one without a name'}.`,
    );
}
