// Where the files of archives lie, against Python's tarfile.
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { indexTar, readAt, type TarIndex } from '../../ps3/data/stream/tar_index.ts';

const fixtures = new URL('../fixtures/tar/', import.meta.url);
const wanted = JSON.parse(await readFile(new URL('index.json', fixtures), 'utf8')) as Record<
  string,
  [name: string, offset: number, sizeBytes: number][]
>;
const folder = await mkdtemp(join(tmpdir(), 'tar-index-'));
test.after(() => rm(folder, { recursive: true }));

async function index(path: string | URL): Promise<TarIndex> {
  const file = await open(path);
  try {
    return await indexTar(file);
  } finally {
    await file.close();
  }
}

for (const [format, files] of Object.entries(wanted))
  test(`indexTar: names, offsets and sizes of an archive in the ${format} format are those of tarfile`, async () => {
    const { entries, fault } = await index(new URL(`${format}.tar`, fixtures));
    assert.is(fault, undefined);
    assert.equal(
      entries.map(({ name, offset, sizeBytes }) => [name, offset, sizeBytes]),
      files,
    );
  });

test('indexTar: an archive that is cut anywhere gives the files before the cut', async () => {
  const whole = await readFile(new URL('pax.tar', fixtures));
  const path = join(folder, 'cut.tar');
  const last = wanted.pax.at(-1)!;
  for (let size = 1; size < last[1] + last[2]; size += 97) {
    await writeFile(path, whole.subarray(0, size));
    const { entries, fault } = await index(path);
    const before = wanted.pax.filter(([, offset, sizeBytes]) => offset + sizeBytes <= size);
    // A file without content is only known by its header, which ends where its content would begin.
    assert.equal(
      entries.map(({ name }) => name),
      before.map(([name]) => name),
      `${size} bytes`,
    );
    assert.match(fault ?? '', /^cut off (in|at) /, `${size} bytes`);
  }
});

test('indexTar: a damaged header ends the archive, with its place', async () => {
  const bytes = await readFile(new URL('ustar.tar', fixtures));
  bytes[wanted.ustar[1][1] - 512] ^= 1;
  const path = join(folder, 'damaged.tar');
  await writeFile(path, bytes);
  const { entries, fault } = await index(path);
  assert.equal(
    entries.map(({ name }) => name),
    [wanted.ustar[0][0]],
  );
  assert.is(fault, `no tar header at byte ${wanted.ustar[1][1] - 512}`);
});

test('readAt: bytes within a file, fewer at its end', async () => {
  const path = join(folder, 'bytes');
  await writeFile(path, Uint8Array.of(0, 1, 2, 3, 4));
  const file = await open(path);
  assert.equal([...(await readAt(file, 1, 3))], [1, 2, 3]);
  assert.equal([...(await readAt(file, 3, 9))], [3, 4]);
  await file.close();
});

test.run();
