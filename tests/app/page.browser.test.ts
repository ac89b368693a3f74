// The page in a real Chromium on its software adapter. Needs /usr/bin/chromium, or another by CHROMIUM=PATH.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PageServer, servePage } from '../../engine/page_server.ts';
import { colourOf } from '../../ps3/app/colours.ts';
import { buildPage } from '../../ps3/app/page/build.ts';
import type { Answer, Request } from '../../ps3/app/page/messages.ts';
import type { LooksOptions } from '../../ps3/index.ts';
import { decodeImage, squash } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine, random } from '../harness.ts';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
];
const webgpu = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const WAIT_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'ps3-page-'));
const run = join(folder, 'smoke-2026-01-02-030405');
const checkpoint = join(run, 'checkpoint');
const picturePath = join(folder, 'picture.png');
/** A few patches of each scale fit into a look of 16: 3 of 16 and 13 of 64. */
const [LOOK, ALL] = [16, 80];

const test = suite('the page');
let server: PageServer;
let browser: Browser;

/** What the page and its worker said to each other, with the rows of looks that were shown when it was said. */
type Said = { request?: Request; answer?: Answer; rows: number };

/** Violations of the policy in the page and in its worker. */
const violations: string[] = [];

test.before(async () => {
  const tokenizer = buildWordTokenizer(['ring', 'snowman', 'key'], { contextLength: 8 });
  const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
  await model.save(checkpoint);
  model.dispose();
  // With pictures of its own, a run brings no samples, which would have to be composed.
  await writeFile(join(run, 'config.json'), JSON.stringify({ preset: 'smoke', data: 'pictures', seed: 1 }));
  const rgb = Buffer.from(random(3 * 96 * 96, 7).map((value) => 127 + 127 * value));
  await sharp(rgb, { raw: { width: 96, height: 96, channels: 3 } }).toFile(picturePath);
  await mkdir(join(folder, 'site'));
  await buildPage(join(folder, 'site'), run);
  server = await servePage(join(folder, 'site'));
  browser = await chromium.launch({ executablePath, args: [...args, ...webgpu] });
});

