// What the host reads from the text of a shader.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernel } from '../../engine/gpu/kernel.ts';

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

test.run();
