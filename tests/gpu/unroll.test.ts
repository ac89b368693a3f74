import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unroll } from '../../engine/gpu/unroll.ts';

/** Without indentation and line breaks, which do not matter. */
const plain = (text: string): string => text.replace(/\s+/g, ' ').trim();

test('unroll: a marked loop over constants is unrolled with those in it, others keep their form', () => {
  const text = `
const ROWS : u32 = 4u;
const SUBGROUP : u32 = 2u;
fn f() {
  // unroll
  for (var i = 0u; i < ROWS; i += SUBGROUP) {
    for (var lane = 0u; lane < SUBGROUP; lane++) { sum[i + lane] = i; }
    for (var k = i; k < params.K; k++) { a[k] = i; }
  }
  for (var q = 0u; q < ROWS; q++) { row[q] = 1u; }
  // unroll
  for (var q = 0u; q < ROWS / SUBGROUP; q++) { row[q] = 1u; }
}`;
  const want = `
const ROWS : u32 = 4u;
const SUBGROUP : u32 = 2u;
fn f() {
  // unroll
  { { sum[0u + 0u] = 0u; } { sum[0u + 1u] = 0u; } for (var k = 0u; k < params.K; k++) { a[k] = 0u; } }
  { { sum[2u + 0u] = 2u; } { sum[2u + 1u] = 2u; } for (var k = 2u; k < params.K; k++) { a[k] = 2u; } }
  for (var q = 0u; q < ROWS; q++) { row[q] = 1u; }
  // unroll
  { row[0u] = 1u; } { row[1u] = 1u; }
}`;
  assert.is(plain(unroll(text)), plain(want));
});

test('unroll: long loops keep their form', () => {
  const text = `
const BINS : u32 = 2048u;
fn f() {
  // unroll
  for (var b = 0u; b < BINS; b++) { bins[b] = 0u; }
}`;
  assert.is(plain(unroll(text)), plain(text));
});

test('unroll: a marked loop of another form is an error that shows it', () => {
  const marked = (loop: string) => (): string => unroll(`const FEW : u32 = 3u;\n  // unroll\n  ${loop}`);
  assert.throws(
    marked('for (var k = 0u; k < params.K; k++) { }'),
    /internal: a loop over a constant must follow "\/\/ unroll", got for \(var k = 0u; k < params\.K/,
  );
  assert.throws(marked('let x = 1u;'), /must follow "\/\/ unroll", got let x = 1u;/);
  assert.throws(
    marked('for (var e = 0u; e < FEW; e++) { if (e > x) { break; } }'),
    /a loop below "\/\/ unroll" must not end early, got for \(var e/,
  );
  assert.throws(marked('for (var e = 0u; e < MANY; e++) { }'), /needs constant bounds, got for \(var e/);
});

test('unroll: a variable is replaced as a word, not inside of others', () => {
  const text = 'const N : u32 = 1u;\n// unroll\nfor (var i = 0u; i < N; i++) { min(i, index_i); }';
  assert.is(plain(unroll(text)), 'const N : u32 = 1u; // unroll { min(0u, index_i); }');
});

test.run();
