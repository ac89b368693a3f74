// Results of pure functions of sizes and flags, worked out once for each device while shapes repeat.

/** What a result depends on; objects by their identity, which a `memoized` function keeps. */
export type KeyPart = number | boolean | string | object | undefined;

/** The results of one device by a hash of their keys: a look-up makes no string. */
export type Memo = Map<number, { readonly key: readonly KeyPart[]; readonly value: unknown }[]>;

/** More are of shapes that do not come again. */
const MOST = 8192;

const ids = new WeakMap<object, number>();
let objects = 0;

function numberOf(part: KeyPart): number {
  if (typeof part === 'string') return part.length + 64 * part.charCodeAt(part.length >> 1);
  if (typeof part !== 'object') return Number(part);
  if (!ids.has(part)) ids.set(part, ++objects);
  return ids.get(part)!;
}

/** `fn`, called once for each key. It must depend on the device and the key alone. */
export function memoized<G extends { readonly memo: Memo }, K extends readonly KeyPart[], V>(
  fn: (gpu: G, ...key: K) => V,
): (gpu: G, ...key: K) => V {
  const of = ++objects;
  return (gpu, ...key) => {
    const { memo } = gpu;
    let hash = of;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash, 0x01000193) ^ numberOf(key[i]);
    const found = memo.get(hash) ?? [];
    search: for (let k = 0; k < found.length; k++) {
      const known = found[k].key;
      if (known.length !== key.length + 1 || known[key.length] !== of) continue;
      for (let i = 0; i < key.length; i++) if (!Object.is(known[i], key[i])) continue search;
      return found[k].value as V;
    }
    const value = fn(gpu, ...key);
    if (memo.size === MOST) memo.clear();
    memo.set(hash, [...found, { key: [...key, of], value }]);
    return value;
  };
}
