// What `ps3 start` shows of nano-4k, the model that is part of this package, on one of its samples.
import { fileURLToPath } from 'node:url';
import type { Engine, Tensor } from '../../engine/index.ts';
import type { Box } from '../data/boxes.ts';
import { NANO_4K } from '../model/checkpoint/shipped.ts';
import { total } from '../model/config/config.ts';
import { encodingCost, plainVitCost } from '../model/cost.ts';
import { decodeImage, resizeToSquare } from '../model/image.ts';
import { PS3 } from '../model/ps3.ts';
import { encodeImages } from './encode.ts';
import { samplesFolder, shippedSamples } from './shipped_samples.ts';

/** Shown because it succeeds; the model card says how often that is so. */
const [IMAGE, PROMPT] = ['00000005.jpg', 'frog'];
/** Boxes, largest first, that are named. */
const NAMED = 6;

interface Shown {
  readonly path: string;
  /** Captions and pixels of what is named. */
  readonly objects: readonly { readonly caption: string; readonly box: Box }[];
  /** Captions of all samples. */
  readonly captions: readonly string[];
}

async function shownSample(): Promise<Shown> {
  const samples = await shippedSamples(NANO_4K);
  const shown = samples.find(({ image }) => image === IMAGE)!;
  const area = ({ box: [left, top, right, bottom] }: { box: Box }): number => (right - left) * (bottom - top);
  const objects = shown.box.map((box, i) => ({ caption: shown.text[i], box }));
  return {
    path: fileURLToPath(new URL(IMAGE, samplesFolder(NANO_4K))),
    objects: objects.sort((a, b) => area(b) - area(a)).slice(0, NAMED),
    captions: [...new Set(samples.flatMap(({ text }) => text))],
  };
}

/** What of the captions fits best in each box: PS3 looks there, and only tokens of the box count. */
async function namesOf(model: PS3, image: Tensor<'u8'>, { objects, captions }: Shown): Promise<string[]> {
  const names: string[] = [];
  for (const { box } of objects) {
    const [left, top, right, bottom] = box.map((edge) => edge / model.config.image.imagePx);
    const region = { box: [left, top, right, bottom] } as const;
    using seen = await model.encode(image, { region });
    using match = await model.similarity(seen, captions, { tokens: 'high', region });
    const logits = await match.logits.data();
    names.push(captions[logits.indexOf(Math.max(...logits))]);
  }
  return names;
}

/**
 * Encodes a sample of nano-4k for a prompt, writes its maps, and names what is in its largest boxes.
 *
 * @param out  folder of the maps
 * @returns    what was encoded, what was named, and what it cost
 */
export async function showNano4k(engine: Engine, out: string): Promise<string> {
  const sample = await shownSample();
  await encodeImages(engine, { images: [sample.path], prompt: PROMPT, out, log: () => undefined });
  using model = await PS3.load(engine, NANO_4K);
  using image = resizeToSquare(engine, await decodeImage(sample.path), model.config.image.imagePx);
  await engine.idle();
  const started = performance.now();
  using seen = await model.encode(image, { prompt: PROMPT });
  await engine.idle();
  const seconds = (performance.now() - started) / 1000;
  const names = await namesOf(model, image, sample);
  const right = names.filter((name, i) => name === sample.objects[i].caption);
  const { vision } = model.config;
  const { scalesPx } = vision;
  const finestPx = scalesPx[scalesPx.length - 1];
  const [low, ...finer] = scalesPx.map((side) => plainVitCost(vision, side));
  const whole = finer[finer.length - 1];
  const { flops } = encodingCost(engine, model);
  const count = (n: number): string => n.toLocaleString('en');
  const giga = (n: number): string => `${count(Number((n / 1e9).toPrecision(3)))} GFLOP`;
  const tokens = seen.lastHiddenState.shape[1];
  return [
    `nano-4k, the model of this package, on an image of ${finestPx} px, asked for “${PROMPT}”`,
    `  tokens  ${count(tokens)}: all ${count(low.tokens)} at ${scalesPx[0]} px and ${count(tokens - low.tokens)} of the ${count(total(finer.map((cost) => cost.tokens)))} at finer scales`,
    `  cost    ${giga(flops)}, ${seconds.toFixed(1)} s; a plain ViT over all of it: ${giga(whole.flops)}`,
    `  names   ${right.length} of the ${names.length} largest objects in their boxes: ${right.join(', ')}`,
    `  maps    ${out}`,
  ].join('\n');
}
