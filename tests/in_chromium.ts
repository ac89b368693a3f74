// Runs one test file in Chromium: node --import tsx tests/in_chromium.ts tests/ops/gelu.test.ts
//
// The file is bundled with what it imports, and a page on localhost runs it; fixtures come over http. What the page prints is
// printed. The exit code is 1 when the page breaks before uvu's summary.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launchChromium } from './chromium.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const html =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="test.js"></script>';

const { outputFiles } = await build({
  entryPoints: [join(root, process.argv[2])],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  sourcemap: 'inline',
  logLevel: 'error',
});

// The bundle lies where tests/harness.ts does, so that both find the fixtures beside them.
const server = createServer(async ({ url = '/' }, response) => {
  try {
    if (url === '/tests/') response.setHeader('content-type', 'text/html').end(html);
    else if (url === '/tests/test.js')
      response.setHeader('content-type', 'text/javascript').end(outputFiles[0].contents);
    else if (/^\/tests\/fixtures\/[\w/-]+\.\w+$/.test(url)) response.end(await readFile(join(root, url)));
    else response.writeHead(404).end();
  } catch (error) {
    response.writeHead(404).end(String(error));
  }
});
await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
const { port } = server.address() as AddressInfo;

const browser = await launchChromium();
const page = await browser.newPage();
const ended = new Promise<void>((resolve, reject) => {
  page.on('console', (message) => {
    console.log(message.text());
    if (/^\s*Duration: /.test(message.text())) resolve();
  });
  page.on('pageerror', reject);
  page.on('crash', () => reject(new Error('the page crashed')));
});
try {
  await page.goto(`http://localhost:${port}/tests/`);
  await ended;
  const summary = await page.evaluate(() => (globalThis as { testSummary?: () => string }).testSummary?.());
  if (summary) console.log(summary);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}
