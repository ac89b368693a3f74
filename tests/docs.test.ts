// The API documentation: every public name has a sentence, every link leads somewhere.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs typedoc without writing; what it says. */
async function typedoc(...options: string[]): Promise<string> {
  const args = [join(root, 'node_modules/typedoc/bin/typedoc'), '--emit', 'none', ...options];
  const run = promisify(execFile)(process.execPath, args, { cwd: root });
  const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error);
  return stripVTControlCharacters(`${stdout}${stderr}`);
}

test('docs: every public name is documented', async () => {
  const said = await typedoc();
  assert.match(said, /Found 0 errors/);
  // The members of an unnamed type are described with what returns it.
  const warnings = said
    .split('\n')
    .filter((line) => line.includes('[warning]') && !line.includes('.__type.'));
  assert.equal(warnings.slice(0, -1), [], 'all but the last line, which counts');
});

test('docs: a name without a sentence is found', async () => {
  const said = await typedoc('--entryPoints', 'engine/gpu/recorder.ts');
  assert.match(said, /Recorder\S* \(\w+\), defined in .*does not have any documentation/);
});

test.run();
