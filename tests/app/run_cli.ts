// Runs command lines in this process.
import { main } from '../../ps3/app/cli.ts';

/** What a command line came to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `ps3 ...args` in this process and catches what it prints. */
export async function ps3(...args: string[]): Promise<Outcome> {
  const { log, error } = console;
  const lines = { out: [] as string[], err: [] as string[] };
  console.log = (line: unknown) => lines.out.push(String(line));
  console.error = (line: unknown) => lines.err.push(String(line));
  try {
    const code = await main(['node', 'ps3', ...args]);
    return { code, out: lines.out.join('\n'), err: lines.err.join('\n') };
  } finally {
    Object.assign(console, { log, error });
  }
}
