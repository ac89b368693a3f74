// Made-up rooms in three dimensions: furniture along a wall, with books, displays, notes, jars and switches to be read.
import { box, type Drawing } from './drawing.ts';
import { fridge, kitchen } from './household_kitchen.ts';
import { bookcase, desk, type Furniture } from './household_things.ts';
import { GENERATED_SCREEN, type Material, PAINTS, Words } from './material.ts';
import type { Furnishing } from './models.ts';
import { type Mark, type Panel, type Scene, SceneBuilder, type Sentence, withArticles } from './scene.ts';

const WALL_PAINTS = ['#d9d2c3', '#c7d2d0', '#dcc9b4', '#cfd6c2', '#e4e1da', '#b9c3cf'];
const ROOM = { width: 6.8, height: 2.75, depth: 6 };

/** Furniture with the widths that it may have, metres. */
const FURNITURE: readonly {
  readonly name: string;
  readonly draw: Furniture;
  readonly widths: readonly [number, number];
}[] = [
  { name: 'bookcase', draw: bookcase, widths: [0.9, 1.3] },
  { name: 'kitchen', draw: kitchen, widths: [1.8, 2.2] },
  { name: 'fridge', draw: fridge, widths: [0.68, 0.76] },
  { name: 'desk', draw: desk, widths: [1.3, 1.6] },
];

/** A round clock with hands. */
function clock({ words, scene, plain }: Drawing, x: number, y: number): void {
  const [hour, minute] = [words.integer(1, 12), 5 * words.integer(0, 11)];
  const time = `${hour}:${String(minute).padStart(2, '0')}`;
  const thing = scene.thing('clock', { text: `A round clock on the wall shows ${time}.` });
  const radius = 0.15;
  const hand = (turns: number, length: number, width: number): Mark => {
    const [dx, dy] = [Math.sin(2 * Math.PI * turns), Math.cos(2 * Math.PI * turns)];
    return {
      shape: 'line',
      points: [
        [-0.02 * dx, -0.02 * dy],
        [length * dx, length * dy],
      ],
      width,
      colour: '#17181a',
    };
  };
  scene.solid({
    shape: 'cylinder',
    size: [2.2 * radius, 0.03, 2.2 * radius],
    at: [x, y, 0.016],
    turn: [Math.PI / 2, 0, 0],
    colour: words.one(['#2a2b2d', '#8a6242', '#b9bec1']),
    thing,
  });
  scene.panel({
    ...{ size: [2 * radius, 2 * radius], at: [x, y, 0.034], back: '#f6f4ec', radius, thing },
    marks: [hand((hour + minute / 60) / 12, 0.075, 0.009), hand(minute / 60, 0.12, 0.006)],
    texts: Array.from({ length: 12 }, (_, i) => {
      const angle = (2 * Math.PI * (i + 1)) / 12;
      return {
        text: String(i + 1),
        x: 0.118 * Math.sin(angle),
        y: 0.118 * Math.cos(angle),
        cap: 0.019,
        font: plain,
        ink: '#17181a',
      };
    }),
  });
}

/** A sign in a frame. */
function frame({ words, scene, fancy }: Drawing, x: number, y: number, name: string): void {
  const paint = words.one(Object.keys(PAINTS));
  const lines = [
    words.text((faker) => `${faker.word.adjective()} ${faker.word.noun()}`),
    words.text((faker) => `${faker.word.verb()} ${faker.word.noun()}`),
  ];
  const [width, height, key] = [0.56, 0.3, `sign ${name}`];
  const thing = scene.thing(
    key,
    { text: `A framed sign hangs on the wall ${name}.` },
    { text: `It says: ${lines.join(', ')}.`, needs: [`1 ${key}`, `2 ${key}`] },
  );
  const font = words.one(fancy.slice(1));
  scene.solid(box([width + 0.05, height + 0.05, 0.02], [x, y, 0.011], PAINTS[paint], { thing }));
  scene.panel({
    ...{ size: [width, height], at: [x, y, 0.023], back: '#f4f1e8', thing },
    texts: lines.map((text, i) => ({
      text,
      x: 0,
      y: 0.055 - 0.11 * i,
      cap: words.range(0.02, 0.04),
      font,
      ink: '#2a2623',
      key: `${i + 1} ${key}`,
      kind: 'sign',
      question: `What does the ${['upper', 'lower'][i]} line of the framed sign ${name} say?`,
    })),
  });
}

