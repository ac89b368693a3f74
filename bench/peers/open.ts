// Opens the peers, each on a device of its own.
import { openJax } from './jax.ts';
import { openOrt } from './ort.ts';
import type { Peer } from './peer.ts';
import { openTfjs } from './tfjs.ts';

/** Where the installed libraries lie. */
export interface PeerUrls {
  readonly jax: string;
  /** Bundle of tfjs_entry.mjs. */
  readonly tfjs: string;
  readonly ort: string;
}

/** In the order of the table. */
export async function openPeers({ jax, tfjs, ort }: PeerUrls, inNode: boolean): Promise<Peer[]> {
  if (inNode) (await import('./dawn.ts')).provideNavigator();
  return [await openJax(jax), await openTfjs(tfjs), await openOrt(ort)];
}
