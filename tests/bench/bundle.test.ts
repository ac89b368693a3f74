import { isBuiltin } from 'node:module';
import { build, type Metafile } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { commandBuild, pageBuild } from '../../bench/bundle.ts';

/** Files that a build takes in, and what it leaves to be imported. */
function partsOf({ inputs, outputs }: Metafile): { files: string[]; imports: string[] } {
  const imports = Object.values(outputs).flatMap((one) => one.imports.map(({ path }) => path));
  return { files: Object.keys(inputs), imports: [...new Set(imports)].sort() };
}

test('bench page: carries the suite, but neither other libraries nor anything of Node', async () => {
  const { metafile } = await build({ ...pageBuild('1.2.3', [], 'unused'), write: false, metafile: true });
  const { files, imports } = partsOf(metafile);
  assert.ok(files.includes('bench/suite.ts') && files.includes('shaders/matmul/register.wgsl'));
  const foreign = /^bench\/(host\.ts|peers\/(node_modules\/|dawn\.ts|tfjs_entry\.mjs))/;
  assert.equal(
    files.filter((path) => foreign.test(path)),
    [],
  );
  assert.equal(imports, []);
});

test('bench bundle: needs nothing but Node and webgpu', async () => {
  const { metafile } = await build({ ...commandBuild('unused.mjs'), write: false, metafile: true });
  const { imports } = partsOf(metafile);
  assert.ok(imports.includes('webgpu'));
  assert.equal(
    imports.filter((path) => path !== 'webgpu' && !isBuiltin(path)),
    [],
  );
});

test.run();