/** Switches and a thermostat beside each other. */
function switches({ words, scene, plain, fancy, sentences }: Drawing, x: number, y: number): void {
  const names = ['left', 'middle', 'right'].map((side) => ({
    side,
    label: words.text((faker) => faker.word.noun()).toUpperCase(),
  }));
  const thing = scene.thing(
    'switches',
    { text: 'Three light switches with labels are on the wall.' },
    { text: `The middle one is for ${names[1].label}.`, needs: ['switch middle'] },
  );
  for (const [i, { side, label }] of names.entries()) {
    const at = x + (i - 1) * 0.13;
    scene.panel({
      size: [0.095, 0.095],
      at: [at, y, 0.006],
      back: '#f1f0ec',
      border: '#cfcdc6',
      radius: 0.01,
      thing,
    });
    scene.solid(
      box([0.05, 0.06, 0.012], [at, y, 0.01], '#e2e0da', { turn: [words.one([-0.12, 0.12]), 0, 0], thing }),
    );
    scene.panel({
      size: [0.115, 0.028],
      at: [at, y + 0.068, 0.005],
      back: '#f7f5ee',
      thing,
      texts: [
        {
          text: label,
          x: 0,
          y: 0,
          cap: 0.0145,
          font: plain,
          ink: '#1c1d1f',
          key: `switch ${side}`,
          kind: 'switch',
          question: `What is on the label of the ${side} light switch?`,
        },
      ],
    });
  }
  const warmth = words.number(({ number }) => `${number.int({ min: 12, max: 29 })}.${number.int(9)}`);
  const round = scene.thing(
    'thermostat',
    { text: 'A thermostat is on the wall above the light switches.' },
    { text: `It shows ${warmth} degrees.`, needs: ['warmth'] },
  );
  sentences.push({ text: `The thermostat shows ${warmth} degrees.`, needs: ['warmth'] });
  scene.solid(box([0.14, 0.1, 0.02], [x, y + 0.28, 0.011], '#efeeea', { thing: round }));
  scene.panel({
    size: [0.1, 0.055],
    at: [x, y + 0.28, 0.023],
    back: '#c7d3c4',
    border: '#8d998b',
    thing: round,
    texts: [
      {
        text: warmth,
        x: 0,
        y: 0,
        cap: words.range(0.018, 0.026),
        font: fancy[0],
        ink: '#1a241b',
        key: 'warmth',
        kind: 'display',
        question: 'What temperature does the thermostat show?',
      },
    ],
  });
}

/** A piece of a catalogue on the floor at the wall, where one that fits is found. */
function furnish(
  { words, scene, sentences }: Drawing,
  x: number,
  room: number,
  where: string,
  furnishings: readonly Furnishing[],
): void {
  const fits = ({ size: [width, height, depth] }: Furnishing): boolean =>
    width < 0.9 * room && height > 0.15 && height < 2.2 && depth < 1;
  for (const { name, size, model } of words.shuffled(furnishings.filter(fits))) {
    const shape = model();
    if (!shape) continue;
    const text = withArticles(`A ${name} stands ${where}.`);
    const thing = scene.thing(`furniture ${where}`, { text });
    scene.solid({ shape, size, at: [x, size[1] / 2, size[2] / 2 + 0.02], colour: '#b0b0b0', thing });
    sentences.push({ text, needs: [`furniture ${where}`] });
    return;
  }
}

/** Of the height, degrees. */
const ANGLE = 47;

/**
 * Letters of what is asked about are not all as large as their places let them be: of half the panels they are just read.
 *
 * @param distance  of the camera, metres
 */
function printed(panel: Panel, words: Words, distance: number): Panel {
  const asked = panel.texts?.filter(({ question }) => question !== undefined) ?? [];
  if (asked.length === 0) return panel;
  const perMetre = GENERATED_SCREEN.height / 2 / Math.tan((ANGLE * Math.PI) / 360) / distance;
  const least = Math.min(...asked.map(({ cap }) => cap));
  const part = Math.min(
    1,
    words.chance(0.6) ? words.range(5.2, 7) / (least * perMetre) : words.one([0.7, 0.85, 1]),
  );
  return { ...panel, texts: panel.texts?.map((text) => ({ ...text, cap: part * text.cap })) };
}

