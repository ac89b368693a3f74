// What the page shows, in a real Chromium, beside what the model gives in this process.
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { colourOf, SCALE_LINES } from '../../ps3/app/colours.ts';
import { decodeImage, resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { engine } from '../harness.ts';
import {
  ALL,
  checkpoint,
  ended,
  imagePath,
  LOOK,
  loadFiles,
  lookFor,
  nextFrame,
  openImage,
  openPage,
  pageUrl,
  saidSince,
  setBudget,
  TRAINED_HERE,
  takenHere,
  takenOnPage,
  totals,
  violations,
  WAIT_MS,
  withPage,
} from './page_site.ts';

const test = suite('the page');
withPage(test);

test('page: files and an image give the looks of the model, one after another', async () => {
  const asked: string[] = [];
  const page = await openPage(async (it) => it.on('request', (one) => asked.push(one.url())));
  assert.ok(await page.isDisabled('#go'));
  await loadFiles(page);
  assert.is(await page.textContent('#model-facts dd >> nth=2'), '28, 56, 112 px');
  assert.match((await page.textContent('#adapter'))!, /swiftshader.*software/i);
  await openImage(page);
  assert.is(await page.textContent('#image-name'), 'image.png, 96 × 96 px');
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

  // Nothing was asked for but the page itself and what it shows of its samples.
  const names = asked.map((url) => url.replace(pageUrl(), ''));
  assert.equal([...new Set(names.filter((name) => !/^chunk-\w+\.js$/.test(name)))].sort(), [
    '',
    ...['00000000', '00000001', '00000005', 'screen'].map((name) => `nano-4k/samples/small-${name}.jpg`),
    'page.css',
    'page.js',
    'worker.js',
  ]);
});

test('page: budgets from nothing to everything', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openImage(page);
  await setBudget(page, ALL);
  const everything = await totals(page);
  assert.is(everything.Patches, `${ALL} of ${ALL}`);
  assert.is(everything['Image seen in detail'], '100.0 %');
  const taken = await takenOnPage(page);
  for (const [scale, count] of [16, 64].entries())
    assert.equal(
      taken.flatMap((look) => look[scale]).sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i),
    );
  await setBudget(page, 0);
  const nothing = await totals(page);
  assert.equal([nothing.Tokens, nothing.Looks, nothing['Image seen in detail']], ['4', '0', '0.0 %']);
  assert.is(await page.locator('#looks tr').count(), 1);
});

test('page: a prompt gives its map, drawn in the colours of its values', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openImage(page);
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
  await nextFrame(page);
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

test('page: patches that were taken are outlined in the colour of their scale, and no others', async () => {
  const grey = await sharp({ create: { width: 96, height: 96, channels: 3, background: '#404040' } })
    .png()
    .toBuffer();
  const page = await openPage();
  await loadFiles(page);
  await page.setInputFiles('#image-file', { name: 'grey.png', mimeType: 'image/png', buffer: grey });
  await ended(page);
  await page.check('input[value="none"]');
  await nextFrame(page);
  // The line above each patch of the fine grid, a quarter from its left end; a line is two pixels wide or more.
  const above: number[][] = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#view')!;
    const side = Math.min(canvas.width, canvas.height);
    const context = canvas.getContext('2d')!;
    return Array.from({ length: 64 }, (_, i) => {
      const x = (canvas.width - side) / 2 + ((i % 8) + 0.25) * (side / 8);
      const y = (canvas.height - side) / 2 + Math.floor(i / 8) * (side / 8);
      return [...context.getImageData(x, Math.floor(y), 1, 1).data];
    });
  });
  const [[coarse, fine]] = await takenOnPage(page);
  const hasCoarse = (row: number, column: number): boolean =>
    coarse.includes(4 * Math.floor(row / 2) + Math.floor(column / 2));
  const hasFine = (row: number, column: number): boolean => fine.includes(8 * row + column);
  const seen = new Set<string>();
  for (let row = 1; row < 8; row++)
    for (let column = 0; column < 8; column++) {
      const isCoarse = row % 2 === 0 && (hasCoarse(row, column) || hasCoarse(row - 1, column));
      const isFine = hasFine(row, column) || hasFine(row - 1, column);
      // The coarse scale is drawn on the fine one.
      const want = isCoarse ? SCALE_LINES[0].colour : isFine ? SCALE_LINES[1].colour : [64, 64, 64];
      const got = above[8 * row + column];
      assert.ok(
        want.every((value, c) => Math.abs(value - got[c]) <= 2),
        `row ${row}, column ${column}: got ${got}, want ${want}`,
      );
      seen.add(want.join());
    }
  assert.is(seen.size, 3);
});

