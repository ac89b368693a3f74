// `ps3 eval` on benchmarks, of a published folder.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TensorToWrite, writeSafetensors } from '../../engine/index.ts';
import { formatContrast } from '../../ps3/app/evaluation_text.ts';
import { readBenchmark } from '../../ps3/benchmarks/benchmarks.ts';
import { REGION_ENCODERS } from '../../ps3/model/baselines/regions.ts';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import type { Answered } from '../../ps3/train/evaluation/choices/ask.ts';
import type { Contrast } from '../../ps3/train/evaluation/contrast.ts';
import type { Grounding } from '../../ps3/train/evaluation/grounding.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { png, put } from '../benchmarks/made_files.ts';
import { OPTIONS, TARGETS, writeVstar } from '../benchmarks/made_vstar.ts';
import { engine } from '../harness.ts';
import { ps3 } from './run_cli.ts';

/** One target in one image, two in another. */
const two = TARGETS.slice(0, 2);

const folder = await mkdtemp(join(tmpdir(), 'eval-benchmarks-'));
test.after(() => rm(folder, { recursive: true }));

const tokenizer = buildWordTokenizer(['a red cap blue dog green sign'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 7, { tokenizer });

test('ps3 eval --vstar and --screenspot: of a published folder', async () => {
  const [published, vstar, screens] = ['published', 'found', 'screens'].map((name) => join(folder, name));
  await model.save(published);
  await writeVstar(vstar, two);
  const { code, out, err } = await ps3('eval', published, '--vstar', vstar);
  assert.is(code, 0, err);
  assert.match(out, /^3 targets in 2 images/);
  assert.match(out, /top-down, recall at 44\.0 % +\d/);
  assert.match(out, /relative_position, top-down \(2\)/);
  // Stored features that name the first option everywhere, and of crops another one.
  const one = (name: string, at: number): TensorToWrite => ({
    ...{ name, dtype: 'F32', shape: [3], data: Float32Array.from([0, 1, 2], (i) => Number(i === at)) },
  });
  const ids = two.map(({ category, name }) => `${category}/${name}`);
  const features = join(folder, 'other.safetensors');
  await writeSafetensors(features, [
    ...OPTIONS.map((option, i) => one(`text/${option}`, i)),
    ...ids.flatMap((id) => [one(`image/${id}`, 0), one(`crop/${id}`, 1)]),
  ]);
  const other = await put(JSON.stringify({ name: 'Other', features }), folder, 'other.json');
  const beside = await ps3(
    'eval',
    published,
    '--benchmark',
    vstar,
    '--as',
    'vstar',
    '--choices',
    '--encoder',
    other,
    '--json',
    '--max-tiles',
    '4',
  );
  assert.is(beside.code, 0, beside.err);
  const result = JSON.parse(beside.out) as Contrast;
  const { encoders } = result;
  assert.equal(Object.keys(encoders), ['question-alone', ...REGION_ENCODERS, 'Other', 'Other crop']);
  assert.equal([encoders.Other.accuracy.mean, encoders['Other crop'].accuracy.mean], [1, 0]);
  const lines = formatContrast(result).split('\n');
  assert.is(lines[0], '2 questions about 2 images, by contrast, given the boxes (chance 33.3 %)');
  assert.match(lines[lines.length - 1], /^ {2}Other crop +0\.0 % +\(0\.0 to 0\.0\) +-?\d+\.\d %/);
  const mistakes: [string, ...string[]][] = [
    ['--choices must stand beside --vstar or --benchmark, got it alone.', '--choices'],
    ['--max-tiles must stand beside --choices, got it alone.', '--max-tiles', '4'],
    ['--benchmark must stand beside either --as or --map, got another combination.', '--benchmark', vstar],
    ['--benchmark must stand beside either --as or --map, got another combination.', '--as', 'vstar'],
  ];
  for (const [sentence, ...flags] of mistakes) {
    const { code, err } = await ps3('eval', published, ...flags);
    assert.equal([code, err], [2, `ps3: eval: ${sentence}`]);
  }
  await put('no image', vstar, 'direct_attributes', 'a.png');
  const broken = await ps3('eval', published, '--vstar', vstar);
  assert.is(broken.code, 2);
  assert.match(broken.err, /^ps3: benchmark: .*a\.json: `image` must be an image, got .*a\.png/m);

  await put(await png(160, 90, '#808080'), screens, 'images', 'a.png');
  const question = {
    img_filename: 'a.png',
    bbox: [0, 0, 80, 45],
    instruction: 'the red cap',
    group: 'Office',
  };
  await put(JSON.stringify([question]), screens, 'annotations', 'word.json');
  const found = await ps3('eval', published, '--screenspot', screens, '--json');
  assert.is(found.code, 0, found.err);
  const { boxes, categories, pointing } = JSON.parse(found.out) as Grounding;
  assert.equal([boxes, Object.keys(categories), pointing!.chance], [1, ['Office'], 0.25]);
  const both = await ps3('eval', published, '--vstar', vstar, '--screenspot', screens);
  assert.equal(
    [both.code, both.err],
    [
      2,
      'ps3: eval: --zero-shot, --vstar, --screenspot, --benchmark exclude each other, got --vstar and --screenspot.',
    ],
  );
});

test('ps3 benchmark --ask: a PS3 answers by every way to look, and by the tiles and scales of others', async () => {
  const [published, vstar, out] = ['asked', 'questions', 'answers'].map((name) => join(folder, name));
  await model.save(published);
  await writeVstar(vstar, two);
  const asked = await ps3('benchmark', vstar, '--as', 'vstar', '--ask', out, '--model', published);
  assert.is(asked.code, 0, asked.err);
  const lines = (await readFile(join(out, 'answers.jsonl'), 'utf8')).trim().split('\n');
  const answers = lines.map((line) => JSON.parse(line) as Answered);
  const at = (look: string): Answered[] =>
    answers.filter((answer) => answer.model === `asked ${look}` && answer.showing === 3780);
  const looks = ['top-down', 'bottom-up', 'random', 'whole image', 'anyres', 's2', 'native'];
  for (const look of looks) {
    assert.is(at(look).length, two.length, look);
    for (const { scores } of at(look)) assert.ok(scores.every((score) => Math.abs(score) <= 1 + 1e-6));
  }
  const shown = new Set(
    answers.filter(({ model }) => model === 'asked top-down').map(({ showing }) => showing),
  );
  assert.equal([...shown], [378, 756, 1512, 3780, 'blind', 'shuffled', 'oracle crop']);
  // Of two images, every second is the first alone.
  const part = join(folder, 'part');
  const fewer = await ps3(
    ...['benchmark', vstar, '--as', 'vstar', '--ask', part, '--model', published],
    ...['--every', '2'],
  );
  assert.is(fewer.code, 0, fewer.err);
  const ids = (await readFile(join(part, 'answers.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as Answered).id);
  assert.equal([...new Set(ids)], [answers[0].id]);
  const alone = await ps3('benchmark', vstar, '--as', 'vstar', '--every', '2');
  assert.equal(
    [alone.code, alone.err],
    [2, 'ps3: benchmark: --every must stand beside --ask, got it alone.'],
  );
  // Low resolution alone: cosines differ as the logits of the public API do, but for its scale and bias.
  for await (const { id, image, options = [] } of readBenchmark('vstar', vstar)) {
    using seen = await model.encode(
      resizeToSquare(engine, await decodeImage(image), model.config.image.imagePx),
    );
    using similar = await model.similarity(seen, options, { tokens: 'low' });
    const logits = await similar.logits.data();
    const { scores } = at('whole image').find((answer) => answer.id === id)!;
    const ratio = (list: ArrayLike<number>): number => (list[0] - list[1]) / (list[0] - list[2]);
    assert.ok(Math.abs(ratio(scores) / ratio(logits) - 1) < 1e-3, `${scores} beside ${logits}`);
  }
  for (const name of ['results.json', 'results.md', 'index.html'])
    assert.ok((await readFile(join(out, name), 'utf8')).includes('asked s2'), name);
});

test.run();
