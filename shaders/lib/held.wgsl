// A row of C vectors in registers: invocation i of WG holds the vectors i, i + WG, i + 2 WG, ..., HELD in
// all, the last of which may lie behind the row. All loads are in flight before the first is waited for,
// and nothing is read twice.

#import reduce  // WG
#import vector  // Vec

const HELD : u32 = 1u;  // at least C / WG; the host's choice

alias HeldRow = array<Vec, HELD>;

/// The vector that the invocation holds as number k.
fn held_at(k : u32, i : u32) -> u32 { return k * WG + i; }
