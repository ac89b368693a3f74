// Scenes that are made up and drawn in a browser: where a panel is seen beside the pinhole camera's formula, and beside the pixels.
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PageReader, type Screen } from '../../ps3/data/caption/web_page.ts';
import { DataError } from '../../ps3/data/errors.ts';
import { openThree } from '../../ps3/data/generators/generators.ts';
import type { Panel, Scene, Solid } from '../../ps3/data/generators/scene.ts';
import { scenePage, THREE_FILE } from '../../ps3/data/generators/scene_page.ts';
import { decodeImage } from '../../ps3/model/image.ts';

const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
const three = await openThree(() => undefined).catch((error: unknown) => {
  if (error instanceof DataError) return undefined;
  throw error;
});
if (!existsSync(chromium) || three === undefined) {
  console.log(`skipped: needs ${chromium} and the npm package three`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'ps3-generators-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
copyFileSync(three, join(folder, THREE_FILE));

/** A wall of text 10 m before the camera; a height of 270 pixels shows 90 degrees: a metre there takes 13.5 pixels. */
const panel: Panel = {
  size: [12, 4],
  at: [2, 3, -10],
  back: '#ffffff',
  glows: true,
  texts: [
    {
      text: 'HELLO',
      x: 0,
      y: 0,
      cap: 1,
      font: 'monospace',
      ink: '#000000',
      key: 'hello',
      kind: 'word',
      question: 'What?',
    },
    {
      text: 'DOWN',
      x: -5,
      y: 0,
      cap: 0.6,
      font: 'monospace',
      ink: '#ff0000',
      turned: 90,
      kind: 'word',
      question: 'And?',
    },
  ],
  thing: 0,
};
const scene = (solids: readonly Solid[], panels: readonly Panel[]): Scene => ({
  width: 480,
  height: 270,
  camera: { at: [0, 0, 0], target: [0, 0, -1], angle: 90 },
  sky: ['#808080', '#808080'],
  light: { at: [0, 5, 5], strength: 1, ambient: 1, reach: 20 },
  solids,
  panels,
  things: [{ key: 'wall', sentences: [{ text: 'A wall.' }, { text: 'It says HELLO.', needs: ['hello'] }] }],
  sentences: [{ text: 'A grey day.' }, { text: 'HELLO is written.', needs: ['hello'] }],
});

const shown = async (solids: readonly Solid[], panels: readonly Panel[] = [panel]): Promise<Screen> => {
  const file = join(folder, 'scene.html');
  writeFileSync(file, scenePage(scene(solids, panels), []));
  await using reader = await PageReader.open();
  for await (const screen of reader.screens(file, { width: 480, height: 270, screens: 1 })) return screen;
  throw new Error('no screen');
};

test('drawScene: texts and things are where a pinhole camera shows them, of that size', async () => {
  const { facts, shown: said, title, image } = await shown([]);
  assert.is(title, 'A grey day. HELLO is written.');
  const perMetre = 135 / 10;
  const near = (got: number, want: number, slack: number): void =>
    assert.ok(Math.abs(got - want) <= slack, `${got} beside ${want}`);
  assert.is(said!.captions.length, 1);
  const [{ text, box }] = said!.captions;
  assert.is(text, 'A wall. It says HELLO.');
  const wall = [240 - 4 * perMetre, 135 - 5 * perMetre, 240 + 8 * perMetre, 135 - perMetre];
  for (const [i, edge] of wall.entries()) near(box[i], edge, 1);
  assert.equal(
    facts.map((fact) => [fact.text, fact.turned]),
    [
      ['HELLO', undefined],
      ['DOWN', 90],
    ],
  );
  near(facts[0].capPx, perMetre, 0.01);
  near(facts[1].capPx, 0.6 * perMetre, 0.01);
  // The ink of each is in its box, and reaches its edges.
  const { rgba, width } = await decodeImage(image, { name: 'scene' });
  for (const [i, isInk] of [
    (at: number) => rgba[at] < 100,
    (at: number) => rgba[at] > 150 && rgba[at + 1] < 150,
  ].entries()) {
    const found = [Infinity, Infinity, -Infinity, -Infinity];
    for (let y = Math.ceil(wall[1]) + 1; y < wall[3] - 1; y++)
      for (let x = Math.ceil(wall[0]) + 1; x < wall[2] - 1; x++)
        if (isInk(4 * (y * width + x))) {
          found[0] = Math.min(found[0], x);
          found[1] = Math.min(found[1], y);
          found[2] = Math.max(found[2], x + 1);
          found[3] = Math.max(found[3], y + 1);
        }
    for (const [edge, at] of found.entries()) near(facts[i].box[edge], at, 1.6);
  }
});

test('drawScene: what stands before a text takes it out of questions and captions', async () => {
  // Half of the way to the middle of HELLO, over a fifth of it.
  const solid: Solid = { shape: 'box', size: [0.5, 3, 0.1], at: [1, 1.5, -5], colour: '#00ff00' };
  const { facts, shown: said, title } = await shown([solid]);
  assert.equal(
    facts.map(({ text }) => text),
    ['DOWN'],
  );
  assert.is(title, 'A grey day.');
  assert.is(said!.captions[0].text, 'A wall.');
  const behind = await shown([{ ...solid, at: [1, 1.5, -11] }]);
  assert.is(behind.facts.length, 2);
});

test('drawScene: an image covers its panel, and a model has its own colours, in the box of its size', async () => {
  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#0000ff' } })
    .png()
    .toBuffer();
  const cover = `data:image/png;base64,${png.toString('base64')}`;
  const covered: Panel = {
    ...{ size: [4, 4], at: [-6, 0, -10], back: '#ffffff', glows: true, image: cover },
    asks: {
      question: 'Which?',
      kind: 'sign',
      answer: 'a',
      options: ['a', 'b'],
      images: [cover, ''],
      size: 4,
    },
  };
  // The two triangles of a square that faces the camera: above their diagonal red, below covered by the image.
  const [low, high] = [-0.5, 0.5];
  const model: Solid = {
    shape: {
      parts: [
        { colour: '#ff0000', positions: [low, low, 0, high, high, 0, low, high, 0] },
        {
          colour: '#ffffff',
          image: cover,
          positions: [low, low, 0, high, low, 0, high, high, 0],
          uvs: [0, 0, 1, 0, 1, 1],
        },
      ],
    },
    ...{ size: [6, 3, 1], at: [5, 0, -10], colour: '#000000', thing: 0 },
  };
  const { facts, shown: said, image } = await shown([model], [covered]);
  const { rgba, width } = await decodeImage(image, { name: 'scene' });
  const at = (x: number, y: number): number[] => [
    ...rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 3),
  ];
  const perMetre = 13.5;
  assert.equal(at(Math.round(240 - 6 * perMetre), 135), [0, 0, 255]);
  const [red, , blue] = at(Math.round(240 + 3 * perMetre), Math.round(135 - perMetre));
  assert.ok(red > 60 && blue < 10, 'above the diagonal');
  const below = at(Math.round(240 + 7 * perMetre), Math.round(135 + perMetre));
  assert.ok(below[2] > 60 && below[0] < 10, 'below the diagonal');
  assert.equal(
    facts.map(({ text, options, images }) => [text, options, images]),
    [['a', ['a', 'b'], [cover, '']]],
  );
  const [{ box }] = said!.captions;
  for (const [i, edge] of [
    240 + 2 * perMetre,
    135 - 1.5 * perMetre,
    240 + 8 * perMetre,
    135 + 1.5 * perMetre,
  ].entries())
    assert.ok(Math.abs(box[i] - edge) <= 1, `${box[i]} beside ${edge}`);
});

test.run();
