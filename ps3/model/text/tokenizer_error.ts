import { EngineError } from '../../../engine/index.ts';

/** A tokenizer's files are broken, or a text cannot be encoded with them. */
export class TokenizerError extends EngineError {
  constructor(message: string) {
    super('tokenizer', message);
  }
}

/** What is checked of a tokenizer's files. @throws TokenizerError unless the condition holds */
export function expectTokenizer(
  condition: boolean,
  rule: string,
  got: unknown,
  todo = '',
): asserts condition {
  if (!condition)
    throw new TokenizerError(`Tokenizer.fromFiles: ${rule}, got ${got}.${todo ? ` ${todo}` : ''}`);
}
