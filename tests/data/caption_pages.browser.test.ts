// Web pages as images with captions: boxes beside the style sheet that places them, and beside the pixels.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { captionSources } from '../../ps3/data/caption/run.ts';
import { PageReader } from '../../ps3/data/caption/web_page.ts';
import { openFolder } from '../../ps3/data/folder.ts';
import { interfacePage } from '../../ps3/data/generators/interfaces.ts';
import { decodeImage } from '../../ps3/model/image.ts';

const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(chromium)) {
  console.log(`skipped: needs ${chromium}`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'ps3-caption-pages-'));
const page = join(folder, 'page.html');
writeFileSync(
  page,
  `<!doctype html><title>A small page</title>
<style>
  body { margin: 0; background: white; color: black; font: 20px sans-serif; height: 1500px }
  .at { position: absolute } button { border: 0; padding: 0; background: white; font: inherit }
  a { color: black; text-decoration: none } .cover { background: white; width: 300px; height: 40px }
</style>
<p class="at" style="left: 40px; top: 30px; width: 220px">The quick brown fox jumps over the lazy dog</p>
<button class="at" style="left: 400px; top: 50px; width: 120px; height: 40px" aria-label="Save">OK</button>
<a class="at" style="left: 600px; top: 50px" href="#">next <b>pa</b>ge</a>
<img class="at" style="left: 400px; top: 200px; width: 64px; height: 32px" alt="red fox"
  src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Crect width='64' height='32'/%3E%3C/svg%3E">
<p class="at" style="left: 40px; top: 300px">covered text</p><div class="at cover" style="left: 40px; top: 310px"></div>
<p class="at" style="left: 40px; top: 360px; opacity: 0">clear text</p>
<p class="at" style="left: 40px; top: 400px; visibility: hidden">hidden text</p>
<p class="at" style="left: 780px; top: 450px; white-space: nowrap">over the border</p>
<div class="at" style="left: 40px; top: 480px; width: 90px; height: 30px; overflow: hidden"><p style="margin: 40px 0 0">cut text</p></div>
<p class="at" style="left: 40px; top: 1200px">far below</p>`,
);

test.after(() => rmSync(folder, { recursive: true, force: true }));

test('PageReader: only what is seen, where the style sheet puts it', async () => {
  await using reader = await PageReader.open();
  const screens = [];
  for await (const screen of reader.screens(page, { width: 800, height: 600, screens: 9 }))
    screens.push(screen);
  assert.is(screens.length, 3); // of 1500 pixels; the last ends with the page
  const [{ blocks, elements, title, image }, second, last] = screens;
  assert.is(title, 'A small page');
  const texts = blocks.map((lines) => lines.map((line) => line.map(({ text }) => text).join(' ')).join(' '));
  assert.equal(texts, ['The quick brown fox jumps over the lazy dog', 'OK', 'next page']);
  assert.ok(blocks[0].length >= 2, 'lines of a paragraph');
  assert.equal(elements, [
    { text: 'Save button', box: [400, 50, 520, 90] },
    { ...elements[1], text: 'next page link' },
    { text: 'red fox', box: [400, 200, 464, 232] },
  ]);
  assert.equal(second.blocks, []); // pixels 600 to 1200
  assert.equal(
    last.blocks.flat(2).map(({ text }) => text),
    ['far', 'below'],
  );

  const { rgba, width, height } = await decodeImage(image, { name: 'screen' });
  assert.equal([width, height], [800, 600]);
  const boxes = [...blocks.flat(2), elements[2]].map(({ box }) => box);
  const dark = boxes.map(() => 0);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < 780; x++) {
      if (rgba[4 * (y * width + x)] > 100) continue;
      const at = boxes.findIndex(([x1, y1, x2, y2]) => x + 1 > x1 && x < x2 && y + 1 > y1 && y < y2);
      assert.is.not(at, -1, `a dark pixel outside of all boxes: ${x}, ${y}`);
      dark[at]++;
    }
  assert.not(dark.includes(0), `dark pixels by box: ${dark}`);
});

