// Which keys come after a query and are hidden from it: those from seen(z, query) on.

#import offset  // offset_of(z), position of the first query among the keys

// Specialisation: what a kernel leaves out.
const NOTHING : u32 = 0u;
const ELEMENTS : u32 = 1u;        // of the matrix of scores: hidden ones
const LATE_KEYS : u32 = 2u;       // terms that are keys, from the first on that no query of a tile sees
const EARLY_QUERIES : u32 = 3u;   // terms that are queries, up to the first that sees a key of a tile
const HIDES : u32 = NOTHING;

const MASKED : f32 = -1e30;       // finite: WGSL may assume that there are no infinities

/// Keys that a query of a batch entry sees, from the first on.
fn seen(z : u32, query : u32) -> u32 { return u32(max(0, offset_of(z) + i32(query) + 1)); }

/// The first query that sees a key.
fn first_query_of(z : u32, key : u32) -> u32 { return u32(max(0, i32(key) - offset_of(z))); }
