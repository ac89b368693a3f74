// Decoding token by token: what is made once, and what runs for each token.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type EngineStats, linear, noGrad } from '../../engine/index.ts';
import type { LanguageSizes } from '../../ps3/language/config.ts';
import { Decoding } from '../../ps3/language/decoding.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
import { messageOf } from './fixture.ts';

const sizes = { vocabSize: 300, width: 64, layers: 2, heads: 8, kvHeads: 2, contextLength: 256 };

/** Decodes some tokens; what the engine counted for the last of them. */
async function countsOf(
  sizes: LanguageSizes,
): Promise<Pick<EngineStats, 'dispatches' | 'buffersCreated' | 'bindGroupsCreated' | 'pipelinesCreated'>> {
  using model = LanguageModel.create(engine, sizes, 1);
  using scope = engine.scope();
  const x = model.embed(engine.tensor(Uint32Array.of(1, 2, 3, 4, 5, 6), [2, 3], { scope }));
  using decoding = new Decoding(model, x, [3, 2], 40);
  const next = async (): Promise<void> => {
    await decoding.tokens.data();
    decoding.advance();
  };
  for (let token = 0; token < 3; token++) await next();
  const before = engine.stats();
  for (let token = 0; token < 10; token++) await next();
  const after = engine.stats();
  return {
    dispatches: (after.dispatches - before.dispatches) / 10,
    buffersCreated: after.buffersCreated - before.buffersCreated,
    bindGroupsCreated: after.bindGroupsCreated - before.bindGroupsCreated,
    pipelinesCreated: after.pipelinesCreated - before.pipelinesCreated,
  };
}

/** Heads of Qwen2 with 0.5B and 7B parameters. */
const HEADS = {
  '14 heads of 64 on 2': { heads: 14, kvHeads: 2, headSize: 64 },
  '28 heads of 128 on 4': { heads: 28, kvHeads: 4, headSize: 128 },
};

for (const [name, heads] of Object.entries(HEADS))
  test(`Decoding: after the first tokens nothing is made, and a layer takes at most 7 dispatches a token: ${name}`, async () => {
    const of = (layers: number) => countsOf({ ...sizes, ...heads, layers });
    const [one, three] = [await of(1), await of(3)];
    for (const { buffersCreated, bindGroupsCreated, pipelinesCreated } of [one, three])
      assert.equal([buffersCreated, bindGroupsCreated, pipelinesCreated], [0, 0, 0]);
    const perLayer = (three.dispatches - one.dispatches) / 2;
    assert.ok(perLayer > 0 && perLayer <= 7, `${perLayer} dispatches`);
  });

test('Decoding: long prompts are read in several passes, as one', async () => {
  const long = { ...sizes, layers: 1, contextLength: 4096 };
  using model = LanguageModel.create(engine, long, 1);
  using scope = engine.scope();
  const T = 1500;
  const ids = Uint32Array.from({ length: 2 * T }, (_, i) => (i * i) % 300);
  const x = model.embed(engine.tensor(ids, [2, T], { scope })); // more than a pass of two texts takes
  using decoding = new Decoding(model, x, [T, 1100], T + 2);
  const h = noGrad(() => model.decode(x)); // without a cache, in one
  const want = [h, h].map((h, b) => {
    const row = h.view((b * T + [T, 1100][b] - 1) * long.width, [1, long.width]).moveTo(scope);
    return linear(row, model.head);
  });
  const V = long.vocabSize;
  const got = await decoding.logits.data();
  for (const [b, logits] of want.entries())
    compare(`text ${b}`, got.slice(b * V, (b + 1) * V), await logits.data(), TOLERANCE.f32);
});

test('LanguageModel.decode: padding and positions of a cache are its own', async () => {
  using model = LanguageModel.create(engine, sizes, 1);
  using cache = model.newCache({ length: 8 });
  using keyMask = engine.ones([1, 3]);
  using x = engine.zeros([1, 3, sizes.width]);
  const message = await messageOf(async () => model.decode(x, { cache, keyMask }));
  assert.match(message, /^LanguageModel.decode: with a cache, .* Write cache.positions\.$/);
});

test.run();
