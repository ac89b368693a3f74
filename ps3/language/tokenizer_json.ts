// tokenizer.json of byte-level BPE vocabularies of Qwen's construction, in Hugging Face's format.

/** Qwen's pattern of words: letters with one character before, single digits, signs, line breaks, blanks. */
export const WORDS: string =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** A token that is found in texts as it is. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
}

/** The whole file. @param merges  pairs of tokens, the earliest first */
export function byteLevelJson(
  vocab: Readonly<Record<string, number>>,
  merges: readonly (readonly [string, string])[],
  added: readonly AddedToken[],
): Record<string, unknown> {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  const split = { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map(addedToken),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, byteLevel] },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  };
}

/** An entry of `added_tokens`. */
export function addedToken({ id, content }: AddedToken): AddedToken & Record<string, unknown> {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}
