// Documents as images with captions, beside what poppler finds in the same file.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PdfFile } from '../../ps3/data/caption/pdf.ts';
import { captionSources } from '../../ps3/data/caption/run.ts';
import { captionsOf, type Word } from '../../ps3/data/caption/words.ts';
import { openFolder } from '../../ps3/data/folder.ts';
import { decodeImage } from '../../ps3/model/image.ts';

const fixture = new URL('../fixtures/pdf/words.pdf', import.meta.url);
/** Pages of [word, x1, y1, x2, y2] in points. */
const POPPLER = JSON.parse(readFileSync(new URL('../fixtures/pdf/words.json', import.meta.url), 'utf8')) as [
  string,
  number,
  number,
  number,
  number,
][][];
const folder = mkdtempSync(join(tmpdir(), 'ps3-caption-'));

test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Of boxes: line by line, from left to right; those of a line differ by less than 5. */
const order = ([x1, y1]: readonly number[], [x2, y2]: readonly number[]): number =>
  Math.abs(y1 - y2) < 5 ? x1 - x2 : y1 - y2;

test('PdfFile: words are those that poppler finds, at its places', async () => {
  using pdf = await PdfFile.open(readFileSync(fixture), 'words.pdf');
  assert.is(pdf.pageCount, POPPLER.length);
  for (const [i, expected] of POPPLER.entries()) {
    const { width, height, lines } = pdf.page(i, 144);
    assert.equal([width, height], [600, 800]); // 300 x 400 points at two pixels each
    // Poppler goes down the columns of the table, PDFium along its rows.
    const words = lines
      .flat()
      .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : order(a.box, b.box)));
    const theirs = expected.toSorted(([a, ...p], [b, ...q]) => (a < b ? -1 : a > b ? 1 : order(p, q)));
    assert.equal(
      words.map(({ text }) => text),
      theirs.map(([word]) => word),
    );
    for (const [j, { text, box }] of words.entries()) {
      const [, ...edges] = theirs[j];
      const [x1, y1, x2, y2] = edges.map((edge) => 2 * edge);
      // Poppler's boxes go from letter to letter and from the font's top to its bottom; ours hold the ink.
      assert.ok(Math.abs(box[0] - x1) < 3 && Math.abs(box[2] - x2) < 3, `${text}: ${box} beside ${edges}`);
      assert.ok(box[1] > y1 - 1 && box[3] < y2 + 1, `${text}: ${box} beside ${edges}`);
    }
  }
});

test('PdfFile: every dark pixel of a page is in the box of a word', async () => {
  using pdf = await PdfFile.open(readFileSync(fixture), 'words.pdf');
  const { width, height, rgba, lines } = pdf.page(0, 150);
  const boxes = lines.flat().map(({ box }) => box);
  const dark = boxes.map(() => 0);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (rgba[4 * (y * width + x)] > 100) continue;
      const at = boxes.findIndex(([x1, y1, x2, y2]) => x + 1 > x1 && x < x2 && y + 1 > y1 && y < y2);
      assert.is.not(at, -1, `${x}, ${y}`);
      dark[at]++;
    }
  assert.not(dark.includes(0));
});

test('PdfFile: what is no PDF is refused in one sentence', async () => {
  for (const bytes of [new Uint8Array(0), readFileSync(fixture).subarray(0, 20), Buffer.from('hello')])
    try {
      await PdfFile.open(bytes, 'some.pdf');
      assert.unreachable();
    } catch (error) {
      assert.match(String(error), /PdfFile.open: some.pdf must be a whole PDF, got something else/);
    }
});

/** A word of ten pixels a letter. */
const word = (text: string, x: number, y: number): Word => ({
  text,
  box: [x, y, x + 10 * text.length, y + 20],
});

test('captionsOf: so many words over lines, never over a gap or into another size', () => {
  const lines = [
    [word('one', 0, 0), word('two', 40, 0), word('three', 80, 0)],
    [word('four', 0, 30), word('five', 50, 30), word('far', 200, 30)],
    [word('six', 0, 60)],
    [word('below', 0, 200), word('all', 60, 200)],
  ];
  const rule = { words: 4, minWords: 2 } as const;
  assert.equal(captionsOf(lines, rule), [
    { text: 'one two three four', box: [0, 0, 130, 50] }, // what is left of it, `five`, is one word
    { text: 'far', box: [200, 30, 230, 50] },
    { text: 'six', box: [0, 60, 30, 80] },
    { text: 'below all', box: [0, 200, 90, 220] },
  ]);
  assert.equal(
    captionsOf(lines, { words: 'line', minWords: 1 }).map(({ text }) => text),
    ['one two three', 'four five', 'far', 'six', 'below all'],
  );
  assert.equal(captionsOf([[word('--', 0, 0), word('>>', 30, 0)]], rule), []);
});

