// Lets Node import a .wgsl file as text, as Deno, esbuild and vite do:
//   import source from './kernel.wgsl' with { type: 'text' }
// Use: node --import ./engine/wgsl_loader.mjs --import tsx FILE
import { register } from 'node:module';

const hook = `
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
export async function load(url, context, next) {
  if (!url.split('?')[0].endsWith('.wgsl')) return next(url, context);
  const text = await readFile(fileURLToPath(url.split('?')[0]), 'utf8');
  return { format: 'module', shortCircuit: true, source: 'export default ' + JSON.stringify(text) };
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
