// `npm run bench` measures in Node, `deno task bench`, which runs the same script of package.json, in Deno.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { register } from 'tsx/esm/api';
import '../engine/wgsl_loader.mjs';

const runner = process.env.npm_execpath ?? ''; // what runs the script: npm, Deno …
if (/\bdeno(\.exe)?$/.test(runner)) {
  const command = fileURLToPath(new URL('run.ts', import.meta.url));
  const words = ['run', '-A', command, ...process.argv.slice(2)];
  process.exitCode = spawnSync(runner, words, { stdio: 'inherit' }).status ?? 1;
} else {
  register();
  await import('./run.ts');
}
