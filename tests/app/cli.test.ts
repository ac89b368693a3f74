// The command line as a user meets it: a whole small run on a folder of images, and every kind of mistake.
import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PRESETS, trainConfig } from '../../ps3/train/presets.ts';
import { readEvaluation, readEvaluations, readZeroShot } from '../../ps3/train/run/evaluations.ts';
import { ps3 } from './run_cli.ts';

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'ps3-cli-'));
  try {
    await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

const COLOURS = { red: '#d01818', green: '#18c030', blue: '#2040e0', yellow: '#e0d818' };

/** Writes `count` images with one coloured square each, and their annotations. */
async function writeImages(folder: string, count: number): Promise<void> {
  const names = Object.keys(COLOURS) as (keyof typeof COLOURS)[];
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const name = names[i % names.length];
    const [x, y] = [(i * 37) % 80, (i * 53) % 80];
    const square = { create: { width: 28, height: 28, channels: 3 as const, background: COLOURS[name] } };
    const input = await sharp(square).png().toBuffer();
    await sharp({ create: { width: 112, height: 112, channels: 3, background: '#808080' } })
      .composite([{ input, left: x, top: y }])
      .png()
      .toFile(join(folder, `${i}.png`));
    const box = [[x, y, x + 28, y + 28]];
    lines.push(JSON.stringify({ image: `${i}.png`, text: [name], box, global_text: `a ${name} square` }));
  }
  await writeFile(join(folder, 'annotations.jsonl'), `${lines.join('\n')}\n`);
}

