// Small drawn sources for the data tests: shapes as SVG, photographs as colour ramps written to a temporary folder.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Concept } from '../../ps3/data/concepts.ts';
import type { PhotoSource } from '../../ps3/data/sources.ts';

const SHAPES: Record<string, string> = {
  disc: '<circle cx="50" cy="50" r="40"/>',
  bar: '<rect x="10" y="40" width="80" height="20"/>',
  wedge: '<path d="M10 90L50 10L90 90z"/>',
  cross: '<path d="M40 10h20v30h30v20H60v30H40V60H10V40h30z"/>',
  moon: '<path d="M60 10A40 40 0 1 0 60 90A50 50 0 0 1 60 10z"/>',
  frame: '<path fill-rule="evenodd" d="M10 10h80v80H10zM25 25v50h50V25z"/>',
};

function svg(shape: string, colour: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 100 100" fill="${colour}">${shape}</svg>`;
}

/** Objects of every shape in every colour, two styles each: 24 concepts. */
export function drawnCatalogue(): Concept[] {
  const concepts: Concept[] = [];
  for (const colour of ['red', 'lime', 'blue', 'yellow']) {
    for (const [name, shape] of Object.entries(SHAPES)) {
      const looks = ['plain', 'outlined'].map((style) => ({
        kind: 'svg' as const,
        style,
        svg: svg(
          style === 'plain' ? shape : shape.replace('/>', ' stroke="white" stroke-width="4"/>'),
          colour,
        ),
      }));
      concepts.push({ name: `${colour} ${name}`, kind: 'object', looks });
    }
  }
  return concepts;
}

/** Photographs of dark colour ramps as PNG files. */
export async function drawnPhotos(folder: string, count: number): Promise<PhotoSource[]> {
  const photos: PhotoSource[] = [];
  for (let index = 0; index < count; index++) {
    const [width, height] = [240 + 7 * index, 200];
    const rgb = new Uint8Array(3 * width * height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) rgb[3 * i + c] = ((i % width) * (c + 1) + 31 * index) & 127;
    }
    const path = join(folder, `photo-${index}.png`);
    await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(path);
    photos.push({
      name: `photo-${index}`,
      path,
      source: 'drawn',
      licence: 'CC0-1.0',
      attribution: 'this test',
    });
  }
  return photos;
}

/** A folder that goes away when the process ends. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `ps3-${name}-`));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(folder, { recursive: true });
  return folder;
}
