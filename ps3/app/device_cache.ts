// What is known of this machine's devices, kept from one command to the next: which kernels are right on them, and the
// planner's choices that `ps3 device --tune` measured.
//
//   CACHE/devices/HASH.json     of adapter, driver and versions: another driver begins anew
import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type DeviceRecord,
  type Engine,
  EngineError,
  fileErrorOf,
  makeFolder,
  proveKernels,
  useDeviceRecord,
} from '../../engine/index.ts';
import { cacheFolder } from '../data/packages.ts';
import { kernelVersions, runtimeName } from './version.ts';

function pathOf(adapter: string): string {
  const hash = createHash('sha256').update(JSON.stringify([adapter, kernelVersions()]));
  return join(cacheFolder(), 'devices', `${hash.digest('hex').slice(0, 16)}.json`);
}

/** What is known of an engine's device; undefined if that is nothing, or of lower tiers alone. */
export async function readDeviceRecord({
  adapterName,
  tier,
}: Pick<Engine, 'adapterName' | 'tier'>): Promise<DeviceRecord | undefined> {
  const record = await readFile(pathOf(adapterName), 'utf8').then(parse, (error: unknown) => {
    if (!fileErrorOf(error)) throw error;
    return undefined;
  });
  return record && record.adapter === adapterName && record.tier >= tier ? record : undefined;
}

/** A file that is no record, as a machine that stopped may leave one, is as good as none: all in it can be found again. */
function parse(text: string): DeviceRecord | undefined {
  try {
    const record = JSON.parse(text) as DeviceRecord | null;
    return Array.isArray(record?.kernels) ? record : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** Keeps what is known; where the system refuses, every command finds it out again. @returns the file, or what the system said */
export async function writeDeviceRecord(record: DeviceRecord): Promise<string | EngineError> {
  const path = pathOf(record.adapter);
  const partial = `${path}.${process.pid}`;
  try {
    await makeFolder(dirname(path));
    await writeFile(partial, `${JSON.stringify(record, undefined, 1)}\n`);
    await rename(partial, path);
    return path;
  } catch (error) {
    const refused = fileErrorOf(error, path);
    if (!refused) throw error;
    return refused;
  }
}

/**
 * Has an engine plan by what is known of its device. Of one that is new its kernels are proved meanwhile, which takes less
 * than a second on a GPU and some seconds of compilation on a CPU.
 *
 * @param proves  false: prove nothing
 * @param say     takes a sentence for each kernel that is left out
 * @returns       resolves when all is known
 */
export async function useKnown(
  engine: Engine,
  proves: boolean,
  say: (sentence: string) => void,
): Promise<{ readonly proving: Promise<void> }> {
  const record = await readDeviceRecord(engine);
  if (record) for (const sentence of useDeviceRecord(engine, record)) say(sentence);
  return { proving: record || !proves ? Promise.resolve() : prove(engine, say) };
}

async function prove(engine: Engine, say: (sentence: string) => void): Promise<void> {
  const { adapterName: adapter, tier } = engine;
  try {
    const { proofs: kernels, warnings } = await proveKernels(engine);
    for (const sentence of warnings) say(sentence);
    const lower = await readDeviceRecord({ adapterName: adapter, tier: 0 });
    const versions = kernelVersions();
    await writeDeviceRecord({
      ...{ adapter, tier, runtime: runtimeName(), versions, kernels },
      ...(lower?.tuning && { tuning: lower.tuning }),
    });
  } catch (error) {
    // The device was lost, or is full: the command's own work says so, and the next one tries again.
    if (!(error instanceof EngineError)) throw error;
  }
}
