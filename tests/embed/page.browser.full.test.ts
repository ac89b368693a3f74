// The package in pages: installed into a project, bundled, opened in Chromium on SwiftShader.
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { Browser } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { launchChromium, needChromium } from '../chromium.ts';
import { BUNDLERS } from './bundlers.ts';
import { expectExamples, installProject, newFolder, packPackage } from './install.ts';

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };

/** Serves a folder on localhost; calls `use` with its address. */
async function serving(folder: string, use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(({ url = '/' }, response) => {
    const path = url === '/' ? '/index.html' : url;
    response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
    createReadStream(join(folder, path))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  try {
    await use(`http://localhost:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.close();
  }
}

const pages = suite<{ folder: string; page: string; browser: Browser }>('pages');

pages.before(async (context) => {
  context.folder = await newFolder();
  await packPackage(context.folder);
  context.page = join(await installProject(context.folder, 'page', '--omit=optional'), 'tests/embed/page');
  context.browser = await launchChromium();
});
pages.after(async ({ browser, folder }) => {
  await browser.close();
  await rm(folder, { recursive: true });
});

/** What a page prints that a bundler has made of an entry. */
async function printed(
  { page: project, browser }: { page: string; browser: Browser },
  bundler: keyof typeof BUNDLERS,
  entry: string,
): Promise<string> {
  const out = join(project, `dist/${bundler}/${entry}`);
  await BUNDLERS[bundler](project, entry, out);
  let text = '';
  await serving(out, async (url) => {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.log(`${bundler}: ${error}`));
    await page.goto(url);
    const print = () => document.body.textContent.trim() !== '';
    await page.waitForFunction(print, undefined, { timeout: 240_000 });
    text = (await page.textContent('body')) ?? '';
    await page.close();
  });
  return text;
}

pages('embed: in a page built by vite the examples run', async (context) => {
  expectExamples(await printed(context, 'vite', 'main.ts'));
});

for (const bundler of ['esbuild', 'vite', 'webpack'] as const)
  pages(`embed: in pages built by ${bundler} the engine computes and PS3 reads an image`, async (context) => {
    assert.is((await printed(context, bundler, 'engine.js')).trim(), '7,10,15,22');
    assert.equal(JSON.parse(await printed(context, bundler, 'model.js')), {
      rgba: [255, 0, 0, 255],
      finite: true,
      refused:
        'files: a path needs a runtime with files, got a browser. Pass bytes, a Blob or a File, or an address.',
    });
  });

needChromium();
pages.run();