test.after(async () => {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true });
});

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
async function openPage(prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> {
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

const checkpointFiles = (): string[] => readdirSync(checkpoint).map((name) => join(checkpoint, name));

async function loadFiles(page: Page): Promise<void> {
  await page.setInputFiles('#model-files', checkpointFiles());
  await page.waitForSelector('#model:visible');
}

/** Waits until the looks that were asked for have ended. */
const ended = (page: Page): Promise<unknown> =>
  page.waitForFunction(() => {
    const { said } = globalThis as unknown as { said: Said[] };
    const asked = said.map(({ request }) => request?.kind).lastIndexOf('look');
    return (
      asked >= 0 &&
      said.slice(asked).some(({ answer }) => answer && /^(looked|stopped|error)$/.test(answer.kind))
    );
  });

async function openPicture(page: Page): Promise<void> {
  await page.setInputFiles('#picture-file', picturePath);
  await ended(page);
}

async function lookFor(page: Page, prompt: string): Promise<void> {
  await page.fill('#prompt', prompt);
  await page.press('#prompt', 'Enter');
  await ended(page);
}

/** What was said from the last request of a kind on. */
async function saidSince(page: Page, kind: Request['kind']): Promise<Said[]> {
  const all: Said[] = await page.evaluate('said');
  return all.slice(all.map(({ request }) => request?.kind).lastIndexOf(kind));
}

/** Indices of the patches that each look took, per scale, as the page was told. */
async function takenOnPage(page: Page): Promise<number[][][]> {
  const said = await saidSince(page, 'look');
  return said.flatMap(({ answer }) =>
    answer?.kind === 'look' ? [answer.taken.map((indices) => Object.values(indices))] : [],
  );
}

/** The same, and the map that decided, by the model in this process. */
async function takenHere(options: LooksOptions): Promise<{ taken: number[][][]; map: number[] }> {
  using model = await PS3.load(engine, checkpoint);
  using scope = engine.scope();
  const image = squash(engine, await decodeImage(picturePath), 112, scope);
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

const totals = async (page: Page): Promise<Record<string, string>> => {
  const texts = await page.locator('#totals dt, #totals dd').allTextContents();
  return Object.fromEntries(texts.flatMap((text, i) => (i % 2 === 0 ? [[text, texts[i + 1]]] : [])));
};

/** Sets the budget as a drag of the slider does. */
async function setBudget(page: Page, tokens: number): Promise<void> {
  await page.fill('#budget', String(tokens));
  await ended(page);
}

test('page: files and a picture give the looks of the model, one after another', async () => {
  const asked: string[] = [];
  const page = await openPage(async (it) => it.on('request', (one) => asked.push(one.url())));
  assert.ok(await page.isDisabled('#go'));
  await loadFiles(page);
  assert.is(await page.textContent('#model-facts dd >> nth=2'), '28, 56, 112 px');
  assert.match((await page.textContent('#adapter'))!, /swiftshader.*software/i);
  await openPicture(page);
  assert.is(await page.textContent('#picture-name'), 'picture.png, 96 × 96 px');
  assert.equal((await takenOnPage(page)).length, 1);
  await setBudget(page, 40);

  const said = await saidSince(page, 'look');
  const steps = said.map(({ request, answer }) => request?.kind ?? answer?.kind);
  assert.equal(steps, ['look', 'maps', 'look', 'look', 'look', 'looked']);
  // Each look was drawn before the next one came: the table begins with the low-res pass.
  assert.equal(
    said.flatMap(({ answer, rows }) => (answer?.kind === 'look' ? [rows] : [])),
    [1, 2, 3],
  );
  const { taken } = await takenHere({ tokens: 40 });
  assert.equal(await takenOnPage(page), taken);
  const shown = await totals(page);
  assert.is(shown.Tokens, '44');
  assert.is(shown.Patches, '40 of 80');
  assert.is(shown.Looks, '3');
  assert.match(shown.Time, /^[\d.]+ m?s$/);
  assert.is(await page.textContent('#budget-text'), '40 of 80 patches, 3 looks');
  assert.is(await page.textContent('#notices'), '');

  // Nothing was asked for but the page itself.
  const names = asked.map((url) => url.replace(server.url, ''));
  assert.equal([...new Set(names.filter((name) => !/^chunk-\w+\.js$/.test(name)))].sort(), [
    '',
    'page.css',
    'page.js',
    'worker.js',
  ]);
});

test('page: budgets from nothing to everything', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  await setBudget(page, ALL);
  const everything = await totals(page);
  assert.is(everything.Patches, `${ALL} of ${ALL}`);
  assert.is(everything['Picture seen in detail'], '100.0 %');
  const taken = await takenOnPage(page);
  for (const [scale, count] of [16, 64].entries())
    assert.equal(
      taken.flatMap((look) => look[scale]).sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i),
    );
  await setBudget(page, 0);
  const nothing = await totals(page);
  assert.equal([nothing.Tokens, nothing.Looks, nothing['Picture seen in detail']], ['4', '0', '0.0 %']);
  assert.is(await page.locator('#looks tr').count(), 1);
});

test('page: a prompt gives its map, drawn in the colours of its values', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  assert.ok(await page.isDisabled('input[value="topDown"]'));
  await lookFor(page, 'snowman');
  assert.ok(await page.isChecked('input[value="topDown"]'));
  const { taken, map } = await takenHere({ prompt: 'snowman', tokens: LOOK });
  assert.equal(await takenOnPage(page), taken);
  const [low, high] = [Math.min(...map), Math.max(...map)];
  for (const [id, value] of [
    ['low', low],
    ['high', high],
  ] as const)
    assert.ok(Math.abs(Number(await page.textContent(`#${id}`)) - value) <= 0.006, `${id} is ${value}`);

  await page.fill('#opacity', '100');
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  const drawn: number[][] = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#view')!;
    const side = Math.min(canvas.width, canvas.height);
    const context = canvas.getContext('2d')!;
    // Within each cell of the 4 x 4 grid, away from the lines around patches of the 8 x 8 grid.
    return Array.from({ length: 16 }, (_, i) => {
      const x = (canvas.width - side) / 2 + ((2 * (i % 4) + 0.5) / 8) * side;
      const y = (canvas.height - side) / 2 + ((2 * Math.floor(i / 4) + 0.5) / 8) * side;
      return [...context.getImageData(x, y, 1, 1).data];
    });
  });
  map.forEach((value, i) => {
    const want = colourOf((value - low) / (high - low));
    for (let c = 0; c < 3; c++)
      assert.ok(Math.abs(drawn[i][c] - want[c]) <= 2, `cell ${i}: got ${drawn[i]}, want ${want}`);
  });
});