test('ps3 train, eval and encode: a whole run on a folder of images', async () => {
  await inFolder(async (folder) => {
    await writeImages(folder, 24);
    const run = join(folder, 'run');
    const some = ['--set', 'evaluation.everySteps=1000', '--set', 'evaluation.images=1'];
    const trained = await ps3('train', '--preset', 'smoke', '--data', folder, '--out', run, ...some);
    assert.is(trained.code, 0, trained.err);
    assert.match(trained.out, /Right caption among \d+ for a box/);
    assert.match(trained.out, /top-down +\d/);
    const names = (await readdir(run)).sort();
    const files = ['config.json', 'data.json', 'environment.json', 'evaluation.json', 'evaluations.jsonl'];
    assert.equal(names, [
      'checkpoint',
      ...files,
      'metrics.jsonl',
      'report.html',
      'report.json',
      'tensorboard',
    ]);
    const checkpoint = await readdir(join(run, 'checkpoint'));
    for (const name of ['config.json', 'model.safetensors', 'preprocessor_config.json', 'tokenizer.json'])
      assert.ok(checkpoint.includes(name), name);
    const metrics = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    assert.is(metrics.length, 12, 'six steps of each stage');

    const evaluated = await ps3('eval', run);
    assert.is(evaluated.code, 0, evaluated.err);
    const table = trained.out.slice(
      trained.out.indexOf('Held-out'),
      trained.out.indexOf('\n\n', trained.out.indexOf('top-down')),
    );
    assert.ok(evaluated.out.includes(table), 'the same table again, from the checkpoint');

    const vstar = join(folder, 'vstar');
    await mkdir(join(vstar, 'direct_attributes'), { recursive: true });
    await copyFile(join(folder, '0.png'), join(vstar, 'direct_attributes', '0.png'));
    const target = {
      target_object: ['red square'],
      bbox: [[0, 0, 28, 28]],
      question: '?',
      options: ['a', 'b'],
    };
    await writeFile(join(vstar, 'direct_attributes', '0.json'), JSON.stringify(target));
    // On the way on one image, at the end on all.
    const onTheWay = await readEvaluations(run, console.error);
    assert.equal(
      onTheWay.map(({ evaluation }) => evaluation.protocols.images),
      [1],
    );
    assert.ok((await readEvaluation(run))!.protocols.images > 1);
    const labelled = join(folder, 'labelled');
    for (const [label, image] of [
      ['red', '0.png'],
      ['blue', '1.png'],
    ]) {
      await mkdir(join(labelled, label), { recursive: true });
      await copyFile(join(folder, image), join(labelled, label, image));
    }
    const classified = await ps3('eval', run, '--zero-shot', labelled, '--json');
    assert.is(classified.code, 0, classified.err);
    const [{ stage, step, zeroShot }] = await readZeroShot(run, console.error);
    assert.equal({ stage, step }, { stage: 'ps3', step: onTheWay[0].step });
    assert.equal(zeroShot, { folder: labelled, ...JSON.parse(classified.out) });
    assert.match(await readFile(join(run, 'report.html'), 'utf8'), /<h2>Zero-shot classification/);

    const found = await ps3('eval', run, '--vstar', vstar);
    assert.is(found.code, 0, found.err);
    assert.match(found.out, /^1 targets in 1 images/);

    const out = join(folder, 'features');
    const encoded = await ps3('encode', join(folder, '0.png'), '--run', run, '--prompt', 'red', '--out', out);
    assert.is(encoded.code, 0, encoded.err);
    const written = await readdir(out);
    for (const name of ['0.safetensors', '0.bottom_up.png', '0.top_down.png'])
      assert.ok(written.includes(name), name);

    const file = join(folder, 'file');
    await writeFile(file, '');
    for (const place of [file, join(file, 'below'), '/proc/x']) {
      const refused = await ps3('encode', join(folder, '0.png'), '--run', run, '--out', place);
      assert.is(refused.code, 1, refused.err);
      assert.match(
        refused.err,
        new RegExp(`ps3: files: ${place} must be there and usable \\(\\w+\\), got E\\w+: [^\\n]*$`),
      );
      const untrained = await ps3('train', '--preset', 'smoke', '--data', folder, '--out', place);
      assert.is(untrained.code, 1, untrained.err);
      assert.match(untrained.err, /ps3: files: .* got E\w+: [^\n]*$/);
    }

    const again = await ps3('train', '--preset', 'smoke', '--data', folder, '--out', run);
    assert.is(again.code, 2);
    assert.match(again.err, /must be a new folder, got one with a run. Pass --resume/);
    const resumed = await ps3(
      'train',
      '--resume',
      run,
      '--set',
      'saveEvery=50',
      '--set',
      'checkpoints.keep=2',
    );
    assert.is(resumed.code, 0, resumed.err);
    const changed = JSON.parse(await readFile(join(run, 'config.json'), 'utf8'));
    assert.equal([changed.saveEvery, changed.checkpoints.keep, changed.ps3.lr], [50, 2, 1e-3]);
    const other = await ps3('train', '--resume', run, '--set', 'saveEvery=9', '--set', 'ps3.lr=1');
    assert.is(other.code, 2, other.err);
    assert.match(other.err, /must stay as the run began, got another ps3\.lr\. Change saveEvery, /);
    assert.equal(JSON.parse(await readFile(join(run, 'config.json'), 'utf8')), changed);

    // The folder may be elsewhere, but must hold the same.
    const moved = join(folder, 'moved');
    await mkdir(moved);
    await writeImages(moved, 24);
    const elsewhere = await ps3('train', '--resume', run, '--set', `data.folder=${moved}`);
    assert.is(elsewhere.code, 0, elsewhere.err);
    await appendFile(join(moved, 'annotations.jsonl'), '\n');
    for (const command of [
      ['train', '--resume', run],
      ['eval', run],
    ]) {
      const { code, err } = await ps3(...command);
      assert.is(code, 2, err);
      assert.match(
        err,
        /the data must be what .*run began with, got other annotations\.jsonl: sha256 \w{64} /,
      );
    }

    // As a run on Scenes before photographs that are there no more.
    const config = JSON.parse(await readFile(join(run, 'config.json'), 'utf8'));
    const photos = join(folder, 'photos');
    const data = { ...config.data, folder: null, photos };
    await writeFile(join(run, 'config.json'), JSON.stringify({ ...config, data }));
    for (const command of [
      ['train', '--resume', run],
      ['eval', run],
    ]) {
      const { code, err } = await ps3(...command);
      assert.is(code, 2, err);
      assert.ok(err.includes(`--photos must name a folder, got ${photos}. Check the path.`), err);
      assert.not.match(err, /downloading/);
    }
  });
});

test('ps3 train: every flag reaches the run', async () => {
  await inFolder(async (folder) => {
    await writeImages(folder, 24);
    const run = join(folder, 'run');
    const file = join(folder, 'tiny.json');
    await writeFile(file, JSON.stringify({ preset: 'smoke', seed: 6, recipe: 'paper', ps3: { batch: 5 } }));
    const flags = '--seed 7 --recipe released --minutes 9 --set towers.steps=2 --set ps3.steps=3';
    const off = '--set method={"teacherForcing":false,"globalMix":false} --set ps3.warmup=1';
    const words = ['train', file, ...`${flags} ${off}`.split(' '), '--data', folder, '--out', run];
    const { code, err } = await ps3(...words);
    assert.is(code, 0, err);
    const { smoke } = PRESETS;
    const { loss, method } = smoke;
    assert.equal(JSON.parse(await readFile(join(run, 'config.json'), 'utf8')), {
      ...trainConfig({ preset: 'smoke', recipe: 'released' }),
      seed: 7,
      data: { ...smoke.data, folder },
      towers: { ...smoke.towers, steps: 2 },
      ps3: { steps: 3, batch: 5, lr: 5e-6, warmup: 1, accumulate: 1 },
      loss: { ...loss, dice: 0, bottomUpBoxes: 'sampled' },
      method: { ...method, teacherForcing: false, globalMix: false },
    });
    const environment = JSON.parse(await readFile(join(run, 'environment.json'), 'utf8'));
    assert.equal(Object.keys(environment), ['ps3-webgpu', 'adapter']);
    const metrics = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    assert.is(metrics.length, 5);
  });
});

