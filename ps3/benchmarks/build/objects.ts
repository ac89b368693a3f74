// Drawn objects on photographs that no training shows: which of four is in a part of the image? An ideal observer takes the place of the
// reader: it knows how each would be drawn, and where.
import sharp from 'sharp';
import { Random } from '../../../engine/index.ts';
import { cropBackground } from '../../data/backgrounds.ts';
import { openScenes, type Scenes } from '../../data/build.ts';
import type { PageFact } from '../../data/caption/web_page.ts';
import { type Cutout, drawCutout, layOn, type Variation } from '../../data/cutout.ts';
import type { Notice } from '../../data/packages.ts';
import type { SceneKit } from '../../data/scenes.ts';
import type { View } from './view.ts';

/** Of the image, pixels. */
const SIDE_PX = 3780;
/** Long side of an object, pixels, even on a log scale: from what a person knows with care to 4 % of the width. */
const OBJECT_PX = [14, 160] as const;
/** The concepts that nano-4k was trained on, in its style. */
const CONCEPTS = { concepts: 32, seed: 1, styles: ['noto'] };
/** As they are: the observer knows how. */
const PLAIN: Variation = { rotationDeg: 0, brightness: 0, saturation: 0, blurShare: 0, shadow: 0 };
/** Parts of the image, each with one object. */
const ROWS = ['top', 'middle', 'bottom'];
const COLUMNS = ['left', 'middle', 'right'];

/** What an object could be, as it would be drawn. */
export interface Template {
  readonly name: string;
  readonly cutout: Cutout;
}

/** A scene and what can be asked about it. */
export interface ObjectScene {
  /** [side, side, 4], opaque. */
  readonly rgba: Uint8Array;
  readonly side: number;
  readonly facts: readonly PageFact[];
  /** Of each fact, in the order of its options. */
  readonly templates: ReadonlyMap<PageFact, readonly Template[]>;
}

/** Scenes of held-out photographs. @throws DataError when sources cannot be downloaded */
export async function openObjects(notice?: Notice): Promise<(seed: number) => ObjectScene> {
  const scenes = await openScenes({
    ...CONCEPTS,
    side: SIDE_PX,
    spec: { objects: [1, 9], objectPx: OBJECT_PX, signs: [0, 0], distractors: [0, 0] },
    notice,
  });
  const kit = await scenes.kit(scenes.splits.heldOutImages);
  return (seed) => objectScene(kit, scenes, seed);
}

function objectScene(kit: SceneKit, { catalogue }: Scenes, seed: number): ObjectScene {
  const random = new Random(seed, 0x0b1e);
  const rgba = new Uint8Array(4 * SIDE_PX ** 2);
  cropBackground(kit.backgrounds[random.integer(kit.backgrounds.length)], SIDE_PX, rgba, random);
  const concepts = random.shuffle([...kit.objects]);
  const parts = random.shuffle(ROWS.flatMap((_, row) => COLUMNS.map((_, column) => ({ row, column }))));
  const absent = concepts.slice(parts.length);
  const facts: PageFact[] = [];
  const templates = new Map<PageFact, Template[]>();
  for (const [i, { row, column }] of parts.entries()) {
    const longSidePx = OBJECT_PX[0] * (OBJECT_PX[1] / OBJECT_PX[0]) ** random.uniform();
    const four = random.shuffle([concepts[i], ...random.shuffle([...absent]).slice(0, 3)]);
    const drawn = four.map((concept): Template => {
      const [sprite] = kit.sprites.get(concept) ?? [];
      return { name: catalogue[concept].name, cutout: drawCutout(sprite, longSidePx, PLAIN, true, random) };
    });
    const { cutout } = drawn[four.indexOf(concepts[i])];
    const part = SIDE_PX / 3;
    const at = (index: number): number =>
      Math.round(index * part + random.range(0.1, 0.8) * (part - longSidePx));
    const box = layOn(rgba, SIDE_PX, cutout, at(column), at(row));
    const place = row === 1 && column === 1 ? 'middle' : `${ROWS[row]} ${COLUMNS[column]}`;
    const fact: PageFact = {
      text: catalogue[concepts[i]].name,
      box,
      question: `Which of these is drawn somewhere in the ${place} ninth of the image?`,
      kind: 'object',
      capPx: Math.min(box[2] - box[0], box[3] - box[1]),
      options: drawn.map(({ name }) => name),
    };
    facts.push(fact);
    templates.set(fact, drawn);
  }
  return { rgba, side: SIDE_PX, facts, templates };
}

