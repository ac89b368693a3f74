// engine/setup.mjs on machines made of a temporary folder: what it runs, what it says, what it leaves alone.

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Outcome {
  status: number | null;
  text: string;
}

/** Runs the set-up of a checkout; npm is replaced by a script that records its arguments and fails. */
function setUp(checkout: string): Outcome {
  const bin = join(checkout, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\necho "$@" > "${checkout}/npm_was_called"\nexit 1\n`, {
    mode: 0o755,
  });
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(checkout, 'engine/setup.mjs')], {
    encoding: 'utf8',
    env,
  });
  return { status, text: stdout + stderr };
}

function withCheckout(use: (checkout: string) => void): void {
  const checkout = mkdtempSync(join(tmpdir(), 'ps3-setup-'));
  try {
    for (const path of ['engine/setup.mjs', 'package.json', 'package-lock.json']) {
      cpSync(join(root, path), join(checkout, path));
    }
    use(checkout);
  } finally {
    rmSync(checkout, { recursive: true });
  }
}

test('setup: costs less than a second and prints nothing on a prepared machine', () => {
  spawnSync(process.execPath, [join(root, 'engine/setup.mjs')]);
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'engine/setup.mjs')], {
    encoding: 'utf8',
  });
  assert.is(stdout + stderr, '');
  assert.is(status, 0);
  assert.ok(performance.now() - started < 1000, `took ${performance.now() - started} ms`);
});

test('setup: installs the locked packages without their scripts, and says in one sentence when that fails', () => {
  withCheckout((checkout) => {
    const { status, text } = setUp(checkout);
    assert.is(status, 1);
    assert.match(readFileSync(join(checkout, 'npm_was_called'), 'utf8'), /^ci --ignore-scripts /);
    assert.match(text, /run again: npm ci --ignore-scripts/);
    assert.not.match(text, /\n {4}at /);
  });
});

test('setup: installs again when one package has gone', () => {
  withCheckout((checkout) => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    for (const path of Object.keys(lock.packages)) mkdirSync(join(checkout, path), { recursive: true });
    writeFileSync(join(checkout, 'node_modules/.package-lock.json'), JSON.stringify(lock));
    rmSync(join(checkout, 'node_modules/uvu'), { recursive: true });
    assert.is(setUp(checkout).status, 1);
    assert.ok(existsSync(join(checkout, 'npm_was_called')));
  });
});

test('setup: leaves packages alone that are linked from another checkout', () => {
  withCheckout((checkout) => {
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
    const { status, text } = setUp(checkout);
    assert.is(status, 0, text);
    assert.not.ok(existsSync(join(checkout, 'npm_was_called')));
  });
});

test.run();
