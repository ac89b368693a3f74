// What a program runs as: the version of the package, and what a run notes of its machine.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Engine } from '../../engine/index.ts';
import type { Transport } from '../ranks/transport.ts';

/** The version of this package. */
export function version(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

/** 'node 20.20.2'. */
export function runtimeName(): string {
  const { deno, node } = process.versions;
  return deno ? `deno ${deno}` : `node ${node}`;
}

/** Versions of what compiles and runs kernels here: this package, and Dawn in Node or wgpu in Deno. */
export function kernelVersions(): Record<string, string> {
  const { deno } = process.versions;
  if (deno) return { 'ps3-webgpu': version(), deno };
  const { version: webgpu } = createRequire(import.meta.url)('webgpu/package.json') as { version: string };
  return { 'ps3-webgpu': version(), webgpu };
}

/** What `environment.json` of a run holds. */
export function environmentOf(
  { adapterName }: Pick<Engine, 'adapterName'>,
  { size }: Pick<Transport, 'size'>,
): Record<string, string> {
  return { 'ps3-webgpu': version(), adapter: adapterName, ...(size > 1 && { ranks: `${size}` }) };
}
