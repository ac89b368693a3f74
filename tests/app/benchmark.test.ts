// `ps3 benchmark` on made-up files.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hubParquet, png, put } from '../benchmarks/made_files.ts';
import { ps3 } from './run_cli.ts';

const folder = await mkdtemp(join(tmpdir(), 'ps3-benchmark-'));
test.after(() => rm(folder, { recursive: true }));

const image = (await png(40, 30, '#d01818')).toString('base64');
const rows = [0, 1, 2, 3].map((i) => ({
  index: `${i}`,
  answer: 'ABAB'[i],
  category: i < 2 ? 'single' : 'cross',
}));
const table = await put(
  hubParquet({
    index: rows.map(({ index }) => index),
    answer: rows.map(({ answer }) => answer),
    category: rows.map(({ category }) => category),
    cycle_category: ['0', '1', '0', '1'],
    question: rows.map(() => 'Which exit?'),
    A: rows.map(() => '12'),
    B: rows.map(() => '21'),
    image: rows.map(() => image),
  }),
  ...[folder, 'hr_bench_4k.parquet'],
);

test('ps3 benchmark: shows the first record, the options, the categories and the answers', async () => {
  const { code, out, err } = await ps3('benchmark', table, '--as', 'hr-bench');
  assert.is(code, 0, err);
  assert.match(out, /"question": "Which exit\?"/);
  for (const row of [
    'questions +4',
    'groups +1',
    'mean image +40 x 30 px',
    'options +2: 4',
    'answers +A: 2, B: 2',
  ])
    assert.match(out, new RegExp(row));
  assert.match(out, /categories +single: 2, cross: 2/);
  const { options, answers } = JSON.parse(
    (await ps3('benchmark', table, '--as', 'hr-bench', '--json')).out,
  ) as {
    options: undefined;
    answers: object;
  };
  assert.equal([options, answers], [undefined, { A: 2, B: 2 }]);
});

test('ps3 benchmark: a map reads what has no name here', async () => {
  const map = {
    image: 'image',
    question: 'question',
    options: ['A', 'B'],
    answer: 'answer',
    category: 'category',
  };
  const path = await put(JSON.stringify(map), folder, 'map.json');
  const { code, out, err } = await ps3('benchmark', table, '--map', path);
  assert.is(code, 0, err);
  assert.match(out, /answers +A: 2, B: 2/);
});

test('ps3 benchmark: prompts go out and replies come in', async () => {
  const prompts = join(folder, 'prompts.jsonl');
  const written = await ps3(
    'benchmark',
    table,
    '--as',
    'hr-bench',
    '--prompts',
    prompts,
    '--suite',
    'vlmevalkit',
  );
  assert.is(written.code, 0, written.err);
  const lines = (await readFile(prompts, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  const prompt =
    'Question: Which exit?\nOptions:\nA. 12\nB. 21\nPlease select the correct answer from the options above. \n';
  const images = join(folder, 'images');
  const again = await ps3('benchmark', table, '--as', 'hr-bench', '--prompts', prompts, '--images', images);
  assert.is(again.code, 0, again.err);
  const [first, second] = (await readFile(prompts, 'utf8'))
    .split('\n')
    .map((line) => line && JSON.parse(line));
  assert.equal(await readdir(images), [basename(first.image)]);
  assert.is(second.image, first.image, 'each image once');
  assert.is((await readFile(first.image)).toString('base64'), image);
  assert.match(first.image, /\.png$/);
  assert.equal(lines[3], { id: '3', prompt, maxNewTokens: 16, suite: 'vlmevalkit' });
  const said = ['A', 'the answer is B', 'I see nothing', '12'];
  const replies = said.map((reply, i) => JSON.stringify({ id: `${i}`, reply })).join('\n');
  const path = await put(replies, folder, 'replies.jsonl');
  const { code, out, err } = await ps3('benchmark', table, '--as', 'hr-bench', '--score', path);
  assert.is(code, 0, err);
  assert.match(out, /Prompts of lmms-eval/);
  assert.match(out, /all 4 +50\.0 % +\(/);
  assert.match(out, /single, 2 +100\.0 %/);
  assert.match(out, /cross, 2 +0\.0 %/);
  assert.match(out, /named none +25\.0 %/);
});

test('ps3 benchmark: every mistake is one sentence and exit code 2', async () => {
  const cut = await put((await readFile(table)).subarray(0, 100), folder, 'cut.parquet');
  const one = await put('{"id": "0", "reply": "A"}', folder, 'one.jsonl');
  const bad = await put('{"id": "0", "answer": "A"}', folder, 'bad.jsonl');
  const all = [0, 1, 2, 3, 4].map((i) => JSON.stringify({ id: `${i}`, reply: 'A' }));
  const more = await put(all.join('\n'), folder, 'more.jsonl');
  const mistakes: [RegExp, ...string[]][] = [
    [/either --as or --map, got none/, table],
    [/--images must stand beside --prompts/, table, '--as', 'hr-bench', '--images', folder],
    [/--as must be one of vstar, .* got imagenet/, table, '--as', 'imagenet'],
    [/cut\.parquet must be a parquet file/, cut, '--as', 'hr-bench'],
    [
      /one\.jsonl must have a reply to every question, got none to 1/,
      table,
      '--as',
      'hr-bench',
      '--score',
      one,
    ],
    [/bad\.jsonl, line 1: `answer` must be as in/, table, '--as', 'hr-bench', '--score', bad],
    [/must reply to questions of .*, got "4"/, table, '--as', 'hr-bench', '--score', more],
  ];
  for (const [sentence, ...args] of mistakes) {
    const { code, err } = await ps3('benchmark', ...args);
    assert.is(code, 2, `${args.join(' ')}: ${err}`);
    assert.match(err, sentence);
    assert.not.match(err, / {4}at |\n/, 'one sentence');
  }
});

test.run();
