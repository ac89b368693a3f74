// Rows of a table file, one after another, without the file in memory.
import { DataError } from '../../data/errors.ts';

/** A row as the file has it. */
export interface Row {
  /** By the names of the columns. */
  readonly values: Readonly<Record<string, unknown>>;
  /** File and row, for messages. */
  readonly where: string;
}

/** A value in a message: what it is and how it begins. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text = typeof value === 'bigint' ? `${value}` : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** What a row lacks or has wrong. */
export function rowError(where: string, rule: string, got: unknown, advice: string): DataError {
  return new DataError(`benchmark: ${where}: ${rule}, got ${shown(got)}. ${advice}`);
}

/** Turns what a reader of files throws into one sentence. */
export function fileFault(path: string, kind: string, cause: unknown): DataError {
  const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  return new DataError(
    `benchmark: ${path} must be ${kind}, got: ${reason.replace(/\.$/, '')}. Download it again, or name another file.`,
    { cause },
  );
}
