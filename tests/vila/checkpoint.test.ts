// A VILA-HD's folder: the names, shapes and keys of the official code, and what is read of it again.
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { setting } from '../../ps3/app/comparison.ts';
import { vilaImages, vilaOf } from '../../ps3/app/verify_vila.ts';
import { VILA_S } from '../../ps3/model/checkpoint/shipped.ts';
import { withImages } from '../../ps3/vila/checkpoint.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { tinyTokenizer } from '../app/tiny_vila.ts';
import { engine } from '../harness.ts';

const at = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'vila-'));
test.after(() => rm(folder, { recursive: true }));

const tokenizer = await tinyTokenizer();
const readJson = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

/** A string that is JSON itself, as its value: blanks in it do not count. */
const parsed = (value: unknown): unknown =>
  typeof value === 'string' && value.startsWith('{') ? JSON.parse(value) : value;

for (const name of ['vila-hd-tiny', 'vila-hd-tiny-two'])
  test(`${name}: is written under the names and with the keys of the official code, and read again`, async () => {
    await using file = await openSafetensors(at(`${name}.safetensors`));
    using model = await vilaOf(engine, file);
    const ids = setting<{ image: number; newline: number[]; turn_end: number[] }>(file, 'token_ids');
    assert.equal(withImages(tokenizer).tokens, {
      image: ids.image,
      newline: ids.newline,
      turnEnd: ids.turn_end,
    });

    const out = join(folder, name);
    await model.save(out);
    for (const part of ['llm', 'vision_tower', 'mm_projector']) {
      await using written = await openSafetensors(join(out, part, 'model.safetensors'));
      const prefix = `weights.${part}.`;
      const want = [...file.tensors].flatMap(([key, { shape }]) =>
        key.startsWith(prefix) ? [[key.slice(prefix.length), [...shape]] as const] : [],
      );
      const got = [...written.tensors].map(([key, { shape }]) => [key, [...shape]] as const);
      const sorted = (list: (readonly [string, readonly number[]])[]): unknown =>
        list.sort(([a], [b]) => (a < b ? -1 : 1));
      assert.equal(sorted(got), sorted(want), part);
    }
    const config = await readJson(join(out, 'config.json'));
    for (const [key, value] of Object.entries(setting<Record<string, unknown>>(file, 'vila_config')))
      assert.equal(parsed(config[key]), parsed(value), key);
    const tower = await readJson(join(out, 'vision_tower/config.json'));
    assert.equal(tower.ps3_scales, setting<{ ps3_scales: number[] }>(file, 'vision_config').ps3_scales);

    for (const [path, json] of Object.entries(tokenizer.toJSON()))
      await writeFile(join(out, 'llm', path), JSON.stringify(json));
    // As releases of before May 2025 have it.
    const { ps3_scales, ...rest } = tower;
    await writeFile(
      join(out, 'vision_tower/config.json'),
      JSON.stringify({ ...rest, s3_scales: ps3_scales }),
    );
    using again = await VilaModel.load(engine, out);
    assert.equal(again.config, model.config);
    using scope = engine.scope();
    const images = await vilaImages(engine, file, scope);
    const text = Array.from(await file.f32('in.input_ids'));
    const logitsOf = async (model: VilaModel): Promise<Float32Array> => {
      using seen = model.glance(images);
      const { state } = model.ask(text, seen.low);
      const { blocks } = await model.look(seen, { prompt: model.projector.prompt(state) });
      return await model.logits(model.embed(text, blocks)).data();
    };
    assert.equal(await logitsOf(again), await logitsOf(model));
    assert.equal(again.tokenizer.encode(file.metadata.chat_text), text);
  });

test('VilaModel.load: what does not fit is refused before it is read, by the bytes that its weights take', async () => {
  const out = join(folder, 'vila-hd-tiny');
  const { liveBytes } = engine.stats();
  const limited = (memoryLimitBytes: number): Promise<VilaModel> =>
    VilaModel.load(engine, out, { memoryLimitBytes });
  const refused = await limited(1000).catch((error: Error) => error.message);
  const rule =
    /must fit into 0\.00000100 GB, got ([\d.e-]+) GB of weights \(f32 and f32\) and ([\d.e-]+) GB for a look/;
  assert.match(String(refused), rule);
  const [, weights, rest] = rule.exec(String(refused))!;
  assert.is(engine.stats().liveBytes, liveBytes, 'nothing was made');
  const peak = 1e9 * (Number(weights) + Number(rest));
  using model = await limited(1.01 * peak);
  const stores = [model.parameters, model.language.parameters].flatMap(({ arenas }) => arenas);
  const held = stores.reduce((sum, { values }) => sum + values.sizeBytes, 0);
  // Three digits are told; parameters begin at whole lines of memory.
  assert.ok(Math.abs(held - 1e9 * Number(weights)) < 0.05 * held, `${held} bytes for ${weights} GB`);
});

/** Bytes of all tensors of a folder: they follow a header of so many bytes, whose size is the first 8. */
async function storedBytes(model: string): Promise<number> {
  const sizes = ['llm', 'vision_tower', 'mm_projector'].map(async (part) => {
    const bytes = await readFile(join(model, part, 'model.safetensors'));
    return bytes.length - 8 - Number(bytes.readBigUInt64LE());
  });
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
}

test('VilaModel.load: tells the bytes that are read, of all there are in the files', async () => {
  const shipped = fileURLToPath(VILA_S.href);
  const inIntegers = join(folder, 'integers');
  for (const [place, languageStorage] of [
    [join(folder, 'vila-hd-tiny'), 'f32'],
    [shipped, 'int8'],
    [inIntegers, 'stored'],
  ] as const) {
    const stored = await storedBytes(place);
    const told: number[] = [];
    const onProgress = (done: number, all: number): void => {
      // Beside integers stand their shapes, which are not read.
      assert.ok(all <= stored && all > stored - 1000, `${all} of ${stored}`);
      told.push(done / all);
    };
    using model = await VilaModel.load(engine, place, { languageStorage, onProgress });
    assert.ok(told.every((share, i) => share > (told[i - 1] ?? 0)));
    assert.is(told.at(-1), 1, place);
    if (languageStorage === 'int8') await model.save(inIntegers);
  }
});

test('VilaModel.load: what is missing is named', async () => {
  const out = join(folder, 'vila-hd-tiny');
  const message = async (): Promise<string> =>
    VilaModel.load(engine, out).then(
      (model) => {
        model.dispose();
        return 'no error';
      },
      (error: Error) => error.message,
    );
  await rename(join(out, 'mm_projector'), join(out, 'projector'));
  assert.match(
    await message(),
    /VilaModel\.load: mm_projector\/ of .* must hold config\.json, got no such file\./,
  );
  await rename(join(out, 'projector'), join(out, 'mm_projector'));
  const config = await readJson(join(out, 'config.json'));
  await writeFile(join(out, 'config.json'), JSON.stringify({ ...config, mm_vision_select_layer: -1 }));
  assert.match(
    await message(),
    /config\.json\.mm_vision_select_layer must be -2, the block before the last, got -1/,
  );
});

test.run();
