// Loaders of the benchmarks that choose among options, on made-up files of the same shape.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { splitBracketed } from '../../ps3/benchmarks/loaders/choices.ts';
import { promptOf } from '../../ps3/benchmarks/prompts.ts';
import { bytesOf, faultOf, hubParquet, plain, png, put, read } from './made_files.ts';

const folder = await mkdtemp(join(tmpdir(), 'benchmarks-'));
test.after(() => rm(folder, { recursive: true }));
const [red, blue] = [await png(64, 48, '#d01818'), await png(80, 40, '#2040e0')];

test('V*: the authors’ folders, with boxes as corner and size, and the first option as the answer', async () => {
  const vstar = join(folder, 'vstar');
  await put(red, vstar, 'direct_attributes', 'sa_1.png');
  await put(blue, vstar, 'relative_position', 'sa_2.png');
  const question = { question: 'What is the colour of the cap?', options: ['red', 'blue'] };
  const cap = { target_object: ['cap'], bbox: [[10, 20, 4, 8]], ...question };
  await put(JSON.stringify(cap), vstar, 'direct_attributes', 'sa_1.json');
  const two = {
    target_object: ['cat', 'dog'],
    bbox: [
      [0, 0, 8, 8],
      [70, 30, 10, 10],
    ],
  };
  await put(JSON.stringify({ ...two, ...question }), vstar, 'relative_position', 'sa_2.json');
  const records = await read('vstar', vstar);
  const shared = { ...question, answer: 0, metric: 'choice' };
  assert.equal(plain(records), [
    {
      ...{ id: 'direct_attributes/sa_1', category: 'direct_attributes', ...shared },
      ...{ boxes: [[10, 20, 14, 28]], referents: ['cap'], width: 64, height: 48 },
    },
    {
      ...{ id: 'relative_position/sa_2', category: 'relative_position', ...shared },
      ...{
        boxes: [
          [0, 0, 8, 8],
          [70, 30, 80, 40],
        ],
        referents: ['cat', 'dog'],
        width: 80,
        height: 40,
      },
    },
  ]);
  assert.is(records[0].image, join(vstar, 'direct_attributes', 'sa_1.png'));

  await put(JSON.stringify({ ...cap, bbox: [[10, 20, 60, 8]] }), vstar, 'direct_attributes', 'sa_1.json');
  assert.match(
    await faultOf('vstar', vstar),
    /sa_1\.json: a box must satisfy .* x2 <= 64 .* got \[10,20,70,28\]/,
  );
  await put(JSON.stringify({ ...cap, bbox: [] }), vstar, 'direct_attributes', 'sa_1.json');
  assert.match(await faultOf('vstar', vstar), /a box for each of `target_object`, got "0 boxes and 1 names"/);
  await put('{', vstar, 'direct_attributes', 'sa_1.json');
  assert.match(await faultOf('vstar', vstar), /sa_1\.json must be JSON, got: .*Download it again/);
});

test('V*: the hub’s table has options, and perhaps what to answer, in the text', async () => {
  const text = 'What is the color? (A) red (B) blue (C) green (D) white';
  assert.equal(splitBracketed(text), {
    question: 'What is the color?',
    options: ['red', 'blue', 'green', 'white'],
  });
  const trailer = "\nAnswer with the option's letter from the given choices directly.";
  const line = { image: 'direct_attributes/a.png', category: 'direct_attributes' };
  await put(red, folder, 'questions', 'direct_attributes', 'a.png');
  const lines = [
    { ...line, question_id: 0, text, label: 'B' },
    { ...line, question_id: 1, text: `Where?\n(A) left\n(B) right${trailer}`, label: 'A' },
  ];
  const path = await put(
    lines.map((line) => JSON.stringify(line)).join('\n'),
    folder,
    'questions',
    'q.jsonl',
  );
  const records = await read('vstar', path);
  assert.equal(
    records.map(({ question, options, answer, id }) => [id, question, options?.length, answer]),
    [
      ['0', 'What is the color?', 4, 1],
      ['1', 'Where?', 2, 0],
    ],
  );
  const { prompt, maxNewTokens } = promptOf('vstar', 'lmms-eval', records[0]);
  assert.is(prompt, `What is the color?\nA. red\nB. blue\nC. green\nD. white${trailer}`);
  assert.is(maxNewTokens, 16);
});

const OPTIONS = { A: ['12', '12'], B: ['21', '21'], C: ['7', '7'], D: ['1', '1'] };

