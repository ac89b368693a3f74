// Which of all that could be asked is asked: a few questions an image, so many of each need.
import type { Text4kLine } from '../loaders/text_4k.ts';
import type { Question } from './ask.ts';

/** Questions of an image, at most. */
const PER_IMAGE = 4;

/** What questions need, by name: the least resolution at which the reader is right, and that by the size of the letters. */
export const NEEDS = ['above 2268', '2268', 'below 2268'] as const;
/** A name of `NEEDS`. */
export type Need = (typeof NEEDS)[number];

/** Shares of questions by what they need. */
export const MIX: Readonly<Record<Need, number>> = { 'above 2268': 0.6, '2268': 0.2, 'below 2268': 0.2 };

/** A category for what low resolution shows, too: it has what it has, and no mix. */
const WITHOUT_MIX = 'objects';

/**
 * What a question needs. Of large letters the reader may fail at what a person reads: where it needs more than 2268 px and the letters
 * do not, nothing is known.
 */
export function needOf({ leastPx }: Pick<Question, 'leastPx'>): Need | undefined {
  const { constructed, reader } = leastPx!;
  if (reader > 2268) return constructed > 2268 ? 'above 2268' : undefined;
  return reader === 2268 ? '2268' : 'below 2268';
}

/** Figures of an answer beside those that stand in their places in its other options. */
function swapsOf({ options = [], answer }: Question): [figure: string, other: string][] {
  const text = options[Number(answer)];
  return options
    .filter(({ length }) => length === text.length)
    .flatMap((option) => Array.from(text, (glyph, i): [string, string] => [glyph, option[i]]))
    .filter(([glyph, other]) => glyph !== other && /\d\d/.test(glyph + other));
}

/**
 * How often which figure is right where another is offered, of what was chosen. The reader reads some figures better than others: without
 * a balance these would be right more often than those, and who does not look could learn it.
 */
class Balance {
  readonly #counts = new Map<string, number>();

  /** By how much a question would add to what is ahead already, mean over its swaps. */
  of(question: Question): number {
    const swaps = swapsOf(question);
    const ahead = ([a, b]: [string, string]): number =>
      (this.#counts.get(a + b) ?? 0) - (this.#counts.get(b + a) ?? 0);
    return swaps.reduce((sum, swap) => sum + ahead(swap), 0) / Math.max(1, swaps.length);
  }

  add(question: Question): void {
    for (const [a, b] of swapsOf(question)) this.#counts.set(a + b, (this.#counts.get(a + b) ?? 0) + 1);
  }
}

/** How well a question fits a need, the lower the better: what needs the whole resolution is figures first, the smallest ones. */
function rankOf(question: Question, need: Need, balance: Balance): number {
  const { options = [], answer, capPx = 0 } = question;
  if (need !== 'above 2268') return balance.of(question);
  const isWord = !/\d/.test(options[Number(answer)]);
  return balance.of(question) + capPx + (isWord ? WORD_RANK : 0);
}

/** More than any height of letters, pixels. */
const WORD_RANK = 1e6;

/**
 * Chooses questions image by image, each time of the need that is furthest behind its share in its category; of one kind where there is
 * a choice that the image has not been asked about, and so that of two figures either is right as often.
 *
 * @param images  all that could be asked about each, of all categories
 */
export function chosenQuestions(images: readonly (readonly Question[])[]): Question[] {
  const counts = new Map<string, Record<Need, number>>();
  const balance = new Balance();
  return images.flatMap((questions) => {
    const open = [...questions];
    const asked: Question[] = [];
    while (asked.length < PER_IMAGE && open.length > 0) {
      const { category = '' } = open[0];
      const own = counts.get(category) ?? { 'above 2268': 0, '2268': 0, 'below 2268': 0 };
      counts.set(category, own);
      const behind = NEEDS.filter((need) => open.some((question) => needOf(question) === need)).toSorted(
        (a, b) => own[a] / MIX[a] - own[b] / MIX[b],
      );
      const [need] = behind;
      // A need that is far ahead of its share is not asked about any more.
      const all = own['above 2268'] + own['2268'] + own['below 2268'];
      const isAhead = category !== WITHOUT_MIX && own[need] > MIX[need] * all + PER_IMAGE;
      if (need === undefined || isAhead) break;
      const fitting = open
        .filter((question) => needOf(question) === need)
        .toSorted((a, b) => rankOf(a, need, balance) - rankOf(b, need, balance));
      const kinds = new Set(asked.map(({ subcategory }) => subcategory));
      const next = fitting.find(({ subcategory }) => !kinds.has(subcategory)) ?? fitting[0];
      open.splice(open.indexOf(next), 1);
      asked.push(next);
      balance.add(next);
      own[need]++;
    }
    return asked;
  });
}

/** A question with its options turned, so that each place has the answer once: the i-th option of cycle c is option i + c. */
export function rotations(question: Question): Text4kLine[] {
  const { options = [], answer } = question;
  return options.map((_, cycle) => ({
    ...question,
    id: `${question.id}-${cycle}`,
    options: options.map((_, i) => options[(i + cycle) % options.length]),
    answer: (Number(answer) - cycle + options.length) % options.length,
    cycle,
  }));
}
