// An answer on standard output.
import type { GeneratedToken } from '../../language/generate.ts';
import { INTERRUPTED } from '../flags.ts';

/** Writes the texts of tokens as they come, and ends the line. @returns  the exit code; SIGINT ends the answer early */
export async function writeTokens(tokens: AsyncIterable<GeneratedToken>): Promise<number> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  try {
    for await (const { text } of tokens) {
      process.stdout.write(text);
      if (abort.signal.aborted) break;
    }
    process.stdout.write('\n');
  } finally {
    process.off('SIGINT', stop);
  }
  return abort.signal.aborted ? INTERRUPTED : 0;
}
