// The package in a page: installed into a project with vite, built by it, opened in Chromium on SwiftShader.
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { test } from 'uvu';
import { execute, expectExamples, installProject, newFolder, packPackage } from './install.ts';

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

test('embed: in a page built by vite the examples run', async () => {
  const folder = await newFolder();
  await packPackage(folder);
  const project = await installProject(folder, 'vite');
  await execute(
    process.execPath,
    ['node_modules/vite/bin/vite.js', 'build', 'tests/embed/vite', '--target', 'es2022'],
    project,
  );
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  });
  try {
    await serving(join(project, 'tests/embed/vite/dist'), async (url) => {
      const page = await browser.newPage();
      await page.goto(url);
      await page.waitForFunction(() => document.body.textContent.trim() !== '', undefined, {
        timeout: 240_000,
      });
      expectExamples((await page.textContent('body')) ?? '');
    });
  } finally {
    await browser.close();
    await rm(folder, { recursive: true });
  }
});

test.run();
