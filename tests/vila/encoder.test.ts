// Images as the language model reads them by AnyRes, S² and dynamic S²: the official code's tokens, and their gradients.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, openSafetensors, type SafetensorsFile } from '../../engine/index.ts';
import { setting } from '../../ps3/app/comparison.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { fillParameters } from '../../ps3/model/checkpoint/checkpoint.ts';
import { visionConfigFromTensors } from '../../ps3/model/config/tensor_config.ts';
import type { DecodedImage } from '../../ps3/model/decoder.ts';
import { questionIds } from '../../ps3/vila/answer.ts';
import { type EncoderConfig, parseVilaConfig, toProjectorHub, toVilaHub } from '../../ps3/vila/config.ts';
import { vilaLoss } from '../../ps3/vila/loss.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { tinyTokenizer } from '../app/tiny_vila.ts';
import { compare, engine } from '../harness.ts';

const at = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
const tokenizer = await tinyTokenizer();
const HALF = [0.5, 0.5, 0.5] as const;
const WIDTH = 32;

const file = await openSafetensors(at('vila-baselines-tiny.safetensors'));
test.after(() => file.close());
const scalesPx = setting<number[]>(file, 's2_scales');
const maxTiles = setting<number>(file, 'max_tiles');
const ENCODERS: readonly EncoderConfig[] = [
  { kind: 'low-res' },
  { kind: 'anyres', minTiles: 1, maxTiles },
  { kind: 's2', scalesPx, resizeTo: -1 },
  { kind: 'dynamic-s2', scalesPx, resizeTo: -1, maxTiles },
];

const shapes = new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
const vision = visionConfigFromTensors(file.metadata, shapes, 'weights.vision_tower.');

/** A model of the file's tower and projector, whose language model is random but for the newline. */
async function modelOf(encoder: EncoderConfig): Promise<VilaModel> {
  const config = {
    encoder,
    lookMode: 'after_prompt',
    looks: 1,
    tokens: null,
    promptHead: null,
    hasPositions: false,
    ratio: 2,
  } as const;
  const language = LanguageModel.create(engine, { width: WIDTH, layers: 1, heads: 2 }, 1, { tokenizer });
  const image = { imagePx: 126, mean: HALF, std: HALF };
  const model = VilaModel.create(engine, { config, vision, image }, language, 1);
  const scales = 'scalesPx' in encoder ? encoder.scalesPx.length : 1;
  const projector = scales === 1 ? 'plain' : 's2';
  // Of S² with two scales it stays random.
  for (const part of scales === 2 ? ['vision_tower'] : ['vision_tower', `mm_projector_${projector}`])
    await fillParameters(model.parameters, [file], { prefix: `weights.${part}.` });
  const table = language.parameters.get('model.embed_tokens.weight');
  const rows = await table.data();
  const [newline] = tokenizer.encode('\n');
  rows.set(await file.f32('in.newline'), newline * WIDTH);
  table.write(rows);
  return model;
}

async function imageOf(file: SafetensorsFile, name: string): Promise<DecodedImage> {
  const rgb = await file.bytes(name);
  const [height, width] = file.tensors.get(name)!.shape;
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  return { rgba, width, height };
}

/** What the official code makes of an image; of AnyRes with the newline of each tile, and of the text behind it. */
async function wanted(kind: EncoderConfig['kind'], k: number): Promise<Float32Array> {
  if (kind !== 'anyres') return file.f32(`${kind.replace('-', '_')}.${k}.tokens`);
  const name = `anyres.${k}.embeds`;
  const [tiles, n] = file.tensors.get(name)!.shape;
  const embeds = await file.f32(name);
  const newline = await file.f32('in.newline');
  const lines = Array.from({ length: tiles }, (_, i) => [
    ...embeds.subarray(i * n * WIDTH, (i + 1) * n * WIDTH),
    ...newline,
  ]);
  // Behind the last tile stands what stands behind every image.
  return Float32Array.from(lines.flat().slice(0, -2 * WIDTH));
}

