// Loaders of the other public benchmarks, and what broken files come to, on made-up files of the same shape.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFieldMap } from '../../ps3/benchmarks/loaders/field_map.ts';
import { promptOf } from '../../ps3/benchmarks/prompts.ts';
import { bytesOf, faultOf, hubParquet, plain, png, put, read } from './made_files.ts';

const folder = await mkdtemp(join(tmpdir(), 'benchmarks-'));
test.after(() => rm(folder, { recursive: true }));
const [red, blue] = [await png(64, 48, '#d01818'), await png(80, 40, '#2040e0')];

test('free answers: TextVQA, DocVQA, InfoVQA, ChartQA and OCRBench in the hub’s parquet', async () => {
  const ten = Array.from({ length: 10 }, (_, i) => `answer ${i % 2}`);
  const file = (name: string, columns: Record<string, unknown[]>): Promise<string> =>
    put(hubParquet({ image: [blue], ...columns }), folder, name, 'data', 'test-00000-of-00001.parquet');
  const size = { width: 80, height: 40 };
  const textvqa = { image_id: ['i'], question_id: [34602n], question: ['what IS it?'], answers: [ten] };
  await file('textvqa', textvqa);
  const [text] = await read('textvqa', join(folder, 'textvqa'));
  assert.equal(plain([text]), [
    { id: '34602', question: 'what IS it?', answer: ten, metric: 'vqa', ...size },
  ]);
  assert.ok(bytesOf(text).equals(blue));
  const trailer = '\nAnswer the question using a single word or phrase.';
  assert.is(promptOf('textvqa', 'lmms-eval', text).prompt, `What is it?${trailer}`);
  assert.is(promptOf('textvqa', 'vlmevalkit', text).prompt, `what IS it?${trailer}`);

  await file('docvqa', {
    questionId: ['7'],
    question: ['Date?'],
    question_types: [['form']],
    answers: [['1 May', 'May 1']],
  });
  assert.equal(plain(await read('docvqa', join(folder, 'docvqa'))), [
    { id: '7', question: 'Date?', answer: ['1 May', 'May 1'], metric: 'anls', category: 'form', ...size },
  ]);
  await file('infovqa', {
    questionId: ['8'],
    question: ['How many?'],
    answers: [['3']],
    answer_type: [['single span']],
  });
  assert.equal(plain(await read('infovqa', join(folder, 'infovqa'))), [
    { id: '8', question: 'How many?', answer: ['3'], metric: 'anls', category: 'single span', ...size },
  ]);
  await file('chartqa', { type: ['human_test'], question: ['Share?'], answer: ['14%'] });
  const [chart] = await read('chartqa', join(folder, 'chartqa'));
  assert.equal(plain([chart]), [
    { id: '0', question: 'Share?', answer: ['14%'], metric: 'relaxed', category: 'human', ...size },
  ]);
  assert.is(
    promptOf('chartqa', 'lmms-eval', chart).prompt,
    'Share?\nAnswer the question with a single word.',
  );
  await file('ocrbench', {
    ...{ dataset: ['HME100k'], question: ['Write it.'], answer: [['x ^ 2']] },
    question_type: ['Handwritten Mathematical Expression Recognition'],
  });
  const [ocr] = await read('ocrbench', join(folder, 'ocrbench'));
  assert.equal(
    [ocr.metric, ocr.subcategory, promptOf('ocrbench', 'lmms-eval', ocr).prompt],
    ['contains', 'HME100k', 'Write it.'],
  );
});

test('ScreenSpot-Pro: the authors’ folders and the hub’s parquet', async () => {
  const screens = join(folder, 'screens');
  await put(blue, screens, 'images', 'blender', 'a.png');
  const entry = {
    ...{
      img_filename: 'blender/a.png',
      bbox: [10, 5, 20, 15],
      instruction: 'save the file',
      id: 'blender_0',
    },
    ...{
      application: 'blender',
      platform: 'windows',
      img_size: [80, 40],
      ui_type: 'icon',
      group: 'Creative',
    },
  };
  await put(JSON.stringify([entry]), screens, 'annotations', 'blender_windows.json');
  const want = {
    ...{
      width: 80,
      height: 40,
      question: 'save the file',
      answer: [],
      metric: 'point',
      boxes: [[10, 5, 20, 15]],
    },
    ...{ referents: ['save the file'], category: 'Creative', subcategory: 'icon' },
  };
  const records = await read('screenspot-pro', screens);
  assert.equal(plain(records), [{ id: 'blender_0', ...want }]);
  assert.is(records[0].image, join(screens, 'images', 'blender', 'a.png'));
  await put(
    JSON.stringify([{ ...entry, bbox: [10, 5, 20] }]),
    screens,
    'annotations',
    'blender_windows.json',
  );
  assert.match(
    await faultOf('screenspot-pro', screens),
    /blender_windows\.json, row 0: a box must be four numbers/,
  );
});

