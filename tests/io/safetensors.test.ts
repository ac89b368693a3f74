import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  encodeSafetensors,
  openSafetensors,
  SafetensorsError,
  type TensorToWrite,
  writeSafetensors,
} from '../../engine/io/safetensors.ts';
import { fuzzSafetensors } from './fuzz.ts';

const fixture = fileURLToPath(new URL('../fixtures/io/safetensors.safetensors', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
test.after(() => rm(folder, { recursive: true }));

/** A file from a header and the number of zero bytes behind it. */
function file(header: unknown, dataBytes = 0): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return new Uint8Array(bytes);
}

async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, SafetensorsError);
    assert.is((error as SafetensorsError).code, 'safetensors');
    assert.match((error as SafetensorsError).message, message);
    return;
  }
  assert.unreachable(`must fail with ${message}`);
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

const everyDType: TensorToWrite[] = [
  { name: 'bool', dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
  { name: 'u8', dtype: 'U8', shape: [3], data: Uint8Array.of(0, 127, 255) },
  { name: 'i8', dtype: 'I8', shape: [1, 3], data: Int8Array.of(-128, 0, 127) },
  { name: 'u16', dtype: 'U16', shape: [1], data: Uint16Array.of(65535) },
  { name: 'i16', dtype: 'I16', shape: [1], data: Int16Array.of(-32768) },
  { name: 'f16', dtype: 'F16', shape: [2], data: Float32Array.of(1.5, -65504) },
  { name: 'bf16', dtype: 'BF16', shape: [2], data: Float32Array.of(1.5, -(2 ** 100)) },
  { name: 'u32', dtype: 'U32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
  { name: 'i32', dtype: 'I32', shape: [1], data: Int32Array.of(-(2 ** 31)) },
  { name: 'f32', dtype: 'F32', shape: [2, 1, 2], data: Float32Array.of(1, -0, Infinity, 2 ** -149) },
  { name: 'u64', dtype: 'U64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  { name: 'i64', dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
  { name: 'f64', dtype: 'F64', shape: [], data: Float64Array.of(Math.PI) },
  { name: 'empty', dtype: 'F32', shape: [0, 7], data: new Float32Array(0) },
  { name: '__proto__', dtype: 'U8', shape: [1], data: Uint8Array.of(9) },
  { name: '0', dtype: 'F32', shape: [1], data: Float32Array.of(7) },
];

test('safetensors: a file written by Python gives torch’s values, from a path, URL, Blob and memory', async () => {
  const bytes = await readFile(fixture);
  const misaligned = new Uint8Array(bytes.length + 3).subarray(3);
  misaligned.set(bytes);
  for (const source of [
    fixture,
    pathToFileURL(fixture),
    pathToFileURL(fixture).href,
    new Blob([bytes]),
    misaligned,
  ]) {
    await using opened = await openSafetensors(source);
    assert.equal({ ...opened.metadata }, { format: 'pt', größe: '2×3' });
    assert.equal(opened.tensors.get('f16'), { dtype: 'F16', shape: [2, 3], sizeBytes: 12 });
    assert.is(opened.tensors.size, 17);
    assert.equal(await opened.read('f32'), Float32Array.of(0, -0, 1, Math.PI, -65504, 1e-7));
    assert.equal(await opened.read('f16'), await opened.read('f16_as_f32'));
    assert.equal(await opened.read('bf16'), await opened.read('bf16_as_f32'));
    assert.equal(await opened.read('f64'), Float64Array.from(await opened.f32('f32')));
    const integers = [0, -1, 127, -128, 5, 6];
    assert.equal(
      await opened.read('i64'),
      BigInt64Array.from(integers, (i) => BigInt(i) << 40n),
    );
    assert.equal(
      await opened.f32('i64'),
      Float32Array.from(integers, (i) => i * 2 ** 40),
    );
    assert.equal(await opened.read('i32'), Int32Array.from(integers));
    assert.equal(await opened.read('i16'), Int16Array.from(integers));
    assert.equal(await opened.read('i8'), Int8Array.from(integers));
    assert.equal(await opened.read('u64'), BigUint64Array.of(2n ** 64n - 1n));
    assert.equal(await opened.read('u32'), Uint32Array.of(2 ** 32 - 1));
    assert.equal(await opened.read('u16'), Uint16Array.of(2 ** 16 - 1));
    assert.equal(await opened.read('u8'), Uint8Array.of(0, 127, 255));
    assert.equal(await opened.read('bool'), Uint8Array.of(1, 0));
    assert.equal(await opened.f32('bool'), Float32Array.of(1, 0));
    assert.equal(await opened.read('scalar'), Float32Array.of(2.5));
    assert.equal(await opened.read('empty'), new Float32Array(0));
  }
});

test('safetensors: every dtype survives a write and a read, on disk and in memory alike', async () => {
  const path = join(folder, 'every.safetensors');
  await writeSafetensors(path, everyDType, { step: '12' });
  assert.equal(new Uint8Array(await readFile(path)), await encodeSafetensors(everyDType, { step: '12' }));
  await using opened = await openSafetensors(path);
  assert.is(opened.metadata.step, '12');
  assert.is(opened.tensors.size, everyDType.length);
  for (const { name, dtype, shape, data } of everyDType) {
    assert.is(opened.tensors.get(name)?.dtype, dtype);
    assert.equal(opened.tensors.get(name)?.shape, shape);
    assert.equal(await opened.read(name), data);
  }
});

test('safetensors: data may come from functions and async iterables, raw or typed', async () => {
  async function* halves() {
    yield Uint8Array.of(0, 0, 128);
    yield Uint8Array.of(63, 0, 0, 0, 64);
  }
  const bytes = await encodeSafetensors([
    { name: 'a', dtype: 'F32', shape: [2], data: halves() },
    { name: 'b', dtype: 'F32', shape: [2], data: async () => Float32Array.of(1, 2) },
    { name: 'c', dtype: 'F32', shape: [2], data: Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 64) },
  ]);
  const opened = await openSafetensors(bytes);
  for (const name of ['a', 'b', 'c']) assert.equal(await opened.read(name), Float32Array.of(1, 2));
});

test('safetensors: chunks join to the tensor and never split an element', async () => {
  const data = Float32Array.from({ length: 1001 }, (_, i) => i);
  const bytes = await encodeSafetensors([{ name: 'x', dtype: 'F32', shape: [7, 143], data }]);
  const opened = await openSafetensors(new Blob([bytes]));
  for (const [maxBytes, stepBytes] of [
    [1, 8],
    [100, 96],
    [5000, 5000],
  ]) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of opened.chunks('x', maxBytes)) chunks.push(chunk);
    assert.is(chunks[0].byteLength, Math.min(stepBytes, 4004));
    assert.equal(new Float32Array(await new Blob(chunks as BlobPart[]).arrayBuffer()), data);
  }
});

