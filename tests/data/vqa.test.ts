// Images with questions: what `ps3 data vqa` writes, that it goes on, and what reads it.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import { checkData } from '../../ps3/app/data_check.ts';
import { parseAnnotation } from '../../ps3/data/annotations.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import { loadImage, openFolder } from '../../ps3/data/folder.ts';
import { packShards } from '../../ps3/data/pack/pack_shards.ts';
import { readShards } from '../../ps3/data/shards.ts';
import { vqaSources } from '../../ps3/data/vqa/run.ts';
import { FORMS, questionsOf } from '../../ps3/data/vqa/templates.ts';
import { ps3 } from '../app/run_cli.ts';
import { drawnPhotos, temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('vqa');
const photos = join(folder, 'photos');
await mkdir(photos);
await drawnPhotos(photos, 4);

/** Noise of one hue, so that nothing else on a background is like it. */
async function noise(path: string, width: number, height: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) rgb.set([255, 128 + random.integer(64), 0], 3 * i);
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
/** Six annotated images, three of them with questions in questions.jsonl too, and one that is larger than backgrounds. */
async function source(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  for (const [i, letter] of NAMES.entries()) await noise(join(path, `${letter}.png`), 60, 40, i);
  await noise(join(path, 'large.png'), 300, 100, 9);
  const annotations = NAMES.map((letter, i) => ({
    image: `${letter}.png`,
    text: ['the fox', 'a key', 'The fox.', 'two men who sit on a bench'],
    box: [
      [0, 0, 10, 10],
      [10, 0, 20, 10],
      [20, 0, 30, 10],
      [30, 10, 60, 40],
    ],
    ...(i === 0 && { type: 'document' }),
  }));
  const questions = ['a', 'b', 'c', 'large'].flatMap((letter) => [
    { image: `${letter}.png`, question: `What is in ${letter}?`, answer: [`noise ${letter}`, 'noise'] },
    { image: `${letter}.png`, question: 'Which hue?', answer: 'orange' },
  ]);
  const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
  await writeFile(join(path, 'annotations.jsonl'), lines(annotations));
  await writeFile(join(path, 'questions.jsonl'), lines(questions));
  return path;
}

const src = await source('source');
const options = { source: src, photos, side: 256 };
const linesIn = (out: string): (Record<string, unknown> & { image: string })[] =>
  readFileSync(join(out, 'annotations.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('questionsOf: what captions say stands last, and what several say the same of is asked once', () => {
  const boxes: Box[] = [0, 1, 2, 3].map((i) => [i, 0, i + 1, 1]);
  const captions = ['the fox', 'Fox!', 'key', 'two men who sit on a bench.'];
  const asked = questionsOf({ captions, boxes }, 'things', 8, new Random(1));
  const about = (words: string) => asked.filter(({ question }) => question.endsWith(words));
  assert.is(asked.length, 3);
  assert.equal(about('fox')[0].boxes, [boxes[0], boxes[1]]);
  assert.equal(about('key')[0].boxes, [boxes[2]]);
  assert.equal(about(': two men who sit on a bench')[0].boxes, [boxes[3]]);
  assert.ok(asked.every(({ answer }) => answer === undefined));
  const forms: readonly string[] = Object.values(FORMS).flat();
  assert.ok(forms.every((form) => /TEXT”?$/.test(form)));
  // Of what is written only the beginning is told, and it is the same of two that go on in other ways.
  const texts = ['one two three four', 'One two three five', '$& six'];
  const read = questionsOf({ captions: texts, boxes }, 'texts', 8, new Random(2));
  assert.equal(read.map(({ boxes }) => boxes.length).sort(), [1, 2]);
  assert.ok(read.some(({ question }) => question.endsWith('“one two three”')));
  assert.ok(
    read.some(({ question }) => question.endsWith('“$& six”')),
    'a text is not a pattern',
  );
  assert.is(questionsOf({ captions, boxes }, 'things', 2, new Random(3)).length, 2);
});

test('parseAnnotation: questions are checked, and an image may have nothing else', () => {
  const parse = (...questions: unknown[]) => parseAnnotation({ questions }, 'x.jsonl line 1');
  assert.equal(parse({ question: 'q', answer: 'a' }).questions, [{ question: 'q', answer: 'a', boxes: [] }]);
  assert.equal(parse({ question: 'q', answer: null, box: [[0, 0, 1, 1]] }).questions, [
    { question: 'q', boxes: [[0, 0, 1, 1]] },
  ]);
  for (const [asked, words] of [
    [{ question: ' ', answer: 'a' }, 'a question must be a text'],
    [{ question: 'q', answer: 1 }, 'an answer must be a text'],
    [{ question: 'q', answer: 'a', box: [1, 2, 3, 4] }, '`box` of a question must be a list of'],
    [{ question: 'q' }, 'a question must have an answer or a box'],
    [null, 'a question must be a text'],
  ] as const)
    assert.throws(() => parse(asked), new RegExp(words));
  assert.throws(() => parseAnnotation({ questions: 'q' }, 'x'), /`questions` must be a list/);
});

test('vqaSources: captions become questions about images as they are, questions lie on backgrounds', async () => {
  const out = join(folder, 'out');
  const result = await vqaSources({ ...options, out });
  assert.equal(result, { images: 6 + 4, questions: 6 * 3 + 8, answered: 8, kept: 0 });
  const images = await openFolder(out);
  const lines = linesIn(out);
  for (const [i, line] of lines.entries()) {
    const { file } = line.source as { file: string };
    const { questions = [], path, width, height } = images[i];
    const original = await sharp(join(src, file)).removeAlpha().raw().toBuffer();
    if (line.text && (line.text as string[]).length > 0) {
      assert.equal(readFileSync(path), readFileSync(join(src, file)), 'the same bytes');
      assert.ok(questions.every(({ answer, boxes }) => answer === undefined && boxes.length > 0));
      assert.is(questions.filter(({ boxes }) => boxes.length === 2).length, 1, 'two foxes');
      assert.is(
        questions.every(({ question }) => question.endsWith('”')),
        file === 'a.png',
        'of a document',
      );
      continue;
    }
    const [letter] = file.split('.');
    assert.equal(
      questions.map(({ question, answer }) => `${question} ${answer}`).sort(),
      [`What is in ${letter}? noise ${letter}`, 'Which hue? orange'].sort(),
    );
    if (file === 'large.png') {
      assert.equal([width, height, questions.flatMap(({ boxes }) => boxes)], [300, 100, []]);
      continue;
    }
    assert.equal([width, height], [256, 256]);
    const [[x1, y1, x2, y2]] = questions[0].boxes;
    assert.equal([x2 - x1, y2 - y1], [60, 40], 'as many pixels as before');
    const crop = { left: x1, top: y1, width: 60, height: 40 };
    const shown = await sharp(path).removeAlpha().extract(crop).raw().toBuffer();
    const off = shown.reduce((sum, value, k) => sum + Math.abs(value - original[k]), 0) / shown.length;
    assert.ok(off < 8, `JPEG: ${off} of 255 on average`);
    const all = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    let outside = 0;
    for (let k = 0; k < 256 * 256; k++) {
      const [x, y] = [k % 256, Math.floor(k / 256)];
      const isIn = x >= x1 - 2 && x < x2 + 2 && y >= y1 - 2 && y < y2 + 2;
      if (!isIn && all.data[3 * k] > 240 && all.data[3 * k + 2] < 20) outside++;
    }
    assert.is(outside, 0, 'nothing of it is elsewhere');
  }
  const { sources, backgrounds } = JSON.parse(readFileSync(join(out, 'licences.json'), 'utf8'));
  assert.is(sources.length, 10);
  assert.is(backgrounds.photographs.length, 4);
});

test('vqaSources: the same bytes from the same seed, and others from another', async () => {
  const [again, other] = [join(folder, 'again'), join(folder, 'other')];
  await vqaSources({ ...options, out: again });
  await vqaSources({ ...options, out: other, seed: 2 });
  const contents = (out: string): [string, string][] =>
    ['annotations.jsonl', ...readdirSync(join(out, 'images')).map((name) => `images/${name}`)]
      .sort()
      .map((name) => [name, readFileSync(join(out, name), 'base64')]);
  assert.equal(contents(again), contents(join(folder, 'out')));
  assert.not.equal(contents(other), contents(again));
});

test('vqaSources: goes on where it was stopped, and forgets what is gone', async () => {
  const [mine, out] = [join(folder, 'mine'), join(folder, 'stopped')];
  await cp(src, mine, { recursive: true });
  const stop = (done: number): void => {
    if (done === 7) throw new Error('killed');
  };
  const run = { ...options, source: mine, out };
  assert.is(await vqaSources({ ...run, onProgress: stop }).catch(({ message }: Error) => message), 'killed');
  assert.not.ok(existsSync(join(out, 'annotations.jsonl')));
  assert.is((await vqaSources(run)).kept, 7);
  const whole = linesIn(out);
  assert.equal(whole, linesIn(join(folder, 'out')));
  writeFileSync(join(mine, 'questions.jsonl'), '{"image":"a.png","question":"q","answer":"x"}\n');
  rmSync(join(mine, 'f.png'));
  const annotations = readFileSync(join(mine, 'annotations.jsonl'), 'utf8').split('\n');
  writeFileSync(join(mine, 'annotations.jsonl'), annotations.slice(0, -1).join('\n'));
  const less = await vqaSources(run);
  assert.equal([less.images, less.kept, less.answered], [6, 5, 1]);
  assert.is(readdirSync(join(out, 'images')).length, 6);
});

test('vqaSources: a source is of one part, and so is a photograph', async () => {
  const parts = { train: join(folder, 'train'), heldOut: join(folder, 'held_out') };
  const of = async (split: 'train' | 'heldOut') => {
    await vqaSources({ ...options, out: parts[split], split, heldOutShare: 0.5, seed: 3 });
    const { backgrounds } = JSON.parse(readFileSync(join(parts[split], 'licences.json'), 'utf8'));
    return {
      files: new Set(linesIn(parts[split]).map(({ source }) => (source as { file: string }).file)),
      photos: backgrounds.photographs.map(({ name }: { name: string }) => name) as string[],
    };
  };
  const [train, heldOut] = [await of('train'), await of('heldOut')];
  assert.equal([...train.files, ...heldOut.files].sort(), [
    ...NAMES.map((name) => `${name}.png`),
    'large.png',
  ]);
  assert.ok(train.files.size > 0 && heldOut.files.size > 0);
  assert.equal([...train.photos, ...heldOut.photos].sort(), readdirSync(photos).sort());
  assert.ok(train.photos.length > 0 && heldOut.photos.length > 0);
});

test('data check: counts questions, and finds boxes of theirs that are wrong', async () => {
  const images = join(folder, 'out');
  const sound = (await checkData({ images, annotations: null, out: join(folder, 'check') }))!;
  // Two images of each of a, b and c, of which one is as it was; the large one is not annotated.
  assert.equal([sound.samples, sound.questions, sound.answers, sound.faults], [10, 26, 8, []]);
  const broken = join(folder, 'broken');
  await cp(images, broken, { recursive: true });
  const lines = linesIn(broken);
  (lines[0].questions as { box: Box[] }[])[0].box = [[0, 0, 90, 10]];
  await writeFile(join(broken, 'annotations.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
  const found = (await checkData({ images: broken, annotations: null, out: join(folder, 'check2') }))!;
  assert.equal(
    found.faults.map(({ kind }) => kind),
    ['box outside the image'],
  );
});

test('packShards: questions travel with their images, and are squashed with them', async () => {
  const [from, to] = [join(folder, 'out'), join(folder, 'packed')];
  await packShards(from, to);
  const stored = await openFolder(from);
  const first = stored[0];
  for await (const { key, questions } of readShards(to))
    if (first.key.includes(key)) assert.equal(questions, first.questions);
  const { questions, side } = await loadImage(first, 30);
  const [[x1, y1, x2, y2]] = first.questions![0].boxes;
  assert.equal(questions![0].boxes[0], [x1 / 2, (y1 * 30) / 40, x2 / 2, (y2 * 30) / 40]);
  assert.is(side, 30);
});

test('ps3 data vqa: mistakes end in one sentence and exit code 2', async () => {
  const out = join(folder, 'refused');
  const empty = join(folder, 'empty');
  await mkdir(empty);
  const bad = join(folder, 'bad');
  await mkdir(bad);
  await cp(join(src, 'a.png'), join(bad, 'a.png'));
  await writeFile(join(bad, 'questions.jsonl'), '{"image":"a.png","question":"q"}\n');
  for (const [args, words] of [
    [[empty, out], /^ps3: vqaSources: there must be an image to ask about, got none in .*\. Name a folder/],
    [[src, out, '--side', '10'], /^ps3: data vqa: --side must be a whole number of at least 64, got 10\./],
    [[src, out, '--held-out', '101'], /--held-out must be a whole number within 0 and 100, got 101/],
    [
      ['game', out, '--split', 'all'],
      /^ps3: vqaSources: game must be of the split train or heldOut, got all\.$/,
    ],
    [[bad, out, '--photos', photos], /line 1: `question` and `answer` must be texts, got \["q",null\]/],
    [[src, out, '--photos', empty], /needs at least 2 images/],
    [[src], /there must be <source> <folder>/],
  ] as const) {
    const { code, err } = await ps3('data', 'vqa', ...args);
    assert.is(code, 2, err);
    assert.match(err, words);
    assert.is(err.trim().split('\n').length, 1);
  }
});

test.run();
