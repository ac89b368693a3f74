// What the language model keeps between questions about an image: the keys and values of what all of them begin with, which is the
// text before the first image and the image's tokens as it was glanced at.
import { concat, noGrad, Scope, slice, type Tensor } from '../../engine/index.ts';
import type { LanguageCore } from '../language/core.ts';
import type { VilaTokens } from './sequence.ts';
import type { Prefix, Seen } from './vila_types.ts';

/** What reads texts with images. */
interface Reader {
  readonly language: LanguageCore;
  readonly tokens: VilaTokens;
  embed(ids: readonly number[], blocks: readonly Tensor<'f32'>[], like?: Tensor): Tensor<'f32'>;
}

/** The prefix, where a text begins with it. */
export function prefixOf(
  prefix: Prefix | undefined,
  ids: readonly number[],
  image: number,
): Prefix | undefined {
  const isOwn = prefix?.ids.length === ids.indexOf(image) && prefix.ids.every((id, i) => id === ids[i]);
  return isOwn ? prefix : undefined;
}

/** Reads what a text about images begins with, unless the question before has; it lives as long as the glance. */
export function readPrefix(model: Reader, seen: Seen, ids: readonly number[]): Prefix {
  const { language, tokens } = model;
  const known = prefixOf(seen.prefix, ids, tokens.image);
  if (known) return known;
  const before = ids.slice(0, ids.indexOf(tokens.image));
  using scope = new Scope();
  return noGrad(() => {
    const low = slice(seen.low.in(scope), { axis: 0, length: 1 });
    const x = before.length > 0 ? concat([model.embed(before, [], low), low], { axis: 1 }) : low;
    const length = x.shape[1];
    using cache = language.newCache({ length });
    language.decode(x, { cache, offset: 0 });
    const place = seen.low.scope;
    const layers = Array.from({ length: language.config.layers }, (_, i) => cache.layer(i).in(place));
    for (const layer of seen.prefix?.layers ?? []) layer.dispose();
    seen.prefix = { ids: before, length, layers };
    return seen.prefix;
  });
}

/** What of embedded tokens, [1, T, d], is not in the prefix. */
export function behind(prefix: Prefix, embedded: Tensor<'f32'>): Tensor<'f32'> {
  const start = prefix.length;
  return slice(embedded, { axis: 1, start, length: embedded.shape[1] - start });
}

/** Hidden states of the embedded tokens behind a prefix. @param embedded  [1, T, d] @returns [1, T - P, d] */
export function decodeBehind(language: LanguageCore, prefix: Prefix, embedded: Tensor<'f32'>): Tensor<'f32'> {
  using cache = language.newCache({ length: embedded.shape[1] });
  cache.begin(prefix.layers);
  return language.decode(behind(prefix, embedded), { cache, offset: prefix.length });
}
