// Tiles of 256 x 128 on the device's own matrix units: a CPU's compiler takes minutes for each layout, and emulated far more.
import { test } from 'uvu';
import { engine } from '../harness.ts';
import { testTiles } from './tiles_on_units.ts';

const { matrixUnit: unit } = engine.target;

if (unit)
  for (const [transposeA, transposeB] of [
    [false, true],
    [true, false],
  ])
    testTiles('tiles of 256 x 128', {
      ...{ tile: 256, unit, transposeA, transposeB },
      shapes: [
        [255, 129, 31],
        [257, 128, 65],
      ],
    });
else
  test('matmul_tiled on units: tiles of 256 x 128', () =>
    console.log('skipped: needs matrix units (tier 3)'));

test.run();
