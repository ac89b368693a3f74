import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unroll } from '../../engine/gpu/unroll.ts';

/** Without indentation and line breaks, which do not matter. */
const plain = (text: string): string => text.replace(/\s+/g, ' ').trim();

test('unroll: loops over constants and their quotients are written out, nested ones too', () => {
  const text = `
const ROWS : u32 = 4u;
const LANES : u32 = 2u;
fn f() {
  for (var i = 0u; i < ROWS; i += LANES) {
    for (var lane = 0u; lane < LANES; lane++) { sum[i + lane] = i; }
  }
  for (var q = 0u; q < ROWS / LANES; q++) { row[q] = 1u; }
}`;
  const want = `
const ROWS : u32 = 4u;
const LANES : u32 = 2u;
fn f() {
  { { sum[0u + 0u] = 0u; } { sum[0u + 1u] = 0u; } }
  { { sum[2u + 0u] = 2u; } { sum[2u + 1u] = 2u; } }
  { row[0u] = 1u; } { row[1u] = 1u; }
}`;
  assert.is(plain(unroll(text)), plain(want));
});

test('unroll: loops over params, long ones and those that may end early keep their form', () => {
  const text = `
const BINS : u32 = 2048u;
const FEW : u32 = 3u;
fn f() {
  for (var k = 0u; k < params.K; k++) { for (var j = 0u; j < FEW; j++) { a[j] = k; } }
  for (var b = 0u; b < BINS; b++) { bins[b] = 0u; }
  for (var e = 0u; e < FEW; e++) { if (e > x) { break; } }
}`;
  const want = text.replace(
    'for (var j = 0u; j < FEW; j++) { a[j] = k; }',
    '{ a[0u] = k; } { a[1u] = k; } { a[2u] = k; }',
  );
  assert.is(plain(unroll(text)), plain(want));
});

test('unroll: a variable is replaced as a word, not inside of others', () => {
  const text = 'const N : u32 = 1u;\nfor (var i = 0u; i < N; i++) { min(i, index_i); }';
  assert.is(plain(unroll(text)), 'const N : u32 = 1u; { min(0u, index_i); }');
});

test.run();
