// What `ps3 start` shows of nano-4k, the model that is part of this package: one image of 3780 px, looked at for one thing.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, readTextFile } from '../../engine/index.ts';
import type { AnnotationJson } from '../data/annotations.ts';
import { NANO_4K } from '../model/checkpoint/shipped.ts';
import { encodingCost, plainVitCost } from '../model/cost.ts';
import { decodeImage, resizeToSquare } from '../model/image.ts';
import { PS3 } from '../model/ps3.ts';
import type { Grid } from '../model/vision/scales.ts';
import { encodeImages } from './encode.ts';

/** Captions that are listed. */
const LISTED = 3;

/** The first sample of nano-4k, the caption of its largest box, and the captions of all samples. */
async function firstSample(): Promise<{ path: string; prompt: string; captions: string[] }> {
  const folder = fileURLToPath(new URL('samples/', NANO_4K));
  const lines = (await readTextFile(join(folder, 'annotations.jsonl'))).trim().split('\n');
  const samples = lines.map((line): AnnotationJson & { image: string } => JSON.parse(line));
  const [{ image, text, box }] = samples;
  const areas = box.map(([left, top, right, bottom]) => (right - left) * (bottom - top));
  return {
    path: join(folder, image),
    prompt: text[areas.indexOf(Math.max(...areas))],
    captions: [...new Set(samples.flatMap((sample) => sample.text))],
  };
}

/** Where a map is highest, in fractions of the image. */
function peakOf(map: Float32Array, [Y, X]: Grid): [x: number, y: number] {
  const peak = map.indexOf(Math.max(...map));
  return [((peak % X) + 0.5) / X, (Math.floor(peak / X) + 0.5) / Y];
}

/**
 * Encodes a sample of nano-4k for what its largest box shows, and writes its maps.
 *
 * @param out  folder of the maps
 * @returns    what was looked at, which captions fit it best, and what it cost
 */
export async function showNano4k(engine: Engine, out: string): Promise<string> {
  const { path, prompt, captions } = await firstSample();
  await encodeImages(engine, { images: [path], prompt, out, log: () => undefined });
  using model = await PS3.load(engine, NANO_4K);
  using image = resizeToSquare(engine, await decodeImage(path), model.config.image.imagePx);
  await engine.idle();
  const started = performance.now();
  using seen = await model.encode(image, { prompt });
  await engine.idle();
  const seconds = (performance.now() - started) / 1000;
  const point = peakOf(await seen.selectionProbs[0].data(), seen.grids[1]);
  using match = await model.similarity(seen, captions, { tokens: 'high', region: { point } });
  const logits = [...(await match.logits.data())];
  const best = captions
    .map((caption, i) => ({ caption, logit: logits[i] }))
    .sort((a, b) => b.logit - a.logit);
  const { vision } = model.config;
  const { tokens, flops } = encodingCost(engine, model.config);
  const [low, finest] = [vision.scalesPx[0], vision.scalesPx[vision.scalesPx.length - 1]];
  const whole = plainVitCost(vision, finest);
  const count = (n: number): string => n.toLocaleString('en');
  const giga = (n: number): string => `${count(Number((n / 1e9).toPrecision(3)))} GFLOP`;
  return [
    `nano-4k, the model of this package, on an image of ${finest} px, asked for “${prompt}”`,
    `  tokens     ${count(tokens)}: ${count(plainVitCost(vision, low).tokens)} at ${low} px and ${count(tokens - plainVitCost(vision, low).tokens)} that it chose`,
    `  sees there ${best
      .slice(0, LISTED)
      .map(({ caption }) => caption)
      .join(', ')}`,
    `  cost       ${giga(flops)}, ${seconds.toFixed(1)} s; a plain ViT over all ${count(whole.tokens)} patches: ${giga(whole.flops)}`,
    `  maps       ${out}`,
  ].join('\n');
}
