// SentencePiece's table of characters, `precompiled_charsmap`: which run of characters becomes which other one.
//
//   4 bytes        length n of the trie, little-endian u32
//   n bytes        double-array trie over UTF-8, units of 32 bits, little-endian: the value of a key is a position in
//   the rest       UTF-8 texts, each with a NUL behind it
//
// Source: normalizer.cc of github.com/google/sentencepiece; the units are those of github.com/s-yata/darts-clone.
import { expectTokenizer } from './tokenizer_error.ts';

const IS_VALUE = 0x80000000;
const LABEL = IS_VALUE | 0xff; // no byte equals the label of a value
const HAS_VALUE = 0x100;

/** Where a node's children begin, relative to the node. */
const childrenOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/**
 * Opens a table.
 *
 * @returns what the table makes of a text: at each place the longest key is replaced, other characters stay
 * @throws TokenizerError for bytes that are no table
 */
export function openCharsmap(table: Uint8Array): (text: string) => string {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const trieBytes = table.length < 4 ? 0 : view.getUint32(0, true);
  expectTokenizer(
    trieBytes > 0 && trieBytes % 4 === 0 && 4 + trieBytes < table.length && table[table.length - 1] === 0,
    'a character table must hold a trie and texts',
    `a trie of ${trieBytes} bytes in ${table.length}`,
  );
  const texts = table.subarray(4 + trieBytes);
  const unitAt = (node: number): number =>
    node >= 0 && node < trieBytes / 4 ? view.getUint32(4 + 4 * node, true) : IS_VALUE;

  /** The longest key at a place: where it ends, and where its replacement begins; end 0 for none. */
  function findKey(bytes: Uint8Array, start: number): { end: number; text: number } {
    const found = { end: 0, text: 0 };
    let node = childrenOf(unitAt(0));
    for (let i = start; i < bytes.length; i++) {
      node ^= bytes[i];
      const unit = unitAt(node);
      if ((unit & LABEL) !== bytes[i]) break;
      node ^= childrenOf(unit);
      if (unit & HAS_VALUE) {
        found.end = i + 1;
        found.text = unitAt(node) & ~IS_VALUE;
      }
    }
    return found;
  }

  return (text) => {
    const bytes = new TextEncoder().encode(text);
    const out: number[] = [];
    let at = 0;
    while (at < bytes.length) {
      const { end, text } = findKey(bytes, at);
      if (end > 0) {
        for (let i = text; texts[i]; i++) out.push(texts[i]);
        at = end;
      } else {
        do out.push(bytes[at++]);
        while ((bytes[at] & 0xc0) === 0x80); // the rest of the character
      }
    }
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(out));
  };
}
