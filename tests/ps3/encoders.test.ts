// Other encoders: features that were stored, and ONNX files against what PyTorch made of the same numbers.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TensorToWrite, writeSafetensors } from '../../engine/index.ts';
import { openEncoder } from '../../ps3/model/encoders/description.ts';
import { openOnnx } from '../../ps3/model/encoders/onnx.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { compare, engine, fixtureUrl } from '../harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'encoders-'));
test.after(() => rm(folder, { recursive: true }));

const pixels = (side: number) => ({ rgba: new Uint8Array(4 * side * side), width: side, height: side });
const unit = (values: readonly number[]): number[] => values.map((value) => value / Math.hypot(...values));

async function describe(name: string, description: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(description));
  return path;
}

const faultOf = (path: string): Promise<string> =>
  openEncoder(engine, path).then(
    () => 'no fault',
    ({ message }: Error) => message,
  );

test('encoders: stored features are found by id, part and text, and normalised', async () => {
  const tensor = (name: string, values: readonly number[]): TensorToWrite => ({
    ...{ name, dtype: 'F32', shape: [1, values.length], data: Float32Array.from(values) },
  });
  await writeSafetensors(join(folder, 'pe.safetensors'), [
    tensor('image/a/1', [3, 4]),
    tensor('text/a red cap', [0, 2]),
    tensor('text/a blue dog', [-1, 0]),
  ]);
  await using encoder = await openEncoder(
    engine,
    await describe('pe.json', { name: 'PE', features: 'pe.safetensors' }),
  );
  assert.equal([encoder.name, encoder.parts], ['PE', ['image']]);
  compare('image', await encoder.imageFeature('a/1', 'image', pixels(1)), [0.6, 0.8]);
  assert.equal(await encoder.textFeatures(['a blue dog', 'a red cap']), [
    Float32Array.of(-1, 0),
    Float32Array.of(0, 1),
  ]);
  const missing: unknown = await encoder
    .imageFeature('a/2', 'image', pixels(1))
    .catch((error: unknown) => error);
  assert.match(
    String((missing as Error).message),
    /pe\.safetensors must hold image\/a\/2, got 3 others\. Add it\.$/,
  );
});

test('encoders: a description or a file that is wrong is one sentence', async () => {
  assert.match(
    await faultOf(await describe('a.json', { features: 'x' })),
    /a\.json: it must have `name`, got nothing\. Give name/,
  );
  const onnx = { name: 'a', image: 'i', text: 't', tokenizer: 'k', sidePx: 0, contextLength: 4 };
  assert.match(await faultOf(await describe('b.json', onnx)), /b\.json: sidePx must be >=1, got 0\./);
  assert.match(
    await faultOf(await describe('c.json', { ...onnx, sidePx: 4, size: 4 })),
    /it must not have `size`, got it/,
  );
  await writeFile(join(folder, 'd.json'), '{');
  assert.match(await faultOf(join(folder, 'd.json')), /d\.json must be JSON, got: /);
  await writeSafetensors(join(folder, 'e.safetensors'), [
    { name: 'x', dtype: 'F32', shape: [1], data: Float32Array.of(1) },
  ]);
  const other = await describe('e.json', { name: 'e', features: 'e.safetensors' });
  assert.match(
    await faultOf(other),
    /must hold tensors image\/ID or crop\/ID and text\/TEXT, got x\. Name them/,
  );
});

const words = buildWordTokenizer(['a b c d'], { contextLength: 4 });
const fixture = (name: string): string => fileURLToPath(fixtureUrl(`onnx/${name}`));
const files = {
  ...{ image: fixture('image.onnx'), text: fixture('text.onnx'), tokenizer: words, sidePx: 16 },
  ...({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const),
};

test('encoders: without the runtime the sentence says how to install it', async () => {
  const error: unknown = await openOnnx(engine, 'x', files, 'onnxruntime-not-there').catch(
    (error: unknown) => error,
  );
  assert.is(
    (error as Error).message,
    'encoder: onnxruntime-not-there must be installed to run an ONNX file, got none. Run npm install onnxruntime-not-there.',
  );
});

/** Whether the optional package is there. */
function hasRuntime(): boolean {
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node');
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    return false;
  }
}

if (hasRuntime())
  test('encoders: ONNX files give what PyTorch gives', async () => {
    const expected = JSON.parse(await readFile(fixtureUrl('onnx/expected.json'), 'utf8')) as Record<
      'image' | 'ids' | 'texts',
      number[][]
    >;
    const side = 16;
    const rgba = Uint8Array.from({ length: 4 * side * side }, (_, i) => {
      const [c, x, y] = [i % 4, Math.floor(i / 4) % side, Math.floor(i / 4 / side)];
      return c === 3 ? 255 : (7 * c + 13 * y + 29 * x) % 256;
    });
    // A tokenizer that gives the ids of the fixture.
    const ids = new Map(expected.ids.map((row, i) => [`text ${i}`, Int32Array.from(row)]));
    const given = Object.create(words, {
      encodeCounted: { value: ([text]: string[]) => ({ ids: ids.get(text)!, counts: Int32Array.of(4) }) },
      contextLength: { value: 4 },
    }) as typeof words;
    await using encoder = await openOnnx(engine, 'tiny', { ...files, tokenizer: given });
    const image = { rgba, width: side, height: side };
    compare('image', await encoder.imageFeature('0', 'image', image), unit(expected.image[0]));
    for (const [i, feature] of (await encoder.textFeatures(['text 0', 'text 1'])).entries())
      compare(`text ${i}`, feature, unit(expected.texts[i]));
    const wrong: unknown = await openOnnx(engine, 'tiny', { ...files, imageOutput: 'last_hidden_state' })
      .then((encoder) => encoder.imageFeature('0', 'image', image))
      .catch((error: unknown) => error);
    assert.match(
      String((wrong as Error).message),
      /image\.onnx must give last_hidden_state \[1, E\], got last_hidden_state \[1, 16, 6\], image_embeds \[1, 6\]/,
    );
    const noModel: unknown = await openOnnx(engine, 'tiny', { ...files, text: fixture('encoder.py') }).catch(
      (e: unknown) => e,
    );
    assert.match(
      String((noModel as Error).message),
      /encoder\.py must be a model that onnxruntime-node runs, got: /,
    );
  });
else console.log('skipped: needs onnxruntime-node');

test.run();
