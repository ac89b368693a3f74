// What every reader and writer of files shares: the system's refusals as one sentence with the path, folders,
// text.

import { fileSystem } from '#system';
import { EngineError } from '../gpu/errors.ts';
import type { UrlLike } from './byte_source.ts';

/** The system refused to read or write a file or folder: no space, no permission, a file where a folder must be. */
export class FileError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('file', message, options);
  }
}

/**
 * A refusal of the system as a sentence; undefined for every other error.
 *
 * @param path  what was asked for; default: the path that the system names
 */
export function fileErrorOf(error: unknown, path?: string): FileError | undefined {
  if (error instanceof FileError) return error;
  if (!(error instanceof Error) || error instanceof EngineError) return undefined;
  const { code, syscall, path: named } = error as NodeJS.ErrnoException;
  if (syscall === undefined || !/^E[A-Z0-9]+$/.test(code ?? '')) return undefined;
  // Node's message is "ENOSPC: no space left on device, write", with paths that may be of temporary files.
  const reason = error.message.startsWith(`${code}: `) ? error.message.split(',')[0] : code;
  const place = path ?? named ?? 'a file';
  return new FileError(`files: ${place} must be there and usable (${syscall}), got ${reason}.`, {
    cause: error,
  });
}

/** Does some work on a path; the system's refusals become FileErrors. */
export async function onPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileErrorOf(error, path) ?? error;
  }
}

/**
 * Makes a folder and those above it, unless they are there.
 *
 * Not by the system's own `recursive`: in Node it never ends below /proc, where a folder's parent is there
 * and nothing can be made in it.
 *
 * @returns  the folders that were not there before, from the top down
 * @throws FileError when there is a file of that name or the system refuses
 */
export async function makeFolder(path: string): Promise<string[]> {
  const { mkdir, stat } = await fileSystem();
  const made: string[] = [];
  const make = async (folder: string, isLast: boolean): Promise<void> => {
    try {
      await mkdir(folder);
      made.push(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const parent = folder.replace(/[\\/]+[^\\/]*[\\/]*$/, '');
      if (code === 'ENOENT' && !isLast && parent !== '' && parent !== folder) {
        await make(parent, false);
        await make(folder, true);
      } else if (code === 'ENOENT' || !(await stat(folder)).isDirectory()) throw error;
    }
  };
  await onPath(path, () => make(path, false));
  return made;
}

/**
 * Checks that files can be written to a folder, which may not exist yet; leaves no trace.
 *
 * @throws FileError when there is a file of that name or the system refuses
 */
export async function assertWritableFolder(path: string): Promise<void> {
  const { access, constants, rmdir } = await fileSystem();
  const made = await makeFolder(path);
  await onPath(path, async () => {
    await access(path, constants.W_OK);
    for (const folder of made.reverse()) await rmdir(folder);
  });
}

/**
 * The text of a UTF-8 file, without a byte order mark.
 *
 * @throws FileError when the system refuses, EngineError when it is no UTF-8
 */
export async function readTextFile(path: string | UrlLike): Promise<string> {
  const { readFile } = await fileSystem();
  const name = typeof path === 'object' ? path.href : path;
  const bytes = await onPath(name, () => readFile(typeof path === 'object' ? new URL(name) : name));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const sentence = `files: ${name} must be text in UTF-8, got other bytes. Save it as UTF-8.`;
    throw new EngineError('text', sentence, { cause });
  }
}