test('page: selected patches are outlined, and others are not', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  await page.check('input[value="none"]');
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  // The top line of each patch of the finest grid, a quarter from its left end.
  const tops: number[][] = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#view')!;
    const side = Math.min(canvas.width, canvas.height);
    const context = canvas.getContext('2d')!;
    return Array.from({ length: 64 }, (_, i) => {
      const x = (canvas.width - side) / 2 + ((i % 8) + 0.25) * (side / 8);
      const y = (canvas.height - side) / 2 + Math.floor(i / 8) * (side / 8);
      return [...context.getImageData(x, Math.max(0, Math.round(y) - (y > 0 ? 1 : 0)), 1, 2).data];
    });
  });
  const [[coarse, fine]] = await takenOnPage(page);
  const takes = (row: number, column: number): boolean =>
    fine.includes(8 * row + column) || coarse.includes(4 * Math.floor(row / 2) + Math.floor(column / 2));
  let lines = 0;
  for (let row = 1; row < 8; row++)
    for (let column = 0; column < 8; column++) {
      // Bluish or greenish, and light: the picture is noise, so both of two pixels are so by chance in few places.
      const pixels = tops[8 * row + column];
      const isLine = (o: number): boolean =>
        pixels[o + 1] > 190 && Math.abs(pixels[o + 1] + pixels[o + 2] - 455) < 60;
      if (!fine.includes(8 * row + column) && !fine.includes(8 * (row - 1) + column)) continue;
      assert.ok(takes(row, column) || takes(row - 1, column));
      assert.ok(isLine(0) || isLine(4), `row ${row}, column ${column}: ${pixels}`);
      lines++;
    }
  assert.ok(lines > 0);
});

test('page: a box drawn on the picture, and a point by the keyboard, decide instead of the prompt', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  await page.check('input[value="mark"]');
  const canvas = (await page.locator('#view').boundingBox())!;
  const side = Math.min(canvas.width, canvas.height);
  const at = (fraction: number, start: number, room: number): number =>
    start + (room - side) / 2 + fraction * side;
  await page.mouse.move(at(0.5, canvas.x, canvas.width), at(0.25, canvas.y, canvas.height));
  await page.mouse.down();
  await page.mouse.move(at(0.75, canvas.x, canvas.width), at(0.5, canvas.y, canvas.height), { steps: 3 });
  await page.mouse.up();
  await ended(page);
  const [{ request }] = await saidSince(page, 'look');
  const region = request?.kind === 'look' ? request.region : undefined;
  assert.ok(region && 'box' in region);
  for (const [i, edge] of [0.5, 0.25, 0.75, 0.5].entries())
    assert.ok(Math.abs(region.box[i] - edge) < 0.02, `${region.box}`);
  assert.equal(await takenOnPage(page), (await takenHere({ region, tokens: LOOK })).taken);
  assert.match((await page.textContent('#region-text'))!, /^Instead of the prompt: box /);

  await page.focus('#view');
  await page.keyboard.press('r');
  await ended(page);
  const [{ request: byKey }] = await saidSince(page, 'look');
  assert.equal(byKey?.kind === 'look' && byKey.region, { point: [0.5, 0.5] });
  await page.click('#clear-region');
  await ended(page);
  assert.equal(await takenOnPage(page), (await takenHere({ tokens: LOOK })).taken);
});

