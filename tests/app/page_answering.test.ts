// What the page's worker makes of a VILA-HD, in this process.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openVila } from '../../ps3/app/page/answering.ts';
import type { Answer } from '../../ps3/app/page/messages.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { VILA_S } from '../../ps3/model/checkpoint/shipped.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { temporaryFolder } from '../data/fixture.ts';
import { engine } from '../harness.ts';

test('page: a model that sees all at once answers without maps, token by token until it is stopped', async () => {
  const path = join(temporaryFolder('answering'), 'low-res');
  const sample = fileURLToPath(new URL('samples/00000001.jpg', VILA_S.href));
  {
    using full = await VilaModel.load(engine, VILA_S, { storage: 'stored' });
    const { config, vision, language } = full;
    const random = LanguageModel.create(engine, { width: 16, layers: 1, heads: 2 }, 1, {
      tokenizer: language.tokenizer,
    });
    const lowRes = {
      ...config,
      encoder: { kind: 'low-res' },
      promptHead: null,
      hasPositions: false,
    } as const;
    const sizes = { config: lowRes, vision: vision.config, image: vision.image };
    using model = VilaModel.create(engine, sizes, random, 1);
    await model.save(path);
  }
  const ending = new AbortController();
  using opened = await openVila(engine, path, { storage: 'stored', signal: ending.signal });
  const { answers, budgets, grids, patches } = opened.facts;
  assert.equal([answers, budgets, grids, patches], [true, [], [[5, 5]], 0]);
  const said: Answer[] = [];
  const ask = { kind: 'ask', question: 'What is there', tokens: 0 } as const;
  await opened.answer(ask, (answer) => said.push(answer), ending.signal);
  assert.equal(said, [{ kind: 'stopped' }], 'there is no image yet');
  const { glance } = await opened.read(await decodeImage(sample));
  assert.is(glance?.tokens, 9);
  said.length = 0;
  const stop = (answer: Answer): void => {
    said.push(answer);
    if (said.length === 3) ending.abort(new Error('enough'));
  };
  await opened.answer(ask, stop, ending.signal).then(
    () => assert.unreachable('it was not stopped'),
    ({ message }: Error) => assert.is(message, 'enough'),
  );
  assert.equal(
    said.map(({ kind }) => kind),
    ['seen', 'token', 'token'],
  );
  const [seen] = said;
  assert.ok(seen.kind === 'seen' && seen.maps === undefined && seen.taken.length === 0);
});

test.run();
