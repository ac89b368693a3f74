// npm run bench:page                   serves the page
// npm run bench:page -- --build DIR    writes it as static files, for any server that has https
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { servePage } from '../../engine/page_server.ts';
import { pageBuild } from '../bundle.ts';
import { rootPath, storedResults, versions } from '../host.ts';

function folderToBuild(): string | undefined {
  try {
    return parseArgs({ options: { build: { type: 'string' } } }).values.build;
  } catch (error) {
    console.error(`bench:page: ${(error as Error).message}`);
    process.exit(2);
  }
}

const asked = folderToBuild();
const folder = asked ?? rootPath('bench/dist/page');
const stored = await storedResults(rootPath('bench/results'));
await build(pageBuild((await versions(false))['ps3-webgpu'], stored, folder));
console.log(
  asked ? `bench:page: wrote ${folder}. Serve it by https, or on localhost.` : (await servePage(folder)).url,
);