test('ps3 train: a run begins with the checkpoint of another, its sizes and its words', async () => {
  await inFolder(async (folder) => {
    await writeImages(folder, 24);
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    const words = ['--data', folder, '--set', 'towers.steps=1', '--set', 'ps3.steps=1'];
    const made = await ps3('train', '--preset', 'smoke', '--set', 'model.width=48', ...words, '--out', first);
    assert.is(made.code, 0, made.err);
    // A rate that is 0 in f32: what is written is what it began with.
    const still = ['--set', 'towers.steps=0', '--set', 'ps3.steps=1', '--set', 'ps3.lr=1e-50'];
    const from = ['--preset', 'smoke', '--data', folder, '--set', `init.from=${first}`];
    const { code, err } = await ps3('train', ...from, ...still, '--out', second);
    assert.is(code, 0, err);
    for (const name of ['model.safetensors', 'config.json', 'tokenizer.json'])
      assert.equal(
        await readFile(join(second, 'checkpoint', name)),
        await readFile(join(first, 'checkpoint', name)),
        name,
      );
  });
});

test('ps3 train --resume: every other flag but --plan, --profile and --set is refused by name', async () => {
  const { out } = await ps3('train', '--help');
  const flags = [...out.matchAll(/^ +--([\w-]+)( <)?/gm)].map(([, name, value]) => ({ name, value }));
  const others = flags.filter(({ name }) => !['resume', 'plan', 'profile', 'set'].includes(name));
  assert.ok(others.length > 6, out);
  const values: Record<string, string> = { preset: 'smoke', recipe: 'paper' };
  const given = others.flatMap(({ name, value }) =>
    value ? [`--${name}`, values[name] ?? '1'] : [`--${name}`],
  );
  const { code, err } = await ps3('train', '--resume', 'run', '--profile', ...given);
  assert.is(code, 2, err);
  assert.ok(err.includes(`got ${others.map(({ name }) => `--${name}`).join(', ')}. Leave it out.`), err);
});

test('ps3 train, data scenes: a folder that cannot be written is refused before any other work', async () => {
  await inFolder(async (folder) => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    // The data would be refused next, were the folder not.
    const train = ['train', '--preset', 'smoke', '--data', join(folder, 'nowhere'), '--out'];
    const scenes = ['data', 'scenes', '--photos', join(folder, 'nowhere'), '--out'];
    for (const place of [file, join(file, 'below'), '/proc/x'])
      for (const command of [train, scenes]) {
        if (command === scenes && place === file) continue; // is no empty folder: a mistake, exit code 2
        const { code, err } = await ps3(...command, place);
        assert.is(code, 1, err);
        assert.match(err, new RegExp(`ps3: files: ${place} must be there .*, got E\\w+: [^\n]*$`));
      }
    const { code, err } = await ps3(...scenes, file);
    assert.is(code, 2, err);
    assert.match(err, /data scenes: --out must be a new or empty folder, got .*file\. /);
    assert.equal(await readdir(folder), ['file']);
  });
});

