// npm run bench:page                   serves the page
// npm run bench:page -- --build DIR    writes it as static files, for any server that has https
// npm run bench:page -- --peers        either, with the libraries of bench/peers, to be measured in the page too
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { servePage } from '../../engine/page_server.ts';
import { pageBuild, peersBuild } from '../bundle.ts';
import { installPeers, peerVersions, rootPath, storedResults, versions } from '../host.ts';

function commandLine(): { build?: string; peers?: boolean } {
  try {
    return parseArgs({ options: { build: { type: 'string' }, peers: { type: 'boolean' } } }).values;
  } catch (error) {
    console.error(`bench:page: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { build: asked, peers = false } = commandLine();
const folder = asked ?? rootPath('bench/dist/page');
const stored = await storedResults(rootPath('bench/results'));
const { 'ps3-webgpu': version } = await versions(false);
if (peers) {
  installPeers();
  await build(peersBuild(folder));
}
await build(pageBuild(version, stored, folder, peers ? await peerVersions() : {}));
console.log(
  asked ? `bench:page: wrote ${folder}. Serve it by https, or on localhost.` : (await servePage(folder)).url,
);
