// Made-up streets in three dimensions: a city with shops and parked cars, or a motorway with direction signs, from behind a windscreen.
import { box, type Drawing, inkOn } from './drawing.ts';
import { GENERATED_SCREEN, type Material, PAINTS, Words } from './material.ts';
import { type Scene, SceneBuilder, type Sentence, type Vec3 } from './scene.ts';
import { CAR_PAINTS, car } from './street_cars.ts';
import { distances, gantry, numberedPost, roadSign, streetName, trafficLight } from './street_signs.ts';

const SHOP_PAINTS = ['red', 'blue', 'green', 'yellow', 'orange', 'purple', 'brown', 'black', 'white'];
const WALLS = ['#9c5b43', '#c9b48f', '#a8a294', '#7e4a3a', '#d8cdb8', '#8a8f93', '#b78f6a', '#c7c2b4'];

/** Where they stand, by their distance. */
const ROAD_SIGNS = ['near', 'farther away', 'far away'];

const sideOf = (side: number): string => (side < 0 ? 'left' : 'right');

/** A house with a shop on the ground floor. */
function house(drawing: Drawing, side: number, z: number, length: number, paint: string | undefined): void {
  const { words, scene, fancy, sentences } = drawing;
  const [floors, wall] = [words.integer(1, 3), words.one(WALLS)];
  const depth = 12;
  const seed = words.integer(0, 3);
  const x = side * (10 + depth / 2);
  const upper = floors * 6.4 - words.one([0, 3.2]);
  const facade = { kind: 'facade', second: words.one(['#e9e6dd', '#4b4038', '#d8d3c4']), seed } as const;
  scene.solid(
    box([depth, 4, length], [x, 2, z - length / 2], wall, {
      pattern: { kind: words.one(['brick', 'plaster']), second: '#b9b1a2', seed },
    }),
  );
  scene.solid(box([depth, upper, length], [x, 4 + upper / 2, z - length / 2], wall, { pattern: facade }));
  scene.solid(box([depth + 0.5, 0.5, length + 0.2], [x, 4.2 + upper, z - length / 2], '#6d675e'));
  if (words.chance(0.5))
    scene.solid(
      box([depth + 0.4, 3, length], [x, 5.9 + upper, z - length / 2], '#6b4437', { taper: [0.12, 1] }),
    );
  const edge = side * 10;
  const turn: Vec3 = [0, (-side * Math.PI) / 2, 0];
  // Shop windows and a door.
  for (let i = 0.8; i + 2.6 < length; i += 3) {
    scene.panel({
      size: [2.4, 2.3],
      at: [edge - side * 0.03, 1.6, z - i - 1.2],
      turn,
      back: '#222b31',
      border: '#d9d4c6',
    });
    scene.solid(box([0.12, 0.12, 2.6], [edge - side * 0.06, 0.42, z - i - 1.2], '#8c857a'));
  }
  if (paint === undefined) return;
  const name = words.text((faker) =>
    faker.helpers.arrayElement([
      () => `${faker.person.lastName()}'s`,
      () => faker.company.name().split(/[ ,-]/)[0],
      () => faker.word.noun(),
    ])(),
  );
  const trade = words.text((faker) => `${faker.commerce.productAdjective()} ${faker.commerce.product()}`);
  const shown = words.chance(0.5) ? name.toUpperCase() : `${name[0].toUpperCase()}${name.slice(1)}`;
  const [ink, font] = [inkOn(paint), words.one(fancy)];
  const where = `on the ${sideOf(side)} side of the street`;
  const key = `shop ${paint} ${side}`;
  const thing = scene.thing(
    key,
    { text: `A ${paint} shop sign hangs ${where}.` },
    { text: `It says ${shown}.`, needs: [`name ${key}`] },
  );
  sentences.push({ text: `${shown} is ${where}.`, needs: [`name ${key}`] });
  scene.solid(box([0.25, 0.8, length - 0.6], [edge - side * 0.12, 3.35, z - length / 2], PAINTS[paint]));
  scene.panel({
    ...{
      size: [Math.min(7, length - 1), 0.7],
      at: [edge - side * 0.26, 3.35, z - length / 2],
      turn,
      back: PAINTS[paint],
    },
    texts: [{ text: shown, x: 0, y: 0, cap: 0.38, font, ink }],
  });
  const [out, wide, high] = [0.25, words.range(1.5, 1.9), words.range(0.7, 0.9)];
  const at: Vec3 = [edge - side * (out + wide / 2), words.range(4.1, 5.2), z - words.range(0.3, 1.5)];
  scene.solid(
    box(
      [wide + out, 0.06, 0.06],
      [edge - (side * (wide + out)) / 2, at[1] + high / 2 + 0.05, at[2]],
      '#2b2d30',
    ),
  );
  scene.solid(box([wide, high, 0.1], at, PAINTS[paint], { thing }));
  scene.panel({
    ...{
      size: [wide, high],
      at: [at[0], at[1], at[2] + 0.07],
      back: PAINTS[paint],
      border: ink,
      radius: 0.04,
      thing,
    },
    texts: [
      {
        text: shown,
        x: 0,
        y: 0.12 * high,
        cap: 0.26 * high,
        font,
        ink,
        key: `name ${key}`,
        kind: 'shop',
        question: `Which name is on the ${paint} shop sign ${where}?`,
      },
      {
        text: trade,
        x: 0,
        y: -0.28 * high,
        cap: 0.12 * high,
        font: drawing.plain,
        ink,
        kind: 'trade',
        question: `What does the small line on the ${paint} shop sign ${where} say?`,
      },
    ],
  });
}

