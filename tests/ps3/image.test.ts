import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DecodeOptions, decodeImage, ImageError, resizeToSquare } from '../../ps3/model/image.ts';
import { compare, engine, fixtureBytes, fixtureCases, fixtureUrl, TOLERANCE, throws } from '../harness.ts';
import { pillowResize } from '../reference/pillow_resize.ts';

const inBrowser = globalThis.process?.versions?.node === undefined;
const wanted = await fixtureCases('pillow/decode');
const imageUrl = (name: string): URL => fixtureUrl(`pillow/images/${name}`);
const encoded = (name: string): ReturnType<typeof fixtureBytes> => fixtureBytes(`pillow/images/${name}`);

/** Decodes a fixture and compares it with what Pillow made of it. */
async function check(name: string, vector = 'rgb', options: DecodeOptions = {}, abs = 0): Promise<void> {
  const { rgba, width, height } = await decodeImage(imageUrl(name), options);
  const { data, shape } = wanted.get(name)!.get(vector)!;
  assert.equal([height, width, 3], shape, name);
  compare(
    name,
    rgba.filter((_, i) => i % 4 !== 3),
    data,
    { abs, rel: 0 },
  );
  assert.ok(
    rgba.every((byte, i) => i % 4 !== 3 || byte === 255),
    `${name} is opaque`,
  );
}

for (const [what, names] of Object.entries({
  'JPEG 4:4:4 and 4:2:0, progressive and grey': ['rgb_444.jpg', 'rgb_420.jpg', 'progressive.jpg', 'grey.jpg'],
  'PNG in RGB, grey, palette and one bit': ['rgb.png', 'grey.png', 'palette.png', 'bilevel.png'],
  'alpha, which is dropped and not composited': [
    'rgba.png',
    'rgba.webp',
    'grey_alpha.png',
    'palette_transparent.png',
  ],
  'lossy WebP': ['lossy.webp'],
  'GIF, and the first frame of an animation': ['palette.gif', 'animated.gif'],
  'first frames that cover a part of the canvas': [
    'small_frame.gif',
    'small_frame_transparent.gif',
    'frame_beyond.gif',
    'small_frame.webp',
  ],
  'one pixel': ['one_pixel.png', 'one_pixel.jpg'],
  'a colour profile, which is ignored': ['profile.jpg'],
}))
  test(`image: Pillow's pixels of ${what}`, async () => {
    for (const name of names) await check(name);
  });

test('image: 16-bit samples are cut to their upper 8 bits', async () => {
  await check('grey_16.png');
  await check('rgb_16.png');
  await check('grey_alpha_16.png');
});

test('image: CMYK is converted by (1 - C)(1 - K) as in Pillow, in a browser with one rounding less', async () => {
  for (const name of ['cmyk.jpg', 'cmyk_progressive.jpg', 'cmyk_plain.jpg', 'ycck.jpg'])
    await check(name, 'rgb', {}, inBrowser ? 1 : 0);
});

test('image: EXIF orientation is ignored unless asked for', async () => {
  const others = [2, 3, 4, 5, 7, 8].map((orientation) => `turned_${orientation}.jpg`);
  for (const name of ['turned.jpg', 'turned.png', 'turned.webp', ...others]) {
    await check(name);
    // Chromium turns no WebP.
    if (!(inBrowser && name.endsWith('.webp'))) await check(name, 'oriented', { orient: true });
  }
});

