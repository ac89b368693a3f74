// The sequence of a token, where several lie behind each other in a row of the batch. Tokens before the first
// boundary are one, and those from the last on are one. An importer has `T : u32`, tokens of a row,
// `boundaries : u32` and `sequences_row : u32` among its params, boundaries of a row and 0 or as many from
// one row to the next, and binds `sequences : array<i32>`, [boundaries] or [B, boundaries], ascending.

/// Its first token, and the first after it.
fn sequence_of(z : u32, token : u32) -> vec2u {
  let row = z * params.sequences_row;
  var before = 0u;  // boundaries that are not after the token: those before this one are not,
  var after = params.boundaries;  // and those from this one on are
  while (before < after) {
    let middle = (before + after) / 2u;
    if (sequences[row + middle] <= i32(token)) { before = middle + 1u; } else { after = middle; }
  }
  var ends = vec2u(0u, params.T);
  if (before > 0u) { ends.x = u32(max(0, sequences[row + before - 1u])); }
  if (before < params.boundaries) { ends.y = min(params.T, u32(sequences[row + before])); }
  return ends;
}
