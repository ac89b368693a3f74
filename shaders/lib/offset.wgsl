// The position of the first token of a row of the batch: a number, or on the GPU. An importer has
// `offset : i32` among its params and binds `offsets : array<i32>`, [1] or [B].

// Specialisation.
const NUMBER : u32 = 0u;  // params.offset
const SHARED : u32 = 1u;  // offsets[0]
const OWN : u32 = 2u;     // offsets[z]
const PACKED : u32 = 3u;  // none: see lib/causal.wgsl
const OFFSET : u32 = NUMBER;

fn offset_of(z : u32) -> i32 {
  if (OFFSET == SHARED) { return offsets[0]; }
  if (OFFSET == OWN) { return offsets[z]; }
  return params.offset;
}
