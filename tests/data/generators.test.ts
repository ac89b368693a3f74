// Scenes that are made up, before they are drawn: a seed gives one, splits share no words, sentences speak of what is there.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gamePage } from '../../ps3/data/generators/game.ts';
import { householdScene } from '../../ps3/data/generators/household.ts';
import { type GeneratedSplit, type Material, Words } from '../../ps3/data/generators/material.ts';
import type { Scene } from '../../ps3/data/generators/scene.ts';
import { streetScene } from '../../ps3/data/generators/street.ts';

const font = (name: string): { name: string; path: string } => ({ name, path: '' });
const material = (split: GeneratedSplit): Material => ({
  split,
  fonts: {
    screen: [font('s')],
    road: [font('r'), font('q')],
    shop: [font('p'), font('o')],
    hand: [font('h'), font('i')],
    display: [font('d')],
  },
  themes: [['#eee', '#fff', '#000', '#ccc', '#00f']],
  icon: () => '<svg></svg>',
});
const SCENES = { street: streetScene, household: householdScene };

const textsOf = (scene: Scene) => scene.panels.flatMap(({ texts = [] }) => texts);

for (const [name, make] of Object.entries(SCENES)) {
  test(`${name}: a seed gives a scene, another one another`, () => {
    const scene = make(7, material('train'));
    assert.equal(make(7, material('train')), scene);
    assert.is.not(JSON.stringify(make(8, material('train'))), JSON.stringify(scene));
  });

  test(`${name}: what sentences need is there, a question has one answer, what belongs to things is of one`, () => {
    for (let seed = 0; seed < 40; seed++) {
      const { things, sentences, solids, panels } = make(seed, material('train'));
      const texts = panels.flatMap(({ texts = [] }) => texts);
      // A car has the same plate at both ends; otherwise a key is of one text.
      const keys = new Set(things.map(({ key }) => key));
      assert.is(keys.size, things.length, `seed ${seed}: a thing twice`);
      const said = new Map<string, string>();
      for (const { key, text, question } of texts)
        for (const name of [key, question]) {
          if (name === undefined) continue;
          assert.is(said.get(name) ?? text, text, `seed ${seed}: ${name} of two texts`);
          said.set(name, text);
          keys.add(name);
        }
      for (const { text, needs = [] } of [...sentences, ...things.flatMap((thing) => thing.sentences)])
        for (const need of needs) assert.ok(keys.has(need), `seed ${seed}: ${text} needs ${need}`);
      const asked = texts.filter(({ question }) => question !== undefined);
      assert.ok(asked.length >= 8, `seed ${seed}: ${asked.length} questions`);
      for (const { thing } of [...solids, ...panels])
        assert.ok(thing === undefined || (thing >= 0 && thing < things.length));
      // Numbers of parts are drawn as two bytes of a colour.
      assert.ok(solids.length + panels.length < 65535);
    }
  });

  test(`${name}: no answer in words of one split is one of the other`, () => {
    const answers = (split: GeneratedSplit): Set<string> =>
      new Set(
        Array.from({ length: 12 }, (_, seed) =>
          textsOf(make(seed, material(split)))
            .filter(({ question }) => question !== undefined)
            .map(({ text }) => text.toLowerCase())
            // Numbers are of both: '7:30', '14 km', 'exit 38'.
            .filter((text) => !/\d/.test(text) || /^[a-z]+ \d+ [a-z]+$/.test(text)),
        ).flat(),
      );
    const held = answers('heldOut');
    assert.ok(held.size > 50);
    assert.equal(
      [...answers('train')].filter((text) => held.has(text)),
      [],
    );
  });
}

test('gamePage: a seed gives a page, on which a question is asked once and each unit says what stands on it', () => {
  const pages = [1, 2, 3, 4].map((seed) => {
    const own = material('train');
    const fonts = [{ name: 'none', path: fileURLToPath(import.meta.url) }];
    return gamePage(seed, { ...own, fonts: { ...own.fonts, screen: fonts, shop: fonts } });
  });
  for (const page of pages) {
    const asked = [...page.matchAll(/data-question="([^"]+)"/g)].map(([, question]) => question);
    assert.is(new Set(asked).size, asked.length);
    const units = [...page.matchAll(/class="unit".*?data-caption="([^"]+)".*?<\/div><\/div>/g)];
    assert.ok(units.length >= 8, `${units.length} units`);
    for (const [unit, said] of units) {
      const [, name, level] = /named (\S+) stands on .*level is (\d+)\./.exec(said)!;
      assert.ok(unit.includes(`>${name}</span>`) && unit.includes(`>${level}</span>`), said);
    }
  }
  assert.is(new Set(pages).size, 4);
});

test('Words: of a kind with too few texts of a split, one comes again, and it is of the split', () => {
  const words = (split: GeneratedSplit): Set<string> => {
    const own = new Words(3, split);
    return new Set(Array.from({ length: 12 }, () => own.text((faker) => String(faker.number.int(9)))));
  };
  const [train, heldOut] = [words('train'), words('heldOut')];
  assert.is(train.size + heldOut.size, 10);
  assert.ok([...train].every((text) => !heldOut.has(text)));
});

test('Words: a text is said once, and only in one split', () => {
  const said = (split: GeneratedSplit): string[] => {
    const words = new Words(3, split);
    return Array.from({ length: 15 }, () =>
      words.text(({ number }) => String(number.int({ min: 0, max: 99 }))),
    );
  };
  const [train, heldOut] = [said('train'), said('heldOut')];
  assert.is(new Set([...train, ...heldOut]).size, 30);
});

test.run();
