// What words there are, and how likely a spelling is: for options that are words, and to see whether spelling alone gives answers away.
import { en } from '@faker-js/faker';

const WORDS: readonly string[] = [
  ...new Set(
    [
      ...en.word!.noun!,
      ...en.word!.adjective!,
      ...en.word!.verb!,
      ...Object.values(en.person!.first_name!).flat(),
      ...en.person!.last_name!.generic!,
      ...en.location!.city_name!,
    ].flatMap((entry) => entry.toLowerCase().split(/[^a-z]+/)),
  ),
].filter((word) => word.length >= 3);

const KNOWN = new Set(WORDS);

const BY_LENGTH = new Map<number, string[]>();
for (const word of WORDS) BY_LENGTH.set(word.length, [...(BY_LENGTH.get(word.length) ?? []), word]);

const PAIRS = new Map<string, number>();
const FIRSTS = new Map<string, number>();
for (const word of WORDS) {
  const ended = `^${word}$`;
  for (let i = 0; i + 1 < ended.length; i++) {
    const pair = ended.slice(i, i + 2);
    PAIRS.set(pair, (PAIRS.get(pair) ?? 0) + 1);
    FIRSTS.set(pair[0], (FIRSTS.get(pair[0]) ?? 0) + 1);
  }
}

/** Letters and the end of a word, for the count of those that never follow. */
const SYMBOLS = 27;

/**
 * How likely the letters of a text follow each other in words.
 *
 *   mean over pairs of log((count of the pair + 1) / (count of its first + 27)); 0 for a text without letters
 */
export function plausibility(text: string): number {
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  const logs = words.flatMap((word) => {
    const ended = `^${word}$`;
    return Array.from({ length: ended.length - 1 }, (_, i) => {
      const pair = ended.slice(i, i + 2);
      return Math.log(((PAIRS.get(pair) ?? 0) + 1) / ((FIRSTS.get(pair[0]) ?? 0) + SYMBOLS));
    });
  });
  return logs.reduce((sum, log) => sum + log, 0) / Math.max(1, logs.length);
}

/** Words of a text that are known, as a share. */
export function knownShare(text: string): number {
  const words = text.toLowerCase().match(/[a-z]{3,}/g) ?? [];
  return words.filter((word) => KNOWN.has(word)).length / Math.max(1, words.length);
}

/** Texts with one word in the place of another of as many letters, of which all but one or two are the same; capitals stay. */
export function wordsLike(text: string): string[] {
  return [...text.matchAll(/[A-Za-z]{4,}/g)].flatMap(({ 0: word, index }) => {
    const small = word.toLowerCase();
    const most = word.length < 6 ? 1 : 2;
    const like = (BY_LENGTH.get(small.length) ?? []).filter((other) => {
      let differing = 0;
      for (let i = 0; i < other.length && differing <= most; i++) if (other[i] !== small[i]) differing++;
      return differing > 0 && differing <= most;
    });
    return like.map((other) => {
      const cased = Array.from(other, (letter, i) => (/[A-Z]/.test(word[i]) ? letter.toUpperCase() : letter));
      return `${text.slice(0, index)}${cased.join('')}${text.slice(index + word.length)}`;
    });
  });
}

/** Whether a text is a time of the day. */
export function isValidTime(text: string): boolean {
  const found = /^(\d{1,2}):(\d\d)$/.exec(text);
  return found !== null && Number(found[1]) < 24 && Number(found[2]) < 60;
}
