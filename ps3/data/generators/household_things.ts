// Furniture and what lies on it: books, sheets of paper, displays. Everything stands on the floor at its own zero, its
// back at the wall.
import { box, type Drawing, inkOn } from './drawing.ts';
import { PAINTS } from './material.ts';
import type { Panel, PanelText, Placed, Vec3 } from './scene.ts';

/** A piece of furniture at a place along the wall. */
export interface Place {
  readonly put: Placed;
  /** Of it, metres. */
  readonly width: number;
  /** Where it is in the room: what captions and questions say. */
  readonly where: string;
  /** Of it on the floor at the wall. */
  readonly at: Vec3;
}

/** Draws a piece of furniture. */
export type Furniture = (drawing: Drawing, place: Place) => void;

/** Papers by the names that captions give them. */
export const PAPERS: Readonly<Record<string, string>> = {
  white: '#f4f2ea',
  yellow: '#f3e596',
  pink: '#f2c3cb',
  blue: '#bcd6ea',
  green: '#cfe5bd',
};
/** Names of paints. */
export const PAINT_NAMES: readonly string[] = Object.keys(PAINTS);

/** Some words of the split. */
export const words3 = ({ words }: Drawing, least: number, most: number): string =>
  words.text((faker) => {
    const parts = [faker.word.adjective(), faker.word.noun(), faker.word.verb()];
    return parts.slice(0, faker.number.int({ min: least, max: most })).join(' ');
  });

/** With a capital at each word. */
export const titled = (text: string): string => text.replace(/\b\w/g, (letter) => letter.toUpperCase());

/** A label with a number at the foot of a book, as libraries have them. */
function shelfMark(
  { words, plain }: Drawing,
  book: Placed,
  [thick, front]: readonly [number, number],
  which: string,
): void {
  const number = words.number((faker) => String(faker.number.int({ min: 100, max: 999 })));
  book.panel({
    ...{ size: [thick - 0.006, 0.028], at: [0, 0.024, front + 0.003], back: '#f4f2ea' },
    texts: [
      {
        ...{ text: number, x: 0, y: 0, cap: 0.016, font: plain, ink: '#202326', kind: 'shelf mark' },
        question: `Which number is on the label at the foot of the ${which}?`,
      },
    ],
  });
}

/** A case with shelves of books. */
export const bookcase: Furniture = (drawing, { at, width, where }) => {
  const { words, scene, fancy, plain } = drawing;
  const wood = words.one(['#8a6242', '#c9a878', '#e6e2d8', '#4f3a2b']);
  const [height, depth, board] = [2.1, 0.28, 0.025];
  const key = `bookcase ${where}`;
  const put = scene.at(at, 0, scene.thing(key, { text: `A bookcase stands ${where}.` }));
  put.solid(box([width, height, 0.012], [0, height / 2, 0.006], wood));
  for (const side of [-1, 1])
    put.solid(box([board, height, depth], [side * (width / 2 - board / 2), height / 2, depth / 2], wood));
  const rows = 6;
  const step = (height - board) / rows;
  const names = ['bottom', 'second lowest', 'third lowest', 'third highest', 'second highest', 'top'];
  for (let row = 0; row <= rows; row++)
    put.solid(box([width, board, depth], [0, row * step + board / 2, depth / 2], wood));
  for (const [row, name] of names.entries()) {
    const paints = words.shuffled(PAINT_NAMES);
    const shelf = `on the ${name} shelf of the bookcase ${where}`;
    let x = 0.04 - width / 2;
    let before: string | undefined;
    const floor = row * step + board;
    const end = width / 2 - words.range(0.06, 0.3);
    while (x < end && paints.length > 0) {
      const [thick, tall, deep] = [
        words.range(0.034, 0.06),
        words.range(0.2, step - 0.06),
        words.range(0.15, 0.21),
      ];
      const front = words.range(0.215, 0.225);
      const paint = paints.pop()!;
      const title = titled(words3(drawing, 1, 2));
      const bookKey = `book ${title}`;
      const beside = before;
      const thing = scene.thing(
        bookKey,
        { text: `A ${paint} book with the title ${title} stands ${shelf}.`, needs: [`title ${title}`] },
        ...(beside
          ? [{ text: `It is right of ${beside}.`, needs: [`title ${title}`, `title ${beside}`] }]
          : []),
      );
      const book = scene.at([at[0] + x + thick / 2, at[1] + floor, at[2]], 0, thing);
      book.solid(box([thick - 0.002, tall, deep], [0, tall / 2, front - deep / 2], PAINTS[paint]));
      const text: PanelText = {
        text: title,
        x: 0,
        // Above the label at the foot.
        y: 0.02,
        cap: Math.min(0.021, 0.46 * thick),
        font: words.one([plain, ...fancy]),
        ink: inkOn(paint),
        turned: 90,
        key: `title ${title}`,
        kind: 'title',
        question:
          beside && words.chance(0.5)
            ? `Which book stands right of ${beside} ${shelf}?`
            : `What is the title of the ${paint} book ${shelf}?`,
      };
      book.panel({
        size: [thick - 0.004, tall - 0.004],
        at: [0, tall / 2, front + 0.002],
        back: PAINTS[paint],
        texts: [text],
        marks: [-1, 1].map((end) => ({
          shape: 'rect',
          box: [-thick / 2, end * (tall / 2 - 0.008) - 0.0015, thick / 2, end * (tall / 2 - 0.008) + 0.0015],
          colour: inkOn(paint),
        })),
      });
      if (words.chance(0.5)) shelfMark(drawing, book, [thick, front], `${paint} book ${shelf}`);
      x += thick;
      before = title;
    }
    if (width / 2 - x > 0.2 && words.chance(0.4)) {
      const size = Math.min(0.2, width / 2 - x - 0.04);
      scene.at(at, 0).solid({
        shape: 'sphere',
        size: [size, size * 1.2, size],
        at: [(x + width / 2) / 2, floor + size * 0.6, 0.15],
        colour: words.one(['#b5523b', '#3b6f86', '#d9cfb8']),
      });
    }
  }
};

