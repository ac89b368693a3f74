// Records of this machine's devices, kept from one command to the next.
//
//   CACHE/devices/HASH.json     of adapter, driver and versions: another driver begins anew
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type EngineError, fileErrorOf, makeFolder } from '../../engine/index.ts';
import { cacheFolder } from '../data/packages.ts';
import type { DeviceStore } from './device_records.ts';
import { kernelVersions, runtimeName } from './version.ts';

function pathOf(adapter: string): string {
  const hash = createHash('sha256').update(JSON.stringify([adapter, kernelVersions()]));
  return join(cacheFolder(), 'devices', `${hash.digest('hex').slice(0, 16)}.json`);
}

/** Files of this machine; what is kept is in the file that `write` gives, or the system said why not. */
export const DEVICE_FILES: DeviceStore<string | EngineError> = {
  get program() {
    return { runtime: runtimeName(), versions: kernelVersions() };
  },
  read: (adapter) =>
    readFile(pathOf(adapter), 'utf8').catch((error: unknown) => {
      if (!fileErrorOf(error)) throw error;
      return undefined;
    }),
  async write(adapter, text) {
    const path = pathOf(adapter);
    const partial = `${path}.${process.pid}`;
    try {
      await makeFolder(dirname(path));
      await writeFile(partial, text);
      await rename(partial, path);
      return path;
    } catch (error) {
      const refused = fileErrorOf(error, path);
      if (!refused) throw error;
      return refused;
    }
  },
};