/** A room from the seed. */
export function householdScene(seed: number, material: Material): Scene {
  const words = new Words(seed, material.split);
  const scene = new SceneBuilder();
  const { road, shop, hand, display } = material.fonts;
  const sentences: Sentence[] = [];
  // The first of the families shines on displays, the last two are hands.
  const fancy = [words.one(display), words.one(shop), ...[0, 1].map(() => words.one(hand))].map(
    ({ name }) => name,
  );
  const drawing: Drawing = { words, scene, plain: words.one(road).name, fancy, sentences };
  const wall = words.one(WALL_PAINTS);
  const { width, height, depth } = ROOM;
  const plaster = { kind: 'plaster', second: '#000000', seed: 1 } as const;
  scene.solid(box([width, height, 0.1], [0, height / 2, -0.05], wall, { pattern: plaster }));
  for (const side of [-1, 1])
    scene.solid(
      box([0.1, height, depth], [side * (width / 2 + 0.05), height / 2, depth / 2], wall, {
        pattern: plaster,
        isClear: true,
      }),
    );
  scene.solid(
    box([width, 0.1, depth], [0, -0.05, depth / 2], words.one(['#a77b4f', '#c79f6d', '#6f4e34']), {
      pattern: { kind: 'wood', second: '#3a2a1c', seed: 2 },
    }),
  );
  scene.solid(box([width, 0.1, depth], [0, height + 0.05, depth / 2], '#f1efe9', { isClear: true }));
  scene.solid(box([width, 0.09, 0.015], [0, 0.045, 0.007], '#efece4'));

  const { debian } = material;
  const chosen = words
    .shuffled(FURNITURE)
    .slice(0, debian ? 2 : words.integer(3, 4))
    .map((piece) => ({ ...piece, width: words.range(...piece.widths) }));
  const free = width - 1 - chosen.reduce((sum, piece) => sum + piece.width, 0);
  // Signs, the clock and switches hang where nothing stands.
  const gap = free / (chosen.length + 1);
  let x = 0.5 + gap - width / 2;
  const places = [
    ['on the left', 'on the right'],
    ['on the left', 'in the middle', 'on the right'],
    ['on the far left', 'on the left', 'on the right', 'on the far right'],
  ];
  const names = places[chosen.length - 2];
  const gaps: number[] = [x - gap / 2];
  for (const [i, piece] of chosen.entries()) {
    piece.draw(drawing, {
      put: scene,
      width: piece.width,
      where: names[i],
      at: [x + piece.width / 2, 0, 0.01],
    });
    x += piece.width + gap;
    gaps.push(x - gap / 2);
  }
  const pieces = chosen.map(({ name }) => name);
  const [last] = pieces.slice(-1);
  const first = { text: `A room with a ${pieces.slice(0, -1).join(', a ')} and a ${last} along the wall.` };
  const wide = words.shuffled(gaps.filter((at) => Math.abs(at) < 2.8));
  if (debian)
    for (const [i, at] of gaps.entries()) {
      const [before, after] = [chosen[i - 1], chosen[i]].map((piece) => piece?.name);
      const where =
        before && after ? `between the ${before} and the ${after}` : `beside the ${before ?? after}`;
      furnish(drawing, at, gap, where, debian.furnishings);
    }
  if (gap > 0.42 && wide.length > 0) switches(drawing, wide.pop()!, 1.2);
  clock(drawing, words.range(-1.2, 1.2), 2.42);
  frame(drawing, words.range(-2.7, -1.9), 2.42, 'on the upper left');
  frame(drawing, words.range(1.9, 2.7), 2.42, 'on the upper right');
  const { solids, panels, things } = scene;
  const side = words.range(-0.35, 0.35);
  const [y, z] = [words.range(1.4, 1.65), words.range(3.95, 4.45)];
  return {
    ...GENERATED_SCREEN,
    camera: {
      at: [side, y, z],
      target: [side / 2, 1.35, 0],
      angle: ANGLE,
    },
    sky: ['#202020', '#202020'],
    light: {
      at: [words.range(-2, 2), 4.4, words.range(4, 6)],
      strength: words.range(1.1, 1.8),
      ambient: words.range(1.9, 2.5),
      reach: 4.5,
    },
    solids,
    panels: panels.map((panel) => printed(panel, words, z - panel.at[2])),
    things,
    sentences: [first, ...words.shuffled(sentences).slice(0, 2)],
  };
}
