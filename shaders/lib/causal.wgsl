// Which keys a query sees: those from first_seen(z, query) on, before seen(z, query). Both ascend with the
// query.
// An importer has `T : u32`, queries of a batch entry, among its params, too.

#import offset  // offset_of(z), position of the first query among the keys; OFFSET

// Specialisation: what a kernel leaves out.
const NOTHING : u32 = 0u;
const ELEMENTS : u32 = 1u;        // of the matrix of scores: hidden ones
const KEYS : u32 = 2u;            // terms that are keys: those that no query of a tile sees
const QUERIES : u32 = 3u;         // terms that are queries: those that see no key of a tile
const HIDES : u32 = NOTHING;
const CAUSAL : bool = true;       // later keys are hidden
// With the OFFSET PACKED there are as many keys as queries, and `offsets`, [batch, T, 2], are the first token
// of each token's sequence and the first after it. Other sequences are hidden.

/// First token of a token's sequence, or the first after it.
fn sequence_end(z : u32, token : u32, end : u32) -> u32 {
  return u32(offsets[2u * (z * params.T + token) + end]);
}

fn first_seen(z : u32, query : u32) -> u32 {
  if (OFFSET == PACKED) { return sequence_end(z, query, 0u); }
  return 0u;
}
fn seen(z : u32, query : u32) -> u32 {
  if (OFFSET == PACKED && !CAUSAL) { return sequence_end(z, query, 1u); }
  if (OFFSET == PACKED) { return query + 1u; }
  return u32(max(0, offset_of(z) + i32(query) + 1));
}

/// The first query that sees a key, and the first after it that does not.
fn first_query_of(z : u32, key : u32) -> u32 {
  if (OFFSET == PACKED && !CAUSAL) { return sequence_end(z, key, 0u); }
  if (OFFSET == PACKED) { return key; }
  return u32(max(0, i32(key) - offset_of(z)));
}
fn end_query_of(z : u32, key : u32) -> u32 {
  if (OFFSET == PACKED) { return sequence_end(z, key, 1u); }
  return params.T;
}
