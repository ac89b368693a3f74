// Cars and vans with number plates.
import { box, type Drawing } from './drawing.ts';
import { PAINTS, type Words } from './material.ts';
import type { Vec3 } from './scene.ts';

/** Paints of cars. */
export const CAR_PAINTS: readonly string[] = [
  'red',
  'blue',
  'green',
  'white',
  'grey',
  'black',
  'orange',
  'yellow',
];

const plateText = ({ faker }: Words): string =>
  `${faker.string.alpha({ length: 2, casing: 'upper', exclude: ['I', 'O', 'Q'] })} ${faker.string.numeric(3)} ${faker.string.alpha({ length: 2, casing: 'upper', exclude: ['I', 'O', 'Q'] })}`;

/** A car or a van, seen from behind when `yaw` is 0. */
export function car(drawing: Drawing, at: Vec3, yaw: number, paint: string, where: string): void {
  const { words, scene, plain } = drawing;
  const isVan = words.chance(0.25);
  const kind = isVan ? 'van' : 'car';
  const key = `${paint} ${kind} ${where}`;
  const plate = words.text(() => plateText(words));
  const place = where.startsWith('parked') ? `is ${where} side of the street` : `drives ${where}`;
  const thing = scene.thing(
    key,
    { text: `A ${paint} ${kind} ${place}.` },
    { text: `Its number plate reads ${plate}.`, needs: [`plate of ${key}`] },
  );
  const colour = PAINTS[paint];
  const put = scene.at(at, yaw, thing);
  const [w, h, l] = isVan ? [1.95, 1.95, 5] : [1.8, 1.42, 4.3];
  put.solid(box([w, h * 0.52, l], [0, h * 0.26 + 0.25, 0], colour, { taper: [0.97, 0.98] }));
  const cabin: Vec3 = isVan ? [w * 0.97, h * 0.48, l * 0.78] : [w * 0.92, h * 0.45, l * 0.56];
  const roof: readonly [number, number] = isVan ? [0.92, 0.94] : [0.78, 0.68];
  const up = h * 0.77 - 0.25 + 0.24;
  put.solid(box(cabin, [0, up, 0.05 * l], colour, { taper: roof }));
  // Windows: a little larger than the cabin, lower than its roof.
  const pane = (size: Vec3, at: Vec3, turn: Vec3): void =>
    put.panel({ size: [size[0], size[1]], at, turn, back: '#1d262d', radius: 0.06 });
  const slope = Math.atan(((1 - roof[1]) * cabin[2]) / 2 / cabin[1]);
  const lean = Math.atan(((1 - roof[0]) * cabin[0]) / 2 / cabin[1]);
  const back = 0.05 * l + (cabin[2] * (1 + roof[1])) / 4;
  pane([w * 0.74, cabin[1] * 0.72, 0], [0, up + 0.01, back + 0.012], [-slope, 0, 0]);
  pane([w * 0.74, cabin[1] * 0.72, 0], [0, up + 0.01, 0.1 * l - back - 0.012], [-slope, Math.PI, 0]);
  for (const side of [-1, 1])
    pane(
      [cabin[2] * 0.66, cabin[1] * 0.68, 0],
      [side * ((cabin[0] * (1 + roof[0])) / 4 + 0.012), up + 0.01, 0.05 * l],
      [-lean, (side * Math.PI) / 2, 0],
    );
  for (const [x, z] of [
    [-1, -1],
    [-1, 1],
    [1, -1],
    [1, 1],
  ]) {
    const wheel: Vec3 = [x * (w / 2 - 0.09), 0.32, z * l * 0.31];
    put.solid({
      shape: 'cylinder',
      size: [0.64, 0.2, 0.64],
      at: wheel,
      turn: [0, 0, Math.PI / 2],
      colour: '#17181a',
    });
    put.solid({
      shape: 'cylinder',
      size: [0.36, 0.22, 0.36],
      at: wheel,
      turn: [0, 0, Math.PI / 2],
      colour: '#9da2a6',
    });
  }
  for (const end of [-1, 1]) {
    const z = end * (l / 2 + 0.01);
    const turn: Vec3 = [0, end < 0 ? Math.PI : 0, 0];
    put.solid(box([w * 0.98, 0.16, 0.1], [0, 0.42, end * l * 0.497], '#2a2c2f'));
    for (const side of [-1, 1])
      put.panel({
        size: [0.3, 0.16],
        at: [side * (w / 2 - 0.22), 0.78, z + end * 0.01],
        turn,
        back: end < 0 ? '#f3f1df' : '#a3141a',
        radius: 0.05,
      });
    const asked = `What is the number plate of the ${paint} ${kind} ${where}${where.startsWith('parked') ? ' side' : ''}?`;
    put.panel({
      ...{
        size: [0.62, 0.15],
        at: [0, 0.6, z + end * 0.02],
        turn,
        back: '#f2f1ea',
        border: '#22252a',
        radius: 0.015,
      },
      texts: [
        {
          text: plate,
          x: 0,
          y: 0,
          cap: 0.08,
          font: plain,
          ink: '#16181b',
          key: `plate of ${key}`,
          question: asked,
          kind: 'number plate',
        },
      ],
    });
  }
}
