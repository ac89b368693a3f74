/** The lowest number of an array that holds NaN or an infinity. */
export function firstNonFinite(arrays: ReadonlyMap<number, ArrayLike<number>>): number | undefined {
  const found = [...arrays].filter(([, x]) => Array.from(x).some((value) => !Number.isFinite(value)));
  return found.length > 0 ? Math.min(...found.map(([opNumber]) => opNumber)) : undefined;
}
