// Draws one sprite with its variation (scale, rotation, mirror, colour, blur, shadow) and lays it on an
// image.

import type { Random } from '../../engine/index.ts';
import type { Box } from './boxes.ts';
import { type Bitmap, type Sprite, VISIBLE_ALPHA, visibleBox } from './sprites.ts';

/** The ranges that a cut-out's appearance is drawn from. */
export interface Variation {
  /** Largest rotation either way. */
  rotationDeg: number;
  /** Brightness factor in [1 - x, 1 + x], colour balance in half of that. */
  brightness: number;
  /** Saturation factor in [1 - x, 1 + x]. */
  saturation: number;
  /** Largest blur radius as a share of the object's long side. */
  blurShare: number;
  /** Largest darkness of the shadow in [0, 1]. */
  shadow: number;
}

/** A cut-out that is ready to be laid on an image. */
export interface Cutout {
  bitmap: Bitmap;
  /** Tight box of the visible pixels inside the bitmap. */
  box: Box;
  shadow: { alpha: Uint8Array; dx: number; dy: number; darkness: number } | undefined;
}

/** Running mean of 2r + 1 along a line of one array into the same line of another; outside is zero. */
function meanAlong(
  from: Uint8Array,
  to: Uint8Array,
  start: number,
  step: number,
  count: number,
  r: number,
): void {
  const share = 1 / (2 * r + 1);
  let sum = 0;
  for (let i = 0; i < Math.min(r, count); i++) sum += from[start + i * step];
  for (let i = 0; i < count; i++) {
    if (i + r < count) sum += from[start + (i + r) * step];
    if (i > r) sum -= from[start + (i - r - 1) * step];
    to[start + i * step] = sum * share + 0.5;
  }
}

/** Blurs interleaved channels in place by the mean over squares of side 2r + 1. */
function blur(values: Uint8Array, width: number, height: number, channels: number, r: number): void {
  const rows = new Uint8Array(values.length);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) meanAlong(values, rows, y * width * channels + c, channels, width, r);
    for (let x = 0; x < width; x++) meanAlong(rows, values, x * channels + c, width * channels, height, r);
  }
}

/** A 3x3 matrix that changes saturation (luma weights of BT.601) and then each channel's gain. */
function colourMatrix(saturation: number, gain: readonly [number, number, number]): Float64Array {
  const luma = [0.299, 0.587, 0.114];
  const matrix = new Float64Array(9);
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      const identity = row === column ? saturation : 0;
      matrix[3 * row + column] = gain[row] * (identity + (1 - saturation) * luma[column]);
    }
  }
  return matrix;
}

/** The smallest bitmap of the pyramid that is not smaller than wanted, else the largest. */
function levelFor(sprite: Sprite, longSidePx: number): Bitmap {
  let chosen = sprite.pyramid[0];
  for (const level of sprite.pyramid) {
    if (Math.max(level.width, level.height) >= longSidePx) chosen = level;
  }
  return chosen;
}

/** Rotates, scales, mirrors and colours by inverse mapping with bilinear interpolation of premultiplied pixels. */
function transform(
  source: Bitmap,
  target: Bitmap,
  scale: number,
  angle: number,
  mirror: boolean,
  m: Float64Array,
): void {
  const { width: sw, height: sh, rgba: from } = source;
  const { width, height, rgba: to } = target;
  const [cos, sin] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
  for (let y = 0; y < height; y++) {
    const dy = y + 0.5 - height / 2;
    for (let x = 0; x < width; x++) {
      const dx = x + 0.5 - width / 2;
      let u = cos * dx + sin * dy;
      if (mirror) u = -u;
      u += sw / 2 - 0.5;
      const v = cos * dy - sin * dx + sh / 2 - 0.5;
      if (u <= -1 || v <= -1 || u >= sw || v >= sh) continue;
      const [u0, v0] = [Math.floor(u), Math.floor(v)];
      const [fu, fv] = [u - u0, v - v0];
      // Corners outside the source weigh nothing; their index is any valid one.
      const left = u0 >= 0 ? 1 - fu : 0;
      const right = u0 + 1 < sw ? fu : 0;
      const upper = v0 >= 0 ? 1 - fv : 0;
      const lower = v0 + 1 < sh ? fv : 0;
      const [ul, ur, ll, lr] = [upper * left, upper * right, lower * left, lower * right];
      const row0 = Math.max(v0, 0) * sw;
      const row1 = (v0 + 1 < sh ? v0 + 1 : v0) * sw;
      const column0 = Math.max(u0, 0);
      const column1 = u0 + 1 < sw ? u0 + 1 : u0;
      const [i00, i01, i10, i11] = [row0 + column0, row0 + column1, row1 + column0, row1 + column1];
      const a =
        ul * from[4 * i00 + 3] + ur * from[4 * i01 + 3] + ll * from[4 * i10 + 3] + lr * from[4 * i11 + 3];
      if (a < 0.5) continue;
      const r = ul * from[4 * i00] + ur * from[4 * i01] + ll * from[4 * i10] + lr * from[4 * i11];
      const g =
        ul * from[4 * i00 + 1] + ur * from[4 * i01 + 1] + ll * from[4 * i10 + 1] + lr * from[4 * i11 + 1];
      const b =
        ul * from[4 * i00 + 2] + ur * from[4 * i01 + 2] + ll * from[4 * i10 + 2] + lr * from[4 * i11 + 2];
      const o = 4 * (y * width + x);
      // Premultiplied colour may not exceed its alpha.
      to[o] = Math.min(a, Math.max(0, m[0] * r + m[1] * g + m[2] * b)) + 0.5;
      to[o + 1] = Math.min(a, Math.max(0, m[3] * r + m[4] * g + m[5] * b)) + 0.5;
      to[o + 2] = Math.min(a, Math.max(0, m[6] * r + m[7] * g + m[8] * b)) + 0.5;
      to[o + 3] = a + 0.5;
    }
  }
}