test('page: zooms about the pointer, and shows the whole again', async () => {
  const page = await openPage();
  await page.setInputFiles('#picture-file', picturePath);
  await page.waitForSelector('#hint', { state: 'hidden' });
  const shot = async (): Promise<string> => {
    await page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    return page.evaluate(() => document.querySelector<HTMLCanvasElement>('#view')!.toDataURL());
  };
  const whole = await shot();
  await page.hover('#view');
  await page.mouse.wheel(0, -300);
  const zoomed = await shot();
  assert.is.not(zoomed, whole);
  await page.focus('#view');
  await page.keyboard.press('ArrowUp');
  assert.is.not(await shot(), zoomed);
  await page.keyboard.press('0');
  assert.is(await shot(), whole);
  await page.click('#zoom-in');
  await page.click('#zoom-fit');
  assert.is(await shot(), whole);
});

test('page: loads the run beside it by its address, and compares captions', async () => {
  const asked: string[] = [];
  const page = await openPage(async (it) => it.on('request', (one) => asked.push(one.url())));
  await page.setInputFiles('#picture-file', picturePath);
  await page.click('#load-offer');
  await ended(page);
  const names = asked.map((url) => url.replace(server.url, '')).filter((name) => name.startsWith('model/'));
  assert.equal([...new Set(names)].sort(), [
    ...['model/config.json', 'model/model.safetensors', 'model/model.safetensors.index.json'],
    ...['model/preprocessor_config.json', 'model/tokenizer.json', 'model/tokenizer_config.json'],
  ]);
  assert.ok(
    asked.every((url) => url.startsWith(server.url)),
    asked.join(),
  );
  await page.fill('#captions', 'ring\n\nsnowman');
  await page.click('#compare button');
  await page.waitForSelector('#similarities li');
  using model = await PS3.load(engine, checkpoint);
  using image = squash(engine, await decodeImage(picturePath), 112);
  using similarity = await model.similarity(image, ['ring', 'snowman']);
  const want = [...(await similarity.probabilities.data())].map(
    (value) => `${(100 * value).toPrecision(3)} %`,
  );
  assert.equal(await page.locator('#similarities .number').allTextContents(), want);
});

test('page: stops when asked to, and keeps what it has', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  // As soon as a look of five has come.
  await page.evaluate(() => {
    const rows = document.querySelector('#looks')!;
    new MutationObserver((_, observer) => {
      if (rows.children.length !== 2) return;
      observer.disconnect();
      document.querySelector<HTMLButtonElement>('#stop')!.click();
    }).observe(rows, { childList: true });
  });
  await page.fill('#budget', String(ALL));
  await page.waitForSelector('#go:visible');
  const { Looks: looks, Patches: patches } = await totals(page);
  assert.ok(Number(looks) >= 1 && Number(looks) < 5, `${looks} looks`);
  assert.is(patches, `${Number(looks) * LOOK} of ${ALL}`);
  await lookFor(page, 'key');
  assert.is((await totals(page)).Patches, `${ALL} of ${ALL}`);
});

test('page: fits a phone of 390 pixels', async () => {
  const page = await openPage((it) => it.setViewportSize({ width: 390, height: 844 }));
  assert.is(await page.evaluate('document.documentElement.scrollWidth'), 390);
  await loadFiles(page);
  await openPicture(page);
  await lookFor(page, 'a-word-that-is-longer-than-a-phone-is-wide-and-that-nobody-knows-at-all');
  assert.is(await page.evaluate('document.documentElement.scrollWidth'), 390);
  assert.match((await page.textContent('#prompt-note'))!, /^This checkpoint was not trained with “awordthat/);
});

