// Images decoded by sharp. Bundlers for browsers take decoder.browser.ts instead: package.json, `imports`.

/** An image in memory. */
export interface DecodedImage {
  /** [height, width, 4], opaque. */
  readonly rgba: Uint8Array;
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/**
 * Decodes a file of at most `maxPixels`.
 *
 * @param orient  rotates as its EXIF orientation says
 */
export async function decodePixels(
  encoded: Uint8Array,
  orient: boolean,
  maxPixels: number,
): Promise<DecodedImage> {
  const { default: sharp } = await import('sharp');
  const pipeline = sharp(encoded, { failOn: 'truncated', ignoreIcc: true, limitInputPixels: maxPixels });
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
