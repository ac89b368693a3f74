// Road signs, furniture and maps as Debian's packages have them, in made-up packages of the same form.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDebianSources, SIGNS } from '../../ps3/data/generators/debian.ts';
import { gamePage } from '../../ps3/data/generators/game.ts';
import type { Material } from '../../ps3/data/generators/material.ts';

const cache = mkdtempSync(join(tmpdir(), 'ps3-debian-'));
const before = process.env.PS3_CACHE;
process.env.PS3_CACHE = cache;
test.after(() => {
  if (before === undefined) delete process.env.PS3_CACHE;
  else process.env.PS3_CACHE = before;
  rmSync(cache, { recursive: true, force: true });
});

const put = (name: string, path: string, data: string | Uint8Array): void => {
  const file = join(cache, 'apt', name, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, data);
};
for (const name of ['openclipart-svg', 'sweethome3d-furniture', 'hedgewars-data']) put(name, 'VERSION', '1');

// A red bar of 60 x 30 that leaves its page of 100 x 100 on the right.
for (const file of Object.keys(SIGNS))
  put(
    'openclipart-svg',
    `usr/share/openclipart/svg/transportation/roadsigns/${file}.svg`,
    '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect x="80" y="40" width="60" height="30" fill="#f00"/></svg>',
  );

// A box of 2 x 4 x 6 of two materials, its faces with four corners.
const CORNERS = [0, 1].flatMap((z) => [0, 1].flatMap((y) => [0, 1].map((x) => [x, y, z])));
const OBJ = [
  'mtllib box.mtl',
  ...CORNERS.map(([x, y, z]) => `v ${2 * x} ${4 * y} ${6 * z}`),
  ...['vt 0 0', 'vt 1 0', 'vt 1 1', 'vt 0 1'],
  'usemtl painted',
  ...['f 1/1 2/2 4/3 3/4', 'f 5/1 6/2 8/3 7/4', 'f 1/1 2/2 6/3 5/4'],
  'usemtl covered',
  // Counted from the end, as OBJ allows.
  ...['f -6/1 -5/2 -1/3 -2/4', 'f 1/1 3/2 7/3 5/4', 'f 2/1 4/2 8/3 6/4'],
].join('\n');
const PNG = await sharp({ create: { width: 2, height: 2, channels: 3, background: '#0f0' } })
  .png()
  .toBuffer();
const piece = (n: number, name: string, model: string, more = ''): string =>
  [
    `id#${n}=Made#${name}`,
    `name#${n}=${name}`,
    `category#${n}=Office`,
    `model#${n}=/made/${model}/${model}.obj`,
    ...[`width#${n}=50`, `depth#${n}=25.5`, `height#${n}=120`],
    more,
  ].join('\n');
const catalogue = zipSync({
  'PluginFurnitureCatalog.properties': strToU8(
    [
      'id=Made',
      piece(1, 'Filing Box', 'box'),
      piece(2, 'Door', 'box', 'doorOrWindow#2=true'),
      piece(3, 'Hedge', 'large'),
      piece(4, 'Lamp', 'box', 'elevation#4=200'),
    ].join('\n'),
  ),
  'made/box/box.obj': strToU8(OBJ),
  'made/box/box.mtl': strToU8('newmtl painted\nKd 1 0.5 0\nnewmtl covered\nKd 1 1 1\nmap_Kd green.png\n'),
  'made/box/green.png': PNG,
  'made/large/large.obj': strToU8(`v 0 0 0\nv 1 0 0\nv 0 1 0\n${'f 1 2 3\n'.repeat(20_001)}`),
});
for (const name of ['BlendSwap-CC-0', 'BlendSwap-CC-BY'])
  put('sweethome3d-furniture', `usr/share/sweethome3d/furniture/${name}.sh3f`, catalogue);

// Land from row 200 down; a small map; a folder without one.
const land = await sharp({ create: { width: 4000, height: 300, channels: 4, background: '#00000000' } })
  .composite([
    { input: { create: { width: 2000, height: 100, channels: 4, background: '#531' } }, left: 0, top: 200 },
  ])
  .png()
  .toBuffer();
const MAPS = 'usr/share/games/hedgewars/Data/Maps';
for (const name of ['Plain', 'Hill', 'Valley', 'Shore'])
  put('hedgewars-data', `${MAPS}/${name}/map.png`, land);
