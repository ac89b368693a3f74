// The page as static files, with a trained checkpoint and images to try it on where there are some.
import { copyFile, cp, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import sharp from 'sharp';
import { pageBundle } from '../../../engine/bundle.ts';
import { EngineError, makeFolder, readTextFile } from '../../../engine/index.ts';
import { parsedShaders } from '../../../engine/parsed_shaders.ts';
import { openScenes, sceneSeed } from '../../data/build.ts';
import { questionsAbout } from '../../data/card_questions.ts';
import { buildScene } from '../../data/scenes.ts';
import { creditLine } from '../../data/sources.ts';
import { NANO_4K, VILA_4K, VILA_S } from '../../model/checkpoint/shipped.ts';
import { parseHubConfig } from '../../model/config/hub_config.ts';
import { RunFolder } from '../../train/run.ts';
import { isVila } from '../../vila/is_vila.ts';
import { encodeJpeg } from '../heat_map.ts';
import { shippedSamples } from '../shipped_samples.ts';
import { version } from '../version.ts';
import type { Offers, SampleImage } from './offers.ts';

/** The page cannot be built as asked. */
export class PageError extends EngineError {
  constructor(message: string) {
    super('page', message);
  }
}

/** Folders of the package's models. */
const LOOKS = 'nano-4k';
const ANSWERS = [
  { name: 'vila-s', place: VILA_S, does: 'which answers' },
  { name: 'vila-4k', place: VILA_4K, does: 'which answers about 3780 px' },
];
const SAMPLES = 4;
const THUMBNAIL_PX = 160;
/** Samples are composed up to this many times larger than those of training: the same objects, sharper on a screen. */
const SHARPNESS = 4;
const LARGEST_SAMPLE_PX = 3780;

/** The newest run below a folder that has a checkpoint. */
export async function newestRun(runs: string): Promise<string | undefined> {
  const names = await readdir(runs).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  // Names end with the time at which a run began.
  const byTime = (name: string): string => name.slice(-'2026-11-24-221756'.length);
  for (const name of names.sort((a, b) => (byTime(a) < byTime(b) ? 1 : -1))) {
    const files = await checkpointFiles(new RunFolder(join(runs, name)).checkpointPath);
    if (files.some((file) => basename(file) === 'model.safetensors')) return join(runs, name);
  }
  return undefined;
}

/** The files of a checkpoint's folder that make the model, without those that training goes on from. */
async function checkpointFiles(checkpoint: string): Promise<string[]> {
  const names = await readdir(checkpoint, { recursive: true }).catch(() => []);
  return names.filter(
    (name) => /\.(json|safetensors)$/.test(name) && !/^(training_state|progress|manifest)\./.test(name),
  );
}

/** How esbuild makes the page. Its shaders are parsed here, so that the page carries no parser. */
export function pageOptions(offers: Offers, folder: string): BuildOptions {
  return {
    ...pageBundle('ps3/app/page', { OFFERS: offers, VERSION: version() }, folder),
    plugins: [parsedShaders()],
  };
}

/**
 * Writes index.html, page.css, page.js, worker.js, and the models of this package with their samples; with a run also its
 * checkpoint and, if it is a PS3 trained on Scenes, held-out scenes.
 *
 * @param run  folder of a run
 * @throws PageError when the run holds no checkpoint
 */
export async function buildPage(folder: string, run?: string): Promise<void> {
  // Names of parts change with their contents: what an earlier build left would stay.
  for (const name of [LOOKS, ...ANSWERS.map(({ name }) => name), 'model', 'samples'])
    await rm(join(folder, name), { recursive: true, force: true });
  const shipped: Offers = {
    models: [
      { label: 'Load nano-4k, which sees 3780 px', folder: `${LOOKS}/` },
      ...ANSWERS.map(({ name, does }) => ({ label: `Load ${name}, ${does}`, folder: `${name}/` })),
    ],
    samples: [
      ...(await copyLooks(join(folder, LOOKS))),
      ...(await Promise.all(ANSWERS.map((answers) => copyAnswers(answers, folder)))).flat(),
    ],
  };
  const own: Offers =
    run === undefined
      ? { models: [], samples: [] }
      : {
          models: [{ label: 'Load the model trained here', folder: 'model/' }],
          samples: await copyRun(run, folder),
        };
  const offers = {
    models: [...shipped.models, ...own.models],
    samples: [...shipped.samples, ...own.samples],
  };
  await build(pageOptions(offers, folder));
}

/** nano-4k, whose samples are looked at. */
async function copyLooks(folder: string): Promise<SampleImage[]> {
  await cp(new URL(NANO_4K.href), folder, { recursive: true });
  const samples = await shippedSamples(NANO_4K);
  return Promise.all(
    samples.map(({ image, text }) =>
      sample(join(folder, 'samples'), image, `${LOOKS}/samples`, { captions: text }),
    ),
  );
}

/** A VILA-HD, whose samples are asked about. */
async function copyAnswers(
  { name, place }: (typeof ANSWERS)[number],
  folder: string,
): Promise<SampleImage[]> {
  await cp(new URL(place.href), join(folder, name), { recursive: true });
  const samples = await shippedSamples(place);
  return Promise.all(
    samples.map(({ image, text, box }) => {
      const questions = questionsAbout({ captions: text, boxes: box }).map(({ question }) => question);
      return sample(join(folder, name, 'samples'), image, `${name}/samples`, { questions });
    }),
  );
}

/** What offers an image that is in a folder; makes its thumbnail there. @param address  of the folder, from the page */
async function sample(
  folder: string,
  name: string,
  address: string,
  { captions = [], questions = [] }: Partial<Pick<SampleImage, 'captions' | 'questions'>>,
): Promise<SampleImage> {
  const small = `small-${name}`;
  await sharp(join(folder, name)).resize(THUMBNAIL_PX, THUMBNAIL_PX).toFile(join(folder, small));
  return {
    file: `${address}/${name}`,
    thumbnail: `${address}/${small}`,
    captions: [...new Set(captions)],
    questions,
  };
}

async function copyRun(run: string, folder: string): Promise<SampleImage[]> {
  const checkpoint = await RunFolder.checkpointOf(run);
  const files = await checkpointFiles(checkpoint);
  if (!files.includes('config.json') || !files.some((name) => name.endsWith('.safetensors')))
    throw new PageError(
      `buildPage: ${run} must hold a checkpoint, got none. Pass the folder of a finished run.`,
    );
  for (const name of files) {
    await makeFolder(dirname(join(folder, 'model', name)));
    await copyFile(join(checkpoint, name), join(folder, 'model', name));
  }
  return (await isVila(checkpoint)) ? [] : writeSamples(run, join(folder, 'samples'));
}

/** Held-out scenes as JPEG files, with the credits of what they are made of. */
async function writeSamples(run: string, folder: string): Promise<SampleImage[]> {
  const config = await new RunFolder(run).config();
  if (config.data.folder !== null) return [];
  const { photos, objects, objectPx, distractors, concepts, styles } = config.data;
  const checkpoint = await readTextFile(join(folder, '../model/config.json'));
  const { scalesPx } = parseHubConfig(JSON.parse(checkpoint)).vision;
  const side = scalesPx[scalesPx.length - 1];
  const sharpness = Math.max(1, Math.min(SHARPNESS, Math.floor(LARGEST_SAMPLE_PX / side)));
  const larger = ([low, high]: readonly [number, number]): [number, number] => [
    sharpness * low,
    sharpness * high,
  ];
  const { seed } = config;
  const opened = await openScenes({
    side: sharpness * side,
    concepts,
    seed,
    photos: photos ?? undefined,
    styles: styles ?? undefined,
    spec: { objects, objectPx: larger(objectPx), distractors },
  });
  const kit = await opened.kit(opened.splits.heldOutImages);
  await makeFolder(folder);
  const samples: SampleImage[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    const { rgba, side, captions } = buildScene(kit, sceneSeed(seed, 'held out', i));
    const name = `scene-${i + 1}.jpg`;
    await writeFile(join(folder, name), await encodeJpeg({ rgba, width: side, height: side }));
    samples.push(await sample(folder, name, 'samples', { captions }));
  }
  const credits = opened.sources.credits.map(creditLine);
  await writeFile(join(folder, 'CREDITS.txt'), `${credits.join('\n')}\n`);
  return samples;
}
