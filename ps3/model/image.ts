// Images as the reference's processor reads them: decoded to RGB at the stored size, then squashed to a square by
// Pillow's bicubic. Every other resolution is sampled from that square inside kernels.
import { decodePixels } from '#decoder';
import {
  type BlobLike,
  type Engine,
  EngineError,
  expect,
  expectKeys,
  fileSystem,
  pillowResize,
  type Scope,
  type Tensor,
  type UrlLike,
} from '../../engine/index.ts';
import type { DecodedImage } from './decoder.ts';

export type { DecodedImage } from './decoder.ts';

/** An image that cannot be read. */
export class ImageError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('image', message, options);
  }
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
    const image = await decodePixels(whole, orient, MAX_PIXELS);
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

/** Node and Deno name a version of Node. */
const inBrowser = globalThis.process?.versions?.node === undefined;

function nameOf(source: string | UrlLike | BlobLike | Uint8Array): string {
  if (source instanceof Uint8Array) return 'bytes in memory';
  if (typeof source === 'object' && 'arrayBuffer' in source) return source.name ?? 'Blob';
  const text = typeof source === 'object' ? source.href : source;
  return text.length > 200 ? `${text.slice(0, 197)}...` : text; // a data: address holds the image
}

async function readAll(source: string | UrlLike | BlobLike | Uint8Array, name: string): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (typeof source === 'object' && 'arrayBuffer' in source)
    return new Uint8Array(await source.arrayBuffer());
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