put('hedgewars-data', `${MAPS}/Small/map.png`, PNG);
put('hedgewars-data', `${MAPS}/Masked/mask.png`, PNG);

test('openDebianSources: signs are cut out whole, also where they leave their page; no sign is of both splits', async () => {
  const [train, heldOut] = [
    await openDebianSources('train', () => undefined),
    await openDebianSources('heldOut', () => undefined),
  ];
  const names = [...train.signs, ...heldOut.signs].map(({ name }) => name);
  assert.equal(names.toSorted(), Object.values(SIGNS).toSorted());
  assert.is(new Set(names).size, names.length);
  for (const { image, aspect } of heldOut.signs) {
    assert.ok(Math.abs(aspect - 2) < 0.05, String(aspect));
    const { data } = await sharp(image).resize(1, 1).raw().toBuffer({ resolveWithObject: true });
    assert.equal([...data.subarray(0, 3)], [255, 0, 0]);
  }
});

test('openDebianSources: what stands on the floor, its size in metres, its triangles and looks', async () => {
  const split = await Promise.all(
    (['train', 'heldOut'] as const).map((split) => openDebianSources(split, () => undefined)),
  );
  const all = split.flatMap(({ furnishings }) => furnishings);
  assert.equal([...new Set(all.map(({ name }) => name))].toSorted(), ['filing box', 'hedge']);
  const box = all.find(({ name }) => name === 'filing box')!;
  assert.equal(box.size, [0.5, 1.2, 0.255]);
  const { parts } = box.model()!;
  assert.equal(
    parts.map(({ colour, image }) => [colour, image?.slice(0, 22)]),
    [
      ['#ff8000', undefined],
      ['#ffffff', 'data:image/png;base64,'],
    ],
  );
  // Three faces of two triangles each; from -0.5 to 0.5 on every axis.
  for (const { positions } of parts) assert.is(positions.length, 3 * 2 * 3 * 3);
  const corners = new Set(
    parts.flatMap(({ positions }) =>
      positions.flatMap((_, i) => (i % 3 === 0 ? [positions.slice(i, i + 3).join()] : [])),
    ),
  );
  assert.equal(
    [...corners].toSorted(),
    CORNERS.map((at) => at.map((value) => value - 0.5).join()).toSorted(),
  );
  // The fourth face is that of the corners 3, 4, 8 and 7: the upper side.
  assert.equal(parts[1].positions.slice(0, 9), [-0.5, 0.5, -0.5, 0.5, 0.5, -0.5, 0.5, 0.5, 0.5]);
  assert.equal(parts[1].uvs?.slice(0, 6), [0, 0, 1, 0, 1, 1]);
  assert.is(parts[0].uvs, undefined);
  assert.is(all.find(({ name }) => name === 'hedge')!.model(), undefined);
});

test('openDebianSources: maps that are large enough, and where one can stand on them', async () => {
  const { maps } = await openDebianSources('train', () => undefined);
  assert.is(maps.length, 3);
  for (const { width, height, footholds } of maps) {
    assert.equal([width, height], [4000, 300]);
    assert.ok(footholds.length > 5);
    for (const { x, y } of footholds) {
      assert.is(y, 200);
      assert.ok(x < 2000);
    }
  }
});

test('gamePage: land is shown at its own size, and units stand on it', async () => {
  const debian = await openDebianSources('train', () => undefined);
  const font = { name: 'made', path: join(cache, 'apt/hedgewars-data/VERSION') };
  const fonts = { screen: [font], road: [font], shop: [font], hand: [font], display: [font] };
  const themes = [['#111111', '#222222', '#eeeeee', '#333333', '#444444']];
  const material: Material = { split: 'train', fonts, themes, icon: () => '<svg></svg>', debian };
  const pages = Array.from({ length: 12 }, (_, seed) => gamePage(seed, material));
  const lands = pages.filter((page) => page.includes('id="land"'));
  assert.ok(lands.length > 0 && lands.length < pages.length);
  // The map is 300 high: its land begins 100 pixels above the lower edge of the image of 2160.
  for (const page of lands)
    assert.equal(
      [
        ...new Set(
          page
            .match(/class="unit" style="left: \d+px; top: (\d+)px/g)
            ?.map((unit) => /top: (\d+)/.exec(unit)![1]),
        ),
      ],
      ['2060'],
    );
});

test.run();
