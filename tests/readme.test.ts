// The code in the README and in the guides runs, and what it says it prints is what it prints.
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../ps3/train/presets.ts';
import { engine } from './harness.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs TypeScript in a process of its own; what it prints. */
async function printed(name: string, code: string): Promise<string> {
  const path = join(root, 'tests', `.${name}_${process.pid}.ts`);
  await writeFile(path, `${code}\nprocess.exit(0);\n`);
  try {
    const flags = ['--import', './engine/wgsl_loader.mjs', '--import', 'tsx', path];
    const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: root });
    return stdout;
  } finally {
    await rm(path);
  }
}

/** The blocks of TypeScript in a page. */
const snippets = (page: string): string[] =>
  [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);

const [trains, looks, small, speaks] = snippets(await readFile(join(root, 'README.md'), 'utf8'));

test('README: the fifteen lines train a linear layer', async () => {
  const stdout = await printed('readme', trains);
  const numbers = [...stdout.matchAll(/Float32Array\(\d\) \[([^\]]*)\]/g)].map(([, list]) =>
    list.split(',').map(Number),
  );
  assert.is(numbers.length, 2, stdout);
  for (const [i, want] of [3, -2].entries()) assert.ok(Math.abs(numbers[0][i] - want) < 0.1, stdout);
  assert.ok(Math.abs(numbers[1][0] - 1) < 0.1, stdout);
});

test('README: a checkpoint is loaded, looks three times and compares a box with two texts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-readme-'));
  try {
    const tokenizer = buildWordTokenizer(['a red apple', 'a green pear'], { contextLength: 8 });
    using model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 5, { tokenizer });
    await model.save(folder);
    const code = looks
      .replace('hf://nvidia/PS3-4K-SigLIP', folder)
      .replace('photo.jpg', 'tests/fixtures/pillow/images/rgb_444.jpg');
    const lines = (await printed('readme_looks', code)).trimEnd().split('\n');
    assert.is(lines.length, 5, lines.join('\n'));
    assert.match(lines[0], /^0 \+ 0 patches after \d+ ms$/);
    assert.match(lines[3], /^[1-9]\d* \+ [1-9]\d* patches after \d+ ms$/);
    assert.match(lines[4], /^\[ 1, 16, 32 \] Float32Array\(2\) \[ [\d.e-]+, [\d.e-]+ \]$/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('README: the model of the package is loaded and looks at an image', async () => {
  const code = small.replace('photo.jpg', 'tests/fixtures/pillow/images/rgb_444.jpg');
  assert.is((await printed('readme_small', code)).trimEnd(), '[ 1, 1089, 96 ] 2916');
});

for (const name of readdirSync(join(root, 'engine/guides')))
  test(`guides: ${name} prints what its comments say`, async () => {
    const code = snippets(await readFile(join(root, 'engine/guides', name), 'utf8')).join('\n');
    const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, comment]) => comment);
    assert.ok(said.length > 2, `${name} says what it prints`);
    assert.equal((await printed(`guide_${name.replace('.md', '')}`, code)).trimEnd().split('\n'), said);
  });

test('README and guides: the language model has learnt its rhyme', async () => {
  const [trains] = snippets(await readFile(join(root, 'ps3/guides/language.md'), 'utf8'));
  assert.is(speaks, trains);
  assert.is(await printed('guide_language', trains), ' sat on the mat. the dog');
});

/** Numbers with a unit that may be typed, and the test that holds each. */
const HELD: Readonly<Record<string, readonly string[]>> = {
  'tests/README.md': ['12 GB'], // tests/vila/full_size.full.test.ts
  'engine/guides/performance.md': ['78 KB'], // tests/embed/package.test.ts
};

test('pages: no number with a unit is typed into prose; measured ones are in blocks that a script writes', async () => {
  const guides = readdirSync(join(root, 'engine/guides')).map((name) => `engine/guides/${name}`);
  for (const path of ['README.md', 'CONTRIBUTING.md', 'bench/README.md', 'tests/README.md', ...guides])
    assert.equal(measuredNumbers(await readFile(join(root, path), 'utf8')), HELD[path] ?? [], path);
});

test('pages: a number with a unit in prose is found, one in a block or in code is not', () => {
  const page =
    'It takes 3.5 ms.\n<!-- a:begin -->\n7 ms\n<!-- a:end -->\n```sh\n8 ms\n```\n`9 ms`, 40 %, 2.1× and 3 times as fast; 378 px, 1e-4';
  assert.equal(measuredNumbers(page), ['3.5 ms', '40 %', '2.1×', '3 times as']);
});

/** Numbers with the unit of a measurement outside of generated blocks and of code. */
function measuredNumbers(page: string): string[] {
  const prose = page
    .replace(/<!-- (\w+):begin -->[\s\S]*?<!-- \1:end -->/g, '')
    .replace(/```[\s\S]*?```|`[^`]*`|^ {4}.*$/gm, '');
  const units =
    /\d[\d.,]* ?(?:[nµm]?s|min(?:utes)?|seconds|%|[KMGT]i?B(?:\/s)?|[MGT]FLOP\/s|×|times as)(?![\w])/g;
  return [...prose.matchAll(units)].map(([found]) => found);
}

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
