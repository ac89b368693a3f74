// What the system refuses, as sentences; folders; text files.
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertWritableFolder,
  FileError,
  makeFolder,
  readTextFile,
  writeSafetensors,
} from '../../engine/index.ts';
import { writeWhole } from '../../ps3/model/checkpoint/writer.ts';

const folder = await mkdtemp(join(tmpdir(), 'files-'));
test.after(() => rm(folder, { recursive: true }));
await writeFile(join(folder, 'file'), 'text');

async function refused(work: Promise<unknown>, message: RegExp): Promise<void> {
  const error: unknown = await work.then(
    () => undefined,
    (error) => error,
  );
  assert.instance(error, FileError, String(error));
  assert.match((error as FileError).message, message);
  assert.not.match((error as FileError).message, /\n|\.tmp|\.partial/);
}

const tensors = [{ name: 'x', dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) }];

test('files: a writer says which path the system refused, and leaves nothing behind', async () => {
  const inFile = join(folder, 'file', 'x');
  const missing = join(folder, 'missing', 'x');
  const taken = join(folder, 'taken');
  await mkdir(join(taken, 'inside'), { recursive: true });
  for (const [path, reason] of [
    [inFile, 'ENOTDIR'],
    [missing, 'ENOENT'],
    [taken, 'EISDIR|ENOTEMPTY'],
    ['/proc/x', 'ENOENT'],
  ]) {
    const message = new RegExp(
      `^files: ${path} must be there and usable \\(.*\\), got (${reason}): [^.]*\\.$`,
    );
    await refused(writeSafetensors(path, tensors), message);
    await refused(writeWhole(path, 'text'), message);
  }
  assert.equal((await readdir(folder)).sort(), ['file', 'taken']);
});

test('files: a full device is named with the path', async () => {
  if (!(await stat('/dev/full').catch(() => undefined))) return console.log('skipped: needs /dev/full');
  const { onPath } = await import('../../engine/index.ts');
  const work = (): Promise<void> => writeFile('/dev/full', 'text');
  await refused(
    onPath('/out/a.png', work),
    /^files: \/out\/a\.png must .* \(write\), got ENOSPC: no space left/,
  );
});

test('files: folders are made with those above them, once or again', async () => {
  for (const path of ['a', 'b/c/d', 'b/c/d/', './e//f']) {
    await makeFolder(join(folder, 'made', path));
    await makeFolder(`${folder}/made/${path}`);
    assert.ok((await stat(join(folder, 'made', path))).isDirectory(), path);
  }
  await refused(makeFolder(join(folder, 'file')), /EEXIST/);
  await refused(makeFolder(join(folder, 'file', 'below')), /file\/below must .*ENOTDIR/);
});

test('files: a folder that is to be written is tried and leaves no trace', async () => {
  const tried = join(folder, 'tried');
  await assertWritableFolder(join(tried, 'a/b'));
  assert.is(await stat(tried).catch(() => undefined), undefined);
  await makeFolder(tried);
  await writeFile(join(tried, 'kept'), '');
  for (const path of [tried, join(tried, 'c')]) await assertWritableFolder(path);
  assert.equal(await readdir(tried), ['kept']);
  await refused(assertWritableFolder(join(tried, 'kept')), /kept must .*EEXIST/);
  await refused(assertWritableFolder('/proc/x'), /^files: \/proc\/x must .* got ENOENT/);
});

test('files: making a folder below /proc is refused at once', async () => {
  await refused(makeFolder('/proc/x'), /^files: \/proc\/x must .* got ENOENT/);
  await refused(makeFolder('/proc/x/y/z'), /^files: \/proc\/x\/y\/z must .* got ENOENT/);
});

test('files: text is read without its byte order mark and refused in other encodings', async () => {
  const path = join(folder, 'text');
  for (const [bytes, text] of [
    [Buffer.from('\ufeff{"a": "ü"}\r\n'), '{"a": "ü"}\r\n'],
    [Buffer.from('plain'), 'plain'],
    [Buffer.from(''), ''],
  ] as const) {
    await writeFile(path, bytes);
    assert.is(await readTextFile(path), text);
  }
  for (const bytes of [Buffer.from('\ufeffü', 'utf16le'), Buffer.from('ü', 'latin1')]) {
    await writeFile(path, bytes);
    const sentence = await readTextFile(path).catch((error: Error) => error.message);
    assert.match(sentence, /text must be text in UTF-8, got other bytes/);
  }
});

test.run();
