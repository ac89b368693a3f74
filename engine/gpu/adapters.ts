// Which of a machine's adapters, where WebGPU itself leaves no choice: Dawn for Node takes the first whose name contains a text,
// and of equal GPUs Mesa's device-select layer, which serves every Vulkan driver, puts one first.
import { driPrime, hasSelectLayer, openGpu, setDriPrime } from '#webgpu';

/** How an adapter is reached. */
export interface AdapterChoice {
  /** For Dawn. */
  readonly switches: readonly string[];
  /** For the variable DRI_PRIME, which the layer reads: how many of the GPUs are passed over. */
  readonly driPrime?: number;
  /** What stands in the way, in a sentence. */
  readonly warning?: string;
}

/** What runs on the CPU, by its name: lavapipe, SwiftShader, WARP. */
export const SOFTWARE: RegExp = /llvmpipe|lavapipe|swiftshader|software|basic render|cpu/i;

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

/** Names of the adapters that Dawn finds, the default one first; none where the runtime is not Node. */
export async function adapterNames(): Promise<string[]> {
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
const byUser = driPrime();

/** Once for each number: what is chosen by DRI_PRIME changes the order of the names. */
const chosen = new Map<number, Promise<AdapterChoice>>();

/** Makes `planAdapter` true for what is opened from now on; who has set DRI_PRIME keeps to that. */
export function chooseAdapter(index: number): Promise<AdapterChoice> {
  const known = chosen.get(index);
  if (known) return known;
  const choosing = (async (): Promise<AdapterChoice> => {
    if (byUser !== undefined) return { switches: [] };
    const choice = planAdapter(await adapterNames(), index, await hasSelectLayer());
    if (choice.driPrime !== undefined) setDriPrime(choice.driPrime);
    return choice;
  })();
  chosen.set(index, choosing);
  return choosing;
}
