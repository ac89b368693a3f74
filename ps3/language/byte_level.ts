// The characters in which byte-level vocabularies are written: one for each byte, none of them a blank or a control.
// Radford et al. 2019, encoder.py of GPT-2.

/** Bytes that stand for themselves: printable ASCII and the printable upper half of Latin-1. */
const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const printable = bytes.filter(isPrintable);
const others = bytes.filter((byte) => !isPrintable(byte));

/** The character of each byte. */
export const CHARACTERS: readonly string[] = bytes.map((byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : 256 + others.indexOf(byte)),
);

/** All 256 characters in the order in which GPT-2's vocabulary begins: those that stand for themselves, then the others. */
export const ALPHABET: readonly string[] = [...printable, ...others].map((byte) => CHARACTERS[byte]);

const byteOf: ReadonlyMap<string, number> = new Map(CHARACTERS.map((character, byte) => [character, byte]));

/** The bytes that a token of a byte-level vocabulary stands for; undefined where it is no such token. */
export function tokenBytes(token: string): Uint8Array<ArrayBuffer> | undefined {
  const list = Array.from(token, (character) => byteOf.get(character));
  return list.every((byte) => byte !== undefined) ? Uint8Array.from(list) : undefined;
}
