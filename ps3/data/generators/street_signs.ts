// What stands at a road to be read: direction signs, traffic lights, street names.
import type { RoadSign } from './debian.ts';
import { box, type Drawing, inkOn } from './drawing.ts';
import { PAINTS } from './material.ts';
import type { Placed, Vec3 } from './scene.ts';

const LIGHTS = ['red', 'yellow', 'green', 'none'] as const;
const LAMPS: Readonly<Record<string, readonly [lit: string, dark: string]>> = {
  red: ['#ff2a1c', '#3a0d0b'],
  yellow: ['#ffc21a', '#3b2d08'],
  green: ['#1dff6e', '#08331a'],
};

/** Two posts. */
function posts(put: Placed, width: number, height: number): void {
  for (const side of [-1, 1])
    put.solid({
      shape: 'cylinder',
      size: [0.14, height, 0.14],
      at: [side * width * 0.36, height / 2, -0.1],
      colour: '#8b9094',
    });
}

/** A board on posts with places and their distances. */
export function distances(drawing: Drawing, at: Vec3, paint: string, where: string): void {
  const { words, scene, plain } = drawing;
  const count = words.integer(2, 4);
  const rows = Array.from({ length: count }, () => ({
    place: words.text((faker) => faker.location.city().split(' ')[0]),
    far: words.number((faker) => `${faker.number.int({ min: 11, max: 398 })} km`),
  }));
  const key = `distances ${where}`;
  const put = scene.at(
    at,
    0,
    scene.thing(
      key,
      { text: `A ${paint} direction sign stands ${where}.` },
      ...rows.slice(0, 1).map(({ place, far }) => ({
        text: `It says that ${place} is ${far} away.`,
        needs: [`${place}`, `${far}`],
      })),
    ),
  );
  const [width, step] = [3.8, 0.56];
  const height = count * step + 0.3;
  const ink = inkOn(paint);
  posts(put, width, 2.2 + height / 2);
  put.solid(box([width, height, 0.05], [0, 2.2 + height / 2, -0.035], '#80868a'));
  put.panel({
    ...{
      size: [width, height],
      at: [0, 2.2 + height / 2, 0],
      back: PAINTS[paint],
      border: ink,
      radius: 0.12,
    },
    texts: rows.flatMap(({ place, far }, i) => {
      const line = { y: height / 2 - 0.15 - step * (i + 0.5), cap: 0.25, font: plain, ink };
      return [
        { ...line, text: place, x: -width / 2 + 0.22, align: 'left' as const, key: place },
        {
          ...line,
          text: far,
          x: width / 2 - 0.22,
          align: 'right' as const,
          key: far,
          kind: 'distance',
          question: `How far is it to ${place} on the sign ${where}?`,
        },
      ];
    }),
  });
}

