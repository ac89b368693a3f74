// Images decoded by the browser, and read through WebGL, which hands out colours beneath alpha as they are stored; a canvas
// would have multiplied them.
import type * as decoder from './decoder.ts';

export const decodePixels: typeof decoder.decodePixels = async (encoded, orient, maxPixels) => {
  const copy = new Uint8Array(encoded);
  const bitmap = await createImageBitmap(new Blob(orient ? [copy] : withoutExif(copy)), {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const { width, height } = bitmap;
  if (width * height > maxPixels) throw new Error(`more than ${maxPixels} pixels`);
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
};

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
