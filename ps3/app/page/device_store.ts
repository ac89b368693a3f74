// Records of devices that the browser keeps from one visit to the next.
import type { DeviceStore } from '../device_records.ts';

/** Of this package, put in by the build. */
declare const VERSION: string;

const NAME = 'ps3-devices';

/** Under an address of the page that is never asked for. */
const addressOf = (adapter: string): string =>
  `${location.origin}/${NAME}/${encodeURIComponent(JSON.stringify([adapter, navigator.userAgent, VERSION]))}`;

/** Caches of the page's origin, where the browser grants them. */
export const DEVICE_CACHE: DeviceStore = {
  program: { runtime: navigator.userAgent, versions: { 'ps3-webgpu': VERSION } },
  read: async (adapter) => {
    const found = await opened((cache) => cache.match(addressOf(adapter)));
    return found?.text();
  },
  write: (adapter, text) => opened((cache) => cache.put(addressOf(adapter), new Response(text))),
};

/** There are none without a secure context, and none in some private windows. */
async function opened<T>(use: (cache: Cache) => Promise<T>): Promise<T | undefined> {
  if (!('caches' in globalThis)) return undefined;
  try {
    return await use(await caches.open(NAME));
  } catch (error) {
    if (error instanceof DOMException) return undefined;
    throw error;
  }
}