function tree({ words, scene }: Drawing, x: number, z: number): void {
  const height = words.range(3.5, 7);
  scene.solid({
    shape: 'cylinder',
    size: [0.3, height, 0.3],
    at: [x, height / 2, z],
    colour: '#54402f',
    taper: [0.6, 1],
  });
  const colour = words.one(['#3f6b33', '#54803c', '#35592f', '#6c8a3f']);
  for (let i = 0; i < 7; i++) {
    const size = words.range(1.4, 2.6);
    scene.solid({
      shape: 'sphere',
      size: [size, size * 0.85, size],
      at: [x + words.range(-0.9, 0.9), height + words.range(-0.7, 1.2), z + words.range(-0.9, 0.9)],
      colour,
    });
  }
}

/** Posts with numbers along the road. */
function marked(drawing: Drawing, side: number, x: number, kind: 'lamp post' | 'marker post'): void {
  const { words } = drawing;
  const names = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh'];
  let z = words.range(-13, -17);
  for (const name of names) {
    numberedPost(drawing, [side * x, 0, z], kind, `${name} ${kind} on the ${sideOf(side)}`);
    z -= words.range(6, 9);
  }
}

/** Dashes or whole lines along the road. */
function lane({ scene }: Drawing, x: number, isDashed: boolean, width = 0.15): void {
  const [length, step] = isDashed ? [4, 9] : [320, 320];
  for (let z = 2; z > -220; z -= step)
    scene.solid(box([width, 0.01, length], [x, 0.006, z - length / 2], '#dcdcd4'));
}

function city(drawing: Drawing): void {
  const { words, scene } = drawing;
  scene.solid(
    box([20, 0.1, 320], [0, -0.05, -150], '#4a4c4f', {
      pattern: { kind: 'asphalt', second: '#000000', seed: 1 },
    }),
  );
  scene.solid(box([400, 0.1, 400], [0, -0.12, -160], '#7c8466'));
  lane(drawing, 0, true);
  for (const side of [-1, 1]) {
    lane(drawing, side * 3.9, false, 0.1);
    const pattern = { kind: 'paving', second: '#77746c', seed: 2 } as const;
    scene.solid(box([4, 0.16, 320], [side * 8, 0.08, -150], '#a39f95', { pattern }));
    scene.solid(box([0.25, 0.18, 320], [side * 5.95, 0.08, -150], '#c3c0b6'));
    const paints = words.shuffled(SHOP_PAINTS);
    for (let z = words.range(-3, 2); z > -150; ) {
      const length = words.one([9.6, 9.6, 12, 14.4]);
      house(drawing, side, z, length, z < -6 && words.chance(0.85) ? paints.pop() : undefined);
      z -= length + words.one([0, 0, 2.5]);
    }
    const cars = words.shuffled(CAR_PAINTS);
    for (let z = words.range(-9, -12); z > -75 && cars.length > 2; z -= words.range(6.2, 11))
      if (Math.abs(z + 31) > 5)
        car(
          drawing,
          [side * 4.95, 0, z],
          side < 0 ? Math.PI : 0,
          cars.pop()!,
          `parked on the ${sideOf(side)}`,
        );
    for (let z = words.range(-20, -45); z > -120; z -= words.range(30, 60)) tree(drawing, side * 6.7, z);
    trafficLight(drawing, [side * 6.4, 0.16, -29], `near on the ${sideOf(side)}`);
    trafficLight(drawing, [side * 6.4, 0.16, -62], `far on the ${sideOf(side)}`);
    marked(drawing, side, 6.3, 'lamp post');
    streetName(drawing, [side * 7.6, 0.16, -21 - 4 * (side + 1)], `on the ${sideOf(side)} pavement`);
  }
  for (let x = -5.4; x < 5.6; x += 1) scene.solid(box([0.5, 0.012, 3], [x, 0.006, -27], '#dcdcd4'));
  car(drawing, [1.9, 0, words.range(-16, -38)], 0, words.one(CAR_PAINTS), 'ahead in the lane');
  car(drawing, [-1.9, 0, words.range(-18, -60)], Math.PI, words.one(CAR_PAINTS), 'in the opposite lane');
  if (words.chance(0.7))
    distances(drawing, [7.4, 0.16, words.range(-34, -44)], words.one(['blue', 'green']), 'on the right');
}

