// The VILA-HDs of this package: they load as they are published, look where they are asked to, and answer what a card can show.

import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CARD_THINGS } from '../../ps3/data/concepts.ts';
import { VILAS } from '../../ps3/model/checkpoint/shipped.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { engine } from '../harness.ts';

for (const [name, place] of VILAS)
  test(`${name}: a look at a sample is as many patches as its configuration has, and the answer is a thing`, async () => {
    using model = await VilaModel.load(engine, place, { storage: 'stored' });
    const sample = fileURLToPath(new URL('samples/00000000.jpg', place.href));
    using seen = model.see(await decodeImage(sample));
    const question = 'What is on the card in blue';
    using look = await model.lookFor(question, seen);
    assert.is(
      look.vision!.selectionCounts.reduce((sum, count) => sum + count, 0),
      model.vision.config.maxSelect,
    );
    let said = '';
    for await (const { text } of model.answer(question, look, { maxTokens: 8, temperature: 0 })) said += text;
    assert.ok(CARD_THINGS.includes(said), said);
    const scores = await model.likelihoods(question, CARD_THINGS, look);
    assert.is(CARD_THINGS[scores.indexOf(Math.max(...scores))], said);
  });

test.run();
