// Lists as Python prints them, which tables of VLMEvalKit have in their cells.

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/** A text in quotes of either kind, or a word without blanks, commas and brackets. */
const ITEM = /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,[\]'"]+))\s*([,\]])/suy;

/**
 * The texts of a list such as `['a', "b's", 3, None]`; numbers and words are given as they are written.
 *
 * @returns  undefined for what is no such list
 */
export function parsePythonList(text: string): string[] | undefined {
  const list = text.trim();
  if (!list.startsWith('[') || !list.endsWith(']')) return undefined;
  if (/^\[\s*\]$/.test(list)) return [];
  const items: string[] = [];
  ITEM.lastIndex = 1;
  for (;;) {
    const found = ITEM.exec(list);
    if (!found) return undefined;
    const [, single, double, word, end] = found;
    const quoted = single ?? double;
    items.push(
      quoted === undefined
        ? word
        : quoted.replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/gsu, (_, code: string) =>
            /^[ux]./.test(code)
              ? String.fromCharCode(Number.parseInt(code.slice(1), 16))
              : (ESCAPES[code] ?? `\\${code}`),
          ),
    );
    if (end === ']') return ITEM.lastIndex === list.length ? items : undefined;
    if (/^\s*\]$/.test(list.slice(ITEM.lastIndex))) return items;
  }
}