/**
 * Draws a sprite so that its long side, before rotation, is `longSidePx`.
 *
 * @param upright  keeps the sprite unmirrored and nearly level, as words need
 */
export function drawCutout(
  sprite: Sprite,
  longSidePx: number,
  variation: Variation,
  upright: boolean,
  random: Random,
): Cutout {
  const source = levelFor(sprite, longSidePx);
  const scale = longSidePx / Math.max(source.width, source.height);
  const largest = (variation.rotationDeg * Math.PI) / 180;
  const angle = random.range(-1, 1) * (upright ? Math.min(largest, 0.12) : largest);
  const mirror = random.uniform() < 0.5 && !upright;
  const light = 1 + variation.brightness * random.range(-1, 1);
  const balance = (): number => light * (1 + 0.5 * variation.brightness * random.range(-1, 1));
  const matrix = colourMatrix(1 + variation.saturation * random.range(-1, 1), [
    balance(),
    balance(),
    balance(),
  ]);
  const blurRadius = Math.round(random.uniform() * variation.blurShare * longSidePx);
  const darkness = random.uniform() * variation.shadow;
  const shadowRadius = Math.max(1, Math.round(random.range(0.02, 0.06) * longSidePx));
  const shadowAngle = random.range(0, Math.PI); // light from above: the shadow falls downwards
  const shadowPx = random.range(0.02, 0.08) * longSidePx;

  const margin = 1 + Math.max(blurRadius, shadowRadius);
  const [w, h] = [source.width * scale, source.height * scale];
  const [c, s] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
  const width = Math.ceil(w * c + h * s) + 2 * margin;
  const height = Math.ceil(w * s + h * c) + 2 * margin;
  const bitmap: Bitmap = { width, height, rgba: new Uint8Array(4 * width * height) };
  transform(source, bitmap, scale, angle, mirror, matrix);
  if (blurRadius > 0) blur(bitmap.rgba, width, height, 4, blurRadius);
  const box = visibleBox(bitmap, VISIBLE_ALPHA);
  if (box === undefined)
    throw new Error(`internal: a ${longSidePx} px cut-out of ${sprite.style} has no visible pixel`);

  let shadow: Cutout['shadow'];
  if (darkness > 0.02) {
    const alpha = new Uint8Array(width * height);
    for (let i = 0; i < alpha.length; i++) alpha[i] = bitmap.rgba[4 * i + 3];
    blur(alpha, width, height, 1, shadowRadius);
    const dx = Math.round(Math.cos(shadowAngle) * shadowPx);
    const dy = Math.round(Math.sin(shadowAngle) * shadowPx);
    shadow = { alpha, dx, dy, darkness };
  }
  return { bitmap, box, shadow };
}

/**
 * Lays a cut-out on an image with its tight box's corner at (x1, y1).
 *
 * @param rgba  image [side, side, 4], opaque; changed in place
 * @returns the box in the image; exact as long as it is inside the image
 */
export function layOn(rgba: Uint8Array, side: number, cutout: Cutout, x1: number, y1: number): Box {
  const { bitmap, box, shadow } = cutout;
  const left = x1 - box[0];
  const top = y1 - box[1];
  for (let y = 0; shadow !== undefined && y < bitmap.height; y++) {
    const py = top + y + shadow.dy;
    if (py < 0 || py >= side) continue;
    for (let x = 0; x < bitmap.width; x++) {
      const px = left + x + shadow.dx;
      const alpha = shadow.alpha[y * bitmap.width + x];
      if (alpha === 0 || px < 0 || px >= side) continue;
      const keep = 1 - (shadow.darkness * alpha) / 255;
      const o = 4 * (py * side + px);
      rgba[o] *= keep;
      rgba[o + 1] *= keep;
      rgba[o + 2] *= keep;
    }
  }
  for (let y = Math.max(0, -top); y < Math.min(bitmap.height, side - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(bitmap.width, side - left); x++) {
      const i = 4 * (y * bitmap.width + x);
      const alpha = bitmap.rgba[i + 3];
      if (alpha === 0) continue;
      const o = 4 * ((top + y) * side + left + x);
      const keep = 1 - alpha / 255;
      rgba[o] = bitmap.rgba[i] + keep * rgba[o];
      rgba[o + 1] = bitmap.rgba[i + 1] + keep * rgba[o + 1];
      rgba[o + 2] = bitmap.rgba[i + 2] + keep * rgba[o + 2];
    }
  }
  return [x1, y1, x1 + box[2] - box[0], y1 + box[3] - box[1]];
}
