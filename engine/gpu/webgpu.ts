// Which WebGPU implementation. Bundlers for browsers take webgpu.browser.ts instead: package.json, `imports`.
//
//   browsers, Deno   navigator.gpu
//   Node             the `webgpu` package (Dawn)
import { type AdapterChoice, chooseNodeAdapter } from './adapters.ts';
import { AdapterError } from './errors.ts';

/** Node, and not a runtime that offers Node's functions beside its own WebGPU. */
export const inNode: boolean =
  typeof process !== 'undefined' && !!process.versions?.node && !('Deno' in globalThis);

/** By what they were opened with; kept for the life of the process, since collecting one early crashes Dawn. */
const nodeGpus = new Map<string, Promise<GPU>>();

/**
 * The runtime's WebGPU; undefined when it has none.
 *
 * @param switches  for Dawn
 */
export async function openGpu(switches: string[]): Promise<GPU | undefined> {
  if (!inNode) return globalThis.navigator?.gpu;
  const key = [process.env.DRI_PRIME ?? '', ...switches].join();
  const known = nodeGpus.get(key);
  if (known) return known;
  const opening = (async () => {
    try {
      const { create, globals } = await import('webgpu');
      Object.assign(globalThis, globals);
      return create(switches) as GPU;
    } catch (cause) {
      throw new AdapterError(
        `engine: the npm package 'webgpu' must load in Node, got ${String(cause)}. Run: npm install webgpu`,
      );
    }
  })();
  nodeGpus.set(key, opening);
  return opening;
}

/** How adapter number `index` is reached from now on. */
export function chooseAdapter(index: number): Promise<AdapterChoice> {
  return inNode ? chooseNodeAdapter(index, openGpu) : Promise.resolve({ switches: [] });
}
