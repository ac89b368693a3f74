// What a program runs as: the version of the package, and what a run notes of its machine.
import { readFileSync } from 'node:fs';
import type { Engine } from '../../engine/index.ts';
import type { Transport } from '../ranks/transport.ts';

/** The version of this package. */
export function version(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

/** What `environment.json` of a run holds. */
export function environmentOf(
  { adapterName }: Pick<Engine, 'adapterName'>,
  { size }: Pick<Transport, 'size'>,
): Record<string, string> {
  return { 'ps3-webgpu': version(), adapter: adapterName, ...(size > 1 && { ranks: `${size}` }) };
}
