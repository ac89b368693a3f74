// The check of commit subjects: what it refuses, and that the history passes it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));

function check(...args: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [join(root, '.ci/commit-msg'), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
}

/** The check as git's hook, on one message. */
function checkMessage(message: string): { status: number | null; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'ps3-commit-'));
  try {
    writeFileSync(join(folder, 'MESSAGE'), message);
    return check(join(folder, 'MESSAGE'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('commits: one area and one topic in at most 72 characters pass', () => {
  for (const subject of [
    'gelu: keep the row in registers (-31% at 4096x1152)',
    'ps3/model: refuse keys that are not honoured\n\nThe body may be long; it may have several topics: this one, and that.',
    `bench: ${'x'.repeat(65)}`,
    '# a comment of the template\nREADME: start with one image',
  ])
    assert.is(checkMessage(subject).status, 0, subject);
});

test('commits: long subjects, two topics, no area and no imperative are refused with the reason', () => {
  for (const [subject, reason] of [
    [`bench: ${'x'.repeat(66)}`, /73 characters, at most 72/],
    ['gather: read four rows; resize: by rows', /';' joins two topics/],
    ['gather: read four rows, resize: by rows', /two areas/],
    ['wip', /the area comes first/],
    ['gather: adds rows', /imperative/],
    ['gather: fixed rows', /imperative/],
  ] as const) {
    const { status, stderr } = checkMessage(subject);
    assert.is(status, 1, subject);
    assert.match(stderr, reason);
  }
});

test('commits: the history passes', () => {
  const { status, stderr } = check();
  assert.is(status, 0, stderr);
});

test.run();
