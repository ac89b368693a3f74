// What a page is given instead: no files, and no word on its memory.
import { EngineError } from '../gpu/errors.ts';
import type * as system from './system.ts';

export const fileSystem: typeof system.fileSystem = () =>
  Promise.reject(
    new EngineError(
      'file',
      'files: a path needs a runtime with files, got a browser. Pass bytes, a Blob or a File, or an address.',
    ),
  );

export const hashFunctions: typeof system.hashFunctions = () =>
  Promise.reject(
    new EngineError(
      'file',
      'files: checksums of files need a runtime with files, got a browser. Verify them elsewhere.',
    ),
  );

export const freeMemoryBytes: typeof system.freeMemoryBytes = () => Promise.resolve(Number.POSITIVE_INFINITY);