/**
 * What a fact's options look like where it is: each covers its box.
 *
 * @param fact  with images
 */
export function imageTemplates({ box, options = [], images = [] }: PageFact): Promise<Template[]> {
  const [width, height] = [box[2] - box[0], box[3] - box[1]].map((side) => Math.max(1, Math.round(side)));
  return Promise.all(
    images.map(async (address, i) => {
      const rgba = await sharp(Buffer.from(address.slice(address.indexOf(',') + 1), 'base64'))
        .resize(width, height, { fit: 'fill' })
        .ensureAlpha()
        .raw()
        .toBuffer();
      // As drawn objects are: colours times alpha.
      for (let at = 0; at < rgba.length; at++)
        if (at % 4 < 3) rgba[at] = Math.round((rgba[at] * rgba[at - (at % 4) + 3]) / 255);
      return {
        name: options[i],
        cutout: { bitmap: { rgba, width, height }, box: [0, 0, width, height], shadow: undefined },
      };
    }),
  );
}

/** Free around an object where it is compared, pixels of the image. */
const AROUND_PX = 2;

/**
 * Which of some templates the observer sees: that whose visible pixels correlate best with the image, over all colours at once.
 *
 * @param whole  the image
 * @param box    of the object that is there
 * @param scale  pixels of the view for one of the image
 */
export async function observedObject(
  whole: View,
  [x1, y1, x2, y2]: PageFact['box'],
  templates: readonly Template[],
  scale: number,
): Promise<string> {
  const extents = templates.map(({ cutout: { box } }) => [box[2] - box[0], box[3] - box[1]]);
  const side = Math.ceil(Math.max(...extents.flat())) + 2 * AROUND_PX;
  const [left, top] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2].map((edge, axis) =>
    Math.min(Math.max(0, Math.round(edge)), (axis === 0 ? whole.width : whole.height) - side),
  );
  const small = Math.max(1, Math.round(side * scale));
  const raw = { width: whole.width, height: whole.height, channels: 3 } as const;
  const cut = await sharp(whole.data, { raw })
    .extract({ left, top, width: side, height: side })
    .raw()
    .toBuffer();
  const seen = await sharp(cut, { raw: { width: side, height: side, channels: 3 } })
    .resize(small, small, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  const scores = await Promise.all(
    templates.map(async ({ cutout: { bitmap, box } }) => {
      const drawn = new Uint8Array(4 * side * side);
      const [width, height] = [box[2] - box[0], box[3] - box[1]];
      // In the middle of where the object that is there has its own.
      const [dx, dy] = [(x1 + x2 - width) / 2 - left, (y1 + y2 - height) / 2 - top].map(Math.round);
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const from = 4 * ((box[1] + y) * bitmap.width + box[0] + x);
          const to = 4 * ((dy + y) * side + dx + x);
          if (dx + x < 0 || dx + x >= side || dy + y < 0 || dy + y >= side) continue;
          const alpha = bitmap.rgba[from + 3];
          for (let c = 0; c < 3; c++)
            drawn[to + c] = alpha === 0 ? 0 : Math.min(255, (bitmap.rgba[from + c] * 255) / alpha);
          drawn[to + 3] = alpha;
        }
      const template = await sharp(drawn, { raw: { width: side, height: side, channels: 4 } })
        .resize(small, small, { fit: 'fill', kernel: 'cubic' })
        .raw()
        .toBuffer();
      return maskedCorrelation(seen, template);
    }),
  );
  return templates[scores.indexOf(Math.max(...scores))].name;
}

/** Correlation of RGB with the colours of RGBA, weighted by its alpha. */
function maskedCorrelation(seen: Uint8Array, template: Uint8Array): number {
  const sums = { w: 0, a: 0, b: 0, aa: 0, bb: 0, ab: 0 };
  for (let i = 0; 4 * i < template.length; i++)
    for (let c = 0; c < 3; c++) {
      const [w, a, b] = [template[4 * i + 3], seen[3 * i + c], template[4 * i + c]];
      sums.w += w;
      sums.a += w * a;
      sums.b += w * b;
      sums.aa += w * a * a;
      sums.bb += w * b * b;
      sums.ab += w * a * b;
    }
  const { w } = sums;
  if (w === 0) return -1;
  const spread = (sum: number, squares: number): number =>
    Math.sqrt(Math.max(1e-9, squares / w - (sum / w) ** 2));
  return (sums.ab / w - (sums.a / w) * (sums.b / w)) / (spread(sums.a, sums.aa) * spread(sums.b, sums.bb));
}
