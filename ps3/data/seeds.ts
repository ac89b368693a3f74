// Seeds by purpose: scene 17 of seed 1 is the same image whichever scenes were built before it.

/** A different seed for each purpose: FNV-1a of the text, started from the seed. */
export function seedFor(seed: number, purpose: string): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed >>> 0, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The part of some that a split has, by their names alone: a quarter is held out, at least one. */
export function partOf<T>(items: readonly T[], split: 'train' | 'heldOut', nameOf: (item: T) => string): T[] {
  const ranked = items.toSorted((a, b) => seedFor(0, nameOf(a)) - seedFor(0, nameOf(b)));
  const held = Math.max(1, Math.round(items.length / 4));
  return split === 'heldOut' ? ranked.slice(0, held) : ranked.slice(held);
}
