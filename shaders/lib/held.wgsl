// A row of C vectors in registers: invocation i of ROW_WG holds the vectors i, i + ROW_WG, i + 2 ROW_WG, ...,
// HELD in all, the last of which may be past the end of the row. All loads are in flight before the first is
// waited for, and nothing is read twice.

#import reduce  // ROW_WG
#import vector  // Vec

const HELD : u32 = 1u;  // at least C / ROW_WG; the host's choice

alias HeldRow = array<Vec, HELD>;

/// The index in the row of the k-th vector that invocation i holds.
fn held_at(k : u32, i : u32) -> u32 { return k * ROW_WG + i; }
