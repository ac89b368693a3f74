// Where the questions come from that a VILA-HD is trained and asked with: scenes of cards, or collections that `ps3 data vqa` makes.
import { Random } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import type { Box } from '../data/boxes.ts';
import { allCardQuestions } from '../data/card_questions.ts';
import { CARD_THINGS } from '../data/concepts.ts';
import type { SceneKit } from '../data/scenes.ts';
import { seedFor } from '../data/seeds.ts';
import type { LanguageTokenizer } from '../language/tokenizer.ts';
import { type Batches, batchesByStep, type Cursor, type Made } from './batches.ts';
import { ownBatches, type Share } from './train.ts';
import { askedScene, type Told, type VilaBatch, vilaBatches } from './vila_batches.ts';

/** How a stage's batches are made. */
export interface QuestionBatchOptions {
  /** Of the stage. */
  readonly name: string;
  /** Images of a batch, of all ranks together. */
  readonly batch: number;
  /** S, of the squares that images are squashed to. */
  readonly side: number;
  /** G, a multiple of every scale's. */
  readonly gridSide: number;
  readonly seed: number;
  /** Questions with answers about each image. */
  readonly questions: number;
  /** Questions without answers about each image of every other batch, which has half as many; 0: there are no such batches. */
  readonly searches: number;
  /** Cards of each image of such a batch; null: as many as of the others. */
  readonly searchedCards: number | null;
  readonly share: Share;
}

/** Questions to train on. */
export interface QuestionSource {
  /** What the vocabulary is made of. */
  texts(): Promise<readonly Told[]>;
  /** A stage's batches that follow a place. */
  batches(tokenizer: LanguageTokenizer, options: QuestionBatchOptions, from: Cursor): Batches<VilaBatch>;
}

/** A question about an image in memory. */
export interface AskedImage extends Told {
  readonly side: number;
  /** [side, side, 4] */
  readonly rgba: Uint8Array;
  /** Where the answer is. */
  readonly boxes: readonly Box[];
  /** What to choose among, the answer among them; empty where it is not told. */
  readonly options: readonly string[];
}

/** Scenes of cards, composed for each step. */
export function cardSource(kit: SceneKit): QuestionSource {
  return {
    texts: async () => allCardQuestions(),
    batches: (tokenizer, options, from) => {
      const { name, batch, gridSide, seed, questions, searches, searchedCards: cards, share } = options;
      const searched =
        cards === null ? kit : { ...kit, spec: { ...kit.spec, objects: [cards, cards] as const } };
      const making = { gridSide, seed, name: `${name} step` };
      const answers = vilaBatches(kit, tokenizer, { ...making, batch, questions });
      const found =
        searches > 0 ? vilaBatches(searched, tokenizer, { ...making, batch: batch / 2, searches }) : answers;
      const make = (step: number): Made<VilaBatch> => (step % 2 === 1 ? found : answers)(step);
      return ownBatches(batchesByStep(make, from), share);
    },
  };
}

/** Questions about scenes of cards of other images than those of training. */
export function askedCards(kit: SceneKit, seed: number): (index: number) => AskedImage {
  return (index) => {
    const { side, rgba, questions } = askedScene(kit, seed, 'held-out question', index);
    const [{ question, answer, box }] = questions;
    return { side, rgba, question, answer, boxes: [box], options: CARD_THINGS };
  };
}

/** Answers to choose among. */
const OPTIONS = 10;

/** One question about each of some images. Options are the answer and those of others, drawn. */
export function askedSamples(samples: readonly Sample[], seed: number): AskedImage[] {
  const drawn = samples.map((sample, i) => {
    const { questions = [] } = sample;
    return {
      sample,
      asked: questions[new Random(seedFor(seed, 'held-out question'), i).integer(questions.length)],
    };
  });
  const answers = [...new Set(drawn.flatMap(({ asked }) => asked.answer ?? []))];
  const count = Math.min(OPTIONS, answers.length);
  return drawn.map(({ sample: { side, rgba }, asked: { question, answer, boxes } }, i) => {
    const others = answers.filter((other) => other !== answer);
    const random = new Random(seedFor(seed, 'options'), i);
    const options = answer === undefined ? [] : [answer, ...random.shuffle(others).slice(0, count - 1)];
    return { side, rgba, question, answer, boxes, options: random.shuffle(options) };
  });
}
