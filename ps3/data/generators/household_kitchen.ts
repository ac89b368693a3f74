// What stands in a kitchen: a fridge with notes, cupboards with an oven, a microwave, jars with labels.
import { box, type Drawing } from './drawing.ts';
import {
  display,
  type Furniture,
  PAINT_NAMES,
  PAPERS,
  type Place,
  sheet,
  titled,
} from './household_things.ts';
import { PAINTS } from './material.ts';

const timeText = ({ words }: Drawing): string =>
  words.number(
    ({ number }) =>
      `${number.int({ min: 0, max: 23 })}:${String(number.int({ min: 0, max: 59 })).padStart(2, '0')}`,
  );

/** A fridge with notes. */
export const fridge: Furniture = (drawing, { at, width, where }) => {
  const { words, scene, plain } = drawing;
  const colour = words.one(['#e8e9e7', '#a8adb0', '#b9453c', '#7fa8a4']);
  const brand = words.text((faker) => faker.company.name().split(/[ ,-]/)[0]).toUpperCase();
  const put = scene.at(
    at,
    0,
    scene.thing(
      `fridge ${where}`,
      { text: `A fridge stands ${where}.` },
      { text: `Its brand is ${brand}.`, needs: [`brand ${where}`] },
    ),
  );
  const [height, depth] = [1.85, 0.62];
  put.solid(box([width, height, depth], [0, height / 2 + 0.03, depth / 2], colour));
  put.solid(box([width - 0.01, 0.008, 0.02], [0, 1.28, depth - 0.005], '#4a4d4f'));
  for (const y of [1.08, 1.45])
    put.solid(box([0.025, 0.3, 0.03], [width / 2 - 0.06, y, depth + 0.03], '#6d7275'));
  put.panel({
    size: [0.2, 0.045],
    at: [0, 1.8, depth + 0.003],
    back: '#c9cdcf',
    radius: 0.006,
    texts: [
      {
        text: brand,
        x: 0,
        y: 0,
        cap: 0.018,
        font: plain,
        ink: '#26292b',
        key: `brand ${where}`,
        kind: 'brand',
        question: `Which brand name is on the fridge ${where}?`,
      },
    ],
  });
  const free = scene.at(at, 0);
  const papers = words.shuffled(Object.keys(PAPERS));
  sheet(drawing, free, [-0.12, 1.52, depth + 0.004], `on the fridge ${where}`, papers[0]);
  sheet(drawing, free, [0.02, 0.98, depth + 0.004], `on the fridge ${where}`, papers[1]);
  for (const y of [1.66, 1.12])
    free.solid({
      shape: 'cylinder',
      size: [0.03, 0.008, 0.03],
      at: [-0.08, y + 0.01, depth + 0.008],
      turn: [Math.PI / 2, 0, 0],
      colour: words.one(['#c23b31', '#2e63b0', '#e0b12a']),
    });
};

/** Jars with labels on a board. */
function jars(drawing: Drawing, { at, width, where }: Place, y: number): void {
  const { words, scene, plain, fancy } = drawing;
  const free = scene.at(at, 0);
  free.solid(box([width, 0.03, 0.24], [0, y, 0.12], '#9b7450'));
  const lids = words.shuffled(PAINT_NAMES).slice(0, 7);
  const step = Math.min(0.24, width / lids.length);
  const font = words.one([plain, ...fancy.slice(1)]);
  let before: string | undefined;
  for (const [i, lid] of lids.entries()) {
    if ((i + 1) * step > width) break;
    const label = titled(words.text((faker) => faker.word.noun()));
    const beside = before;
    const thing = scene.thing(
      `jar ${label}`,
      { text: `A jar with a ${lid} lid stands on the board ${where}.` },
      { text: `Its label says ${label}.`, needs: [`label ${label}`] },
      ...(beside
        ? [{ text: `It is right of ${beside}.`, needs: [`label ${label}`, `label ${beside}`] }]
        : []),
    );
    const put = scene.at([at[0] - width / 2 + (i + 0.5) * step, at[1] + y + 0.015, at[2] + 0.12], 0, thing);
    put.solid(box([0.15, 0.2, 0.13], [0, 0.1, 0], '#cfd8d6', { taper: [0.94, 0.94] }));
    put.solid({ shape: 'cylinder', size: [0.13, 0.03, 0.13], at: [0, 0.213, 0], colour: PAINTS[lid] });
    put.panel({
      size: [0.14, 0.075],
      at: [0, 0.09, 0.067],
      back: '#f3efe2',
      border: PAINTS[lid],
      texts: [
        {
          text: words.number((faker) => `${faker.number.int({ min: 105, max: 995 })} g`),
          ...{ x: 0, y: -0.022, cap: 0.012, font: plain, ink: '#2b2620', kind: 'weight' },
          question: `Which weight is on the label of the jar with the ${lid} lid ${where}?`,
        },
        {
          text: label,
          x: 0,
          y: 0.01,
          cap: words.range(0.016, 0.024),
          font,
          ink: '#2b2620',
          key: `label ${label}`,
          kind: 'label',
          question:
            beside && words.chance(0.4)
              ? `What is on the jar right of ${beside} on the board ${where}?`
              : `What is on the label of the jar with the ${lid} lid ${where}?`,
        },
      ],
    });
    before = label;
  }
}

