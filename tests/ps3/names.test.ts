// An error begins with the exported name that was called, `Class.method` for methods, and unknown options are refused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineError } from '../../engine/index.ts';
import * as api from '../../ps3/index.ts';
import { engine } from '../harness.ts';

/** Options with a key that nobody knows. */
function misspelt<T extends object>(): T {
  return { seeed: 1 } as T;
}

const config = api.presetConfig(api.PRESETS.smoke, 8);
const tokenizer = api.buildWordTokenizer(['a cup'], { contextLength: 8 });
const model = api.PS3.create(engine, config, 1, { tokenizer });
const mute = api.PS3.allocate(engine, config);
const image = engine.zeros([1, 3, 112, 112]);
const unseen = await model.encode(image, { looks: 0 });
const { vision } = model;
const decoded = { rgba: new Uint8Array(4), width: 1, height: 1 };
const mixed = { looks: 1, tokens: 3 };

/** Calls that must fail, by what is called; more of one by its name and what is wrong. */
const BAD: Readonly<Record<string, () => unknown>> = {
  'PS3.load': () => api.PS3.load(engine, 'nowhere'),
  'PS3.load: options': () => api.PS3.load(engine, 'nowhere', misspelt()),
  'PS3.load: hub': () => api.PS3.load(engine, 'hf://nobody'),
  'PS3.create': () => api.PS3.create(engine, config, 1, misspelt()),
  'PS3.allocate': () => api.PS3.allocate(engine, config, misspelt()),
  'PS3.save': () => model.save('nowhere', misspelt()),
  'PS3.encode': () => model.encode(image, mixed),
  'PS3.encode: options': () => model.encode(image, misspelt()),
  'PS3.encode: list': () => model.encode([image.reshape([3, 112, 112])]),
  'PS3.encode: scales': () => model.encode(image, { onlyFirstScales: 9 }),
  'PS3.encode: states': () => model.encode(image, { hiddenStates: 99 }),
  'PS3.encode: maps': () => model.encode(image, { selectionMaps: [] }),
  'PS3.encode: region': () => model.encode(image, { region: { point: [2, 2] } }),
  'PS3.encode: regions': () => model.encode(image, { region: [{ point: [0, 0] }, { point: [0, 0] }] }),
  'PS3.encode: prompt': () => model.encode(image, { prompt: '...' }),
  'PS3.encode: prompts': () => model.encode(image, { prompt: ['a', 'b'] }),
  'PS3.encode: no tokenizer': () => mute.encode(image, { prompt: 'a cup' }),
  'PS3.encode: two': () => model.encode(image, { prompt: 'a cup', region: { point: [0, 0] } }),
  'PS3.looks': () => model.looks(image, mixed).next(),
  'PS3.looks: options': () => model.looks(image, misspelt()).next(),
  'PS3.looks: region': () => model.looks(image, { region: { point: [2, 2] } }).next(),
  'PS3.imageFeatures': () => model.imageFeatures(unseen, { tokens: 'high' }),
  'PS3.imageFeatures: options': () => model.imageFeatures(unseen, misspelt()),
  'PS3.similarity': () => model.similarity(unseen, 'a cup', { tokens: 'high' }),
  'PS3.similarity: options': () => model.similarity(image, 'a cup', misspelt()),
  'PS3.similarity: region': () => model.similarity(image, 'a cup', { region: { point: [2, 2] } }),
  'PS3.similarity: texts': () => model.similarity(image, []),
  'PS3.similarity: no tokenizer': () => mute.similarity(image, 'a cup'),
  'PS3.encodeText': () => model.encodeText('...'),
  'PS3.encodeText: options': () => model.encodeText('a cup', misspelt()),
  'PS3.encodeText: no tokenizer': () => mute.encodeText('a cup'),
  'PS3.tokenizer': () => mute.tokenizer,
  'VisionModel.forward': () => vision.forward(image, mixed),
  'VisionModel.plan': () => vision.plan(vision.grids(image), mixed),
  'Tokenizer.fromFiles': () => api.Tokenizer.fromFiles({ tokenizerJson: '{', contextLength: 8 }),
  buildWordTokenizer: () => api.buildWordTokenizer([], misspelt()),
  decodeImage: () => api.decodeImage(new Uint8Array(3)),
  'decodeImage: options': () => api.decodeImage(new Uint8Array(3), misspelt()),
  resizeToSquare: () => api.resizeToSquare(engine, decoded, 0),
  'resizeToSquare: options': () => api.resizeToSquare(engine, decoded, 1, misspelt()),
  BatchLoader: () => new api.BatchLoader([], tokenizer, config, misspelt()),
  cropAccuracy: () =>
    api.cropAccuracy(engine, model, () => ({ rgba: new Uint8Array(), captions: [] }), misspelt()),
  evaluate: () => api.evaluate(engine, model, [], misspelt()),
};

for (const [what, call] of Object.entries(BAD))
  test(`errors: ${what}`, async () => {
    const error: unknown = await (async () => call())().catch((error: unknown) => error);
    assert.instance(error, EngineError, String(error));
    const [name, fault] = what.split(': ');
    const { message } = error as EngineError;
    assert.ok(message.startsWith(`${name}: `), message);
    if (fault === 'options') assert.match(message, /: an option must be one of [\w, ]+, got seeed\.$/);
  });

test.run();
