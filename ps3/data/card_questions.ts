// Questions about the cards of a scene: the colour says where, and what the card shows is the answer.
import type { Random } from '../../engine/index.ts';
import type { Box } from './boxes.ts';
import { CARD_COLOURS, CARD_THINGS } from './concepts.ts';
import type { Scene } from './scenes.ts';

/** A question about one place of an image. */
export interface CardQuestion {
  readonly question: string;
  /** One of `CARD_THINGS`. */
  readonly answer: string;
  /** Of the card, pixels of the image. */
  readonly box: Box;
}

/**
 * Forms of the question, in which COLOUR stands for the card's. It comes last, since the state of the last token is what asks
 * where to look: of a small language model that state carries its own token, and of others little.
 */
export const QUESTION_FORMS: readonly string[] = [
  'What is on the card in COLOUR',
  'What does the card show that is COLOUR',
  'Name the thing on the card in COLOUR',
];

/** Every question that there is, with every answer. */
export function allCardQuestions(): Omit<CardQuestion, 'box'>[] {
  return QUESTION_FORMS.flatMap((form) =>
    Object.keys(CARD_COLOURS).flatMap((colour) =>
      CARD_THINGS.map((answer) => ({ question: form.replace('COLOUR', colour), answer })),
    ),
  );
}

/** What is known of a scene of cards. */
type Cards = Pick<Scene, 'captions' | 'boxes'>;

/** The cards of a scene whose colour no other has, which a question can be about. */
function askable({ captions, boxes }: Cards): { colour: string; thing: string; box: Box }[] {
  const cards = captions.map((caption, i) => {
    const [colour, ...thing] = caption.split(' ');
    return { colour, thing: thing.join(' '), box: boxes[i] };
  });
  return cards.filter((card) => cards.every((other) => other === card || other.colour !== card.colour));
}

/** One question about each card of a scene whose colour no other has. */
export function questionsAbout(cards: Cards): CardQuestion[] {
  const [form] = QUESTION_FORMS;
  return askable(cards).map(({ colour, thing, box }) => ({
    question: form.replace('COLOUR', colour),
    answer: thing,
    box,
  }));
}

/**
 * A question about one of a scene's cards, of those whose colour no other has.
 *
 * @returns  undefined where every colour is there twice
 */
export function askAboutCard(cards: Cards, random: Random): CardQuestion | undefined {
  const asked = askable(cards);
  if (asked.length === 0) return undefined;
  const { colour, thing, box } = asked[random.integer(asked.length)];
  const form = QUESTION_FORMS[random.integer(QUESTION_FORMS.length)];
  return { question: form.replace('COLOUR', colour), answer: thing, box };
}

/** A question that several places answer. */
export interface CardSearch {
  readonly question: string;
  /** Of every card of the colour. */
  readonly boxes: readonly Box[];
}

/** Questions about the cards of a scene, one for each colour in turn, until there are `count`. */
export function findCards({ captions, boxes }: Cards, count: number, random: Random): CardSearch[] {
  const colours = captions.map((caption) => caption.split(' ')[0]);
  const different = random.shuffle([...new Set(colours)]);
  return Array.from({ length: count }, (_, i) => {
    const colour = different[i % different.length];
    const form = QUESTION_FORMS[random.integer(QUESTION_FORMS.length)];
    return {
      question: form.replace('COLOUR', colour),
      boxes: boxes.filter((_, card) => colours[card] === colour),
    };
  });
}