test('any other benchmark: a map names the columns', async () => {
  const rows = [
    {
      frame: 'a.png',
      q: 'Which exit?',
      choices: ['12', '21', '7', '1'],
      gt: 'C',
      where: [8, 8, 16, 12],
      video: 'v1',
    },
    {
      frame: 'a.png',
      q: 'Which lane?',
      choices: ['left', 'right'],
      gt: 'right',
      where: [0, 0, 64, 48],
      video: 'v1',
    },
  ];
  await put(red, folder, 'own', 'a.png');
  const path = await put(rows.map((row) => JSON.stringify(row)).join('\n'), folder, 'own', '4kpro.jsonl');
  const map = {
    image: 'frame',
    question: 'q',
    options: 'choices',
    answer: 'gt',
    box: 'where',
    boxFormat: 'xywh',
    group: 'video',
  };
  const written = await put(JSON.stringify(map), folder, 'map.json');
  const records = await read(await readFieldMap(written), path);
  assert.equal(
    records.map(({ id, answer, metric, boxes, group }) => ({ id, answer, metric, boxes, group })),
    [
      { id: '0', answer: 2, metric: 'choice', boxes: [[8, 8, 24, 20]], group: 'v1' },
      { id: '1', answer: 1, metric: 'choice', boxes: [[0, 0, 64, 48]], group: 'v1' },
    ],
  );
  const fault = async (change: object): Promise<string> => {
    await writeFile(written, JSON.stringify({ ...map, ...change }));
    return readFieldMap(written).then(
      (map) => faultOf(map, path),
      ({ message }: Error) => message,
    );
  };
  assert.match(
    await fault({ quesiton: 'q' }),
    /map\.json: it must not have `quesiton`, got it\. The fields are id, image/,
  );
  assert.match(
    await fault({ question: 'query' }),
    /4kpro\.jsonl, line 1: `query` must be a text, got nothing\. The columns are frame, q/,
  );
  assert.match(
    await fault({ options: ['q', 'gt'], answer: 'video' }),
    /the answer must be one of A, B, got "v1"/,
  );
});

test('broken files: each is one sentence that says what to do', async () => {
  const cases: [RegExp, string, string | Uint8Array][] = [
    [
      /cut\.parquet must be a parquet file, got: .*Download it again/,
      'cut.parquet',
      hubParquet({ question: ['a'] }).slice(0, -6),
    ],
    [/noise\.parquet must be a parquet file/, 'noise.parquet', 'PAR1 no parquet PAR1'],
    [
      /row 0: `question_id` must be a text, got nothing\. The columns are question\.$/,
      'columns.parquet',
      hubParquet({ question: ['a'] }),
    ],
    [
      /noimage\.jsonl, line 1: `image` must be an image, got .*none\.png/,
      'noimage.jsonl',
      '{"image":"none.png","question_id":1,"question":"a","answers":["b"]}',
    ],
    [/list\.jsonl, line 1: a question must be a JSON object, got \[1\]/, 'list.jsonl', '[1]\n'],
    [
      /got "!!"\. The columns/,
      'nobase64.jsonl',
      '{"image":"!!","question_id":1,"question":"a","answers":["b"]}',
    ],
    [/the file must end in parquet, tsv, jsonl, json, got .*table\.xls/, 'table.xls', ''],
    [/must hold a question, got none/, 'empty.jsonl', '\n'],
  ];
  for (const [pattern, name, content] of cases) {
    const message = await faultOf('textvqa', await put(content, folder, 'broken', name));
    assert.match(message, pattern);
    assert.not.match(message, /\n/, 'one sentence');
  }
  const split = join(folder, 'splits');
  for (const name of ['test', 'validation']) await put('', split, `${name}-00000-of-00001.parquet`);
  assert.match(await faultOf('docvqa', split), /one split, got test, validation\. Name a file/);
  assert.match(await faultOf('docvqa', join(folder, 'nowhere')), /nowhere must be there/);
  const again = '{"image":"a.png","question_id":1,"question":"a","answers":["b"]}\n';
  await put(red, folder, 'broken', 'a.png');
  assert.match(
    await faultOf('textvqa', await put(again + again, folder, 'broken', 'twice.jsonl')),
    /must differ, got 1 again/,
  );
});

test.run();