test('page: faults of checkpoints, pictures and addresses are sentences, and nothing is asked for', async () => {
  const page = await openPage();
  const notices = (): Promise<string | null> => page.textContent('#notices');
  await page.setInputFiles(
    '#model-files',
    checkpointFiles().filter((path) => !path.endsWith('model.safetensors')),
  );
  await page.waitForSelector('#notices p');
  assert.match(
    (await notices())!,
    /^The checkpoint cannot be loaded\. .*must hold model\.safetensors, got no such file\./,
  );
  await page.fill('#address', 'http://example.org/model');
  await page.press('#address', 'Enter');
  assert.match(
    (await notices())!,
    /^An address must begin with https:\/\/ or hf:\/\/, got http:\/\/example\.org\/model\./,
  );
  await page.setInputFiles('#picture-file', {
    name: 'text.png',
    mimeType: 'image/png',
    buffer: Buffer.from('text'),
  });
  await page.waitForSelector('#notices p >> nth=1');
  assert.match((await notices())!, /text\.png must be a picture that this browser can show/);
  await loadFiles(page);
  await openPicture(page);
  assert.is(await notices(), '');
});

test('page: says what to do without WebGPU', async () => {
  const page = await openPage((it) => it.addInitScript('delete Navigator.prototype.gpu'));
  assert.match((await page.textContent('#notices'))!, /^This browser offers no WebGPU\. Open the page in /);
  assert.ok(await page.isDisabled('#load-offer'));
});

test('page: says what to do without an adapter', async () => {
  const plain = await chromium.launch({ executablePath, args: [...args, '--disable-gpu'] });
  try {
    const page = await plain.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.goto(server.url);
    await page.click('#load-offer');
    await page.waitForSelector('#notices p');
    assert.match(
      (await page.textContent('#notices'))!,
      /^No GPU adapter answered\. Turn on graphics acceleration/,
    );
  } finally {
    await plain.close();
  }
});

test('page: says that the device was lost, and loads again on a new one', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openPicture(page);
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess').catch(() => {});
  await page.waitForSelector('#notices p');
  assert.match((await page.textContent('#notices'))!, /^The GPU device was lost, and the model with it\./);
  await page.click('#load-offer');
  await ended(page);
  assert.is(await page.textContent('#notices'), '');
  assert.equal(await takenOnPage(page), (await takenHere({ tokens: LOOK })).taken);
});

test('page: says what to do when memory runs out', async () => {
  // A browser cannot be made to run out of memory safely, so the worker is told that one buffer did.
  const report = `const create = GPUDevice.prototype.createBuffer;
    let isFirst = true;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const error = new GPUOutOfMemoryError('Out of memory');
      if (isFirst && descriptor.label?.startsWith('tensor')) {
        isFirst = false;
        this.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
      }
      return create.call(this, descriptor);
    };`;
  const site = join(folder, 'without-memory');
  await cp(join(folder, 'site'), site, { recursive: true });
  await writeFile(join(site, 'worker.js'), report + (await readFile(join(site, 'worker.js'), 'utf8')));
  const poor = await servePage(site);
  const page = await openPage();
  await page.goto(poor.url);
  await page.click('#load-offer');
  await page.waitForSelector('#notices p');
  assert.match((await page.textContent('#notices'))!, /^The GPU has not enough memory\. .*choose bf16/);
  poor.close();
});

test('page: its policy was not broken by anything above, and forbids what it should', async () => {
  assert.equal(violations, []);
  const page = await openPage();
  const said: string = await page.evaluate(() =>
    fetch('http://example.org/').then(
      () => 'fetched',
      (error: Error) => error.name,
    ),
  );
  assert.is(said, 'TypeError');
  assert.match(violations.join(), /connect-src/);
  const { headers } = await fetch(`${server.url}worker.js`);
  assert.match(headers.get('content-security-policy')!, /^default-src 'none'; script-src 'self';/);
});

if (!existsSync(executablePath)) {
  console.log(`skipped: needs ${executablePath}`);
  process.exit(0);
}
test.run();
