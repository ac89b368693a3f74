// Which files of a folder or an archive are images.
import { extname } from 'node:path';

/** Suffixes of images, lower case; the last row are formats that are known as images and cannot be read. */
const SUFFIXES: readonly string[] = [
  ...['.jpg', '.jpeg', '.jfif', '.png', '.webp', '.gif', '.avif', '.tif', '.tiff'],
  ...['.bmp', '.ppm', '.pgm', '.heic', '.jxl'],
];

/** What to do with an image that cannot be read. */
export const FORMATS_READ = 'JPEG, PNG, WebP, GIF, AVIF and TIFF are read: convert, replace or remove it.';

/** Whether a file is an image by its name; hidden files, such as the `._a.jpg` that macOS leaves, are not. */
export function isImageName(name: string): boolean {
  return !name.startsWith('.') && SUFFIXES.includes(extname(name).toLowerCase());
}
