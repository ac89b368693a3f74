// `ps3 answer` and `ps3 chat`: files of questions, pipes, and what is wrong in them.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { characterMap } from '../../ps3/app/looked.ts';
import { type Answered, accuracyLines } from '../../ps3/app/questions.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { engine } from '../harness.ts';
import { ps3 } from './run_cli.ts';
import { writeTinyVila } from './tiny_vila.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-answer-'));
test.after(() => rm(folder, { recursive: true }));
await writeTinyVila(engine, folder);
const model = join(folder, 'model');
const asking = ['--model', model, '--storage', 'f32', '--max-tokens', '4'];

const file = async (lines: readonly (object | string)[]): Promise<string> => {
  const path = join(folder, 'questions.jsonl');
  await writeFile(
    path,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  );
  return path;
};

test('ps3 answer --questions: scores, what is said and accuracy, as the model gives them', async () => {
  const options = ['red', 'green', 'blue'];
  const path = await file([
    { image: 'photo.png', question: 'Which colour?', options, answer: 'green' },
    { image: 'photo.png', question: 'What is it?', answer: ['a star', 'star'] },
    { image: 'photo.png', question: 'Where?' },
  ]);
  const { code, out, err } = await ps3(
    'answer',
    ...asking,
    '--questions',
    path,
    '--by',
    'both',
    '--looks',
    '1',
  );
  assert.is(code, 0, err);
  const lines = out.split('\n').map((line) => JSON.parse(line) as Answered);
  assert.is(lines.length, 3);
  using vila = await VilaModel.load(engine, model);
  using seen = vila.see(await decodeImage(join(folder, 'photo.png')));
  using look = await vila.lookFor('Which colour?', seen, { looks: 1 });
  const scores = await vila.likelihoods('Which colour?', options, look);
  lines[0].scores!.forEach((score, i) => {
    assert.ok(Math.abs(score - scores[i]) < 1e-5, `${score} for ${scores[i]}`);
  });
  const best = options[scores.indexOf(Math.max(...scores))];
  assert.equal([lines[0].chosen, lines[0].isChosenRight], [best, best === 'green']);
  let said = '';
  for await (const { text } of vila.answer('Which colour?', look, { maxTokens: 4 })) said += text;
  assert.is(lines[0].said, said.trim());
  assert.equal([lines[1].scores, lines[1].isSaidRight, lines[2].isSaidRight], [undefined, false, undefined]);
  assert.is(lines[0].tokens, look.blocks[0].shape[1]);
  const right = best === 'green' ? 1 : 0;
  assert.match(
    err,
    new RegExp(`^${right} of 1 right by likelihood, ${100 * right}\\.0 %\\n0 of 2 right by generation`),
  );
});

test('ps3 answer --questions: a mistake is one sentence and exit code 2', async () => {
  const mistakes: [RegExp, ...(object | string)[]][] = [
    [/line 1: `question` must be a text, got nothing/, { image: 'photo.png' }],
    [
      /line 2: `answer` must be one of the options, got \["c"\]/,
      { image: 'a.png', question: 'x' },
      { image: 'a.png', question: 'x', options: ['a', 'b'], answer: 'c' },
    ],
    [
      /line 1: `options` must be different and two at least, got \["a","a"\]/,
      { image: 'a.png', question: 'x', options: ['a', 'a'] },
    ],
    [/line 1 must be JSON/, '{ image'],
    [/must have a question, got none/, ''],
    [/decodeImage: .*missing\.png must be readable/, { image: 'missing.png', question: 'x' }],
  ];
  for (const [message, ...lines] of mistakes) {
    const { code, out, err } = await ps3('answer', ...asking, '--questions', await file(lines));
    assert.equal([code, out], [2, ''], err);
    assert.match(err, message);
    assert.is(err.split('\n').length, 1, err);
  }
  for (const [message, ...args] of [
    [/there must be <image> <question>, or --questions, got photo\.png/, 'photo.png'],
    [/--questions must come without an image/, '--questions', 'q.jsonl', 'photo.png', 'What?'],
    [/--by must come with --questions/, '--by', 'both', 'photo.png', 'What?'],
  ] as const) {
    const { code, err } = await ps3('answer', ...asking, ...args);
    assert.is(code, 2);
    assert.match(err, message);
  }
});

test('ps3 chat: answers lines of a pipe, and draws where it looked', async () => {
  const bin = fileURLToPath(new URL('../../ps3/app/bin.mjs', import.meta.url));
  const drawn = join(folder, 'drawn');
  const args = [bin, 'chat', ...asking, '--out', drawn, join(folder, 'photo.png')];
  const [out, err] = await new Promise<[string, string]>((resolve, reject) => {
    const child = execFile(process.execPath, args, (error, out, err) =>
      error ? reject(new Error(err)) : resolve([out, err]),
    );
    child.stdin!.end('What is it?\n\nWhere is the moon?\n');
  });
  using vila = await VilaModel.load(engine, model);
  using seen = vila.see(await decodeImage(join(folder, 'photo.png')));
  let want = '';
  for (const question of ['What is it?', 'Where is the moon?']) {
    using look = await vila.lookFor(question, seen);
    for await (const { text } of vila.answer(question, look, { maxTokens: 4 })) want += text;
    want += '\n';
  }
  assert.is(out, want);
  assert.match(err, /photo\.png: 160 x 90, glanced at in/);
  assert.is(err.match(/tokens, of \d+ patches looked at/g)?.length, 2, err);
  assert.match(err, /[░▒▓█]/);
  const names = await readdir(drawn);
  assert.ok(names.includes('1.top_down.png') && names.includes('2.top_down.png'), `${names}`);
});

test('characterMap: the share of a character that was looked at at any scale', () => {
  const coarse = { map: [1, 0, 0, 0], grid: [2, 2] } as const;
  const fine = { map: [...new Array(12).fill(0), 0, 0, 0, 1], grid: [4, 4] } as const;
  assert.is(characterMap([coarse], [2, 2]), '█ \n  ');
  assert.is(characterMap([coarse, fine], [2, 2]), '█ \n ░');
  assert.is(characterMap([coarse, fine], [1, 1]), '▒');
});

test('accuracyLines: only what can be checked counts', () => {
  const one = { image: '', question: '', tokens: 1, seconds: 0 };
  assert.equal(accuracyLines([one]), []);
  const some = [
    { ...one, isChosenRight: true },
    { ...one, isChosenRight: false },
    { ...one, isChosenRight: true },
  ];
  assert.equal(accuracyLines(some), ['2 of 3 right by likelihood, 66.7 %']);
});

test.run();