/** Boards over the lanes of a motorway. */
export function gantry(drawing: Drawing, z: number, where: string, half: number): void {
  const { words, scene, plain } = drawing;
  for (const side of [-1, 1])
    scene.solid({ shape: 'cylinder', size: [0.35, 8.4, 0.35], at: [side * half, 4.2, z], colour: '#8d9296' });
  scene.solid(box([2 * half + 1, 0.35, 0.35], [0, 8.2, z], '#8d9296'));
  const names = words.one([
    ['left', 'right'],
    ['left', 'middle', 'right'],
  ]);
  const width = (2 * half - 2) / names.length - 0.6;
  for (const [i, name] of names.entries()) {
    const paint = words.one(['blue', 'green']);
    const [exit, number] = [
      words.number((faker) => `Exit ${faker.number.int({ min: 11, max: 99 })}`),
      words.number(
        (faker) =>
          `${faker.helpers.arrayElement(['A', 'B', 'M'])} ${faker.number.int({ min: 101, max: 899 })}`,
      ),
    ];
    const [place, far] = [
      words.text((faker) => faker.location.city()),
      words.number((faker) => `${faker.number.int({ min: 301, max: 2999 })} m`),
    ];
    const asked = (what: string): string =>
      `${what} on the ${name} board over the lanes, on the ${where} bridge of signs?`;
    const key = `${where} ${name}`;
    const keys = [`exit ${key}`, `place ${key}`, `far ${key}`, `number ${key}`];
    const thing = scene.thing(
      `board ${key}`,
      { text: `A ${paint} board hangs over the lanes on the ${name} of the ${where} bridge of signs.` },
      { text: `${exit} to ${place} comes in ${far}.`, needs: keys.slice(0, 3) },
    );
    const x = (i - (names.length - 1) / 2) * (width + 0.6);
    const height = 2.9;
    scene.solid(box([width, height, 0.08], [x, 7.4, z + 0.22], '#80868a', { thing }));
    const text = { font: plain, ink: '#f6f5ee' };
    scene.panel({
      ...{
        size: [width, height],
        at: [x, 7.4, z + 0.28],
        back: PAINTS[paint],
        border: '#f6f5ee',
        radius: 0.15,
        thing,
      },
      marks: [{ shape: 'rect', box: [-width / 2 + 0.2, 0.52, -width / 2 + 1.75, 1.22], colour: '#dcae1d' }],
      texts: [
        {
          ...text,
          text: number,
          x: -width / 2 + 0.98,
          y: 0.87,
          cap: 0.3,
          ink: '#16181b',
          key: keys[3],
          kind: 'road',
          question: asked('Which road number is'),
        },
        {
          ...text,
          text: exit,
          x: width / 2 - 0.25,
          y: 0.87,
          cap: 0.38,
          align: 'right',
          key: keys[0],
          kind: 'exit',
          question: asked('Which exit number is'),
        },
        {
          ...text,
          text: place,
          x: 0,
          y: 0,
          cap: 0.42,
          key: keys[1],
          kind: 'place',
          question: asked('Which place is'),
        },
        {
          ...text,
          text: far,
          x: 0,
          y: -0.85,
          cap: 0.34,
          key: keys[2],
          kind: 'distance',
          question: asked('Which distance is'),
        },
      ],
    });
    if (i === 0)
      drawing.sentences.push({
        text: `Boards hang over the lanes, among them ${exit} to ${place}.`,
        needs: keys.slice(0, 2),
      });
  }
}

const addressOf = ({ image }: RoadSign): string =>
  `data:image/png;base64,${Buffer.from(image).toString('base64')}`;

/** A road sign on a pole, of some that could be there. */
export function roadSign(
  { words, scene }: Drawing,
  at: Vec3,
  where: string,
  signs: readonly RoadSign[],
): void {
  const [sign, ...others] = words.shuffled(signs);
  const four = words.shuffled([sign, ...others.slice(0, 3)]);
  const key = `road sign ${where}`;
  const thing = scene.thing(key, { text: `A road sign stands ${where}: ${sign.name}.` });
  const put = scene.at(at, 0, thing);
  const height = 0.75;
  put.solid({ shape: 'cylinder', size: [0.07, 2.6, 0.07], at: [0, 1.3, -0.04], colour: '#8b9094' });
  put.panel({
    ...{ size: [height * sign.aspect, height], at: [0, 2.6, 0], back: '#00000000' },
    image: addressOf(sign),
    asks: {
      question: `Which road sign stands ${where}?`,
      kind: 'road sign',
      answer: sign.name,
      options: four.map(({ name }) => name),
      images: four.map(addressOf),
      size: height,
    },
  });
}

/** A traffic light on a pole at the kerb. */
export function trafficLight({ words, scene, sentences }: Drawing, at: Vec3, where: string): void {
  const shown = words.one(LIGHTS);
  const key = `light ${where}`;
  const state = shown === 'none' ? 'is dark' : `shows ${shown}`;
  const thing = scene.thing(key, { text: `The traffic light ${where} ${state}.` });
  sentences.push({ text: `The traffic light ${where} ${state}.`, needs: [key] });
  const put = scene.at(at, 0, thing);
  scene.at(at, 0).solid({ shape: 'cylinder', size: [0.14, 3, 0.14], at: [0, 1.5, 0], colour: '#3b3f42' });
  put.solid(box([0.36, 1.02, 0.26], [0, 3.3, 0], '#1a1c1e'));
  for (const i of [0, 1, 2])
    put.solid({
      shape: 'cylinder',
      size: [0.3, 0.02, 0.3],
      at: [0, 3.63 - 0.33 * i + 0.14, 0.22],
      colour: '#1a1c1e',
    });
  const lamps = ['red', 'yellow', 'green'];
  put.panel({
    ...{ size: [0.36, 1.02], at: [0, 3.3, 0.14], back: '#141516', glows: true },
    marks: lamps.map((lamp, i) => ({
      shape: 'disc',
      x: 0,
      y: 0.33 * (1 - i),
      radius: 0.12,
      colour: LAMPS[lamp][lamp === shown ? 0 : 1],
    })),
    asks: {
      question: `Which light is lit on the traffic light ${where}?`,
      kind: 'lit light',
      answer: shown,
      options: LIGHTS,
      size: 0.24,
    },
  });
}

