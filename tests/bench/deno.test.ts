import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseResult } from '../../bench/report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('bench: deno task bench runs the suite in Deno, with its own WebGPU', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ps3-bench-'));
  try {
    const path = join(folder, 'result.json');
    const flags = ['--quick', '--filter', 'cast', '--seconds', '0.01', '--json', path];
    const words = ['task', 'bench', ...flags];
    const { status, stderr } = spawnSync(join(root, 'node_modules/.bin/deno'), words, {
      cwd: root,
      encoding: 'utf8',
    });
    assert.is(status, 0, stderr);
    const { runtime, rows } = parseResult(path, await readFile(path, 'utf8'));
    assert.match(runtime, /^deno \d/);
    assert.ok(rows.length > 0 && rows.every(({ medianMs }) => medianMs > 0));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
