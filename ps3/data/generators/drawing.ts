// What a scene is drawn with while it is put together.
import type { Words } from './material.ts';
import type { SceneBuilder, Sentence, Solid, Vec3 } from './scene.ts';

/** Who draws: what words and fonts it has, and where it puts things. */
export interface Drawing {
  readonly words: Words;
  readonly scene: SceneBuilder;
  /** Families: of signs, and of names and hands. */
  readonly plain: string;
  readonly fancy: readonly string[];
  /** Of the whole image. */
  readonly sentences: Sentence[];
}

/** A box of a size around a point. */
export const box = (size: Vec3, at: Vec3, colour: string, more: Partial<Solid> = {}): Solid => ({
  shape: 'box',
  size,
  at,
  colour,
  ...more,
});

/** Ink that is read on a paint. */
export const inkOn = (paint: string): string =>
  ['white', 'yellow', 'orange', 'pink', 'beige'].includes(paint) ? '#16181b' : '#f6f5ee';
