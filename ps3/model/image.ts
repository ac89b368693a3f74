// Images as the reference's processor reads them: decoded to RGB at the stored size, then squashed to a square by
// Pillow's bicubic. Every other resolution is sampled from that square inside kernels.
import {
  type BlobLike,
  type Engine,
  EngineError,
  expect,
  expectKeys,
  fileSystem,
  isBlob,
  pillowResize,
  type Scope,
  type Tensor,
  type UrlLike,
} from '../../engine/index.ts';

/** An image that cannot be read. */
export class ImageError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('image', message, options);
  }
}

/** An image in memory. */
export interface DecodedImage {
  /** [height, width, 4], opaque. */
  readonly rgba: Uint8Array;
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/** How an image is decoded. */
export interface DecodeOptions {
  /** Turns the image as its EXIF orientation says (Chromium: not a WebP). Default false: the reference ignores it. */
  readonly orient?: boolean;
  /** What messages call the image; default: its path, address or file name. */
  readonly name?: string;
}

/** Images with more pixels are refused. */
const MAX_PIXELS = 2 ** 29;

// A name in a variable keeps bundlers for browsers, which decode by themselves, from resolving it.
const sharpPackage = 'sharp';

/**
 * Decodes an image to 8-bit RGB at its stored size: by sharp in Node and Deno, by the browser itself elsewhere.
 *
 * The pixels are those of Pillow's `convert('RGB')`: alpha is dropped, not composited; palettes and grey become RGB;
 * colour profiles are ignored; of an animation the first frame counts. Where it differs: 16 bits are cut to the upper
 * 8, while Pillow clips 16-bit grey at 255; CMYK in a browser is the browser's, in Chromium off by 1. The reference
 * resizes an image in its own mode and converts afterwards, which weighs by alpha and takes the nearest palette index:
 * here every mode is RGB before it is resized.
 *
 * @param source  encoded bytes, a Blob or File, an address, or a path (in a browser: a relative address)
 * @throws ImageError in one sentence when it is missing, cut off or no image; a browser shows the part of a JPEG that is
 *         there
 */
export async function decodeImage(
  source: string | UrlLike | BlobLike | Uint8Array,
  options: DecodeOptions = {},
): Promise<DecodedImage> {
  expectKeys('decodeImage', options, { orient: true, name: true });
  const name = options.name ?? nameOf(source);
  const encoded = await readAll(source, name);
  const orient = options.orient ?? false;
  try {
    const frame = gifFrame(encoded);
    const whole = frame?.opaque ?? encoded;
    const image = await (inBrowser ? decodeByBrowser(whole, orient) : decodeBySharp(whole, orient));
    if (frame) fillOutside(image, frame);
    return image;
  } catch (cause) {
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw new ImageError(
      `decodeImage: ${name} must decode as an image, got: ${reason.replace(/\.$/, '')}. ` +
        'JPEG, PNG, WebP, GIF, AVIF and TIFF are read. Replace or remove it.',
      { cause },
    );
  }
}

/**
 * Uploads an image and squashes it to a square, bit for bit as Pillow's `resize((S, S), BICUBIC)` does.
 *
 * @param sidePx  S, the model's largest scale
 * @param options  scope: where the result lives; without one, the caller disposes it
 * @returns       [1, S, S, 4] u8
 * @throws ShapeError when sidePx is not a positive integer
 * Source: Shi et al. 2025, arXiv:2503.19903, the released image processor.
 */
export function resizeToSquare(
  engine: Engine,
  { rgba, width, height }: DecodedImage,
  sidePx: number,
  options: { readonly scope?: Scope } = {},
): Tensor<'u8'> {
  expectKeys('resizeToSquare', options, { scope: true });
  expect(
    Number.isSafeInteger(sidePx) && sidePx > 0,
    'resizeToSquare',
    'sidePx must be a positive integer',
    `${sidePx}`,
  );
  using image = engine.tensor(rgba, [1, height, width, 4]);
  return pillowResize(image, [sidePx, sidePx]).moveTo(options.scope);
}

/** Node and Deno name a version of Node; Deno has createImageBitmap too, but not all of its options. */
const inBrowser = globalThis.process?.versions?.node === undefined;

function nameOf(source: string | UrlLike | BlobLike | Uint8Array): string {
  if (source instanceof Uint8Array) return 'bytes in memory';
  if (isBlob(source)) return source.name ?? 'Blob';
  const text = typeof source === 'object' ? source.href : source;
  return text.length > 200 ? `${text.slice(0, 197)}...` : text; // a data: address holds the image
}

async function readAll(source: string | UrlLike | BlobLike | Uint8Array, name: string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (isBlob(source)) return new Uint8Array(await source.arrayBuffer());
  try {
    const address = typeof source === 'object' ? source.href : source;
    if (inBrowser || /^(https?|blob|data):/i.test(address)) {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`HTTP status ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    }
    const { readFile } = await fileSystem();
    return await readFile(/^file:/i.test(address) ? new URL(address) : address);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ImageError(`decodeImage: ${name} must be readable, got: ${reason}.`, { cause });
  }
}

/** The first frame of a GIF. */
interface GifFrame {
  /** The file without the frame's transparency: decoders give black there, Pillow the palette's colour. */
  readonly opaque: Uint8Array;
  /** The part of the canvas that the frame covers. */
  readonly covers: { left: number; top: number; right: number; bottom: number };
  /** What Pillow shows elsewhere: the palette's transparent colour, without one its first. */
  readonly outside: Uint8Array;
}

/** The first frame of a file; undefined when it is no GIF or cut off. */
function gifFrame(encoded: Uint8Array): GifFrame | undefined {
  const [EXTENSION, GRAPHIC_CONTROL, IMAGE] = [0x21, 0xf9, 0x2c];
  if (new TextDecoder('latin1').decode(encoded.subarray(0, 4)) !== 'GIF8') return undefined;
  const tableBytes = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const opaque = encoded.slice();
  let transparent = 0;
  let at = 13 + tableBytes(encoded[10]);
  // Extensions before the first frame: a label, then blocks that begin with their length, an empty one last.
  for (; encoded[at] === EXTENSION; at++) {
    if (encoded[at + 1] === GRAPHIC_CONTROL && encoded[at + 3] & 1) {
      opaque[at + 3] &= ~1;
      transparent = encoded[at + 6];
    }
    at += 2;
    while (encoded[at] > 0) at += encoded[at] + 1;
  }
  if (encoded[at] !== IMAGE || encoded.length < at + 10) return undefined;
  const u16 = (offset: number): number => encoded[at + offset] + 256 * encoded[at + offset + 1];
  const [left, top] = [u16(1), u16(3)];
  const colour = (encoded[at + 9] & 0x80 ? at + 10 : 13) + 3 * transparent;
  return {
    opaque,
    covers: { left, top, right: left + u16(5), bottom: top + u16(7) },
    outside: encoded.slice(colour, colour + 3),
  };
}

/** Fills what the frame of a GIF leaves of the canvas. */
function fillOutside({ rgba, width, height }: DecodedImage, { covers, outside }: GifFrame): void {
  const { left, top, right, bottom } = covers;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (y < top || y >= bottom || x < left || x >= right) rgba.set(outside, 4 * (y * width + x));
}

async function decodeBySharp(encoded: Uint8Array, orient: boolean): Promise<DecodedImage> {
  const { default: sharp } = (await import(/* @vite-ignore */ sharpPackage)) as typeof import('sharp');
  const pipeline = sharp(encoded, { failOn: 'truncated', ignoreIcc: true, limitInputPixels: MAX_PIXELS });
  const isCmyk = (await pipeline.metadata()).space === 'cmyk';
  if (orient) pipeline.autoOrient();
  if (isCmyk) pipeline.pipelineColourspace('cmyk').toColourspace('cmyk');
  else pipeline.removeAlpha().toColourspace('srgb').ensureAlpha(1);
  const { data, info } = await pipeline.raw().toBuffer({ resolveWithObject: true });
  const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { rgba: isCmyk ? rgbOfCmyk(pixels) : pixels, width: info.width, height: info.height };
}

/** Pillow's conversion, which knows no inks: (1 - K) (1 - C), rounded at each product. */
function rgbOfCmyk(cmyk: Uint8Array): Uint8Array {
  const rgba = new Uint8Array(cmyk.length);
  for (let at = 0; at < cmyk.length; at += 4) {
    const white = 255 - cmyk[at + 3];
    for (let c = 0; c < 3; c++) {
      const product = cmyk[at + c] * white + 128;
      rgba[at + c] = white - (((product >> 8) + product) >> 8);
    }
    rgba[at + 3] = 255;
  }
  return rgba;
}

/** Through WebGL, which hands out colours beneath alpha as they are stored; a canvas would have multiplied them. */
async function decodeByBrowser(encoded: Uint8Array, orient: boolean): Promise<DecodedImage> {
  const copy = new Uint8Array(encoded);
  const bitmap = await createImageBitmap(new Blob(orient ? [copy] : withoutExif(copy)), {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) throw new Error(`more than ${MAX_PIXELS} pixels`);
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) throw new Error('no WebGL to read its pixels with');
  const sidePx = Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE) as number, 4096);
  const rgba = new Uint8Array(4 * width * height);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  const texture = gl.getParameter(gl.TEXTURE_BINDING_2D) as WebGLTexture;
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.pixelStorei(gl.PACK_ROW_LENGTH, width);
  for (let top = 0; top < height; top += sidePx)
    for (let left = 0; left < width; left += sidePx) {
      const [w, h] = [Math.min(sidePx, width - left), Math.min(sidePx, height - top)];
      gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, left);
      gl.pixelStorei(gl.UNPACK_SKIP_ROWS, top);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, w, h, 0, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
      gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, rgba, 4 * (top * width + left));
    }
  if (gl.getError() !== gl.NO_ERROR) throw new Error('WebGL failed to read its pixels');
  gl.getExtension('WEBGL_lose_context')?.loseContext(); // frees the texture now, not when memory is collected
  bitmap.close();
  for (let at = 3; at < rgba.length; at += 4) rgba[at] = 255;
  return { rgba, width, height };
}

const [JPEG, EXIF_SEGMENT, FIRST_SCAN] = [0xffd8, 0xffe1, 0xffda];
const [PNG, EXIF_CHUNK] = [0x89504e47, 0x65584966]; // the first four bytes, and "eXIf"

/** The pieces of a file around the EXIF of a JPEG or PNG: browsers obey its orientation, asked or not. */
function withoutExif(encoded: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const view = new DataView(encoded.buffer);
  if (encoded.length < 8) return [encoded];
  const isJpeg = view.getUint16(0) === JPEG;
  if (!isJpeg && view.getUint32(0) !== PNG) return [encoded];
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let kept = 0;
  for (let at = isJpeg ? 2 : 8; at + 8 <= encoded.length; ) {
    const kind = isJpeg ? view.getUint16(at) : view.getUint32(at + 4);
    if (kind === FIRST_SCAN) break; // beyond it, JPEG has no segments that tell their length
    const end = isJpeg ? at + 2 + view.getUint16(at + 2) : at + 12 + view.getUint32(at);
    if (kind === EXIF_SEGMENT || kind === EXIF_CHUNK) {
      pieces.push(encoded.subarray(kept, at));
      kept = end;
    }
    at = end;
  }
  return [...pieces, encoded.subarray(kept)];
}
