import type { UrlLike } from '../../../engine/index.ts';

/**
 * The folder of nano-4k, the small model that is part of this package: published geometry, 378 to 3780 px, trained on
 * composed scenes to find 32 kinds of objects, and text, icons and buttons on screens; its README.md is the model card.
 *
 * ```ts
 * using ps3 = await PS3.load(engine, NANO_4K);
 * ```
 *
 * In a browser, serve the folder `ps3-webgpu/ps3/checkpoints/nano-4k` and pass its address instead.
 */
export const NANO_4K: UrlLike = besideSources('../../checkpoints/nano-4k/');

/**
 * The folder of vila-s, a small VILA-HD on windows of 700 px of nano-4k, which answers what is on a card of a colour: trained to show
 * how such a model asks where to look, and for nothing else. Its README.md is the model card.
 *
 * ```ts
 * using model = await VilaModel.load(engine, VILA_S);
 * ```
 */
export const VILA_S: UrlLike = besideSources('../../checkpoints/vila-s/');

/**
 * The folder of vila-4k, vila-s on the whole images of nano-4k, 378 to 3780 px: the same cards and questions. Its README.md is the
 * model card.
 */
export const VILA_4K: UrlLike = besideSources('../../checkpoints/vila-4k/');

/** The VILA-HDs of this package by their names. */
export const VILAS: ReadonlyMap<string, UrlLike> = new Map([
  ['vila-s', VILA_S],
  ['vila-4k', VILA_4K],
]);

/** A folder of the package. Its address is not written so that bundlers take it for a file to include. */
function besideSources(path: string): UrlLike {
  const here = import.meta.url;
  return new URL(path, here);
}