test('page: a box drawn on the image, and a point by the keyboard, decide instead of the prompt', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openImage(page);
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
  await page.setInputFiles('#image-file', imagePath);
  await page.waitForSelector('#hint', { state: 'hidden' });
  const shot = async (): Promise<string> => {
    await nextFrame(page);
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
  await page.setInputFiles('#image-file', imagePath);
  await page.click(TRAINED_HERE);
  await ended(page);
  const names = asked.map((url) => url.replace(pageUrl(), '')).filter((name) => name.startsWith('model/'));
  assert.equal([...new Set(names)].sort(), [
    ...['model/config.json', 'model/model.safetensors', 'model/model.safetensors.index.json'],
    ...['model/preprocessor_config.json', 'model/tokenizer.json', 'model/tokenizer_config.json'],
  ]);
  assert.ok(
    asked.every((url) => url.startsWith(pageUrl())),
    asked.join(),
  );
  await page.fill('#captions', 'ring\n\nsnowman');
  await page.click('#compare button');
  await page.waitForSelector('#similarities li');
  using model = await PS3.load(engine, checkpoint);
  using image = resizeToSquare(engine, await decodeImage(imagePath), 112);
  using similarity = await model.similarity(image, ['ring', 'snowman']);
  const want = [...(await similarity.probabilities.data())].map(
    (value) => `${(100 * value).toPrecision(3)} %`,
  );
  assert.equal(await page.locator('#similarities .number').allTextContents(), want);
});

test('page: stops when asked to, and keeps what it has', async () => {
  const page = await openPage();
  await loadFiles(page);
  await openImage(page);
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
  await openImage(page);
  await lookFor(page, 'a-word-that-is-longer-than-a-phone-is-wide-and-that-nobody-knows-at-all');
  assert.is(await page.evaluate('document.documentElement.scrollWidth'), 390);
  assert.match((await page.textContent('#prompt-note'))!, /^This checkpoint was not trained with “awordthat/);
});

test('page: what is proved of a device is kept for the next visit, which plans by it', async () => {
  const page = await openPage();
  const warnings: string[] = [];
  page.on('console', (message) => warnings.push(message.text()));
  await loadFiles(page);
  const kept = (): Promise<{ url: string; text: string } | undefined> =>
    page.evaluate(async () => {
      const cache = await caches.open('ps3-devices');
      const [{ url } = { url: '' }] = await cache.keys();
      const found = await cache.match(url);
      return found && { url, text: await found.text() };
    });
  const started = performance.now();
  while (!(await kept()) && performance.now() - started < WAIT_MS) await page.waitForTimeout(100);
  const { url, text } = (await kept())!;
  const record = JSON.parse(text);
  assert.match(record.adapter, /swiftshader/i);
  assert.ok(record.kernels.length > 0);
  assert.equal(
    record.kernels.filter(({ fault }: { fault?: string }) => fault),
    [],
  );
  assert.equal(warnings, []);

  const feature = 'products of few rows';
  const other = { ...record, kernels: [{ feature, cases: 0, error: 0, fault: '1 instead of 2' }] };
  await page.evaluate(
    async ([url, text]) => (await caches.open('ps3-devices')).put(url, new Response(text)),
    [url, JSON.stringify(other)],
  );
  await page.reload();
  await loadFiles(page);
  assert.match(warnings.join('\n'), /products of few rows must compute .* got 1 instead of 2/);
  await openImage(page);
  assert.equal(await takenOnPage(page), (await takenHere({ tokens: LOOK })).taken);
});

test('page: its policy was not broken by anything above', () => {
  assert.equal(violations, []);
});

test.run();
