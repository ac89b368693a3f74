// What the host reads from the text of a shader.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernel } from '../../engine/gpu/kernel.ts';
import { packShader, unpackShader } from '../../engine/gpu/shader.ts';
import { reflect } from '../../engine/wgsl.ts';

const SHADER = `
const BINS : u32 = 2048u;
const SIDE = 16;  // without a type
const CELLS : u32 = SIDE * SIDE / 2u;
const HEX : u32 = 0x10u;
const FLAG : bool = true;
@group(0) @binding(1) var<storage, read_write> y : array<u32>;
@compute @workgroup_size(CELLS, 2) fn f() { y[0] = BINS; }`;

test('kernel: numbers and sizes come from the constants of the shader, products of others too', () => {
  const f = kernel(SHADER, 'f');
  assert.is(f.constant('BINS'), 2048);
  assert.is(f.constant('SIDE'), 16);
  assert.is(f.constant('CELLS'), 128);
  assert.is(f.constant('HEX'), 16);
  assert.is(f.workgroupSize, 256);
});

test('kernel: a number that the shader does not state is an error', () => {
  const f = kernel(SHADER, 'f');
  assert.throws(() => f.constant('MISSING'), /internal: f declares no whole number MISSING/);
  assert.throws(() => f.constant('FLAG'), /internal: f declares no whole number FLAG/);
});

/** Members of params that entry points read: themselves, by the functions that they call, as a whole, not at all. */
const READERS = `
struct Params { M : u32, scale : vec3f, K : u32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> y : array<f32>;
fn outer() -> f32 { return inner(); }
fn inner() -> f32 { return params.scale.y; }
fn all(of : Params) -> f32 { return f32(of.K); }
@compute @workgroup_size(1) fn itself() { for (var i = 0u; i < params.M; i++) { y[i] = 0.0; } }
@compute @workgroup_size(1) fn by_calls() { if (y[0] > outer()) { y[params.K] = 0.0; } }
@compute @workgroup_size(1) fn whole() { y[0] = all(params); }
@compute @workgroup_size(1) fn none() { y[0] = 1.0; }`;

const shader = reflect(READERS);
const readBy = (entry: string): string[] =>
  shader.entries[entry].params.flatMap(({ name, isRead }) => (isRead ? [name] : []));

test('reflect: tells which members of params an entry point reads, by the functions that it calls too', () => {
  assert.equal(readBy('itself'), ['M']);
  assert.equal(readBy('by_calls'), ['scale', 'K']);
  assert.equal(readBy('whole'), ['M', 'scale', 'K']);
  assert.equal(readBy('none'), []);
});

test('kernel: needs the params that it reads and no others', () => {
  const f32 = new Float32Array(8);
  const pack = (params: Record<string, number | number[]>): void =>
    kernel(shader, 'by_calls').pack(params, f32, new Uint32Array(f32.buffer), 0);
  pack({ scale: [1, 2, 3], K: 0 });
  assert.equal([...f32.subarray(4, 7)], [1, 2, 3]);
  assert.throws(() => pack({ M: 1, K: 1 }), /internal: by_calls needs the param scale/);
});

test('reflect: what the build packs is what the parser read', () => {
  assert.equal(unpackShader(packShader(READERS, shader), {}), shader);
});

test.run();
