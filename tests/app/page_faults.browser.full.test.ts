// What the page says when something is wrong, in a real Chromium.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { servePage } from '../../engine/page_server.ts';
import { launchChromium } from '../chromium.ts';
import {
  checkpointFiles,
  crashGpu,
  ended,
  folder,
  LOOK,
  loadFiles,
  openImage,
  openPage,
  pageUrl,
  TRAINED_HERE,
  takenHere,
  takenOnPage,
  violations,
  WAIT_MS,
  withPage,
} from './page_site.ts';

const test = suite('the page, faults');
withPage(test);

test('page: faults of checkpoints, images and addresses are sentences, and nothing is asked for', async () => {
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
  await page.setInputFiles('#image-file', {
    name: 'text.png',
    mimeType: 'image/png',
    buffer: Buffer.from('text'),
  });
  await page.waitForSelector('#notices p >> nth=1');
  assert.match((await notices())!, /text\.png must be an image that this browser can show/);
  await loadFiles(page);
  await openImage(page);
  assert.is(await notices(), '');
});

test('page: says what to do without WebGPU', async () => {
  const page = await openPage((it) => it.addInitScript('delete Navigator.prototype.gpu'));
  assert.match((await page.textContent('#notices'))!, /^This browser offers no WebGPU\. Open the page in /);
  assert.ok(await page.isDisabled(TRAINED_HERE));
});

test('page: says what to do without an adapter', async () => {
  const plain = await launchChromium(['--disable-gpu']);
  try {
    const page = await plain.newPage();
    page.setDefaultTimeout(WAIT_MS);
    await page.goto(pageUrl());
    await page.click(TRAINED_HERE);
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
  await openImage(page);
  await crashGpu();
  await page.waitForSelector('#notices p');
  assert.match((await page.textContent('#notices'))!, /^The GPU device was lost, and the model with it\./);
  await page.click(TRAINED_HERE);
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
  await page.click(TRAINED_HERE);
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
  const { headers } = await fetch(`${pageUrl()}worker.js`);
  assert.match(headers.get('content-security-policy')!, /^default-src 'none'; script-src 'self';/);
});

test.run();