/** A sheet of paper with lines of handwriting. */
export function sheet(drawing: Drawing, put: Placed, at: Vec3, where: string, paper: string): void {
  const { words, scene, fancy } = drawing;
  const font = words.one(fancy.slice(-2));
  const count = words.integer(4, 6);
  // Every other line ends with a number.
  const lines = Array.from({ length: count }, (_, i) =>
    i % 2 === 0
      ? words3(drawing, 2, 3)
      : `${words3(drawing, 1, 1)} ${words.number((faker) => String(faker.number.int({ min: 1000, max: 9999 })))}`,
  );
  const [width, step] = [0.3, 0.046];
  const height = step * count + 0.09;
  const key = `sheet ${paper} ${where}`;
  const thing = scene.thing(
    key,
    { text: `A ${paper} sheet of paper hangs ${where}.` },
    { text: `Its first line says: ${lines[0]}.`, needs: [`line 1 ${key}`] },
  );
  put.panel({
    ...{ size: [width, height], at, turn: [0, 0, words.range(-0.02, 0.02)], back: PAPERS[paper], thing },
    marks: lines.map((_, i) => {
      const y = height / 2 - 0.045 - step * (i + 1) + 0.012;
      return {
        shape: 'line',
        points: [
          [0.015 - width / 2, y],
          [width / 2 - 0.015, y],
        ],
        width: 0.0012,
        colour: '#8fa3b8',
      };
    }),
    texts: lines.map((line, i) => ({
      text: line,
      x: 0.03 - width / 2,
      y: height / 2 - 0.045 - step * (i + 0.5),
      cap: words.range(0.0145, 0.019),
      align: 'left',
      font,
      ink: '#1d2a4d',
      key: `line ${i + 1} ${key}`,
      kind: 'line',
      question: `What is written on line ${i + 1} of the ${paper} sheet ${where}?`,
    })),
  });
}

/** A small display that shines. */
export const display = (
  drawing: Drawing,
  text: string,
  at: Vec3,
  cap: number,
  key: string,
  question: string,
): Panel => ({
  ...{ size: [cap * 0.95 * text.length, cap * 2.1], at, back: '#0a0d0c', glows: true },
  texts: [
    {
      text,
      x: 0,
      y: 0,
      cap,
      font: drawing.fancy[0],
      ink: drawing.words.one(['#54ff8b', '#ff6a3d', '#7fd4ff']),
      key,
      kind: 'display',
      question,
    },
  ],
});

