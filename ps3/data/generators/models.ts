// Furniture of Sweet Home 3D's catalogues: ZIP files with a list of properties and models in Wavefront's OBJ and MTL.
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path/posix';
import { unzipSync } from 'fflate';
import type { Model, ModelPart, Vec3 } from './scene.ts';

/** A piece of a catalogue. */
export interface Furnishing {
  readonly id: string;
  readonly name: string;
  /** Width, height and depth, metres. */
  readonly size: Vec3;
  /** Reads it: its parts in a box of size 1 around the origin; undefined for one with too many faces. */
  model(): Model | undefined;
}

/** Corners of a model's triangles, at most: a scene is drawn in a browser's software renderer. */
const MOST_CORNERS = 60_000;

/** All that stands: no doors, windows, lamps of ceilings, stairs, vehicles or people. */
export function catalogueOf(path: string): Furnishing[] {
  const zip = readFileSync(path);
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
  const [list] = Object.values(
    unzipSync(zip, { filter: ({ name }) => name === 'PluginFurnitureCatalog.properties' }),
  );
  const properties = new Map(
    [...text(list).matchAll(/^(\w+)#(\d+)=(.*?)\r?$/gm)].map(([, key, n, value]) => [`${key} ${n}`, value]),
  );
  const numbers = [...properties.keys()].flatMap((key) => (key.startsWith('id ') ? [key.slice(3)] : []));
  return numbers.flatMap((n): Furnishing[] => {
    const of = (key: string): string => properties.get(`${key} ${n}`) ?? '';
    const stands = of('doorOrWindow') !== 'true' && !properties.has(`elevation ${n}`);
    if (!stands || !KINDS.includes(of('category'))) return [];
    const size = (['width', 'height', 'depth'] as const).map((key) => Number(of(key)) / 100) as [
      number,
      number,
      number,
    ];
    const file = of('model').replace(/^\//, '');
    const read = (): Model | undefined => {
      const folder = `${dirname(file)}/`;
      const files = unzipSync(zip, { filter: ({ name }) => name.startsWith(folder) });
      return modelOf(text(files[file]), folder, files);
    };
    return [{ id: of('id'), name: of('name').toLowerCase(), size, model: read }];
  });
}

const KINDS = ['Living room', 'Kitchen', 'Miscellaneous', 'Bedroom', 'Office', 'Bathroom'];

/** What a material of MTL says. */
interface Look {
  colour: string;
  image?: string;
}

/** Materials by their names. Source: Wavefront's Advanced Visualizer manual, appendix B1. */
function looksOf(
  mtl: string,
  folder: string,
  files: Readonly<Record<string, Uint8Array>>,
): Map<string, Look> {
  const looks = new Map<string, Look>();
  let look: Look = { colour: '#b0b0b0' };
  for (const line of mtl.split('\n')) {
    const [key, ...rest] = line.trim().split(/\s+/);
    if (key === 'newmtl') {
      look = { colour: '#b0b0b0' };
      looks.set(rest.join(' '), look);
    } else if (key === 'Kd')
      look.colour = `#${rest
        .slice(0, 3)
        .map((part) =>
          Math.round(255 * Math.min(1, Math.max(0, Number(part))))
            .toString(16)
            .padStart(2, '0'),
        )
        .join('')}`;
    else if (key === 'map_Kd') {
      const image = files[normalize(join(folder, rest[rest.length - 1]))];
      const type = image?.[0] === 0x89 ? 'png' : 'jpeg';
      if (image) look.image = `data:image/${type};base64,${Buffer.from(image).toString('base64')}`;
    }
  }
  return looks;
}

/** Source: Wavefront's Advanced Visualizer manual, appendix B1: vertices, faces of any number of corners, materials. */
function modelOf(
  obj: string,
  folder: string,
  files: Readonly<Record<string, Uint8Array>>,
): Model | undefined {
  const library = /^mtllib\s+(.+?)\s*$/m.exec(obj)?.[1] ?? '';
  const mtl = files[join(folder, library)];
  const looks = looksOf(mtl ? Buffer.from(mtl).toString('latin1') : '', folder, files);
  const [points, uvs, normals]: number[][][] = [[], [], []];
  const parts = new Map<string, { positions: number[]; normals: number[]; uvs: number[] }>();
  let name = '';
  let corners = 0;
  for (const line of obj.split('\n')) {
    const [key, ...rest] = line.trim().split(/\s+/);
    if (key === 'v') points.push(rest.slice(0, 3).map(Number));
    else if (key === 'vt') uvs.push(rest.slice(0, 2).map(Number));
    else if (key === 'vn') normals.push(rest.slice(0, 3).map(Number));
    else if (key === 'usemtl') name = rest.join(' ');
    else if (key === 'f') {
      const part = parts.get(name) ?? { positions: [], normals: [], uvs: [] };
      parts.set(name, part);
      const face = rest.map((corner) => corner.split('/').map(Number));
      for (let i = 2; i < face.length; i++)
        for (const [v, t, n] of [face[0], face[i - 1], face[i]]) {
          const at = <T>(list: readonly T[], index: number | undefined): T | undefined =>
            index ? list[index > 0 ? index - 1 : list.length + index] : undefined;
          part.positions.push(...(at(points, v) ?? [0, 0, 0]));
          part.uvs.push(...(at(uvs, t) ?? [0, 0]));
          part.normals.push(...(at(normals, n) ?? [0, 0, 0]));
          corners++;
        }
    }
  }
  if (corners === 0 || corners > MOST_CORNERS) return undefined;
  const edges = [0, 1, 2].map((axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (const { positions } of parts.values())
      for (let i = axis; i < positions.length; i += 3) {
        low = Math.min(low, positions[i]);
        high = Math.max(high, positions[i]);
      }
    return [(low + high) / 2, high - low || 1];
  });
  const rounded = (value: number): number => Math.round(1e4 * value) / 1e4;
  return {
    parts: [...parts].map(([name, part]): ModelPart => {
      const { colour, image } = looks.get(name) ?? { colour: '#b0b0b0' };
      return {
        colour,
        ...(image !== undefined && { image, uvs: part.uvs.map(rounded) }),
        positions: part.positions.map((value, i) => rounded((value - edges[i % 3][0]) / edges[i % 3][1])),
        // A model in which any corner has none gets them from its faces.
        ...(part.normals.every(
          (_, i) => i % 3 !== 0 || part.normals.slice(i, i + 3).some((value) => value !== 0),
        ) && {
          normals: part.normals.map(rounded),
        }),
      };
    }),
  };
}