test('safetensors: a tensor begins at a multiple of its element size', async () => {
  const bytes = await encodeSafetensors(everyDType);
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  assert.is(headerBytes % 8, 0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
  for (const { name, data } of everyDType) {
    const elementBytes = header[name].dtype.endsWith('F16') ? 2 : (data as Uint8Array).BYTES_PER_ELEMENT;
    assert.is(header[name].data_offsets[0] % elementBytes, 0, name);
  }
});

test('safetensors: what a reader can mutate is its own copy', async () => {
  const bytes = await encodeSafetensors([{ name: 'x', dtype: 'U8', shape: [2], data: Uint8Array.of(1, 2) }]);
  const opened = await openSafetensors(bytes);
  (await opened.bytes('x'))[0] = 99;
  assert.equal(await opened.read('x'), Uint8Array.of(1, 2));
});

test('safetensors: a failed write keeps the old file and leaves no other', async () => {
  const place = await mkdtemp(join(folder, 'failed-'));
  const path = join(place, 'model.safetensors');
  const ones = { name: 'x', dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const;
  await writeSafetensors(path, [ones]);
  await rejects(
    writeSafetensors(path, [
      ones,
      { name: 'y', dtype: 'F32', shape: [2], data: async () => Float32Array.of(1) },
    ]),
    /data of "y" must be the 8 bytes of F32 \[2\], got 4\./,
  );
  assert.equal(await readdir(place), ['model.safetensors']);
  await using opened = await openSafetensors(path);
  assert.equal(await opened.read('x'), Float32Array.of(1));
});

test('safetensors: two writers of one path do not mix', async () => {
  const path = join(folder, 'twice.safetensors');
  const ones: TensorToWrite = { name: 'x', dtype: 'F32', shape: [1], data: Float32Array.of(1) };
  const first = writeSafetensors(path, [ones]);
  await rejects(writeSafetensors(path, [ones]), /one writer at a time, got a second one for .*twice/);
  await first;
  await writeSafetensors(path, [ones]);
});

test('safetensors: what cannot be written says why', async () => {
  const write = (tensor: Partial<TensorToWrite>, metadata?: Record<string, string>) =>
    encodeSafetensors(
      [{ name: 'x', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2), ...tensor }],
      metadata,
    );
  await rejects(
    write({ data: Int32Array.of(1, 2) }),
    /must be a Float32Array or raw bytes for F32, got a Int32Array/,
  );
  await rejects(write({ data: Float32Array.of(1) }), /must be the 8 bytes of F32 \[2\], got 4/);
  await rejects(write({ data: new Float32Array(3) }), /must be the 8 bytes of F32 \[2\], got at least 12/);
  await rejects(write({ shape: [-2] }), /shape of "x" must hold non-negative integers, got \[-2\]/);
  await rejects(
    write({ name: '__metadata__' }),
    /names must be unique and not __metadata__, got "__metadata__"/,
  );
  await rejects(write({ dtype: 'F8' as 'U8' }), /dtype of "x" must be one of F64 .*, got "F8"/);
  await rejects(write({}, JSON.parse('{"step":3}')), /__metadata__ "step" must be a string, got 3/);
  const twice = [1, 2].map(
    (): TensorToWrite => ({ name: 'x', dtype: 'U8', shape: [0], data: new Uint8Array(0) }),
  );
  await rejects(encodeSafetensors(twice), /names must be unique .* got "x"/);
});

test('safetensors: a broken file says what is wrong with it', async () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(7), /must begin with the 8 bytes of its header length, got 7 bytes \(bytes in memory\)/],
    [file({}).subarray(0, 9), /the header's 2 bytes must fit into the file, got a file of 9 bytes/],
    [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 255), /the header length must be at most 100000000 bytes, got 1837/],
    [file(''), /the header must begin with "{", got byte/],
    [file('[]'), /the header must begin with "{", got byte 91/],
    [file('{"x":'), /the header must be UTF-8 JSON, got ".*JSON/],
    [file('{"x":1}x'), /the header must be UTF-8 JSON/],
    [file({ x: 3 }), /"x" must be an object with dtype, shape and data_offsets, got 3/],
    [file({ __metadata__: { step: 1 } }), /__metadata__ "step" must be a string, got 1/],
    [file({ __metadata__: [] }), /__metadata__ must be an object, got \[\]/],
    [file({ x: { ...f32(0, 4), dtype: 8 } }, 4), /dtype of "x" must be a name, got 8/],
    [file({ x: { ...f32(4, 0), dtype: 'F8_E5M2' } }, 4), /data_offsets of "x" must span .* got \[4,0\]/],
    [file({ x: { ...f32(0, 9), dtype: 'F8_E5M2' } }, 4), /truncated/],
    [
      file({ x: { ...f32(0, 4), shape: [-1] } }, 4),
      /shape of "x" must hold non-negative integers, got \[-1\]/,
    ],
    [
      file({ x: { ...f32(0, 4), shape: [0.5] } }, 4),
      /shape of "x" must hold non-negative integers, got \[0.5\]/,
    ],
    [file({ x: { ...f32(0, 4), shape: '1' } }, 4), /shape of "x" must hold non-negative integers, got "1"/],
    [file({ x: { ...f32(0, 4), shape: [2 ** 50, 2 ** 50] } }, 4), /"x" must be smaller than 2\^53 bytes/],
    [
      file({ x: { dtype: 'F32', shape: [1] } }, 4),
      /data_offsets of "x" must be two non-negative integers, got undef/,
    ],
    [file({ x: { ...f32(0, 4), data_offsets: [0, 4, 8] } }, 4), /data_offsets of "x" must be two/],
    [file({ x: f32(0, 8, [1]) }, 8), /data_offsets of "x" must span the 4 bytes of F32 \[1\], got \[0,8\]/],
    [
      file({ x: f32(0, 4), y: f32(8, 12) }, 12),
      /follow each other without holes, got "y" at offset 8 .* ends at 4/,
    ],
    [
      file({ x: f32(0, 8), y: f32(4, 8) }, 8),
      /follow each other without overlaps, got "y" at offset 4 .* ends at 8/,
    ],
    [file({ x: f32(4, 8) }, 8), /follow each other without holes, got "x" at offset 4/],
    [file({ x: f32(0, 4000) }, 8), /tensors' 4000 bytes must be all .*, got 8 bytes. The file is truncated/],
    [file({ x: f32(0, 4) }, 8), /tensors' 4 bytes must be all that follows the header, got 8 bytes/],
    [file({}, 1), /tensors' 0 bytes must be all that follows the header, got 1 bytes/],
    [
      file('{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{}}'),
      /keys .* must be unique, got "x" twice/,
    ],
    [file('{"x":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), /unique, got "dtype" twice/],
    [file('{"__metadata__":{"a":"","a":""}}'), /keys of the header must be unique, got "a" twice/],
  ];
  for (const [bytes, message] of cases) await rejects(openSafetensors(bytes), message);
});

test('safetensors: equal keys in different objects, empty tensors and padding are fine', async () => {
  const header =
    '{"__metadata__":{"a":"{\\"a\\":\\\\"},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}     ';
  const opened = await openSafetensors(file(header));
  assert.is(opened.metadata.a, '{"a":\\');
  assert.equal(await opened.read('a'), new Uint8Array(0));
});

test('safetensors: a missing, foreign or shortened file and a missing tensor say so', async () => {
  await rejects(openSafetensors(join(folder, 'none')), /must be readable, got ENOENT: no such file.*none/);
  await rejects(openSafetensors(folder), /a path must name a file, got /);
  await rejects(openSafetensors('https://host/x'), /must be a file URL, got https:\/\/host\/x. Download it/);
  const path = join(folder, 'short.safetensors');
  await writeFile(path, file({ weight: f32(0, 400) }, 400));
  const opened = await openSafetensors(path);
  await rejects(
    opened.read('bias'),
    /the tensor must exist, got "bias". .*short.safetensors holds 1: "weight"/,
  );
  await truncate(path, 100);
  await rejects(
    opened.read('weight'),
    /400 bytes at offset \d+ must be readable, got \d+ \(.*The file became shorter/,
  );
  await opened.close();
  await opened.close();
  await rejects(opened.read('weight'), /the file must be open, got .*short.safetensors after close/);
});

test('safetensors: tensors of other dtypes are listed, and refused only when their numbers are read', async () => {
  const odd = ['F8_E4M3', 'F8_E5M2', 'C64', 'F4', 'toString', '__proto__', 'f32', ''];
  for (const dtype of odd) {
    const header = { __metadata__: null, odd: { dtype, shape: [3], data_offsets: [0, 4] }, x: f32(4, 8) };
    const opened = await openSafetensors(file(header, 8));
    assert.equal(opened.tensors.get('odd'), { dtype, shape: [3], sizeBytes: 4 });
    assert.equal({ ...opened.metadata }, {});
    assert.equal(await opened.f32('x'), new Float32Array(1));
    assert.equal(await opened.bytes('odd'), new Uint8Array(4));
    const refusal = /safetensors: the dtype of "odd" must be one of F64 .* to be read, got ".*"/;
    await rejects(opened.read('odd'), refusal);
    await rejects(opened.f32('odd'), refusal);
  }
});

test('safetensors: 5,000 files, broken in every way, open or fail with SafetensorsError', async () => {
  const { opened, refused } = await fuzzSafetensors(5000, 12345);
  assert.ok(opened > 500 && refused > 2500, `${opened} opened, ${refused} refused`);
});

test('safetensors: the module bundles for browsers, without Node’s modules', async () => {
  const entry = fileURLToPath(new URL('../../engine/io/safetensors.ts', import.meta.url));
  const { warnings, outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent',
  });
  assert.equal(warnings, []);
  assert.is(outputFiles.length, 1);
});

test.run();
