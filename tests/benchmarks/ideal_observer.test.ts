// The ideal observer and the category of objects: certain where things are large, guessing where they are gone, and blind to gain.
import { createCanvas } from '@napi-rs/canvas';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { leastSize, observed, type Stimulus } from '../../ps3/benchmarks/build/ideal_observer.ts';
import { imageTemplates, observedObject, type Template } from '../../ps3/benchmarks/build/objects.ts';

/** A bar of a quarter of a square at its left, right, top or bottom. */
const bars: Stimulus = {
  cellPx: (side) => [side, side],
  draw: (context, _, option, side) => {
    context.fillStyle = '#222';
    const quarter = side / 4;
    if (option < 2) context.fillRect(option === 0 ? 0 : 3 * quarter, 0, quarter, side);
    else context.fillRect(0, option === 2 ? 0 : 3 * quarter, side, quarter);
  },
};

test('observed: right of what is large, guesses at what is far below a pixel', async () => {
  const viewing = { reduction: 1, trials: 120, seed: 1 };
  assert.is(await observed(bars, 12, viewing), 1);
  const gone = await observed(bars, 0.04, viewing);
  // Of 120 guesses of a quarter: four standard deviations are 0.16.
  assert.ok(Math.abs(gone - 0.25) < 0.16, `${gone}`);
});

test('leastSize: where the line crosses three quarters for the last time', () => {
  assert.is(
    leastSize([
      [1, 0.25],
      [2, 0.5],
      [4, 1],
    ]),
    3,
  );
  assert.is(
    leastSize([
      [1, 0.8],
      [2, 0.5],
      [3, 0.75],
    ]),
    3,
  );
  assert.is(
    leastSize([
      [1, 0.25],
      [2, 0.5],
    ]),
    undefined,
  );
});

/** A shape of 40 x 40 pixels as a cut-out. */
function template(name: string, colour: string, isRound: boolean): Template {
  const canvas = createCanvas(40, 40);
  const context = canvas.getContext('2d');
  context.fillStyle = colour;
  context.beginPath();
  if (isRound) context.arc(20, 20, 20, 0, 7);
  else context.rect(0, 0, 40, 40);
  context.fill();
  context.fillStyle = '#000';
  context.fillRect(isRound ? 8 : 20, 12, 10, 10);
  const rgba = new Uint8Array(context.getImageData(0, 0, 40, 40).data);
  return {
    name,
    cutout: { bitmap: { width: 40, height: 40, rgba }, box: [0, 0, 40, 40], shadow: undefined },
  };
}

test('observedObject: names what is drawn, darker or lighter, and at a quarter of the size', async () => {
  const templates = [
    template('red disc', '#d02020', true),
    template('red square', '#d02020', false),
    template('blue disc', '#2030d0', true),
    template('blue square', '#2030d0', false),
  ];
  for (const { name, cutout } of templates)
    for (const gain of [0.8, 1]) {
      const { data } = await sharp({
        create: { width: 200, height: 160, channels: 3, background: '#6a8a5a' },
      })
        .composite([
          {
            input: Buffer.from(cutout.bitmap.rgba),
            raw: { width: 40, height: 40, channels: 4 },
            left: 100,
            top: 60,
          },
        ])
        .linear(gain, 0)
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      for (const scale of [1, 0.25])
        assert.is(
          await observedObject({ data, width: 200, height: 160 }, [100, 60, 140, 100], templates, scale),
          name,
        );
    }
});

test('imageTemplates: the image of the option that is there is recognised where it covers the box', async () => {
  const images = await Promise.all(
    ['left', 'top'].map(async (side) => {
      const size = side === 'left' ? { width: 32, height: 64 } : { width: 64, height: 32 };
      const png = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#ffffff' } })
        .composite([{ input: { create: { ...size, channels: 4, background: '#c00000' } }, left: 0, top: 0 }])
        .png()
        .toBuffer();
      return `data:image/png;base64,${png.toString('base64')}`;
    }),
  );
  const box = [100, 60, 130, 80] as const;
  const fact = {
    text: 'top',
    box: [...box] as [number, number, number, number],
    question: '?',
    kind: 'sign',
    capPx: 20,
  };
  const templates = await imageTemplates({ ...fact, options: ['left', 'top'], images });
  const { data } = await sharp({ create: { width: 200, height: 160, channels: 3, background: '#6a8a5a' } })
    .composite([
      {
        input: { create: { width: 30, height: 20, channels: 3, background: '#ffffff' } },
        left: 100,
        top: 60,
      },
      {
        input: { create: { width: 30, height: 10, channels: 3, background: '#c00000' } },
        left: 100,
        top: 60,
      },
    ])
    .linear(0.7, 0)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  for (const scale of [1, 0.5])
    assert.is(await observedObject({ data, width: 200, height: 160 }, fact.box, templates, scale), 'top');
});

test.run();
