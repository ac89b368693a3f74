import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, openSafetensors, type Tensor } from '../../engine/index.ts';
import { type EncodeImagesOptions, encodeImages } from '../../ps3/app/encode.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';
import { pillowResize } from '../reference/pillow_resize.ts';

const folder = mkdtempSync(join(tmpdir(), 'ps3-encode-'));
const checkpoint = join(folder, 'run', 'checkpoint');
const images = join(folder, 'images');

/** What `work` throws. */
async function errorOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected an error, got none');
}

/** Encodes into a new folder; gives the exit code, the lines and the files. */
async function encode(
  options: Partial<EncodeImagesOptions>,
): Promise<{ code: number; lines: string[]; out: string; files: string[] }> {
  const out = join(mkdtempSync(join(folder, 'out-')), 'encoded');
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
  };
  const code = await encodeImages(engine, { images: [images], checkpoint, out, log, ...options });
  const files = statSync(out, { throwIfNoEntry: false }) ? readdirSync(out).sort() : [];
  return { code, lines, out, files };
}

async function numbersOf(
  path: string,
): Promise<Map<string, { shape: readonly number[]; data: Float32Array }>> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await file.f32(name) });
  return tensors;
}

test.before(async () => {
  const tokenizer = buildWordTokenizer(['ring', 'snowman', 'key'], { contextLength: 8 });
  const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
  await model.save(checkpoint);
  model.dispose();
  await mkdir(images);
  for (const [name, width, height] of [
    ['wide.png', 97, 40],
    ['square.jpg', 64, 64],
  ] as const) {
    const rgb = Buffer.from(random(3 * width * height, width).map((value) => 127 + 127 * value));
    await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(images, name));
  }
  await writeFile(join(images, 'notes.txt'), 'no image');
});

test.after(() => {
  rmSync(folder, { recursive: true });
});

test('encode: features and maps of a prompt equal those of the model on the squashed image', async () => {
  const before = engine.stats().liveTensors;
  const { code, out } = await encode({ prompt: 'snowman', looks: 2 });
  assert.is(code, 0);
  assert.is(engine.stats().liveTensors, before, 'every tensor is freed');
  const written = await numbersOf(join(out, 'wide.safetensors'));
  using model = await PS3.load(engine, checkpoint);
  using scope = engine.scope();
  const { rgba, width, height } = await decodeImage(join(images, 'wide.png'));
  const squashed = pillowResize(rgba, 1, [height, width], [112, 112]);
  const image = engine.tensor(squashed, [1, 112, 112, 4], { scope });
  const ids = engine.tensor(model.tokenizer.encode(['snowman']), [1, 8], { scope });
  const { prompt, output } = noGrad(() => {
    const { prompt } = model.encodeText(ids);
    return { prompt, output: model.vision.forward(image, { prompt, looks: 2 }) };
  });
  const same = async (name: string, tensor: Tensor, shape: number[]): Promise<void> => {
    const got = written.get(name);
    assert.equal(got?.shape, shape, name);
    compare(name, got!.data, await tensor.data(), TOLERANCE.exact);
  };
  const count = 4 + output.selectionCounts.reduce((total, k) => total + k, 0);
  await same('last_hidden_state', output.lastHiddenState, [count, 32]);
  await same('prompt', prompt, [32]);
  for (const [i, side] of [4, 8].entries()) {
    await same(`selection_maps.${i}`, output.selectionMaps[i], [side, side]);
    await same(`selection_probs.${i}`, output.maps.topDown![i], [side, side]);
    await same(`bottom_up.${i}`, output.maps.bottomUp[i], [side, side]);
  }
  assert.is(written.size, 8);
  model.dispose();
});

test('encode: a folder gives all its images, with heat maps of their own shapes', async () => {
  const { code, lines, files, out } = await encode({ prompt: 'ring' });
  assert.is(code, 0);
  const suffixes = ['bottom_up.png', 'safetensors', 'scale_112px.png', 'scale_56px.png', 'top_down.png'];
  assert.equal(
    files,
    ['square', 'wide'].flatMap((name) => suffixes.map((suffix) => `${name}.${suffix}`)),
  );
  assert.is(lines.length, 2);
  assert.match(lines[0], /^1\/2 .*square\.jpg: 20 tokens in [\d.]+ s, .*square\.safetensors$/);
  for (const suffix of suffixes.filter((suffix) => suffix.endsWith('png'))) {
    const { width, height } = await sharp(join(out, `wide.${suffix}`)).metadata();
    assert.equal([width, height], [448, 185], suffix);
  }
});

