// The package in bundles for browsers by esbuild, vite and webpack, none of which is told anything of it.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BUNDLERS } from './bundlers.ts';
import { installProject, newFolder, packPackage } from './install.ts';

const bundlers = suite<{ folder: string; project: string }>('bundlers');

bundlers.before(async (context) => {
  context.folder = await newFolder();
  await packPackage(context.folder);
  context.project = await installProject(context.folder, 'page', '--omit=optional');
});
bundlers.after(({ folder }) => rm(folder, { recursive: true }));

/** What a script imports or requires, as another bundler reads it. */
async function importsOf(script: string): Promise<string[]> {
  const options = { entryPoints: [script], bundle: true, write: false, external: ['*'] };
  const { metafile } = await esbuild.build({ ...options, format: 'esm', metafile: true });
  return Object.values(metafile.inputs).flatMap(({ imports }) => imports.map(({ path }) => path));
}

for (const [name, bundle] of Object.entries(BUNDLERS))
  for (const entry of ['engine.js', 'model.js'])
    bundlers(
      `bundlers: ${name} takes ${entry} without options, whole and without Node`,
      async ({ project }) => {
        const page = join(project, 'tests/embed/page');
        const out = join(page, `dist/${name}/${entry}`);
        assert.equal(await bundle(page, entry, out), []);
        const scripts = (await readdir(out, { recursive: true })).filter((file) => file.endsWith('.js'));
        assert.is(scripts.length, 1, scripts.join());
        const text = await readFile(join(out, scripts[0]), 'utf8');
        assert.ok(text.length > 50_000, `${text.length} characters`);
        assert.not.match(text, /["'`]node:/);
        assert.equal(await importsOf(join(out, scripts[0])), []);
      },
    );

bundlers.run();