test('PageReader: what a page says of its elements is what it shows, with all that belongs to them', async () => {
  const file = join(folder, 'said.html');
  writeFileSync(
    file,
    `<!doctype html><title>Two things</title><style>body { margin: 0; font: 20px monospace } div { position: absolute }</style>
<div data-caption="A bar." style="left: 10px; top: 20px; width: 300px; height: 40px"><span data-question="What?" data-kind="word">HI</span></div>
<div data-caption="A unit." style="left: 200px; top: 200px; width: 0; height: 0"><div style="left: -20px; top: -30px; width: 40px; height: 30px"></div><div style="left: 25px; top: -50px; width: 30px; height: 10px"></div></div>`,
  );
  await using reader = await PageReader.open();
  for await (const { shown } of reader.screens(file, { width: 800, height: 600, screens: 1 })) {
    assert.equal(shown!.captions, [
      { text: 'A bar.', box: [10, 20, 310, 60] },
      { text: 'A unit.', box: [180, 150, 255, 200] },
    ]);
    assert.is(shown!.title, 'Two things');
    assert.equal(
      shown!.facts.map(({ text, question }) => [text, question]),
      [['HI', 'What?']],
    );
  }
});

test('captionSources: a page becomes an image with captions of its texts and elements', async () => {
  const out = join(folder, 'out');
  const screen = { width: 800, height: 600, screens: 1 };
  const result = await captionSources({ source: page, out, screen, threads: 1 });
  assert.equal(result, { images: 1, captions: 5, sources: 1, kept: 0 });
  const [{ captions, globalCaption, width, height }] = await openFolder(out);
  assert.equal(captions, [
    'Save button',
    'next page link',
    'red fox',
    'The quick brown fox jumps over the lazy dog',
    'OK',
  ]);
  assert.equal([globalCaption, width, height], ['A small page', 800, 600]);
});

test('captionSources: by kind, a page becomes an image with what things are', async () => {
  const out = join(folder, 'kinds');
  const file = join(folder, 'kinds.html');
  const at = (left: number): string => `style="position: absolute; left: ${left}px; top: 50px"`;
  writeFileSync(
    file,
    `<p ${at(10)}>Some words</p><button ${at(200)}>Go</button><input type="checkbox" ${at(300)}>
<svg ${at(400)} width="20" height="20"><rect width="20" height="20"/></svg><svg style="visibility: hidden" width="9" height="9"></svg>`,
  );
  const screen = { width: 800, height: 600, screens: 1 };
  await captionSources({ source: file, out, screen, threads: 1, kinds: true });
  const [{ captions, boxes }] = await openFolder(out);
  assert.equal(captions, ['button', 'checkbox', 'icon', 'text', 'text']);
  assert.equal(boxes[2], [400, 50, 420, 70]);
});

test('interfacePage: a seed gives a page, all of whose texts are found on it', async () => {
  const fonts = [{ name: 'none', path: page }];
  const material = {
    split: 'train' as const,
    fonts: { screen: fonts, road: fonts, shop: fonts, hand: fonts, display: fonts },
    themes: [['#eee', '#fff', '#000', '#ccc', '#00f']],
    icon: () => '<svg></svg>',
  };
  const html = interfacePage(7, material);
  assert.is(interfacePage(7, material), html);
  assert.is.not(interfacePage(8, material), html);
  const file = join(folder, 'interface.html');
  writeFileSync(file, html);
  await using reader = await PageReader.open();
  const words: string[] = [];
  for await (const { blocks, elements } of reader.screens(file, { width: 3840, height: 2160, screens: 9 })) {
    words.push(...blocks.flat(2).map(({ text }) => text));
    const names = [...html.matchAll(/aria-label="([^"]+)"/g)].map(([, name]) => `${name} button`);
    const seen = elements.map(({ text }) => text).filter((text) => text.endsWith(' button'));
    assert.equal(seen, names);
  }
  assert.ok(words.length > 100);
  // The texts between the tags, as they stand in the source.
  const source = html
    .slice(html.indexOf('</style>'))
    .replace(/<span data-question[^>]*>([^<]*)<\/span>/g, '$1') // asked about, perhaps inside a word
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&gt;', '>')
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  const written = new Set(source.split(/\s+/));
  assert.equal(
    words.filter((word) => !written.has(word)),
    [],
  );
  const version = /Version \S+/.exec(source)![0].split(' ')[1];
  assert.ok(words.includes(version), version);
});

test.run();
