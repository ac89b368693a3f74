// What the errors of ps3/app, ps3/data and ps3/benchmarks begin with.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../../ps3', import.meta.url));
const sources = ['app', 'data', 'benchmarks'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') })),
);
const COMMANDS = [
  'start',
  'train',
  'eval',
  'encode',
  'report',
  'compare',
  'verify',
  'generate',
  'answer',
  'benchmark',
  'data',
  'data scenes',
  'data caption',
  'data check',
  'data pack',
];

test('errors: each begins with a name that its file exports or with a command of ps3', () => {
  let count = 0;
  for (const { name, text } of sources) {
    const exported = [...text.matchAll(/^export (?:async )?(?:function\*?|class) (\w+)/gm)].map(
      (found) => found[1],
    );
    const allowed = [...exported, ...COMMANDS, 'internal'];
    for (const [, first] of text.matchAll(/new \w*Error\(\s*[`'"]([\w ]+):/g)) {
      assert.ok(allowed.includes(first), `${name}: an error begins with "${first}"`);
      count++;
    }
  }
  assert.ok(count > 40, `${count} errors were found`);
});

test.run();
