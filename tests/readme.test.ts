// The README's code runs, and what it says it prints is what it prints.
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));

test('README: the fifteen lines train a linear layer', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const code = /```ts\n([\s\S]*?)```/.exec(readme)![1];
  const path = join(root, 'tests', `.readme_example_${process.pid}.ts`);
  await writeFile(path, `${code}\nprocess.exit(0);\n`);
  try {
    const flags = ['--import', './engine/wgsl_loader.mjs', '--import', 'tsx', path];
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: root });
    const numbers = [...stdout.matchAll(/Float32Array\(\d\) \[([^\]]*)\]/g)].map(([, list]) =>
      list.split(',').map(Number),
    );
    assert.is(numbers.length, 2, stdout);
    for (const [i, want] of [3, -2].entries()) assert.ok(Math.abs(numbers[0][i] - want) < 0.1, stdout);
    assert.ok(Math.abs(numbers[1][0] - 1) < 0.1, stdout);
  } finally {
    await rm(path);
  }
});

test('README: every npm script that it names exists', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const [, name] of readme.matchAll(/npm run ([\w:]+)/g)) assert.ok(scripts[name], `npm run ${name}`);
  for (const [, path] of readme.matchAll(/\]\(((?:ps3|tests|bench|NOTICE)[^)]*)\)/g))
    await readFile(join(root, path));
});

test.run();
