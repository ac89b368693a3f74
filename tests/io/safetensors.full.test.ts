import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors, writeSafetensors } from '../../engine/io/safetensors.ts';
import { formatHeader } from '../../engine/io/safetensors_header.ts';
import { fuzzSafetensors } from './fuzz.ts';

const folder = await mkdtemp(join(tmpdir(), 'safetensors-full-'));
test.after(() => rm(folder, { recursive: true }));

test('safetensors: a tensor beyond 4 GiB of a sparse file is read by range', async () => {
  const path = join(folder, 'sparse.safetensors');
  const bigBytes = 5 * 2 ** 30;
  const header = formatHeader([
    { name: 'big', dtype: 'U8', shape: [bigBytes], sizeBytes: bigBytes, offset: 0 },
    { name: 'last', dtype: 'F32', shape: [2], sizeBytes: 8, offset: bigBytes },
  ]);
  const file = await open(path, 'w');
  await file.write(header, 0, header.length, 0);
  await file.write(Float32Array.of(3, 4), 0, 8, header.length + bigBytes);
  await file.close();
  await using opened = await openSafetensors(path);
  assert.equal(await opened.read('last'), Float32Array.of(3, 4));
});

test('safetensors: 2.25 GiB are written and read in pieces', async () => {
  const path = join(folder, 'large.safetensors');
  const piece = new Uint32Array(2 ** 24);
  const count = 36;
  async function* pieces() {
    for (let i = 0; i < count; i++) yield new Uint8Array(piece.fill(i).buffer);
  }
  const extent = count * piece.length;
  await writeSafetensors(path, [
    { name: 'large', dtype: 'U32', shape: [extent], data: pieces() },
    { name: 'last', dtype: 'F32', shape: [1], data: Float32Array.of(5) },
  ]);
  await using opened = await openSafetensors(path);
  assert.equal(await opened.read('last'), Float32Array.of(5));
  let i = 0;
  for await (const chunk of opened.chunks('large', piece.byteLength)) {
    const values = new Uint32Array(chunk.buffer);
    assert.equal([values.length, values[0], values.at(-1)], [piece.length, i, i]);
    i++;
  }
  assert.is(i, count);
});

test('safetensors: 100,000 files, broken in every way, open or fail with SafetensorsError', async () => {
  const { opened, refused } = await fuzzSafetensors(100_000, 67890);
  assert.ok(opened > 10_000 && refused > 50_000, `${opened} opened, ${refused} refused`);
});

test.run();