test('image: colours beneath the transparency of a GIF are those of the palette, as in Pillow', async () => {
  const { rgba } = await decodeImage(await fixtureBytes('cases/transparent.gif'));
  const counts = new Map<string, number>();
  for (let at = 0; at < rgba.length; at += 4) {
    const colour = rgba.subarray(at, at + 3).join();
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  // Image.open(...).convert('RGB').getcolors() of Pillow 9.4; the transparent one is the first.
  assert.is(counts.get('213,213,41'), 194);
  assert.equal(
    [counts.get('181,181,73'), counts.get('150,150,105'), counts.get('246,246,8')],
    [200, 187, 192],
  );
  assert.equal([counts.size, counts.get('0,0,0')], [16, undefined]);
});

test('image: a strip of 12000 pixels, wider than a texture, keeps every pixel', async () => {
  const { rgba, width, height } = await decodeImage(imageUrl('strip.png'));
  assert.equal([width, height], [12000, 3]);
  for (let at = 0; at < rgba.length; at += 4)
    assert.equal(
      [...rgba.subarray(at, at + 4)],
      [0, Math.floor(at / 48000) * 10, Math.floor(at / 48000) * 5, 255],
    );
});

test('image: an address, a Blob and bytes give the same', async () => {
  const url = imageUrl('rgb_420.jpg');
  const { rgba } = await decodeImage(url);
  const path = url.protocol === 'file:' ? decodeURIComponent(url.pathname) : url.href;
  compare('text', (await decodeImage(path)).rgba, rgba, TOLERANCE.exact);
  compare('file or http address as text', (await decodeImage(url.href)).rgba, rgba, TOLERANCE.exact);
  const source = await encoded('rgb_420.jpg');
  compare('Blob', (await decodeImage(new Blob([source]))).rgba, rgba, TOLERANCE.exact);
  compare('bytes', (await decodeImage(source)).rgba, rgba, TOLERANCE.exact);
  const data = `data:image/jpeg;base64,${btoa(String.fromCharCode(...source))}`;
  compare('data: address', (await decodeImage(data)).rgba, rgba, TOLERANCE.exact);
});

/** The message of the ImageError that decoding throws. */
async function refusal(source: Parameters<typeof decodeImage>[0], options?: DecodeOptions): Promise<string> {
  try {
    await decodeImage(source, options);
  } catch (error) {
    assert.instance(error, ImageError);
    return (error as ImageError).message;
  }
  throw new Error(`${String(source)} must be refused, got decoded`);
}

test('image: what is cut off, empty, no image or missing is refused in one sentence with its name', async () => {
  const names = ['truncated.png', 'text.jpg', 'empty.png'];
  // Chromium shows a JPEG as far as it goes.
  if (!inBrowser) names.push('truncated.jpg');
  for (const name of names) {
    const message = await refusal(imageUrl(name));
    assert.match(message, `${name} must decode as an image, got: `, name);
    assert.match(message, /[^.]\. Replace or remove it\.$/);
    assert.not.match(message, '\n');
  }
  assert.match(
    await refusal(imageUrl('missing.png')),
    /^decodeImage: .*missing\.png must be readable, got: .*\.$/,
  );
  const broken = new Uint8Array([1, 2, 3]);
  assert.match(await refusal(broken), /^decodeImage: bytes in memory must decode as an image/);
  assert.match(await refusal(new Blob([broken])), /^decodeImage: Blob must decode as an image/);
  assert.match(
    await refusal(new File([broken], 'cat.jpg')),
    /^decodeImage: cat\.jpg must decode as an image/,
  );
  assert.match(await refusal(broken, { name: 'shard 3' }), /^decodeImage: shard 3 must decode as an image/);
});

test('image: resizeToSquare gives the bytes of Pillow in the scope asked for', async () => {
  using scope = engine.scope();
  const before = engine.stats().liveTensors;
  const image = await decodeImage(imageUrl('rgba.png'));
  const squashed = resizeToSquare(engine, image, 56, { scope });
  assert.equal([squashed.shape, squashed.dtype, squashed.scope], [[1, 56, 56, 4], 'u8', scope]);
  assert.is(engine.stats().liveTensors, before + 1);
  const want = pillowResize(image.rgba, 1, [image.height, image.width], [56, 56]);
  compare('resizeToSquare', await squashed.data(), want, TOLERANCE.exact);
  using own = resizeToSquare(engine, image, 7);
  assert.is(own.scope, undefined);
  throws(
    () => resizeToSquare(engine, image, 0),
    /^resizeToSquare: sidePx must be a positive integer, got 0\.$/,
  );
});

test.run();