const read = (out: string): string => readFileSync(join(out, 'annotations.jsonl'), 'utf8');

test('captionSources: the same bytes in any number of threads, boxes on their words', async () => {
  const source = join(folder, 'source');
  cpSync(fixture, join(source, 'a', 'words.pdf'));
  cpSync(fixture, join(source, 'again.pdf'));
  writeFileSync(join(source, 'LICENSE'), 'as you like');
  writeFileSync(join(source, 'broken.pdf'), 'nothing');
  const notices: string[] = [];
  const notice = (text: string): number => notices.push(text);
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  const dpi = [96, 150];
  const result = await captionSources({ source, out: one, dpi, threads: 1, notice });
  assert.is(notices.length, 1);
  assert.match(notices[0], /broken\.pdf must be a whole PDF/);
  assert.is(result.images, 4);
  await captionSources({ source, out: two, dpi, threads: 2, notice });
  assert.is(read(one), read(two));
  const images = await openFolder(one); // which checks that boxes are inside
  assert.equal(
    images.map(({ captions }) => captions[0]),
    Array(2)
      .fill([
        'Harbour notes The ferry leaves at 07:40 from the north quay, and carries mail, eleven',
        'Small print on the second page: all prices are in crowns, and none of them',
      ])
      .flat(),
  );
  for (const { path, key } of images) {
    const [a, b] = await Promise.all([path, join(two, key)].map((file) => readFileSync(file)));
    assert.ok(a.equals(b), key);
    const { width, height } = await decodeImage(path, { name: key });
    assert.ok(
      dpi.some((dpi) => width === Math.round((300 / 72) * dpi) && height === Math.round((400 / 72) * dpi)),
    );
  }
});

test('captionSources: goes on where it was stopped, and forgets what is gone', async () => {
  const source = join(folder, 'changing');
  cpSync(fixture, join(source, 'first.pdf'));
  cpSync(fixture, join(source, 'second.pdf'));
  const out = join(folder, 'kept');
  await captionSources({ source, out, threads: 1 });
  const before = read(out);
  // As a run leaves it that is killed between its two pieces.
  const [piece] = readdirSync(join(out, '.pieces'));
  rmSync(join(out, '.pieces', piece));
  rmSync(join(out, 'annotations.jsonl'));
  const again = await captionSources({ source, out, threads: 1 });
  assert.is(again.kept, 1);
  assert.is(read(out), before);
  rmSync(join(source, 'first.pdf'));
  const fewer = await captionSources({ source, out, threads: 1 });
  assert.equal([fewer.kept, fewer.images, readdirSync(join(out, 'images')).length], [1, 2, 2]);
  assert.ok(readdirSync(join(out, 'images')).every((name) => name.startsWith('second')));
  assert.ok(existsSync(join(out, 'licences.json')));
});

test('captionSources: each file is of one part', async () => {
  const source = join(folder, 'many');
  for (let i = 0; i < 12; i++) cpSync(fixture, join(source, `${i}.pdf`));
  const filesOf = async (split: 'train' | 'heldOut'): Promise<string[]> => {
    const out = join(folder, split);
    await captionSources({ source, out, split, heldOutShare: 0.4, dpi: [20], threads: 1 });
    const lines = read(out).trim().split('\n');
    return [...new Set(lines.map((line) => (JSON.parse(line) as { source: { file: string } }).source.file))];
  };
  const [train, heldOut] = [await filesOf('train'), await filesOf('heldOut')];
  assert.is(train.length + heldOut.length, 12);
  assert.is(new Set([...train, ...heldOut]).size, 12);
  assert.ok(train.length > 0 && heldOut.length > 0);
});

test('captionSources: nothing to read, and options out of range, are refused', async () => {
  const empty = mkdtempSync(join(folder, 'empty-'));
  const refused = async (options: object, message: RegExp): Promise<void> => {
    try {
      await captionSources({ source: empty, out: join(folder, 'never'), ...options });
      assert.unreachable();
    } catch (error) {
      assert.match(String(error), message);
    }
  };
  await refused({}, /there must be PDF or HTML files, or images and a captioner, got none/);
  await refused({ source: join(empty, 'no') }, /the source must exist/);
  await refused({ dpi: [5] }, /dpi must be within 20 to 1200, got \[5\]/);
  await refused({ heldOutShare: 2 }, /heldOutShare must be within 0 and 1, got 2/);
});

test.run();
