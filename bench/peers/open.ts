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

/** Where `npm run bench:page -- --peers` puts them. */
export function peersBeside(page: string): PeerUrls {
  const url = (name: string): string => new URL(`peers/${name}.js`, page).href;
  return { jax: url('jax'), tfjs: url('tfjs'), ort: url('ort') };
}

/** In the order of the table. They look for `navigator.gpu`; for Node see dawn.ts. */
export async function openPeers({ jax, tfjs, ort }: PeerUrls): Promise<Peer[]> {
  return [await openJax(jax), await openTfjs(tfjs), await openOrt(ort)];
}