test('ps3: every mistake is one sentence, exit code 2, and writes nothing', async () => {
  await inFolder(async (folder) => {
    const out = join(folder, 'out');
    await writeFile(join(folder, 'broken.jpg'), 'not an image');
    const mistakes: [RegExp, ...string[]][] = [
      [/train: an option must be one of --preset, .*, got --lrr/, 'train', '--lrr', '3', '--out', out],
      [
        /--preset must be one of small, medium, nano-4k, nano-4k-look, nano-4k-screens, nano-4k-screens-look, vila-s, vila-4k, so400m, smoke, got huge/,
        'train',
        '--preset',
        'huge',
        '--out',
        out,
      ],
      [
        /config: ps3\.lrr must be absent: .*, got "lrr"/,
        'train',
        '--preset',
        'smoke',
        '--set',
        'ps3.lrr=1',
        '--out',
        out,
      ],
      [/--seed must be a whole number of at least 0, got -1/, 'train', '--seed', '-1', '--out', out],
      [/--recipe must be one of demo, paper, released, got new/, 'train', '--recipe', 'new', '--out', out],
      [
        /must hold annotations\.jsonl, or images.*nowhere/,
        'train',
        '--preset',
        'smoke',
        '--data',
        join(folder, 'nowhere'),
        '--out',
        out,
      ],
      [
        /train: with --resume .* got --seed, --minutes, c\.json\. Leave it out/,
        ...'train --resume x --seed 3 --set seed=4 --minutes 1 c.json'.split(' '),
      ],
      [
        /config: data\.photos must be null beside data\.folder/,
        ...'train --photos a --data b'.split(' '),
        '--out',
        out,
      ],
      [
        /encode: --all, --looks, --tokens exclude each other, got --all and --looks/,
        'encode',
        '--all',
        '--looks',
        '2',
      ],
      [
        /encode: --prompt, --box, --point exclude/,
        ...'encode --prompt fox --box 0,0,1,1'.split(' '),
        '--out',
        out,
      ],
      [
        /encode: --box must be 4 numbers .*, got 0.1,,0.3,0.5/,
        'encode',
        '--box',
        '0.1,,0.3,0.5',
        '--out',
        out,
      ],
      [/--stamps and --permissive exclude/, 'data', 'scenes', '--stamps', '--permissive', '--out', out],
      [/start: there must be nothing but options, got 007/, 'start', '007', '--out', out],
      [/eval: there must be one <run>, got none/, 'eval'],
      [/must hold a run's config.json/, 'eval', out],
      [/export: there must be <place> <folder>, got a\./, 'export', 'a'],
      [/must hold config.json, got no such file/, 'export', join(folder, 'missing'), out],
      [/the file must be readable, got ENOENT/, 'verify', join(folder, 'missing.safetensors')],
      [/give at least one safetensors file/, 'verify'],
      [/generate: --model must name/, 'generate', 'Hello'],
      [/nophoto\.jpg must be readable/, 'answer', 'nophoto.jpg', 'What is it?'],
      [
        /answer: --looks and --tokens exclude each other/,
        ...'answer --model m --looks 1 --tokens 9 photo.jpg What?'.split(' '),
      ],
      [/generate: there must be one <prompt>, got none/, 'generate', '--model', folder],
      [/LanguageModel.load: .*must hold config.json/, 'generate', '--model', folder, 'Hello'],
      [/generate: --top-p must be a number within 0 to 1, got 2/, ...'generate --top-p 2 Hello'.split(' ')],
      [/--out must name the folder to write/, 'data', 'scenes'],
      [/data: the kind must be one of scenes, .*pack, got images/, 'data', 'images', '--out', out],
      [/data check: --out must name the folder to write/, 'data', 'check', folder],
      [/data pack: there must be <source> <folder>, got a\./, 'data', 'pack', 'a'],
      [/must hold annotations\.jsonl, or images\/ and annotations\//, 'data', 'pack', folder, out],
      [/the command must be one of start, train, .* got fly/, 'fly'],
    ];
    for (const [sentence, ...args] of mistakes) {
      const { code, err } = await ps3(...args);
      assert.is(code, 2, `${args.join(' ')}: ${err}`);
      assert.match(err, sentence);
      assert.not.match(err, / {4}at /, 'no stack trace');
      assert.equal(await readdir(folder), ['broken.jpg'], `${args.join(' ')} wrote something`);
    }
  });
});

test('ps3 data pack: a folder to shards and back', async () => {
  await inFolder(async (folder) => {
    const [from, shards, back] = ['from', 'shards', 'back'].map((name) => join(folder, name));
    await mkdir(from);
    await writeImages(from, 5);
    const packed = await ps3('data', 'pack', from, shards, '--samples-per-shard', '2');
    assert.equal([packed.code, packed.out], [0, `5 samples into 3 shards: ${shards}`], packed.err);
    const again = await ps3('data', 'pack', from, shards, '--samples-per-shard', '2');
    assert.match(again.out, /3 shards, 3 of them packed before/);
    const images = join(shards, 'images', '{00000..00002}.tar');
    const annotations = join(shards, 'annotations', '{00000..00002}.tar');
    const unpacked = await ps3('data', 'pack', images, back, '--annotations', annotations);
    assert.is(unpacked.code, 0, unpacked.err);
    assert.equal((await readdir(back)).sort(), [...(await readdir(from)), 'pack.json'].sort());
    for (const name of await readdir(from))
      assert.equal(await readFile(join(back, name)), await readFile(join(from, name)), name);
    const useless = await ps3('data', 'pack', shards, join(folder, 'x'), '--max-shard-mb', '3');
    assert.equal(
      [useless.code, useless.err],
      [2, 'ps3: data pack: shards become one folder, got --max-shard-mb. Leave it out.'],
    );
  });
});

test.run();
