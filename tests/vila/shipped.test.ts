// The VILA-HDs of this package: they load as they are published, look where they are asked to, and answer what a card can show.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Box, boxCells } from '../../ps3/data/boxes.ts';
import { CARD_THINGS } from '../../ps3/data/concepts.ts';
import { VILAS } from '../../ps3/model/checkpoint/shipped.ts';
import { decodeImage } from '../../ps3/model/image.ts';
import { takenShare } from '../../ps3/train/evaluation/selection.ts';
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

/** Where a sample's cards are, by colour. */
function samplesOf(place: URL): { image: string; cards: { colour: string; box: Box }[] }[] {
  const lines = readFileSync(new URL('samples/annotations.jsonl', place), 'utf8').trim().split('\n');
  return lines.map((line) => {
    const { image, text, box } = JSON.parse(line);
    const cards = (text as string[]).map((name, i) => ({ colour: name.split(' ')[0], box: box[i] }));
    return { image: fileURLToPath(new URL(`samples/${image}`, place)), cards };
  });
}

for (const [name, place] of VILAS)
  test(`${name}: a question about a card shows more of it than of cards of other colours`, async () => {
    using model = await VilaModel.load(engine, place, { storage: 'stored' });
    const { gridSides } = model.vision.config;
    const shares = { own: [] as number[], other: [] as number[] };
    for (const { image, cards } of samplesOf(new URL(place.href))) {
      const decoded = await decodeImage(image);
      using seen = model.see(decoded);
      for (const { colour } of cards) {
        if (cards.filter((card) => card.colour === colour).length > 1) continue;
        using look = await model.lookFor(`What is on the card in ${colour}`, seen);
        const maps = await Promise.all(look.vision!.selectionMaps.map((map) => map.data()));
        for (const card of cards) {
          const cells = gridSides.slice(1).map((grid) => boxCells([card.box], decoded.width, grid));
          shares[card.colour === colour ? 'own' : 'other'].push(takenShare(maps, cells));
        }
      }
    }
    const [own, other] = [shares.own, shares.other].map((all) => all.reduce((a, b) => a + b) / all.length);
    console.log(`${name}: ${(100 * own).toFixed(0)} % of the card, ${(100 * other).toFixed(0)} % of others`);
    assert.ok(shares.own.length >= 4);
    assert.ok(own > other + 0.1, `${own} and ${other}`);
  });

test.run();
