import { decodeHTML } from 'entities/decode';
import type { TextCleaning } from '../config/config.ts';

/**
 * Brings a caption into the form SigLIP was trained on: HTML references resolved, `_` to space, ASCII punctuation
 * deleted, lower case, runs of white space to one space, none at the ends.
 *
 * The reference first repairs text with ftfy (wrong encodings, full-width letters, ligatures). Of that only NFC
 * normalisation and straight quotes are done here: pass text that is sound.
 * Source: big_vision `prompt_engineering.py`, canonicalize_text.
 */
export function canonicalize(text: string): string {
  return lowerCase(
    plain(text)
      .replaceAll('_', ' ')
      .replace(/[!-/:-@[-`{-~]/g, ''),
  );
}

/** As `canonicalize`, with punctuation kept: what SigLIP 2 was trained on. Source: open_clip's tokenizer, clean `lower`. */
export function toLowerCase(text: string): string {
  return lowerCase(plain(text));
}

/** How a text is brought into form, by the name of the way. */
export const CLEAN: Readonly<Record<TextCleaning, (text: string) => string>> = {
  canonicalize,
  lower: toLowerCase,
};

function plain(text: string): string {
  const straight = text.normalize('NFC').replace(/[\u02bc\u2018-\u201f]/g, "'");
  return unescapeHtml(unescapeHtml(straight));
}

const lowerCase = (text: string): string =>
  text.toLowerCase().replace(WHITE_SPACE, ' ').replace(/^ | $/g, '');

// Python's idea of white space: the separators 0x1c to 0x1f and next line too, the byte order mark not.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are meant
const WHITE_SPACE = /(?:[\x1c-\x1f\x85]|(?!\ufeff)\s)+/g;

// What Python drops when a numeric reference names it; HTML keeps it.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are meant
const DROPPED = /^[\x01-\x08\x0b\x0e-\x1f\x7f\p{Noncharacter_Code_Point}]$/u;

/** Python's html.unescape. */
function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(?:[xX][\da-fA-F]+|\d+)|[a-zA-Z][\da-zA-Z]*);?/g, (reference) => {
    const character = decodeHTML(reference);
    return reference[1] === '#' && DROPPED.test(character) ? '' : character;
  });
}
