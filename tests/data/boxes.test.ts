import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import {
  boxCells,
  cropBoxes,
  cropImage,
  exactGridSide,
  randomCrop,
  rasteriseBoxes,
} from '../../ps3/data/boxes.ts';

test('boxes: the map covers floor of the start to one past the ceiling of the end', () => {
  const expected = [
    [0, 0, 0, 0, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 1],
  ];
  // x: floor(1.5) = 1 to ceil(2.2) + 1 = 4; y: 1 to ceil(3) + 1 = 4; the second box is clipped at the border.
  const map = rasteriseBoxes(
    [
      [1.5, 1, 2.2, 3],
      [5, 5, 9, 9],
    ],
    6,
  ); // prettier-ignore
  assert.equal(Array.from(map), expected.flat());
});

test('boxes: a box that was cropped away leaves a strip at the border', () => {
  const map = rasteriseBoxes([[0, 1, 0, 2]], 4);
  assert.equal(
    Array.from(map),
    [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].map((v, i) => (i === 12 ? 0 : v)),
  );
});

test('boxes: a cell is one where any pixel of the map under it is', () => {
  const random = new Random(5);
  for (let trial = 0; trial < 50; trial++) {
    const [side, gridSide] = [
      [21, 7],
      [20, 7],
      [16, 5],
      [9, 9],
    ][trial % 4]; // prettier-ignore
    const [x, y] = [random.range(0, side - 3), random.range(0, side - 3)];
    const boxes = [
      [x, y, x + random.range(0, 3), y + random.range(0, 3)] as [number, number, number, number],
    ];
    const map = rasteriseBoxes(boxes, side);
    const cells = boxCells(boxes, side, gridSide);
    for (let row = 0; row < gridSide; row++) {
      for (let column = 0; column < gridSide; column++) {
        let touched = 0;
        for (
          let py = Math.floor((row * side) / gridSide);
          py < Math.ceil(((row + 1) * side) / gridSide);
          py++
        ) {
          for (
            let px = Math.floor((column * side) / gridSide);
            px < Math.ceil(((column + 1) * side) / gridSide);
            px++
          ) {
            if (map[py * side + px] > 0) touched = 1;
          }
        }
        assert.is(cells[row * gridSide + column], touched, `trial ${trial}, cell ${row}, ${column}`);
      }
    }
  }
});

test('boxes: every grid follows from the exact one, for the published scales and others', () => {
  const random = new Random(6);
  for (const [side, exact, gridSides] of [
    [3780, 540, [27, 54, 108, 270]],
    [1512, 108, [27, 54, 108]],
    [3840, 480, [24, 48, 96, 240]],
    [100, 100, [3, 7, 10]], // 210 cells do not divide 100 pixels
  ] as const) {
    assert.is(exactGridSide(gridSides, side), exact);
    for (let trial = 0; trial < 20; trial++) {
      const [x, y] = [random.range(0, 0.95 * side), random.range(0, 0.95 * side)];
      const width = trial % 2 === 0 ? 24 : random.range(0, side / 3);
      const box = [x, y, Math.min(side, x + width), Math.min(side, y + width)] as const;
      const cells = boxCells([[...box]], side, exact);
      for (const grid of gridSides) {
        // By the rule of the map, in pixels: floor of the start to one past the ceiling of the end.
        const touches = (cell: number, low: number, high: number): boolean =>
          Math.floor((cell * side) / grid) < Math.min(side, Math.ceil(high) + 1) &&
          Math.ceil(((cell + 1) * side) / grid) > Math.floor(low);
        const want = Array.from({ length: grid * grid }, (_, i) =>
          Number(touches(Math.floor(i / grid), box[1], box[3]) && touches(i % grid, box[0], box[2])),
        );
        const got = new Array<number>(grid * grid).fill(0);
        const under = (cell: number): [number, number] => [
          Math.floor((cell * exact) / grid),
          Math.ceil(((cell + 1) * exact) / grid),
        ];
        for (let i = 0; i < got.length; i++) {
          const [[top, bottom], [left, right]] = [under(Math.floor(i / grid)), under(i % grid)];
          for (let row = top; row < bottom; row++)
            for (let column = left; column < right; column++) got[i] ||= cells[row * exact + column];
        }
        assert.equal(got, want, `${box} on ${grid} of ${side}`);
      }
    }
  }
});

test('boxes: image and boxes are cropped alike', () => {
  const side = 40;
  const rgba = new Uint8Array(4 * side * side).fill(255);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) rgba[4 * (y * side + x)] = x >= 20 && y >= 10 ? 200 : 0;
  const crop = { x: 4, y: 2, width: 32, height: 36 };
  const [[x1, y1]] = cropBoxes([[20, 10, 40, 40]], crop, side);
  assert.equal([x1, y1], [20, (8 * 40) / 36]);
  const cropped = cropImage(rgba, side, crop);
  const at = (x: number, y: number): number => cropped[4 * (y * side + x)];
  assert.equal(
    [at(x1 + 1, 30), at(x1 - 2, 30), at(30, Math.ceil(y1) + 1), at(30, Math.floor(y1) - 2)],
    [200, 0, 200, 0],
  );
  assert.equal(cropImage(rgba, side, { x: 0, y: 0, width: side, height: side }), rgba);
});

test('boxes: random crops keep to their area and aspect', () => {
  const random = new Random(9);
  for (let trial = 0; trial < 200; trial++) {
    const { x, y, width, height } = randomCrop(448, [0.9, 1], [3 / 4, 4 / 3], random);
    assert.ok(x >= 0 && y >= 0 && x + width <= 448 && y + height <= 448);
    const area = (width * height) / 448 ** 2;
    assert.ok(area > 0.895 && area <= 1, `trial ${trial}: area ${area}`);
  }
});

test.run();