test('encode: without a prompt selection is bottom-up, and heat maps from before are not taken for images', async () => {
  const own = join(folder, 'own');
  await cp(images, own, { recursive: true });
  const first = await encode({ images: [own], out: own });
  const second = await encode({ images: [own], out: own });
  assert.is(first.code, 0);
  assert.is(second.lines.length, 2);
  assert.not(readdirSync(own).some((file) => file.includes('top_down') || file.includes('tmp')));
  const written = await numbersOf(join(own, 'square.safetensors'));
  assert.equal(written.get('selection_probs.1')!.data, written.get('bottom_up.1')!.data);
  assert.not(written.has('prompt'));
});

test('encode: no look gives the low-res tokens, all looks every patch, tokens as many as asked for', async () => {
  for (const [options, count] of [
    [{ looks: 0 }, 4],
    [{ looks: 'all' }, 4 + 16 + 64],
    [{ tokens: 5 }, 9],
  ] as const) {
    const { out } = await encode({ images: [join(images, 'square.jpg')], ...options });
    const written = await numbersOf(join(out, 'square.safetensors'));
    assert.equal(written.get('last_hidden_state')!.shape, [count, 32]);
    const taken = [0, 1].flatMap((i) => [...written.get(`selection_maps.${i}`)!.data]);
    assert.is(
      taken.reduce((total, one) => total + one, 0),
      count - 4,
    );
  }
});

test('encode: images of one name in two folders get names of their own', async () => {
  const other = join(folder, 'other');
  await mkdir(other);
  await cp(join(images, 'wide.png'), join(other, 'wide.png'));
  const { files } = await encode({ images: [join(images, 'wide.png'), other] });
  assert.equal(
    files.filter((file) => file.endsWith('.safetensors')),
    ['wide-2.safetensors', 'wide.safetensors'],
  );
});

test('encode: broken and missing images are skipped with one sentence each and exit code 2', async () => {
  const whole = await sharp(join(images, 'wide.png')).resize(300, 300).jpeg().toBuffer();
  const truncated = join(folder, 'truncated.jpg');
  await writeFile(truncated, whole.subarray(0, whole.length / 2));
  const text = join(images, 'notes.txt');
  const missing = join(folder, 'missing.jpg');
  const good = join(images, 'square.jpg');
  const { code, lines, files } = await encode({ images: [truncated, text, missing, good] });
  assert.is(code, 2);
  assert.is(lines.length, 5);
  assert.match(lines[0], /^1\/4 .*truncated\.jpg: skipped, .* must decode as an image, got: /);
  assert.match(lines[1], /^2\/4 .*notes\.txt: skipped, .* must decode as an image, got: /);
  assert.is(lines[2], `3/4 ${missing}: skipped, the image must exist, got no file ${missing}.`);
  assert.is(lines[4], 'encode: 3 of 4 images skipped.');
  for (const line of lines) assert.not.match(line, /\n/);
  assert.is(files.length, 4);
  assert.ok(files.every((file) => file.startsWith('square.')));
});

test('encode: when nothing can be read nothing is written, not even the folder', async () => {
  const { code, out } = await encode({ images: [join(folder, 'missing.jpg')] });
  assert.is(code, 2);
  assert.is(statSync(out, { throwIfNoEntry: false }), undefined);
});

test('encode: a prompt with words outside the vocabulary is pointed out', async () => {
  const { lines } = await encode({ images: [join(images, 'square.jpg')], prompt: 'violet zebra' });
  assert.match(lines[0], '“violet zebra” has a word that the checkpoint was not trained with');
});

