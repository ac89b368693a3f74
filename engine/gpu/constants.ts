// The whole numbers that a shader declares, `const NAME : u32 = 4u * OTHER;`, so that the host need not
// repeat them.

/** The right-hand sides of the constants of a WGSL text, by name. */
export type Constants = ReadonlyMap<string, string>;

export function constantsOf(text: string): Constants {
  const declared = text.matchAll(/^const (\w+)\b[^=]*=\s*([^;]*);/gm);
  return new Map([...declared].map(([, name, value]) => [name, value]));
}

/** A product or quotient of whole numbers and constants; NaN for anything else. */
export function evaluate(expression: string, constants: Constants): number {
  const factor = (word: string): number => {
    const value = constants.get(word);
    if (value !== undefined) return evaluate(value, constants);
    return word === '' ? Number.NaN : Number(word.replace(/[iu]$/, ''));
  };
  const [first, ...rest] = expression.trim().split(/\s*([*/])\s*/);
  let result = factor(first);
  for (let i = 0; i < rest.length; i += 2)
    result = rest[i] === '*' ? result * factor(rest[i + 1]) : Math.floor(result / factor(rest[i + 1]));
  return result;
}
