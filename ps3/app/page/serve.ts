// npm run page                              serves the page with the newest run of runs/ that has a checkpoint
// npm run page -- --run RUN                 with this run
// npm run page -- --build DIR [--run RUN]   writes it as static files, for any server that has https
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EngineError, fileErrorOf } from '../../../engine/index.ts';
import { servePage } from '../../../engine/page_server.ts';
import { buildPage, newestRun } from './build.ts';

const rootPath = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

function options(): { build?: string; run?: string } {
  try {
    return parseArgs({ options: { build: { type: 'string' }, run: { type: 'string' } } }).values;
  } catch (error) {
    console.error(`page: ${(error as Error).message}`);
    process.exit(2);
  }
}

const { build: asked, run } = options();
try {
  const folder = asked ?? rootPath('ps3/dist/page');
  const shown = run ?? (asked ? undefined : await newestRun(rootPath('runs')));
  await buildPage(folder, shown);
  if (asked) console.log(`page: wrote ${folder}. Serve it by https, or on localhost.`);
  else {
    console.log(shown ? `with ${shown}` : 'without a model trained here: npm start makes one');
    console.log((await servePage(folder)).url);
  }
} catch (error) {
  const refused = fileErrorOf(error);
  if (!refused && !(error instanceof EngineError)) throw error;
  console.error((refused ?? (error as EngineError)).message);
  process.exit(1);
}