function motorway(drawing: Drawing): void {
  const { words, scene } = drawing;
  scene.solid(
    box([16, 0.1, 420], [0, -0.05, -200], '#505255', {
      pattern: { kind: 'asphalt', second: '#000000', seed: 1 },
    }),
  );
  scene.solid(
    box([900, 0.1, 900], [0, -0.12, -300], '#6f8250', {
      pattern: { kind: 'grass', second: '#000000', seed: 3 },
    }),
  );
  for (const x of [-1.9, 1.9]) lane(drawing, x, true);
  for (const side of [-1, 1]) {
    lane(drawing, side * 5.7, false, 0.25);
    scene.solid(box([0.06, 0.32, 420], [side * 8.6, 0.62, -205], '#b3b7b9'));
    for (let z = -2; z > -130; z -= 4) scene.solid(box([0.1, 0.75, 0.1], [side * 8.66, 0.37, z], '#8e9396'));
    for (let i = 0; i < 26; i++) tree(drawing, side * words.range(14, 46), words.range(-18, -190));
  }
  for (let i = 0; i < 14; i++) {
    const size = words.range(60, 200);
    scene.solid({
      shape: 'sphere',
      size: [size, size * 0.22, size * 0.6],
      at: [words.range(-420, 420), -2, words.range(-320, -430)],
      colour: words.one(['#6d8558', '#7d9166', '#5d7a55']),
    });
  }
  gantry(drawing, words.range(-46, -58), 'near', 8.9);
  gantry(drawing, words.range(-115, -160), 'far', 8.9);
  for (const side of [-1, 1]) marked(drawing, side, 9.7, 'marker post');
  distances(drawing, [11.2, 0, words.range(-26, -40)], words.one(['blue', 'green']), 'on the right');
  const lanes = [
    ['left', -3.8],
    ['middle', 0],
    ['right', 3.8],
  ] as const;
  for (const [name, x] of lanes) {
    const paints = words.shuffled(CAR_PAINTS);
    for (let z = words.range(-12, -22); z > -85; z -= words.range(13, 30))
      if (paints.length > 2)
        car(drawing, [x + words.range(-0.3, 0.3), 0, z], 0, paints.pop()!, `in the ${name} lane`);
  }
}

/** A street from the seed. */
export function streetScene(seed: number, material: Material): Scene {
  const words = new Words(seed, material.split);
  const scene = new SceneBuilder();
  const isCity = words.chance(0.6);
  const weather = words.one([
    { name: 'sunny', sky: ['#3f7fc4', '#cfe2ee'], strength: 2.6, ambient: 1.5 },
    { name: 'cloudy', sky: ['#93a1ab', '#dfe3e4'], strength: 1, ambient: 2.3 },
    { name: 'late', sky: ['#3d4c77', '#f0b98a'], strength: 1.9, ambient: 1.3 },
  ] as const);
  const sentences: Sentence[] = [
    {
      text: `A ${isCity ? 'city street with shops and parked cars' : 'motorway with three lanes'} on a ${weather.name} ${weather.name === 'late' ? 'afternoon' : 'day'}.`,
    },
  ];
  const { road, shop } = material.fonts;
  const drawing: Drawing = {
    words,
    scene,
    plain: words.one(road).name,
    fancy: shop.map(({ name }) => name),
    sentences,
  };
  if (isCity) city(drawing);
  else motorway(drawing);
  const beside = isCity ? 6.4 : 10.2;
  for (const [i, name] of material.debian ? ROAD_SIGNS.entries() : [])
    for (const side of [-1, 1])
      roadSign(
        drawing,
        [side * beside, isCity ? 0.16 : 0, words.range(-15, -19) - 24 * i],
        `${name} on the ${sideOf(side)}`,
        material.debian!.signs,
      );
  const { solids, panels, things } = scene;
  const side = words.range(-0.4, 0.4);
  return {
    ...GENERATED_SCREEN,
    camera: {
      at: [isCity ? 1.6 + side : side, words.range(1.5, 2.1), 0],
      target: [side, isCity ? 3.1 : 3.4, -40],
      angle: words.range(40, 48),
    },
    sky: weather.sky,
    light: {
      at: [words.range(-30, 30), 45, words.range(5, 30)],
      strength: weather.strength,
      ambient: weather.ambient,
      reach: 60,
    },
    fog: [60, isCity ? 420 : 620],
    solids,
    panels,
    things,
    sentences: sentences.slice(0, 1).concat(words.shuffled(sentences.slice(1)).slice(0, 2)),
  };
}
