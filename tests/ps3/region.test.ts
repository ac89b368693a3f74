// A box or a point in place of a prompt.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import { nearness, type Region } from '../../ps3/model/region.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, throws } from '../harness.ts';

const SIDE = 112;
const model = PS3.create(engine, presetConfig(PRESETS.smoke, 8), 5, { layerScale: 0.1 });

test('region: nearness is 1 in a box and falls with the distance from it, in cells', () => {
  // Columns 1.5 to 2.5 of 5, rows 1 to 2 of 4: the box covers cells (1, 1) and (1, 2).
  const got = nearness({ box: [0.3, 0.25, 0.5, 0.5] }, [4, 5]);
  const far = (dx: number, dy: number): number => 1 - Math.hypot(dx, dy) / Math.hypot(4, 5);
  compare('row 0', got.subarray(0, 5), [far(1, 0.5), far(0, 0.5), far(0, 0.5), far(1, 0.5), far(2, 0.5)]);
  compare('row 1', got.subarray(5, 10), [far(1, 0), 1, 1, far(1, 0), far(2, 0)]);
  compare('row 3', got.subarray(15, 20), [far(1, 1.5), far(0, 1.5), far(0, 1.5), far(1, 1.5), far(2, 1.5)]);
  const point = nearness({ point: [1, 0] }, [2, 2]);
  const step = 0.5 / Math.hypot(2, 2);
  compare('point', point, [
    1 - Math.hypot(3, 1) * step,
    1,
    1 - Math.hypot(3, 3) * step,
    1 - Math.hypot(1, 3) * step,
  ]);
  // On an edge: the lower of two cells that are equally near.
  compare('edge', nearness({ point: [0.5, 0.5] }, [1, 2]), [1, 1 - 0.5 / Math.hypot(1, 2)]);
});

test('region: a box that ends at the edge of a cell does not cover the next one, whatever the fraction', () => {
  for (const cells of [3, 10, 27, 54, 270])
    for (let k = 1; k < cells; k++) {
      const row = nearness({ box: [0, 0, k / cells, 1] }, [1, cells]);
      assert.is(row.filter((value) => value === 1).length, k, `${k} of ${cells}`);
    }
});

test('region: the box of every image comes first at every scale, then what is around it', async () => {
  using scope = engine.scope();
  const pixels = Uint8Array.from(random(2 * SIDE * SIDE * 4, 1), (u) => Math.round(127.5 * (u + 1)));
  const image = engine.tensor(pixels, [2, SIDE, SIDE, 4], { scope });
  const region: Region[] = [{ box: [0.5, 0.5, 0.75, 0.75] }, { point: [0, 0] }];
  const out = await model.encode(image, { region });
  assert.equal([...out.counts], [3, 13]);
  const [coarse, fine] = await Promise.all(out.selectionMaps.map((map) => map.data()));
  // The box is cell (2, 2) of 4 x 4; its four neighbours tie, and lower indices win.
  compare('coarse', coarse.subarray(0, 16), ones(16, [6, 9, 10]));
  // At the corner: (0, 0), then (0, 1) and (1, 0).
  compare('coarse, point', coarse.subarray(16), ones(16, [0, 1, 4]));
  // The box is cells (4..5, 4..5) of 8 x 8: four of them, the eight that share an edge, and one at a corner.
  const around = [28, 29, 35, 38, 43, 46, 52, 53];
  compare('fine', fine.subarray(0, 64), ones(64, [36, 37, 44, 45, ...around, 27]));
  compare('fine, point', fine.subarray(64), ones(64, nearestToCorner(13)));
});

/** Cells of an 8 x 8 grid nearest to its top left corner, ties to the lower index. */
function nearestToCorner(count: number): number[] {
  const square = (i: number): number => ((i % 8) * 2 + 1) ** 2 + (Math.floor(i / 8) * 2 + 1) ** 2;
  return Array.from({ length: 64 }, (_, i) => i)
    .sort((a, b) => square(a) - square(b) || a - b)
    .slice(0, count);
}

function ones(length: number, at: readonly number[]): Float32Array {
  return Float32Array.from({ length }, (_, i) => Number(at.includes(i)));
}

test('region: an empty or outside region is refused', async () => {
  const refused = (region: Region, message: RegExp): void => throws(() => nearness(region, [4, 4]), message);
  refused(
    { box: [0.5, 0, 0.5, 1] },
    /nearness: a box must have 0 <= left < right <= 1.*got {"box":\[0.5,0,0.5,1\]}/,
  );
  refused({ box: [0.5, 0.6, 0.7, 0.4] }, /a box must have/);
  refused({ box: [10, 10, 90, 90] }, /Divide pixels by the width and height/);
  refused({ box: [0, 0, Number.NaN, 1] }, /a box must have/);
  refused({ point: [0.5, 1.01] }, /a point must be within 0..1/);
  using scope = engine.scope();
  const image = engine.tensor(new Uint8Array(3 * SIDE * SIDE * 4), [3, SIDE, SIDE, 4], { scope });
  const region: Region[] = [{ point: [0, 0] }, { point: [1, 1] }];
  const error = await model.encode(image, { region }).catch((error: Error) => error);
  throws(() => {
    throw error;
  }, /PS3.encode: there must be one, or one for each of 3 images, got 2/);
});

test.run();
