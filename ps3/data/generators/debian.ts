// What scenes hold of Debian's packages, on request: road signs (openclipart), furniture (Sweet Home 3D) and maps of games (Hedgewars),
// 290 MB. Each is of one split by its name, as fonts and words are.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import sharp from 'sharp';
import { DataError } from '../errors.ts';
import { aptPackage, type Notice } from '../packages.ts';
import { partOf } from '../seeds.ts';
import { catalogueOf, type Furnishing } from './models.ts';

/** A road sign as it is seen from the front. */
export interface RoadSign {
  readonly name: string;
  /** PNG, transparent around the sign. */
  readonly image: Uint8Array;
  /** Its width for a height of 1. */
  readonly aspect: number;
}

/** A place on land under the sky, pixels of a map. */
export interface Foothold {
  readonly x: number;
  readonly y: number;
}

/** Land seen from the side, transparent where the sky is. */
export interface LandMap {
  /** PNG. */
  readonly image: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly footholds: readonly Foothold[];
}

/** What is taken from Debian, of one split. */
export interface DebianSources {
  readonly signs: readonly RoadSign[];
  readonly furnishings: readonly Furnishing[];
  readonly maps: readonly LandMap[];
}

/** Terms of it. */
export const DEBIAN_LICENCE =
  'road signs of openclipart: public domain; furniture of Blend Swap from Sweet Home 3D: CC0 or CC-BY-3.0, authors in its catalogues; maps of Hedgewars: GPL-2';

/** Signs by what they say, from their files: those that are whole and differ from all others. */
export const SIGNS: Readonly<Record<string, string>> = {
  airplane: 'low-flying aircraft',
  bambi: 'wild animals',
  buses_and_bikes: 'route for buses and cycles',
  cattle: 'cattle',
  crosswind: 'side winds',
  cycles: 'route for cycles',
  drawbridge: 'opening bridge',
  end_daul: 'dual carriageway ends',
  Evel_Knievel: 'no motor vehicles',
  falling_rocks: 'falling rocks',
  Give_Way: 'give way',
  grounded: 'risk of grounding',
  horse: 'horses',
  humpback: 'hump bridge',
  junc_curve: 'junction on a bend',
  kaboom: 'no explosives',
  keep_left: 'keep left',
  lorry_limit: 'no heavy lorries',
  man_w_umbrella: 'road works',
  narrows_both: 'road narrows on both sides',
  narrows: 'road narrows on one side',
  no_buses: 'no buses',
  no_cycles: 'no cycling',
  no_entry: 'no entry',
  old_folks: 'elderly people',
  pass_either: 'pass on either side',
  rail_fence: 'level crossing with a gate',
  roundabout: 'roundabout',
  slippery: 'slippery road',
  splash: 'river bank',
  staggered: 'staggered junction',
  stop_sign_01: 'stop',
  train: 'level crossing without a gate',
  tram: 'trams crossing',
  trams_only: 'trams only',
  tunnel: 'tunnel',
  turn_ahead: 'turn left ahead',
  turn_left: 'turn left',
  two_way_ahead: 'two-way traffic',
  two_way_crosses: 'two-way traffic crosses',
  zigzag: 'double bend',
};
/** Height at which signs are drawn, pixels: more than any is seen with. */
const SIGN_PX = 256;

/** @throws DataError when a package cannot be downloaded, or is not as it was */
export async function openDebianSources(split: 'train' | 'heldOut', notice: Notice): Promise<DebianSources> {
  const [signs, furniture, games] = [
    await aptPackage('openclipart-svg', notice),
    await aptPackage('sweethome3d-furniture', notice),
    await aptPackage('hedgewars-data', notice),
  ].map(({ root }) => join(root, 'usr/share'));
  const roadsigns = join(signs, 'openclipart/svg/transportation/roadsigns');
  const catalogues = ['BlendSwap-CC-0', 'BlendSwap-CC-BY'].map((name) =>
    join(furniture, `sweethome3d/furniture/${name}.sh3f`),
  );
  const maps = join(games, 'games/hedgewars/Data/Maps');
  const own = partOf(Object.entries(SIGNS), split, ([file]) => file);
  const found = await Promise.all(own.map(([file, name]) => roadSign(join(roadsigns, `${file}.svg`), name)));
  const large: string[] = [];
  for (const name of readdirSync(maps)) {
    const path = join(maps, name, 'map.png');
    // Nothing is enlarged.
    if (existsSync(path) && (await sharp(path).metadata()).width >= GENERATED_WIDTH) large.push(path);
  }
  const lands: LandMap[] = [];
  for (const path of partOf(large, split, (path) => basename(dirname(path)))) lands.push(await landMap(path));
  const furnishings = partOf(catalogues.flatMap(catalogueOf), split, ({ id }) => id);
  if (lands.length === 0 || furnishings.length === 0)
    throw new DataError(
      `openDebianSources: the packages must have maps and furniture, got ${lands.length} and ${furnishings.length}. Take them from Debian 12.`,
    );
  return { signs: found, furnishings, maps: lands };
}

/** A sign cut out of its drawing: many reach beyond their page. */
async function roadSign(path: string, name: string): Promise<RoadSign> {
  const svg = readFileSync(path, 'utf8');
  const side = (key: string): number => parseFloat(new RegExp(`\\s${key}="([\\d.]+)`).exec(svg)?.[1] ?? '');
  const root = /<svg\b[^>]*>/.exec(svg)?.[0] ?? '';
  const box = /viewBox="([^"]+)"/
    .exec(root)?.[1]
    .split(/[\s,]+/)
    .map(Number) ?? [...[0, 0, side('width'), side('height')]];
  const [x, y, width, height] = box;
  if (!box.every(Number.isFinite))
    throw new DataError(`openDebianSources: ${path} must state its size, got none. Take Debian 12's.`);
  const wide = root
    .replace(/\s(viewBox|width|height|preserveAspectRatio)="[^"]*"/g, '')
    .replace(
      '<svg',
      `<svg width="${3 * SIGN_PX}" height="${(3 * SIGN_PX * height) / width}" viewBox="${x - width} ${y - height} ${3 * width} ${3 * height}"`,
    );
  const { data, info } = await sharp(Buffer.from(svg.replace(root, wide)))
    .trim({ background: '#00000000', threshold: 1 })
    .png()
    .toBuffer({ resolveWithObject: true });
  return { name, image: data, aspect: info.width / info.height };
}

/** Of what is made up, pixels: the least width of a map. */
const GENERATED_WIDTH = 3840;
/** Between footholds, and free above each, pixels. */
const STEP = 160;
const HEADROOM = 140;
const OPAQUE = 128;

async function landMap(path: string): Promise<LandMap> {
  const image = readFileSync(path);
  const { width, height } = await sharp(image).metadata();
  const alpha = await sharp(image).ensureAlpha().extractChannel('alpha').raw().toBuffer();
  const isLand = (x: number, y: number): boolean => alpha[y * width + x] >= OPAQUE;
  const footholds: Foothold[] = [];
  for (let x = STEP; x < width - STEP; x += STEP) {
    let free = 0;
    for (let y = 0; y < height; y++) {
      if (!isLand(x, y)) {
        free++;
        continue;
      }
      if (free >= HEADROOM) footholds.push({ x, y });
      free = 0;
    }
  }
  return { image, width, height, footholds };
}