test('encode: npy files hold what the safetensors file holds, hidden states included', async () => {
  const wide = [join(images, 'wide.png')];
  const one = await encode({ images: wide, hiddenStates: 2, looks: 2 });
  const many = await encode({ images: wide, hiddenStates: 2, looks: 2, format: 'npy' });
  const tensors = await numbersOf(join(one.out, 'wide.safetensors'));
  assert.ok(tensors.has('hidden_states.1'));
  assert.equal(tensors.get('hidden_states.1')!.data, tensors.get('last_hidden_state')!.data);
  assert.not.equal(tensors.get('hidden_states.0')!.data, tensors.get('last_hidden_state')!.data);
  const names = many.files.filter((file) => file.endsWith('.npy'));
  assert.is(names.length, tensors.size);
  for (const [name, { shape, data }] of tensors) {
    const bytes = await readFile(join(many.out, `wide.${name}.npy`));
    // NumPy's format, read by hand: magic, version, length of a header that is a Python dictionary, numbers.
    assert.is(bytes.subarray(0, 6).toString('latin1'), '\x93NUMPY', name);
    const headerEnd = 10 + bytes.readUInt16LE(8);
    const header = bytes.subarray(10, headerEnd).toString('latin1').replaceAll(' ', '');
    assert.match(header, "'descr':'<f4'");
    assert.match(header, `'shape':(${shape.join(',')}`);
    assert.equal(new Float32Array(new Uint8Array(bytes.subarray(headerEnd)).buffer), data, name);
  }
  assert.match(many.lines[0], /wide\.last_hidden_state\.npy$/);
});

test('encode: a box decides where to look instead of a prompt', async () => {
  const square = [join(images, 'square.jpg')];
  const { out, files } = await encode({ images: square, region: { box: [0, 0, 0.5, 0.25] }, tokens: 10 });
  const tensors = await numbersOf(join(out, 'square.safetensors'));
  // 10 patches are 1 of 56 px and 9 of 112 px; the box covers 2 and 8.
  const selected = (scale: number): number[] =>
    [...tensors.get(`selection_maps.${scale}`)!.data.entries()].filter(([, on]) => on === 1).map(([i]) => i);
  assert.equal(selected(0), [0]);
  assert.ok(
    [0, 1, 2, 3, 8, 9, 10, 11].every((i) => selected(1).includes(i)),
    selected(1).join(),
  );
  assert.is(selected(1).length, 9);
  assert.not(files.includes('square.top_down.png'));
});

test('encode: a run folder stands for its checkpoint', async () => {
  const { code } = await encode({
    images: [join(images, 'square.jpg')],
    checkpoint: undefined,
    run: join(folder, 'run'),
  });
  assert.is(code, 0);
});

test('encode: without a checkpoint it is nano-4k, which sees 3780 px and says what it knows', async () => {
  const { code, lines, out } = await encode({
    images: [join(images, 'wide.png')],
    checkpoint: undefined,
    prompt: 'red spaceship',
  });
  assert.is(code, 0);
  assert.is(lines[0], 'encode: with nano-4k, the small model of this package');
  assert.match(lines[1], /“red spaceship” has a word that .* It knows anchor, apple, .*, zebra\.$/);
  const tensors = await numbersOf(join(out, 'wide.safetensors'));
  const shapes = [0, 1, 2].map((scale) => tensors.get(`selection_maps.${scale}`)!.shape);
  assert.equal(shapes, [
    [54, 54],
    [108, 108],
    [270, 270],
  ]);
});

test('encode: impossible options are refused in one sentence before anything is written', async () => {
  const nowhere = join(folder, 'nowhere');
  const empty = join(folder, 'empty');
  await mkdir(empty);
  const cases: [Partial<EncodeImagesOptions>, string][] = [
    [{ run: nowhere }, '--run and --checkpoint exclude each other, got both.'],
    [{ looks: 1, tokens: 3 }, 'looks and tokens exclude each other, got 1 and 3.'],
    [{ prompt: 'ring', region: { point: [0, 0] } }, 'a prompt and a region exclude each other, got both.'],
    [{ prompt: ' ' }, 'the prompt must have a word, got none.'],
    [{ images: [] }, 'at least one image or folder must be given, got none.'],
    [{ images: [empty] }, `a folder must hold images, got ${empty} without any`],
  ];
  for (const [options, sentence] of cases) {
    const message = await errorOf(encode(options));
    assert.ok(message.startsWith(`encode: ${sentence}`), `got ${message}, want ${sentence}`);
    assert.not.match(message, /\n/);
  }
  const message = await errorOf(encode({ checkpoint: nowhere }));
  assert.is(message, `PS3.load: ${nowhere} must hold config.json, got no such file.`);
});

test.run();
