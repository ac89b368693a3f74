// Questions of the benchmark of small details: what is asked of a page, what is answered blind, what the reader sees of turned texts and lights.
import { createCanvas, GlobalFonts } from '@napi-rs/canvas';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import type { Question } from '../../ps3/benchmarks/build/ask.ts';
import { blindRules, blindShare, unsolvedBlind } from '../../ps3/benchmarks/build/blind.ts';
import { chosenQuestions, rotations } from '../../ps3/benchmarks/build/choose.ts';
import { optionsOf } from '../../ps3/benchmarks/build/confusable.ts';
import { sheetsOf } from '../../ps3/benchmarks/build/detail_4k.ts';
import { factsOf } from '../../ps3/benchmarks/build/documents.ts';
import { type Legend, litLight, Reader } from '../../ps3/benchmarks/build/reader.ts';
import type { Line, Word } from '../../ps3/data/caption/words.ts';
import { npmFont } from '../../ps3/data/packages.ts';

/** Words of 10 pixels a letter and 20 high, a blank of 10 between; `|` is a gap of a column. */
const line = (text: string): Line => {
  let x = 0;
  const words: Word[] = [];
  for (const word of text.split(' ')) {
    if (word === '|') x += 100;
    else words.push({ text: word, box: [x, 0, x + 10 * word.length, 20] });
    x += 10 * word.length + 10;
  }
  return words;
};

test('factsOf: words and numbers by the three before them, cells by their row, references by their line', () => {
  const asked = (text: string): string[] =>
    factsOf([line(text)]).map(({ kind, question, text }) => `${kind}: ${question} ${text}`);
  assert.equal(asked('all of the Houses were 1234 Hills'), [
    'word: Which word follows “all of the”? Houses',
    'number: Which number follows “the Houses were”? 1234',
    'word: Which word follows “Houses were 1234”? Hills',
  ]);
  // Without a tall letter, or with one that reaches below the line, its height is not that of a capital.
  assert.equal(asked('all of the across jump'), []);
  assert.equal(asked('Introduction to sets | 27'), [
    'reference: Which page or number stands at the end of the line “Introduction to sets”? 27',
  ]);
  assert.equal(asked('alpha | 3.25 | 0.98'), [
    'cell: What stands in the last column of the row “alpha”? 0.98',
  ]);
  assert.is(factsOf([line('one two three Four')])[0].capPx, 20);
});

test('sheetsOf: no page stands on two sheets, and a short file has one', () => {
  const sheets = sheetsOf('manual.pdf', 400);
  const pages = sheets.flatMap(({ first, sheet }) =>
    Array.from({ length: sheet.columns * sheet.rows }, (_, i) => first + i),
  );
  assert.equal(
    pages,
    pages.map((_, i) => i),
  );
  assert.ok(pages.length <= 400 && pages.length > 400 - 18);
  assert.is(sheetsOf('card.pdf', 3).length, 1);
});

const question = (options: string[], answer: number, asked = '?'): Question => ({
  ...{ id: 'a', image: 'a.jpg', width: 1, height: 1, category: 'street', subcategory: 'plate' },
  ...{ question: asked, options, answer, metric: 'choice', boxes: [], referents: [], group: 'a' },
});

test('rotations: the answer once at each place, the options in their circle', () => {
  const turned = rotations(question(['a', 'b', 'c', 'd'], 2));
  assert.equal(
    turned.map(({ answer, options }) => [answer, options!.join('')]),
    [
      [2, 'abcd'],
      [1, 'bcda'],
      [0, 'cdab'],
      [3, 'dabc'],
    ],
  );
});

test('unsolvedBlind: takes out what two of three priors answer, and keeps what one does', () => {
  const long = question(['red', 'nothing', 'blue', 'grey'], 1);
  const longAndLike = question(['red', 'elephant', 'blue', 'grey'], 1, 'Where is the elephant?');
  assert.equal(unsolvedBlind([long, longAndLike]), [long]);
  const rules = blindRules([long]);
  assert.is(blindShare(rules.longest, long), 1);
  assert.is(blindShare(rules.first, long), 0);
  // All are as common: a guess.
  assert.is(blindShare(rules.commonest, long), 0.25);
});

test('chosenQuestions: a reader that fails at a figure more often does not tell what is right', () => {
  const random = new Random(5);
  const images = Array.from({ length: 200 }, (_, image) =>
    Array.from({ length: 30 }, (_, i): Question[] => {
      const text = String(1000 + random.integer(9000));
      const { options, answer } = optionsOf(text, [], random)!;
      const isRead = !/[17]/.test(text) || random.integer(4) === 0;
      const least = { constructed: 3780, reader: [3024, 2268, 1512][i % 3] };
      const one = {
        ...question(options, answer),
        id: `${image} ${i}`,
        leastPx: least,
        capPx: 5 + (i % 4) / 2,
      };
      return isRead ? [one] : [];
    }).flat(),
  );
  const rightOf = (questions: readonly Question[]): number => {
    const { glyphs } = blindRules(questions);
    return questions.reduce((sum, one) => sum + blindShare(glyphs, one), 0) / questions.length;
  };
  const chosen = chosenQuestions(images);
  assert.ok(chosen.length > 700, String(chosen.length));
  assert.ok(rightOf(images.flat()) > 0.3, String(rightOf(images.flat())));
  assert.ok(rightOf(chosen) < 0.27, String(rightOf(chosen)));
});

test('litLight: the lit one of three lamps, and none', async () => {
  const lamps = {
    red: ['#ff2a1c', '#3a0d0b'],
    yellow: ['#ffc21a', '#3b2d08'],
    green: ['#1dff6e', '#08331a'],
  };
  for (const lit of ['red', 'yellow', 'green', 'none']) {
    const canvas = createCanvas(40, 100);
    const context = canvas.getContext('2d');
    context.fillStyle = '#888';
    context.fillRect(0, 0, 40, 100);
    context.fillStyle = '#141516';
    context.fillRect(5, 5, 30, 90);
    for (const [i, [name, [bright, dark]]] of Object.entries(lamps).entries()) {
      context.fillStyle = name === lit ? bright : dark;
      context.beginPath();
      context.arc(20, 20 + 30 * i, 10, 0, 7);
      context.fill();
    }
    const data = await sharp(canvas.toBuffer('image/png')).removeAlpha().raw().toBuffer();
    assert.is(litLight({ data, width: 40, height: 100 }, [5, 5, 35, 95], 1), lit);
  }
});

test('Reader: a text that is read from top to bottom', async () => {
  const canvas = createCanvas(120, 300);
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, 120, 300);
  context.fillStyle = '#000';
  const { name, path } = await npmFont('fira-sans', () => undefined);
  GlobalFonts.registerFromPath(path, name);
  context.font = `32px ${name}`;
  context.translate(50, 40);
  context.rotate(Math.PI / 2);
  context.fillText('SHADOW 47', 0, 0);
  const width = context.measureText('SHADOW 47').width;
  const legend: Pick<Legend, 'box' | 'capPx' | 'turned'> = {
    box: [48, 38, 76, 42 + width],
    capPx: 23,
    turned: 90,
  };
  const options = ['SHADOW 47', 'SHADOW 41', 'SHALLOW', 'MEADOW 47'];
  await using reader = await Reader.open();
  const image = canvas.toBuffer('image/png');
  const [turned, flat] = await reader.rungs({ image, width: 120, height: 300 }, [
    { ...legend, options, answer: 0 },
    { ...legend, turned: undefined, options, answer: 0 },
  ]);
  assert.is(turned, 378); // larger than the image: it is read as it is
  assert.is(flat, undefined);
});

test.run();