/** A desk with a radio and notes above it. */
export const desk: Furniture = (drawing, { at, width, where }) => {
  const { words, scene, plain } = drawing;
  const wood = words.one(['#a9825a', '#d9c19a', '#e9e7e0', '#5c4433']);
  const put = scene.at(at, 0, scene.thing(`desk ${where}`, { text: `A desk stands ${where}.` }));
  put.solid(box([width, 0.035, 0.65], [0, 0.74, 0.325], wood));
  for (const [x, z] of [
    [-1, 0],
    [1, 0],
    [-1, 1],
    [1, 1],
  ])
    put.solid(box([0.05, 0.72, 0.05], [x * (width / 2 - 0.05), 0.36, 0.06 + z * 0.53], wood));
  const free = scene.at(at, 0);
  const paper = words.one(Object.keys(PAPERS));
  sheet(drawing, free, [-width / 4, 1.32, 0.006], `over the desk ${where}`, paper);
  const station = words.number(
    (faker) => `${faker.number.int({ min: 87, max: 107 })}.${faker.number.int(9)}`,
  );
  const radio = scene.at(
    [at[0] + width / 4, at[1] + 0.757, at[2] + 0.2],
    words.range(-0.15, 0.15),
    scene.thing(
      `radio ${where}`,
      { text: `A radio stands on the desk ${where}.` },
      { text: `It shows ${station}.`, needs: [`station ${where}`] },
    ),
  );
  radio.solid(box([0.34, 0.18, 0.12], [0, 0.09, 0], words.one(['#6e4a2f', '#2b2d30', '#b7bcbe', '#8c2f2a'])));
  radio.panel({
    size: [0.15, 0.14],
    at: [-0.075, 0.09, 0.062],
    back: '#1c1d1f',
    marks: Array.from({ length: 42 }, (_, i) => ({
      shape: 'disc',
      x: -0.06 + (i % 7) * 0.02,
      y: -0.05 + Math.floor(i / 7) * 0.02,
      radius: 0.005,
      colour: '#4d5153',
    })),
  });
  radio.panel(
    display(
      drawing,
      station,
      [0.085, 0.125, 0.063],
      words.range(0.018, 0.026),
      `station ${where}`,
      `Which number does the radio on the desk ${where} show?`,
    ),
  );
  for (const x of [0.05, 0.12])
    radio.solid({
      shape: 'cylinder',
      size: [0.04, 0.025, 0.04],
      at: [x, 0.05, 0.07],
      turn: [Math.PI / 2, 0, 0],
      colour: '#c9cdcf',
    });
  // A stack of books that lie.
  let y = 0.758;
  for (let i = 0; i < words.integer(2, 4); i++) {
    const paint = words.one(PAINT_NAMES);
    const [tall, title] = [words.range(0.036, 0.05), titled(words3(drawing, 1, 2))];
    const level = ['lowest', 'second lowest', 'third lowest', 'fourth lowest'][i];
    free.solid(box([0.26, tall, 0.19], [-width / 4, y + tall / 2, 0.25], PAINTS[paint]));
    free.panel({
      size: [0.255, tall - 0.004],
      at: [-width / 4, y + tall / 2, 0.347],
      back: PAINTS[paint],
      texts: [
        {
          text: title,
          x: 0,
          y: 0,
          cap: 0.44 * tall,
          font: plain,
          ink: inkOn(paint),
          kind: 'title',
          question: `What is the title of the ${level} book of the stack on the desk ${where}?`,
        },
      ],
    });
    y += tall;
  }
  // A chair before it, turned to it.
  const chair = scene.at([at[0] + words.range(-0.2, 0.2), at[1], at[2] + 0.95], words.range(-0.5, 0.5));
  const seat = words.one(['#7b3f36', '#3f5a6b', '#8a6b47']);
  chair.solid(box([0.44, 0.05, 0.42], [0, 0.45, 0], seat));
  for (const [x, z] of [
    [-1, -1],
    [1, -1],
    [-1, 1],
    [1, 1],
  ])
    chair.solid({
      shape: 'cylinder',
      size: [0.035, 0.44, 0.035],
      at: [x * 0.19, 0.22, z * 0.18],
      colour: '#3a3a3b',
    });
};