/** Of a metre at a distance of a metre, pixels: of a lens between the narrowest and the widest. */
const PIXELS = 2670;

/** A number on a plate at a post; more often than not it is just read from here. */
export function numberedPost(
  { words, scene, plain }: Drawing,
  at: Vec3,
  kind: 'lamp post' | 'marker post',
  where: string,
): void {
  const number = words.number((faker) => String(faker.number.int({ min: 1000, max: 9999 })));
  const cap = ((words.chance(0.75) ? words.range(5.2, 7) : words.range(7, 14)) * -at[2]) / PIXELS;
  const [height, level] = kind === 'lamp post' ? [6.5, 2.4] : [1.9, 1.75];
  const key = `post ${where}`;
  const thing = scene.thing(
    key,
    { text: `The ${where} has a plate.`, needs: [key] },
    { text: `It says ${number}.`, needs: [`number ${key}`] },
  );
  const put = scene.at(at, 0, thing);
  put.solid({
    shape: 'cylinder',
    size: [0.12, height, 0.12],
    at: [0, height / 2, -0.08],
    colour: '#787d80',
  });
  if (kind === 'lamp post') {
    const arm = -0.6 * Math.sign(at[0]);
    put.solid(box([1.2, 0.08, 0.08], [arm, height, -0.08], '#787d80'));
    put.solid(box([0.5, 0.1, 0.2], [1.8 * arm, height - 0.05, -0.08], '#e4e2d2'));
  }
  const [back, ink] = words.one([
    ['#f2f1ea', '#16181b'],
    ['#dcae1d', '#16181b'],
    ['#234f9e', '#f6f5ee'],
  ]);
  put.panel({
    ...{ size: [4.6 * cap, 2.2 * cap], at: [0, level, 0], back, border: ink },
    texts: [
      {
        ...{ text: number, x: 0, y: 0, cap, font: plain, ink, key: `number ${key}`, kind: 'post' },
        question: `Which number is on the plate of the ${where}?`,
      },
    ],
  });
}

/** A name on a plate at a pole. */
export function streetName({ words, scene, plain, sentences }: Drawing, at: Vec3, where: string): void {
  const name = words.text(
    (faker) =>
      `${faker.person.lastName()} ${faker.helpers.arrayElement(['Street', 'Road', 'Lane', 'Avenue'])}`,
  );
  const key = `street ${where}`;
  const put = scene.at(
    at,
    0,
    scene.thing(
      key,
      { text: `A street-name plate stands ${where}.`, needs: [] },
      { text: `It says ${name}.`, needs: [`name ${where}`] },
    ),
  );
  sentences.push({ text: `A plate names ${name}.`, needs: [`name ${where}`] });
  put.solid({ shape: 'cylinder', size: [0.08, 2.75, 0.08], at: [0, 1.37, -0.04], colour: '#6f7478' });
  put.solid(box([1.5, 0.3, 0.02], [0, 2.7, 0.005], '#d9dbd8'));
  put.panel({
    ...{ size: [1.5, 0.3], at: [0, 2.7, 0.03], back: PAINTS.blue, border: '#f6f5ee', radius: 0.03 },
    texts: [
      {
        text: name,
        x: 0,
        y: 0,
        cap: 0.125,
        font: plain,
        ink: '#f6f5ee',
        key: `name ${where}`,
        kind: 'street name',
        question: `Which street name stands on the plate ${where}?`,
      },
    ],
  });
}
