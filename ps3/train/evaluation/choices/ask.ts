// Asks models the questions of a benchmark, at every resolution and with the controls. What was answered is kept: a call that was stopped
// goes on.

import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import * as v from 'valibot';
import { onPath } from '../../../../engine/index.ts';
import type { Answerer, Scored } from '../../../benchmarks/answerer.ts';
import type { BenchmarkRecord } from '../../../benchmarks/record.ts';
import { jsonLines } from '../../../benchmarks/rows/json_rows.ts';
import { rowError } from '../../../benchmarks/rows/rows.ts';
import { boxCells, squashBoxes } from '../../../data/boxes.ts';
import { DataError } from '../../../data/errors.ts';
import { type DecodedImage, decodeImage } from '../../../model/image.ts';
import { takenShare } from '../selection.ts';
import { atResolution, oracleCrop, type Showing, withoutContent } from './views.ts';

/** How a model answered a question. */
export interface Answered {
  readonly id: string;
  readonly model: string;
  readonly showing: Showing;
  /** Of its options, in their order. */
  readonly scores: readonly number[];
  /** Share of the patches of the answer's boxes that it looked at, of the image itself at some resolution. */
  readonly looked?: number;
}

/** A model, and how questions are shown to it. */
export interface Entrant {
  readonly answerer: Answerer;
  readonly showings: readonly Showing[];
}

const LINE = v.strictObject({
  id: v.string(),
  model: v.string(),
  showing: v.union([v.picklist(['blind', 'shuffled', 'oracle crop']), v.picklist([378, 756, 1512, 3780])]),
  scores: v.pipe(v.array(v.number()), v.minLength(2)),
  looked: v.optional(v.number()),
});

const keyOf = ({ id, model, showing }: Omit<Answered, 'scores'>): string => `${model}\n${showing}\n${id}`;

/** What a file of answers holds; nothing where there is none. @throws DataError for a line of another form */
export async function readAnswers(path: string): Promise<Answered[]> {
  const answers: Answered[] = [];
  if (!existsSync(path)) return answers;
  for await (const { values, where } of jsonLines(path)) {
    const result = v.safeParse(LINE, values);
    if (!result.success)
      throw rowError(where, 'a line must be as written', result.issues[0].input, 'Remove the file.');
    answers.push(result.output);
  }
  return answers;
}

/** An image, and another one for the control, decoded once for all that is asked about it. */
class Shown {
  readonly #views = new Map<Showing, Promise<DecodedImage>>();
  readonly #image: Promise<DecodedImage>;
  readonly #other: BenchmarkRecord['image'];

  constructor(image: BenchmarkRecord['image'], other: BenchmarkRecord['image']) {
    this.#image = decodeImage(image);
    this.#other = other;
  }

  /** The same value for the same showing; but for crops, which are each question's own. */
  async as(showing: Showing, boxes: BenchmarkRecord['boxes'] = []): Promise<DecodedImage> {
    if (showing === 'oracle crop') return oracleCrop(await this.#image, boxes);
    const known = this.#views.get(showing);
    if (known) return known;
    const made = this.#make(showing);
    this.#views.set(showing, made);
    return made;
  }

  async #make(showing: Exclude<Showing, 'oracle crop'>): Promise<DecodedImage> {
    if (showing === 'blind') return withoutContent(await this.#image);
    if (showing === 'shuffled') return decodeImage(this.#other);
    return atResolution(await this.#image, showing);
  }
}

/**
 * Asks every entrant every question with options, image by image.
 *
 * @param path  file of answers, a JSON line each; what it holds is not asked again
 * @returns     all answers that the file then holds
 * @throws DataError for a benchmark whose questions have no options
 */
export async function askAll(
  records: readonly BenchmarkRecord[],
  entrants: readonly Entrant[],
  path: string,
  onProgress: (done: number, all: number) => void = () => undefined,
): Promise<Answered[]> {
  const open = records.filter(({ options = [], answer }) => options.length < 2 || typeof answer !== 'number');
  if (records.length === 0 || open.length > 0)
    throw new DataError(
      `askAll: questions must have options, got ${open[0]?.id ?? 'no question'}. Name another benchmark.`,
    );
  const answers = await readAnswers(path);
  const known = new Set(answers.map(keyOf));
  const file = createWriteStream(path, { flags: 'a' });
  await onPath(path, () => once(file, 'open'));
  const groups = new Map<string, BenchmarkRecord[]>();
  for (const record of records) groups.set(record.group, [...(groups.get(record.group) ?? []), record]);
  const names = [...groups.keys()];
  try {
    for (const [i, [name, questions]] of [...groups].entries()) {
      // Of the same category, so that what is asked could be there.
      const kin = names.filter((other) => groups.get(other)![0].category === questions[0].category);
      const other = kin[(kin.indexOf(name) + Math.ceil(kin.length / 2)) % kin.length];
      const shown = new Shown(questions[0].image, groups.get(other)![0].image);
      // Whoever sees the same image comes one after another.
      const showings = new Set(entrants.flatMap(({ showings }) => showings));
      for (const showing of showings)
        for (const { answerer } of entrants.filter(({ showings }) => showings.includes(showing)))
          for (const record of questions) {
            const { id, question, options = [], boxes, cycle } = record;
            const key = { id, model: answerer.name, showing };
            if ((cycle && !answerer.heedsOrder) || known.has(keyOf(key))) continue;
            const tells = (await answerer.tells?.(options)) ?? true;
            const { scores, looked }: Scored = tells
              ? await answerer.answer(await shown.as(showing, boxes), { question, options })
              : { scores: options.map(() => 0) };
            const share = typeof showing === 'number' ? lookedShare(looked, record) : undefined;
            const answered = { ...key, scores: [...scores], ...(share !== undefined && { looked: share }) };
            answers.push(answered);
            if (!file.write(`${JSON.stringify(answered)}\n`)) await once(file, 'drain');
          }
      onProgress(i + 1, groups.size);
    }
  } finally {
    file.end();
    await onPath(path, () => once(file, 'close'));
  }
  return answers;
}

/** Share of the patches of a question's boxes that were looked at for its answer; undefined where nobody knows. */
function lookedShare(
  looked: Scored['looked'],
  { boxes = [], answer, width, height }: BenchmarkRecord,
): number | undefined {
  const maps = looked?.[looked.length > 1 ? Number(answer) : 0];
  if (!maps || boxes.length === 0) return undefined;
  const side = Math.max(width, height);
  const squashed = squashBoxes(boxes, width, height, side);
  const share = takenShare(
    maps,
    maps.map(({ length }) => boxCells(squashed, side, Math.sqrt(length))),
  );
  return Number.isNaN(share) ? undefined : share;
}

/** How far an answer is right: of options that score highest together, each counts by its share. */
export function rightShare(scores: readonly number[], answer: number): number {
  const best = Math.max(...scores);
  return scores[answer] === best ? 1 / scores.filter((score) => score === best).length : 0;
}
