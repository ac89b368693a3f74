// Which option a reply names: one strict rule for every multiple-choice benchmark.

const FIRST = 'A'.charCodeAt(0);

/** A for 0, B for 1. */
export function letterOf(index: number): string {
  return String.fromCharCode(FIRST + index);
}

/** Place of a letter among so many options; undefined beyond them. */
function indexOf(letter: string | undefined, count: number): number | undefined {
  const index = (letter?.toUpperCase().charCodeAt(0) ?? 0) - FIRST;
  return index >= 0 && index < count ? index : undefined;
}

/** `answer is B`, `Answer: (b).`, `option C`: a capital, or a small letter that ends a sentence or stands in brackets. */
const NAMED =
  /(?:(?:[Aa]nswer|ANSWER)\s+is|(?:[Aa]nswer|ANSWER)\s*:|[Oo]ption)\s*:?\s*(?:\(\s*([A-Za-z])\s*\)|([A-Z])(?![\p{L}\p{N}'])|([a-z])(?=\s*(?:[.,;:)]|$)))/gu;

const plain = (text: string): string => text.trim().replace(/\.$/, '').toLowerCase();

/** Whether an option stands in a reply, not as a part of a word. */
function isIn(option: string, reply: string): boolean {
  const words = plain(option).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return (
    words !== '' && new RegExp(`(?<![\\p{L}\\p{N}])${words}(?![\\p{L}\\p{N}])`, 'u').test(reply.toLowerCase())
  );
}

/**
 * The option that a reply names, or none: no letter is guessed.
 *
 * 1. The whole reply is a letter, perhaps in brackets or with a dot or colon.
 * 2. Else the last `answer is`, `answer:` or `option` that a letter follows.
 * 3. Else the one option whose text is the reply, else the one whose text is in it.
 *
 * @returns  index of the option; undefined counts as a refusal
 */
export function extractChoice(reply: string, options: readonly string[]): number | undefined {
  const whole = /^\s*\(?\s*([a-z])\s*\)?\s*[.:]?\s*$/i.exec(reply)?.[1];
  const letter = indexOf(whole, options.length);
  if (letter !== undefined) return letter;
  const named = [...reply.matchAll(NAMED)]
    .map(([, bracketed, capital, small]) => indexOf(bracketed ?? capital ?? small, options.length))
    .filter((index) => index !== undefined);
  if (named.length > 0) return named[named.length - 1];
  const indices = options.map((_, i) => i);
  const equal = indices.filter((i) => plain(options[i]) !== '' && plain(options[i]) === plain(reply));
  if (equal.length === 1) return equal[0];
  const contained = indices.filter((i) => isIn(options[i], reply));
  return contained.length === 1 ? contained[0] : undefined;
}
