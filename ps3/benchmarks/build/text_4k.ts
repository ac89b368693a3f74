// Questions about small text on made-up desktops: four options, two of which differ from the answer in one glyph. What each needs is
// known twice: from the size of its letters, and from what a reader reads.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assertWritableFolder, expectKeys, makeFolder, Random } from '../../../engine/index.ts';
import { INTERFACE_LICENCE, writeInterfaces } from '../../data/caption/interfaces.ts';
import { type PageFact, PageReader } from '../../data/caption/web_page.ts';
import type { Notice } from '../../data/packages.ts';
import { seedFor } from '../../data/seeds.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { total } from '../../model/config/config.ts';
import type { Text4kLine } from '../loaders/text_4k.ts';
import { drawExposure, photograph } from './camera.ts';
import { optionsOf } from './confusable.ts';
import { constructedRung, LADDER, LEGIBLE_PX, type Legend, Reader } from './reader.ts';

/** What is built. */
export interface Text4kOptions {
  readonly out: string;
  /** Images; default 200. */
  readonly images?: number;
  /** Default 1. */
  readonly seed?: number;
  /** test, or dev with other images; default test. */
  readonly split?: 'test' | 'dev';
  /** Images done, of how many. */
  readonly onProgress?: (done: number, all: number) => void;
  readonly notice?: Notice;
}

const TEXT_4K_OPTIONS = {
  out: true,
  images: true,
  seed: true,
  split: true,
  onProgress: true,
  notice: true,
} as const;

/** What stands in benchmark.json. */
export interface Text4kSummary {
  readonly name: 'text-4k';
  readonly version: number;
  readonly seed: number;
  readonly split: string;
  readonly licence: string;
  readonly ladder: readonly number[];
  readonly images: number;
  readonly questions: number;
  /** Candidates that the reader could not read at the highest rung. */
  readonly dropped: number;
  /** Questions by the least long side, pixels. */
  readonly constructed: Readonly<Record<string, number>>;
  readonly reader: Readonly<Record<string, number>>;
  /** Share of right answers without the image; chance is 0.25. */
  readonly blind: { readonly longest: number; readonly shortest: number; readonly first: number };
}

/** Of what is built: another number for other questions from the same seed. */
const VERSION = 1;
const SCREEN = { width: 3840, height: 2160, screens: 1 };
const PER_IMAGE = 4;
/** Questions by what they need, with cumulative shares: most only the whole resolution answers, some less, some little. */
const MIX: readonly { readonly upTo: number; holds(rung: number): boolean }[] = [
  { upTo: 0.6, holds: (rung) => rung > 2268 },
  { upTo: 0.8, holds: (rung) => rung === 2268 },
  { upTo: 1, holds: (rung) => rung < 2268 },
];

/** A question before its options are turned. */
type Question = Omit<Text4kLine, 'cycle'>;

/** Questions of an image, and how many could not be read. */
interface Asked {
  readonly questions: readonly Question[];
  readonly dropped: number;
}

/**
 * Writes images, questions.jsonl with every question in four rotations of its options, and benchmark.json; a call that was stopped
 * goes on. Fonts and themes are those that training never shows.
 *
 * @throws DataError where Chromium, Tesseract or the sources are missing
 */
export async function buildText4k(options: Text4kOptions): Promise<Text4kSummary> {
  expectKeys('buildText4k', options, TEXT_4K_OPTIONS);
  const { out, images = 200, seed = 1, split = 'test', onProgress, notice } = options;
  await assertWritableFolder(out);
  const [pages, parts] = [join(out, '.pages'), join(out, '.build')];
  for (const folder of [parts, join(out, 'images')]) await makeFolder(folder);
  await writeInterfaces(pages, { count: images, seed: seedFor(seed, split), split: 'heldOut', notice });
  await using browser = await PageReader.open();
  await using reader = await Reader.open();
  const all: Asked[] = [];
  for (let i = 0; i < images; i++) {
    const page = join(pages, `interface-heldOut-${String(i).padStart(5, '0')}.html`);
    const hash = createHash('sha256').update(`${VERSION} ${seed} ${split} ${await readFile(page)}`);
    const part = join(parts, `${hash.digest('hex').slice(0, 16)}.json`);
    if (!existsSync(part)) {
      const name = `images/${split}-${String(i).padStart(5, '0')}.jpg`;
      for await (const { image, facts } of browser.screens(page, SCREEN)) {
        const random = new Random(seedFor(seed, `${split} question ${i}`));
        const shown = await photograph(image, drawExposure(random), random);
        await writeWhole(join(out, name), shown);
        await writeWhole(part, JSON.stringify(await ask(shown, name, facts, reader, random, split)));
      }
    }
    all.push(JSON.parse(await readFile(part, 'utf8')) as Asked);
    onProgress?.(i + 1, images);
  }
  await rm(pages, { recursive: true });
  const questions = all.flatMap((asked) => asked.questions);
  const lines = questions.flatMap((question) =>
    rotations(question).map((line) => `${JSON.stringify(line)}\n`),
  );
  await writeWhole(join(out, 'questions.jsonl'), lines.join(''));
  const summary: Text4kSummary = {
    name: 'text-4k',
    version: VERSION,
    seed,
    split,
    licence: INTERFACE_LICENCE,
    ladder: LADDER,
    images,
    questions: questions.length,
    dropped: total(all.map(({ dropped }) => dropped)),
    constructed: countsOf(questions.map(({ leastPx }) => leastPx!.constructed)),
    reader: countsOf(questions.map(({ leastPx }) => leastPx!.reader)),
    blind: blindOf(questions),
  };
  await writeWhole(join(out, 'benchmark.json'), `${JSON.stringify(summary, null, 2)}\n`);
  return summary;
}

