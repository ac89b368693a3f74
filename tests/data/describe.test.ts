// Photographs with captions: regions and boxes beside what can be counted by hand, captions by a model that is made up.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { captionerOf } from '../../ps3/data/caption/captioner.ts';
import { captionSources } from '../../ps3/data/caption/run.ts';
import { candidateBoxes, saliency, salientBoxes } from '../../ps3/data/caption/salient_boxes.ts';
import { segment } from '../../ps3/data/caption/segments.ts';
import { openFolder } from '../../ps3/data/folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'ps3-describe-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** An image of one colour with filled rectangles [x, y, w, h]. */
function drawn(width: number, height: number, parts: readonly [number, number, number, number][]) {
  const rgba = new Uint8Array(width * height * 4).fill(255);
  const fill = ([x, y, w, h]: readonly number[], colour: readonly number[]): void => {
    for (let v = y; v < y + h; v++) for (let u = x; u < x + w; u++) rgba.set(colour, 4 * (v * width + u));
  };
  fill([0, 0, width, height], [40, 90, 40]);
  for (const [i, part] of parts.entries()) fill(part, [200 - 40 * i, 60, 60 + 40 * i]);
  return { rgba, width, height };
}

test('segment: flat parts are regions, a ramp stays whole, what is small is joined', () => {
  const { labels, areas } = segment(
    drawn(100, 80, [
      [10, 10, 20, 30],
      [60, 20, 16, 16],
      [2, 2, 3, 3],
    ]),
  );
  assert.equal(
    [...areas].sort((a, b) => a - b),
    [256, 600, 8000 - 256 - 600],
  ); // 3 x 3 is below 50
  assert.is(labels[10 * 100 + 10], labels[39 * 100 + 29]);
  assert.is.not(labels[0], labels[20 * 100 + 60]);
  const ramp = {
    rgba: Uint8Array.from({ length: 64 * 64 * 4 }, (_, i) => (i % 4 === 3 ? 255 : (i >> 2) % 64)),
    width: 64,
    height: 64,
  };
  assert.equal(segment(ramp).areas, [64 * 64]);
});

test('candidateBoxes: a fifth of the short side, three shapes of one area, inside', () => {
  const boxes = candidateBoxes(200, 100);
  // 10 x 5 cells of 20; the wide shape does not fit the first and last columns, the high one the first and last rows.
  assert.is(boxes.length, 50 + 8 * 5 + 10 * 3);
  for (const [x1, y1, x2, y2] of boxes) {
    assert.ok(Math.abs((x2 - x1) * (y2 - y1) - 400) < 1e-9);
    assert.ok(x1 >= 0 && y1 >= 0 && x2 <= 200 && y2 <= 100);
  }
});

test('saliency: the sum over regions, counted by hand', () => {
  // Left half region 0, right half two regions of 10 x 10 and 10 x 10 pixels; each pixel stands for 10 x 10 of the image.
  const labels = Int32Array.from({ length: 400 }, (_, i) => (i % 20 < 10 ? 0 : i < 200 ? 1 : 2));
  const segments = { width: 20, height: 20, labels, areas: [200, 100, 100] };
  // All of region 1, and the ten pixels at the right border of region 0.
  const expected = (40000 / 20000) * (10 / 200) + (40000 / 10000) * 1;
  assert.ok(Math.abs(saliency([90, 0, 200, 100], segments, 10) - expected) < 1e-9);
  // Below 40 x 40 pixels a region counts as that: 400 / 1600 of the image, all of it inside.
  assert.ok(Math.abs(saliency([0, 0, 20, 20], segments, 1) - 3 * (400 / 1600)) < 1e-9);
});

test('salientBoxes: on what is small and detailed, never over another', () => {
  const spots = Array.from({ length: 9 }, (_, i): [number, number, number, number] => [
    400 + 30 * (i % 3),
    200 + 30 * Math.floor(i / 3),
    20,
    20,
  ]);
  const boxes = salientBoxes(segment(drawn(1000, 500, spots)), 1000, 500, 4);
  assert.is(boxes.length, 4);
  const [[x1, y1, x2, y2]] = boxes;
  assert.ok(x1 < 490 && x2 > 400 && y1 < 290 && y2 > 200, `${boxes[0]}`);
  for (const [i, a] of boxes.entries())
    for (const b of boxes.slice(0, i))
      assert.ok(a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1], `${a} over ${b}`);
});

const program = join(folder, 'captioner.mjs');
// Says how large what it was given is, as sharp reads it.
writeFileSync(
  program,
  `#!/usr/bin/env node
import sharp from ${JSON.stringify(import.meta.resolve('sharp'))};
const sizes = await Promise.all(process.argv.slice(2).map(async (path) => {
  const { width, height, format } = await sharp(path).metadata();
  return format + ' ' + width + ' by ' + height;
}));
console.log('sees\\n ' + sizes.join(' and ') + '\\n');
`,
);
chmodSync(program, 0o755);

test('captionSources: images with a program that describes them, and none without', async () => {
  const source = mkdtempSync(join(folder, 'photos-'));
  const { rgba, width, height } = drawn(400, 300, [
    [50, 50, 40, 40],
    [300, 200, 30, 30],
  ]);
  const raw = { width, height, channels: 4 } as const;
  writeFileSync(join(source, 'photo.png'), await sharp(rgba, { raw }).png().toBuffer());
  const notices: string[] = [];
  const run = {
    source,
    out: join(folder, 'described'),
    threads: 1,
    notice: (text: string) => notices.push(text),
  };
  try {
    await captionSources(run);
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /there must be PDF or HTML files, or images and a captioner/);
  }
  assert.match(notices[0], /1 images are left out: they need a captioner/);
  await captionSources({ ...run, captioner: program, boxes: 2 });
  const [image] = await openFolder(run.out);
  assert.is(image.globalCaption, 'sees jpeg 400 by 300');
  assert.equal([image.width, image.height, image.captions.length], [400, 300, 2]);
  for (const [i, [x1, y1, x2, y2]] of image.boxes.entries()) {
    const [w, h] = [Math.round(x2) - Math.round(x1), Math.round(y2) - Math.round(y1)];
    assert.is(image.captions[i], `sees jpeg 400 by 300 and jpeg ${w} by ${h}`);
  }
});

test('captionerOf: a chat server, and what fails in one sentence', async () => {
  const asked: { messages: { content: { type: string; image_url?: { url: string } }[] }[] }[] = [];
  let status = 200;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    asked.push(JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(status).end(JSON.stringify({ choices: [{ message: { content: ' a red\n kite ' } }] }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const captioner = captionerOf(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`,
    );
    assert.is(await captioner(Uint8Array.of(1, 2), Uint8Array.of(3)), 'a red kite');
    const urls = asked[0].messages[0].content.flatMap(({ image_url }) => (image_url ? [image_url.url] : []));
    assert.equal(urls, ['data:image/jpeg;base64,AQI=', 'data:image/jpeg;base64,Aw==']);
    status = 503;
    await captioner(Uint8Array.of(1), undefined).then(assert.unreachable, (error: Error) =>
      assert.match(error.message, /must answer with a caption, got: status 503/),
    );
  } finally {
    server.close();
  }
  await captionerOf('/no/such/program')(Uint8Array.of(1), undefined).then(
    assert.unreachable,
    (error: Error) =>
      assert.match(error.message, /\/no\/such\/program must answer with a caption, got: spawn .*ENOENT/),
  );
});

test.run();
