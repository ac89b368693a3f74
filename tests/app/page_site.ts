// What tests of the page share: a small checkpoint and an image, the page built and served, a real Chromium on its software
// adapter, and what the page and its worker said to each other.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { type PageServer, servePage } from '../../engine/page_server.ts';
import { buildPage } from '../../ps3/app/page/build.ts';
import type { Answer, Request } from '../../ps3/app/page/messages.ts';
import type { StreamOptions } from '../../ps3/index.ts';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { launchChromium, needChromium } from '../chromium.ts';
import { engine, random } from '../harness.ts';

export const WAIT_MS = 120_000;

export const folder: string = mkdtempSync(join(tmpdir(), 'ps3-page-'));
const run = join(folder, 'smoke-2026-01-02-030405');
export const checkpoint: string = join(run, 'checkpoint');
export const imagePath: string = join(folder, 'image.png');
/** The button that loads the checkpoint of the run. */
export const TRAINED_HERE = '#offers button:has-text("trained here")';
/** Patches of a look, 3 of the coarse scale and 13 of the fine one, and all there are. */
export const LOOK = 16;
export const ALL = 80;

let server: PageServer;
let browser: Browser;

/** What the page and its worker said to each other, with the rows of looks that were shown when it was said. */
type Said = { request?: Request; answer?: Answer; rows: number };

/** Violations of the policy in the page and in its worker. */
export const violations: string[] = [];

/** Builds and serves the page before the tests of a suite, which are left out where there is no Chromium. */
export function withPage(test: Test): void {
  needChromium();
  test.before(async () => {
    const tokenizer = buildWordTokenizer(['ring', 'snowman', 'key'], { contextLength: 8 });
    const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
    await model.save(checkpoint);
    model.dispose();
    // With images of its own, a run brings no samples, which would have to be composed.
    await writeFile(
      join(run, 'config.json'),
      JSON.stringify(trainConfig({ preset: 'smoke', set: ['data.folder=images'] })),
    );
    const rgb = Buffer.from(random(3 * 96 * 96, 7).map((value) => 127 + 127 * value));
    await sharp(rgb, { raw: { width: 96, height: 96, channels: 3 } }).toFile(imagePath);
    await mkdir(join(folder, 'site'));
    await buildPage(join(folder, 'site'), run);
    server = await servePage(join(folder, 'site'));
    browser = await launchChromium();
  });

  test.after(async () => {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true });
  });
}

/** Address of the page. */
export const pageUrl = (): string => server.url;

/** Ends the process that holds the GPU of all pages. */
export async function crashGpu(): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess').catch(() => {});
}

/** Keeps what is said, in `said`. */
const RECORD = `const Plain = Worker;
  globalThis.said = [];
  const rows = () => document.querySelectorAll('#looks tr').length;
  globalThis.Worker = class extends Plain {
    constructor(...values) {
      super(...values);
      this.addEventListener('message', ({ data }) => said.push({ answer: data.answer, rows: rows() }));
    }
    postMessage(data) {
      said.push({ request: data.request, rows: rows() });
      super.postMessage(data);
    }
  };`;

/** A fresh page, which fails the test when it asks for anything of another origin. */
export async function openPage(prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) violations.push(message.text());
  });
  await page.route(
    (asked) => asked.hostname !== 'localhost',
    (route) => assert.unreachable(`asked for ${route.request().url()}`),
  );
  await page.addInitScript(RECORD);
  await prepare(page);
  await page.goto(server.url);
  return page;
}

/** Paths of all its files. */
export const checkpointFiles = (): string[] => readdirSync(checkpoint).map((name) => join(checkpoint, name));

export async function loadFiles(page: Page): Promise<void> {
  await page.setInputFiles('#model-files', checkpointFiles());
  await page.waitForSelector('#model:visible');
}

/** Waits until what was asked for has ended, by default looks. Asked from here: the page's policy forbids it to poll by eval. */
export async function ended(page: Page, kind: Request['kind'] = 'look'): Promise<void> {
  const started = performance.now();
  for (;;) {
    const said: Said[] = await page.evaluate('said');
    const asked = said.map(({ request }) => request?.kind).lastIndexOf(kind);
    const answers = asked < 0 ? [] : said.slice(asked);
    if (answers.some(({ answer }) => answer && ENDED.test(answer.kind))) return;
    if (performance.now() - started > WAIT_MS) assert.unreachable(`${kind} went on for ${WAIT_MS} ms`);
    await page.waitForTimeout(50);
  }
}

/** What looks and answers end with. */
const ENDED = /^(looked|answered|stopped|error)$/;

export async function openImage(page: Page): Promise<void> {
  await page.setInputFiles('#image-file', imagePath);
  await ended(page);
}

export async function lookFor(page: Page, prompt: string): Promise<void> {
  await page.fill('#prompt', prompt);
  await page.press('#prompt', 'Enter');
  await ended(page);
}

/** What was said from the last request of a kind on. */
export async function saidSince(page: Page, kind: Request['kind']): Promise<Said[]> {
  const all: Said[] = await page.evaluate('said');
  return all.slice(all.map(({ request }) => request?.kind).lastIndexOf(kind));
}

/** Indices of the patches that each look took, per scale, as the page was told. */
export async function takenOnPage(page: Page): Promise<number[][][]> {
  const said = await saidSince(page, 'look');
  return said.flatMap(({ answer }) =>
    answer?.kind === 'look' ? [answer.taken.map((indices) => Object.values(indices))] : [],
  );
}

/** The same, and the map that decided, by the model in this process. */
export async function takenHere(options: StreamOptions): Promise<{ taken: number[][][]; map: number[] }> {
  using model = await PS3.load(engine, checkpoint);
  using scope = engine.scope();
  const image = resizeToSquare(engine, await decodeImage(imagePath), 112, { scope });
  const taken: number[][][] = [];
  let map: number[] = [];
  for await (const { index, choices, selectionProbs } of model.looks(image, options))
    if (index === 0) map = [...(await selectionProbs[0].data())];
    else
      taken.push(
        await Promise.all(choices.map(async ({ indices }) => (indices ? [...(await indices.data())] : []))),
      );
  return { taken, map };
}

export const totals = async (page: Page): Promise<Record<string, string>> => {
  const texts = await page.locator('#totals dt, #totals dd').allTextContents();
  return Object.fromEntries(texts.flatMap((text, i) => (i % 2 === 0 ? [[text, texts[i + 1]]] : [])));
};

/** Sets the budget as a drag of the slider does. */
export async function setBudget(page: Page, tokens: number): Promise<void> {
  await page.fill('#budget', String(tokens));
  await ended(page);
}

/** Waits until what was changed is drawn. */
export const nextFrame = (page: Page): Promise<unknown> =>
  page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