test('HR-Bench: parquet with base64, rotations, and images that are the same', async () => {
  const image = [red, red].map((bytes) => bytes.toString('base64'));
  const shared = { index: [0n, 1n], question: ['Exit?', 'Exit?'], ...OPTIONS, answer: ['A', 'D'], image };
  await put(
    hubParquet({ ...shared, category: ['single', 'single'], cycle_category: ['0', '1'] }),
    ...[folder, 'hr', 'hr_bench_4k.parquet'],
  );
  const records = await read('hr-bench', join(folder, 'hr'));
  assert.equal(
    plain(records),
    [0, 1].map((cycle) => ({
      ...{ id: `${cycle}`, question: 'Exit?', options: ['12', '21', '7', '1'], answer: 3 * cycle },
      ...{ metric: 'choice', category: 'single', cycle, width: 64, height: 48 },
    })),
  );
  assert.ok(bytesOf(records[1]).equals(red));
  assert.is(records[0].group, records[1].group, 'one image, one group');
  assert.is(
    promptOf('hr-bench', 'vlmevalkit', records[0]).prompt,
    'Question: Exit?\nOptions:\nA. 12\nB. 21\nC. 7\nD. 1\nPlease select the correct answer from the options above. \n',
  );
});

test('MME-RealWorld: the authors’ JSON, lmms-eval’s parquet and VLMEvalKit’s table', async () => {
  await put(red, folder, 'mme', 'images', 'a.png');
  const question = {
    ...{ Question_id: 'ocr/1', Image: 'images/a.png', Text: 'Which sign?', 'Ground truth': 'E' },
    'Answer choices': ['(A) STOP', '(B) GO', '(C) 30', '(D) 50', '(E) None of them'],
    ...{ Task: 'Reasoning', Subtask: 'OCR with Complex Context', Category: 'signs' },
  };
  const json = await put(JSON.stringify([question]), folder, 'mme', 'MME_RealWorld.json');
  const want = {
    ...{ question: 'Which sign?', options: ['STOP', 'GO', '30', '50', 'None of them'], answer: 4 },
    ...{
      metric: 'choice',
      category: 'Reasoning',
      subcategory: 'OCR with Complex Context',
      width: 64,
      height: 48,
    },
  };
  const [authors] = await read('mme-realworld', json);
  assert.equal(plain([authors]), [{ id: 'ocr/1', ...want }]);
  const parquet = hubParquet({
    ...{ index: ['9'], bytes: [red.toString('base64')], question: ['Which sign?'], answer: ['E'] },
    'multi-choice options': [question['Answer choices']],
    ...{ category: ['Reasoning/OCR with Complex Context'], 'l2-category': ['signs'] },
  });
  assert.equal(plain(await read('mme-realworld', await put(parquet, folder, 'mme.parquet'))), [
    { id: '9', ...want },
  ]);
  const head = [
    'index',
    'image',
    'question',
    'multi-choice options',
    'A',
    'B',
    'C',
    'D',
    'E',
    'answer',
    'category',
  ];
  const cells = [
    red.toString('base64'),
    'Which sign?',
    '',
    ...want.options,
    'E',
    'Reasoning/OCR with Complex Context',
  ];
  const tsv = `${head.join('\t')}\n9\t${cells.join('\t')}\n`;
  assert.equal(plain(await read('mme-realworld', await put(tsv, folder, 'mme.tsv'))), [{ id: '9', ...want }]);
  const { prompt } = promptOf('mme-realworld', 'lmms-eval', authors);
  assert.is(
    prompt,
    'Which sign? The choices are listed below:\n(A) STOP\n(B) GO\n(C) 30\n(D) 50\n(E) None of them\nSelect the best answer to ' +
      'the above multiple-choice question based on the image. Respond with only the letter (A, B, C, D, or E) of the ' +
      'correct option.\nThe best answer is: ',
  );
});

test('RealWorldQA: options stand in the question where the answer is a letter', async () => {
  const way =
    'Which way?\nA. Left.\nB. Right.\nPlease answer directly with only the letter of the correct option.';
  const parquet = hubParquet({ image: [red, blue], question: [way, 'Is it raining?'], answer: ['B', 'No'] });
  const records = await read('realworldqa', await put(parquet, folder, 'real.parquet'));
  assert.equal(plain(records), [
    {
      ...{
        id: '0',
        asked: way,
        question: 'Which way?',
        options: ['Left.', 'Right.'],
        answer: 1,
        metric: 'choice',
      },
      ...{ width: 64, height: 48 },
    },
    {
      id: '1',
      asked: 'Is it raining?',
      question: 'Is it raining?',
      answer: ['No'],
      metric: 'exact',
      width: 80,
      height: 40,
    },
  ]);
  assert.is(promptOf('realworldqa', 'lmms-eval', records[0]).prompt, way);
  assert.match(
    promptOf('realworldqa', 'vlmevalkit', records[0]).prompt,
    /^Question: Which way\?\nOptions:\nA\. Left\./,
  );
});

test.run();