for (const encoder of ENCODERS.slice(1))
  test(`${encoder.kind}: images of any shape become the official code's tokens`, async () => {
    using model = await modelOf(encoder);
    for (let k = 0; k < 3; k++) {
      using seen = model.see(await imageOf(file, `in.image.${k}`));
      const want = await wanted(encoder.kind, k);
      compare(`image ${k}`, await seen.low.data(), want, { abs: 0, rel: 1e-4 });
      using look = await model.lookFor('What colour is the star?', seen);
      assert.is(look.blocks.length, 1);
      assert.equal(await look.blocks[0].data(), await seen.low.data());
    }
  });

const FEW: readonly EncoderConfig[] = ENCODERS.map((encoder) => ({
  ...encoder,
  ...('maxTiles' in encoder && { maxTiles: 4 }),
  ...('scalesPx' in encoder && { scalesPx: [42, 84] }),
}));

for (const encoder of FEW)
  test(`${encoder.kind}: a batch is answered, and trained by the slope of its loss`, async () => {
    using model = await modelOf(encoder);
    const stores = [model.parameters, model.language.parameters];
    for (const store of stores) store.enableGradients();
    using scope = engine.scope();
    const bytes = await Promise.all([0, 1].map((k) => imageOf(file, `in.image.${k}`)));
    const rgba = new Uint8Array(2 * 84 * 84 * 4).fill(255);
    bytes.forEach((image, b) => {
      rgba.set(image.rgba.subarray(0, 84 * 84 * 4), b * 84 * 84 * 4);
    });
    const images = engine.tensor(rgba, [2, 84, 84, 4], { scope });
    const ids = questionIds(model.tokenizer, 'Hello', 1);
    const samples = [0, 1].map((b) => ({
      ids: [...ids, 33 + b, 40],
      labels: [...ids.map(() => -100), 33 + b, 40],
    }));
    const lossOf = async (): Promise<number> => {
      using seen = model.glance(images);
      return (await (await vilaLoss(model, seen, samples)).total.data())[0];
    };
    {
      using seen = model.glance(images);
      backward((await vilaLoss(model, seen, samples)).total);
    }
    for (const [store, name] of [
      [model.parameters, 'vision_model.trunk.blocks.1.attn.qkv.weight'],
      [model.parameters, 'layers.2.weight'],
    ] as const) {
      const parameter = store.get(name);
      const own = await parameter.data();
      const slope = await parameter.grad!.data();
      const norm = Math.hypot(...slope);
      const step = 0.02;
      const moved = async (by: number): Promise<number> => {
        parameter.write(own.map((x, i) => x + (by * slope[i]) / norm));
        return lossOf();
      };
      const measured = ((await moved(step)) - (await moved(-step))) / (2 * step);
      parameter.write(own);
      assert.ok(Math.abs(measured - norm) < 5e-3 * norm, `${name}: ${measured} for ${norm}`);
    }
    using seen = model.glance(images);
    using look = await model.lookFor('Hello', seen);
    const said: number[] = [];
    for await (const { id } of model.answer([{ role: 'user', content: '<image><image> Hello' }], look, {
      maxTokens: 3,
      stopIds: [],
    }))
      said.push(id);
    assert.is(said.length, 3);
    const refused = await model.lookFor('Hello', seen, { looks: 2 }).catch((error: Error) => error.message);
    assert.match(String(refused), /sees all at once: it takes no options, got looks/);
  });

for (const encoder of [{ kind: 'ps3' } as const, ...ENCODERS])
  test(`${encoder.kind}: what config.json says of it is read again`, () => {
    const config = {
      encoder,
      lookMode: 'after_prompt',
      looks: 1,
      tokens: null,
      promptHead: encoder.kind === 'ps3' ? 'linear' : null,
      hasPositions: false,
      ratio: 2,
    } as const;
    const hub = JSON.parse(JSON.stringify(toVilaHub(config, vision, WIDTH)));
    assert.equal(parseVilaConfig(hub, toProjectorHub(config)), config);
  });

test.run();
