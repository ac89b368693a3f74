// npm run bench:page                   serves the page, built anew for each request
// npm run bench:page -- --build DIR    writes it as static files, for any server that has https
import { parseArgs } from 'node:util';
import { build, context } from 'esbuild';
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

const folder = folderToBuild();
const stored = await storedResults(rootPath('bench/results'));
const options = pageBuild(
  (await versions(false))['ps3-webgpu'],
  stored,
  folder ?? rootPath('bench/dist/page'),
);
if (folder) {
  await build(options);
  console.log(`bench:page: wrote ${folder}. Serve it by https, or on localhost.`);
} else {
  const { port } = await (await context(options)).serve({ host: '127.0.0.1' });
  console.log(`http://localhost:${port}`);
}
