// Which of a machine's adapters, where WebGPU itself leaves no choice: Dawn for Node takes the first whose name contains a text,
// and of equal GPUs Mesa's device-select layer, which serves every Vulkan driver, puts one first.
// Bundles for browsers leave this out.
import { SOFTWARE } from './target.ts';

/** How an adapter is reached. */
export interface AdapterChoice {
  /** For Dawn. */
  readonly switches: readonly string[];
  /** For the variable DRI_PRIME, which the layer reads: how many of the GPUs are passed over. */
  readonly driPrime?: number;
  /** What stands in the way, in a sentence. */
  readonly warning?: string;
}

/** Where layers are registered that every Vulkan program goes through. */
const LAYER_FOLDERS = ['/etc', '/usr/share', '/usr/local/share'].map(
  (path) => `${path}/vulkan/implicit_layer.d`,
);

/** Whether Mesa's device-select layer is installed, which puts the GPU first that DRI_PRIME names. */
async function hasSelectLayer(): Promise<boolean> {
  if (process.env.NODEVICE_SELECT !== undefined) return false;
  const { existsSync } = await import('node:fs');
  return LAYER_FOLDERS.some((path) => existsSync(`${path}/VkLayer_MESA_device_select.json`));
}

/** No adapter has this name: asked for it, Dawn lists those that it has. */
const NO_NAME = 'none of these';

/**
 * How adapter number `index` is reached; numbers go on from the first after the last. Software adapters count where there is
 * nothing else.
 *
 * @param names     of the adapters, the default one first
 * @param hasLayer  whether Mesa's device-select layer is there
 */
export function planAdapter(names: readonly string[], index: number, hasLayer: boolean): AdapterChoice {
  const gpus = names.filter((name) => !SOFTWARE.test(name));
  const candidates = gpus.length > 0 ? gpus : names;
  if (candidates.length < 2) return { switches: [] };
  const number = index % candidates.length;
  const name = candidates[number];
  const switches = [`adapter=${name}`];
  const alike = candidates.some((one, i) => candidates.some((other, j) => i !== j && one.includes(other)));
  if (!alike || number === 0) return { switches };
  if (gpus.length > 0 && hasLayer) return { switches, driPrime: number };
  return {
    switches,
    warning: `engine: ${candidates.length} adapters can be told apart by Mesa's device-select layer alone where names are alike, got none for ${name}, of which the first is used. Install mesa-vulkan-drivers, or start each process where only its own GPU is visible.`,
  };
}

/** Opens Dawn by its switches. */
type OpenGpu = (switches: string[]) => Promise<GPU | undefined>;

/** Names of the adapters that Dawn finds, the default one first. */
async function adapterNames(openGpu: OpenGpu): Promise<string[]> {
  const gpu = await openGpu([`adapter=${NO_NAME}`]);
  try {
    await gpu?.requestAdapter();
    return [];
  } catch (cause) {
    const { message } = cause as Error;
    const found = [...message.matchAll(/^ \* backend: '(.+?)', name: '(.*)'$/gm)];
    // A GPU may be there again by way of OpenGL.
    return found.flatMap(([, backend, name]) => (backend === found[0][1] ? [name] : []));
  }
}

/** What the user chose before. */
let byUser: string | undefined;

/** Once for each number: what is chosen by DRI_PRIME changes the order of the names. */
const chosen = new Map<number, Promise<AdapterChoice>>();

/** Makes `planAdapter` true for what is opened from now on; who has set DRI_PRIME keeps to that. */
export function chooseNodeAdapter(index: number, openGpu: OpenGpu): Promise<AdapterChoice> {
  if (chosen.size === 0) byUser = process.env.DRI_PRIME;
  const known = chosen.get(index);
  if (known) return known;
  const choosing = (async (): Promise<AdapterChoice> => {
    if (byUser !== undefined) return { switches: [] };
    const choice = planAdapter(await adapterNames(openGpu), index, await hasSelectLayer());
    if (choice.driPrime !== undefined) process.env.DRI_PRIME = String(choice.driPrime);
    return choice;
  })();
  chosen.set(index, choosing);
  return choosing;
}