/** Cupboards with an oven, a microwave on them, and jars above. */
export const kitchen: Furniture = (drawing, place) => {
  const { words, scene, plain } = drawing;
  const { at, width, where } = place;
  const [front, depth, top] = [words.one(['#d8d5cb', '#7c8f86', '#4b5a6b', '#caa983']), 0.6, 0.9];
  const free = scene.at(at, 0);
  free.solid(box([width, top - 0.04, depth], [0, top / 2 - 0.02, depth / 2], front));
  free.solid(box([width + 0.02, 0.04, depth + 0.03], [0, top - 0.02, depth / 2 + 0.015], '#55504a'));
  free.solid(
    box([width, 0.6, 0.012], [0, top + 0.3, 0.006], '#e4e7e4', {
      pattern: { kind: 'tiles', second: '#c3c8c6', seed: 5 },
    }),
  );
  // The oven takes the last 60 cm.
  const doors = Math.round((width - 0.6) / 0.6);
  for (let i = 0; i < doors; i++) {
    const door = (width - 0.6) / doors;
    const end = -width / 2 + (i + 1) * door;
    free.solid(box([0.006, top - 0.06, 0.01], [end, top / 2 - 0.02, depth], '#45423d'));
    free.solid(box([0.18, 0.014, 0.02], [end - door / 2, top - 0.14, depth + 0.014], '#8d9295'));
  }
  const x = width / 2 - 0.3;
  const baked = timeText(drawing);
  const oven = scene.at(
    [at[0] + x, at[1], at[2]],
    0,
    scene.thing(
      `oven ${where}`,
      { text: `An oven is in the kitchen ${where}.` },
      { text: `Its clock shows ${baked}.`, needs: [`oven time ${where}`] },
    ),
  );
  oven.solid(box([0.58, 0.6, 0.02], [0, 0.53, depth + 0.005], '#2b2d2f'));
  oven.panel({ size: [0.46, 0.3], at: [0, 0.46, depth + 0.018], back: '#0f1214', border: '#3c4043' });
  oven.solid(box([0.44, 0.018, 0.03], [0, 0.66, depth + 0.03], '#b9bec1'));
  const marks = [-0.2, 0.2].map(
    (x) => ({ shape: 'disc', x, y: 0, radius: 0.028, colour: '#c7cbcd' }) as const,
  );
  oven.panel({ size: [0.56, 0.09], at: [0, 0.77, depth + 0.018], back: '#1b1d1f', marks });
  oven.panel(
    display(
      drawing,
      baked,
      [0, 0.77, depth + 0.02],
      words.range(0.016, 0.03),
      `oven time ${where}`,
      `What time does the oven ${where} show?`,
    ),
  );
  // A microwave on the board.
  const heated = timeText(drawing);
  const maker = words.text((faker) => faker.company.name().split(/[ ,-]/)[0]);
  const wave = scene.at(
    [at[0] - width / 2 + 0.36, at[1] + top, at[2] + 0.06],
    0,
    scene.thing(
      `microwave ${where}`,
      { text: `A microwave stands on the kitchen board ${where}.` },
      { text: `It shows ${heated}.`, needs: [`microwave time ${where}`] },
    ),
  );
  wave.solid(box([0.52, 0.3, 0.38], [0, 0.16, 0.19], words.one(['#d9dbdb', '#26282a', '#8f9497'])));
  wave.panel({
    size: [0.34, 0.23],
    at: [-0.06, 0.165, 0.383],
    back: '#121518',
    border: '#3a3e41',
    radius: 0.01,
  });
  wave.panel({
    size: [0.12, 0.25],
    at: [0.19, 0.16, 0.384],
    back: '#1b1d1f',
    marks: [0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => ({
      shape: 'disc',
      x: ((i % 3) - 1) * 0.032,
      y: 0.0 - Math.floor(i / 3) * 0.03,
      radius: 0.009,
      colour: '#6f7477',
    })),
  });
  wave.panel(
    display(
      drawing,
      heated,
      [0.19, 0.24, 0.386],
      words.range(0.014, 0.02),
      `microwave time ${where}`,
      `What time does the microwave ${where} show?`,
    ),
  );
  wave.panel({
    size: [0.12, 0.026],
    at: [-0.06, 0.03, 0.383],
    back: '#c9cccd',
    texts: [
      {
        text: maker,
        x: 0,
        y: 0,
        cap: 0.0145,
        font: plain,
        ink: '#222426',
        kind: 'brand',
        question: `Which brand name is on the microwave ${where}?`,
      },
    ],
  });
  jars(drawing, place, 1.55);
};
