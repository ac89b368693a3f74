// Tile grids of the AnyRes baselines against published choices, and LLaVA-NeXT's tiles pixel by pixel. Features are replayed
// from the official code's in golden.test.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cutTiles, stitchTokens, tokensOf } from '../../ps3/model/baselines/mosaic.ts';
import {
  dynamicGrid,
  llavaNextGrid,
  type TileGrid,
  unpaddedCells,
} from '../../ps3/model/baselines/tile_grids.ts';
import { llavaNextTiles } from '../../ps3/model/baselines/tiles.ts';
import { engine } from '../harness.ts';

test('baselines: NVILA’s rule cuts images as its own code does, tiles of 378 px', () => {
  const most = [4, 9, 12, 16, 100];
  const table: Record<string, string> = {
    '3840x2160': '2x1 4x2 4x2 5x3 9x5',
    '3780x3780': '2x2 3x3 3x3 4x4 10x10',
    '4000x3000': '2x2 3x2 4x3 4x3 8x6',
    '3000x2000': '2x2 3x2 3x2 3x2 9x6',
    '600x400': '2x1 3x2 3x2 3x2 3x2',
    '1700x2200': '2x2 2x3 3x4 3x4 7x9',
    '1240x1754': '1x2 2x3 2x3 2x3 7x10',
    '500x500': '1x1 1x1 1x1 1x1 1x1',
    '378x378': '1x1 1x1 1x1 1x1 1x1',
    '5000x800': '4x1 6x1 6x1 6x1 25x4',
  };
  for (const [size, want] of Object.entries(table)) {
    const [width, height] = size.split('x').map(Number);
    const grids = most.map((maxTiles) => dynamicGrid(width, height, { tilePx: 378, maxTiles }).join('x'));
    assert.is(grids.join(' '), want, size);
  }
  assert.throws(
    () => dynamicGrid(10, 10, { tilePx: 4, minTiles: 3, maxTiles: 2 }),
    /minTiles <= maxTiles, got 3 and 2/,
  );
});

const GRIDS: readonly TileGrid[] = [
  [1, 2],
  [2, 1],
  [2, 2],
  [3, 1],
  [1, 3],
];

test('baselines: LLaVA-NeXT’s rule takes the grid that shows most pixels, then the one that wastes least', () => {
  // 672 x 336 of a 1000 x 500 image is 225,792 pixels, as many as in 672 x 672, which wastes as many again.
  assert.equal(llavaNextGrid(1000, 500, 336, GRIDS), [2, 1]);
  assert.equal(llavaNextGrid(500, 1000, 336, GRIDS), [1, 2]);
  assert.equal(llavaNextGrid(1000, 1000, 336, GRIDS), [2, 2]);
  // 1008 x 201 of 3000 x 600 is 202,608 pixels in 3 x 1; 672 x 134 in 2 x 1 or 2 x 2.
  assert.equal(llavaNextGrid(3000, 600, 336, GRIDS), [3, 1]);
  // All of a small image is shown by every grid: the first of the least waste.
  assert.equal(llavaNextGrid(300, 300, 336, GRIDS), [1, 2]);
});

test('baselines: unpadding leaves the cells that show the image', () => {
  // 1000 x 500 on 2 x 2 tiles of 24 cells: 24 rows of 48 are shown, 12 above and below are padding.
  assert.equal(unpaddedCells(1000, 500, 48, 48), { top: 12, left: 0, rows: 24, columns: 48 });
  assert.equal(unpaddedCells(500, 1000, 48, 48), { top: 0, left: 12, rows: 48, columns: 24 });
  // 48 x 333 / 1000 = 15.98 columns, 15 whole ones: 16 at the left, and as many at the right.
  assert.equal(unpaddedCells(333, 1000, 48, 48), { top: 0, left: 16, rows: 48, columns: 16 });
});

test('baselines: LLaVA-NeXT’s tiles are the whole image, then the image padded with black in raster order', async () => {
  // 8 x 4 pixels of one colour on tiles of 4: 2 x 1 tiles without padding; of 3 tiles in a column, 1 x 3, with it.
  const rgba = new Uint8Array(8 * 4 * 4).map((_, i) => [204, 51, 0, 255][i % 4]);
  const image = { rgba, width: 8, height: 4 };
  using scope = engine.scope();
  const options = { tilePx: 4, image: { mean: [0, 0, 0], std: [1, 1, 1] } as const, scope };
  const wide = await llavaNextTiles(engine, image, { ...options, grids: [[2, 1]] });
  assert.equal(
    [wide.grid, wide.tiles.shape],
    [
      [2, 1],
      [3, 3, 4, 4],
    ],
  );
  const colours = [0.8, 0.2, 0].map(Math.fround);
  const shown = await wide.tiles.data();
  assert.ok(shown.every((value, i) => value === colours[Math.floor(i / 16) % 3]));
  // 4 x 2 pixels of 4 x 12 are shown, 5 rows of black above and below: row 5 is row 1 of the second tile.
  const tall = await llavaNextTiles(engine, image, { ...options, grids: [[1, 3]] });
  assert.equal(tall.shown, { left: 0, top: 5, width: 4, height: 2 });
  const red = (await tall.tiles.data()).filter((_, i) => Math.floor(i / 16) % 3 === 0);
  const rows = Array.from({ length: 16 }, (_, row) => red[4 * row]);
  const black = (count: number): number[] => new Array<number>(count).fill(0);
  assert.equal(rows, [
    ...new Array<number>(4).fill(colours[0]),
    ...black(5),
    colours[0],
    colours[0],
    ...black(5),
  ]);
});

test('baselines: tokens of tiles come back to their places on the map, whatever the batch', async () => {
  // Two images of 4 x 6 cells; cell (b, y, x) of channel c holds 1000 b + 100 y + 10 x + c.
  const [B, C, H, W] = [2, 3, 4, 6];
  const numbers = Float32Array.from({ length: B * C * H * W }, (_, i) => {
    const [x, y, c, b] = [i % W, Math.floor(i / W) % H, Math.floor(i / W / H) % C, Math.floor(i / W / H / C)];
    return 1000 * b + 100 * y + 10 * x + c;
  });
  using scope = engine.scope();
  const map = engine.tensor(numbers, [B, C, H, W], { scope });
  const tiles = cutTiles(map, [2, 3]);
  assert.equal(tiles.shape, [12, C, 2, 2]);
  // Tile 4 is row 1, column 1, of image 0: its first cell is (2, 2).
  assert.is((await tiles.data())[4 * 2 * C * 4], 220);
  const back = stitchTokens(tokensOf(tiles), [2, 3]);
  assert.equal(await back.data(), numbers);
});

test.run();