/** Questions of one image that the reader answers at its highest rung. */
async function ask(
  image: Uint8Array,
  name: string,
  facts: readonly PageFact[],
  reader: Reader,
  random: Random,
  split: string,
): Promise<Asked> {
  const { width, height } = SCREEN;
  const longSide = Math.max(width, height);
  // What is asked twice on an image has no one answer.
  const isClear = ({ question }: PageFact): boolean =>
    facts.filter((other) => other.question === question).length === 1;
  const candidates = facts.filter((fact) => fact.capPx >= LEGIBLE_PX && isClear(fact));
  const chosen: (Legend & { readonly fact: PageFact; readonly constructed: number })[] = [];
  while (chosen.length < PER_IMAGE && candidates.length > 0) {
    const draw = random.uniform();
    const { holds } = MIX.find(({ upTo }) => draw < upTo)!;
    const fitting = candidates.filter(({ capPx }) => holds(constructedRung(capPx, longSide)));
    const from = fitting.length > 0 ? fitting : candidates;
    const fact = from[random.integer(from.length)];
    candidates.splice(candidates.indexOf(fact), 1);
    const others = facts.filter(({ kind }) => kind === fact.kind).map(({ text }) => text);
    const asked = optionsOf(fact.text, others, random);
    if (asked) chosen.push({ fact, ...asked, ...fact, constructed: constructedRung(fact.capPx, longSide) });
  }
  const rungs = await reader.rungs({ image, width, height }, chosen);
  const questions = chosen.flatMap(({ fact, options, answer, constructed }, i): Question[] => {
    const rung = rungs[i];
    if (rung === undefined) return [];
    const { question, box, kind } = fact;
    return [
      {
        id: `${name.replace(/^images\/|\.jpg$/g, '')}-${i}`,
        ...{ image: name, width, height, category: 'interface', subcategory: kind.replace(/^\d+ /, '') },
        ...{ question, options, answer, metric: 'choice', boxes: [box], referents: [question] },
        ...{ group: name, split, leastPx: { constructed, reader: rung } },
      },
    ];
  });
  return { questions, dropped: chosen.length - questions.length };
}

/** A question with its options turned, so that each place has the answer once: the i-th option of cycle c is option i + c. */
function rotations(question: Question): Text4kLine[] {
  const { options = [], answer } = question;
  return options.map((_, cycle) => ({
    ...question,
    id: `${question.id}-${cycle}`,
    options: options.map((_, i) => options[(i + cycle) % options.length]),
    answer: (Number(answer) - cycle + options.length) % options.length,
    cycle,
  }));
}

function countsOf(rungs: readonly number[]): Record<string, number> {
  return Object.fromEntries(LADDER.map((rung) => [rung, rungs.filter((other) => other === rung).length]));
}

/** How often a rule that does not look is right; of options that are equal to it, each counts by its share. */
function blindOf(questions: readonly Question[]): Text4kSummary['blind'] {
  const share = (score: (option: string, i: number) => number): number => {
    const rights = questions.map(({ options = [], answer }) => {
      const scores = options.map(score);
      const best = Math.max(...scores);
      return scores[Number(answer)] === best ? 1 / scores.filter((other) => other === best).length : 0;
    });
    return total(rights) / Math.max(1, questions.length);
  };
  return {
    longest: share(({ length }) => length),
    shortest: share(({ length }) => -length),
    first: share((_, i) => -i),
  };
}
